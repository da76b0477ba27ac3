# SPDX-License-Identifier: GPL-2.0-or-later
# Longer than 500 lines: its tests have the numbers of docs/kernel-notes.md and are read beside it.
"""Promise: the running kernel behaves as docs/kernel-notes.md says, fact by fact.

The numbers are those of that page. No engine runs here: a netlink client talks to the kernel, and the laboratory's
firewall, sockets and counters show what happened to the packets. A feature that depends on the kernel's configuration
must either have its effect or be refused with the documented error.

To show that a datagram does not arrive, another one, which is not queued, is sent after it: what has not arrived before
that one does not arrive.
"""

import contextlib
import errno
import os
import random
import select
import socket
import struct
import subprocess
import sys

import pytest

import netlink
from netlink import ACCEPT, COPY_META, COPY_NONE, COPY_PACKET, DROP, PAYLOAD, Answer, Packet
from support.commands import wait_for
from support.processes import tied_to_parent
from support.rules import Rule, queue_target

QUEUED_PORT, FREE_PORT = 7002, 7003
QUEUED = ("-p", "udp", "--dport", str(QUEUED_PORT))
IPV4_HEADER, UDP_HEADER = 20, 8
BARRIER = b"barrier %d"
COPY_RANGE_MAX = 65531
BACKLOG = 500        # datagrams at once: the kernel's backlog of a CPU takes 1,000 by default
CHILD_SECONDS = 10.0
NOBODY = 65534
CAP_NET_ADMIN = 12
EXPERIMENTAL_PROTOCOL = 253
MARK = 7
TO_QUEUE_2 = 2 << 16 | netlink.QUEUE


class Path:
    """Numbered or named datagrams from the client to the server, and what of them arrives."""

    def __init__(self, lab, stack):
        self.lab = lab
        self.address = lab.server_main[4]
        self.barriers = 0

        def opened(namespace, kind, address=None, **options):
            with namespace.entered():
                made = stack.enter_context(contextlib.closing(socket.socket(kind, socket.SOCK_DGRAM, **options)))
            made.settimeout(netlink.LIMIT_SECONDS)
            if address:
                made.bind(address)
            return made

        self.sender = opened(lab.client, socket.AF_INET)
        self.receiver = opened(lab.server, socket.AF_INET, (self.address, QUEUED_PORT))
        self.receiver.setsockopt(socket.SOL_SOCKET, netlink.SO_RCVBUFFORCE, 4 * 1024 * 1024)
        self.free = opened(lab.server, socket.AF_INET, (self.address, FREE_PORT))
        self.wire = opened(lab.server, socket.AF_PACKET, ("link2", 0x0800))  # whole IPv4 packets

    def through(self, first=1, count=1, bypass=False):
        """Packets to QUEUED_PORT are queued in the router."""
        return Rule(self.lab.router, "FORWARD", *QUEUED, *queue_target(first, count, bypass), families=(4,))

    def send(self, *texts):
        for text in texts:
            self.sender.sendto(text, (self.address, QUEUED_PORT))

    def _send_barrier(self):
        self.barriers += 1
        self.sender.sendto(BARRIER % self.barriers, (self.address, FREE_PORT))
        while self.free.recv(100) != BARRIER % self.barriers:
            pass

    def arrived(self):
        """What has arrived since the last call, in order."""
        self._send_barrier()
        texts = []
        while netlink.is_readable(self.receiver):
            texts.append(self.receiver.recv(0x10000))
        return texts

    def seen_on_the_wire(self):
        """The packets that left the router since the last call, whether or not they are sound, without barriers."""
        self._send_barrier()
        packets = []
        while netlink.is_readable(self.wire):
            packets.append(self.wire.recv(0x10000))
        return [packet for packet in packets if not packet[IPV4_HEADER + UDP_HEADER:].startswith(BARRIER[:-2])]


@pytest.fixture
def stack():
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def path(lab, stack):
    return Path(lab, stack)


@pytest.fixture
def open_client(lab, stack, nothing_left_behind):
    """open_client(...) in the router."""
    del nothing_left_behind
    return lambda **options: stack.enter_context(contextlib.closing(netlink.Client(lab.router, **options)))


@pytest.fixture
def client(open_client):
    return open_client()


def udp_text(packet):
    return packet.attributes[PAYLOAD][IPV4_HEADER + UDP_HEADER:]


def texts(count, prefix=b"datagram"):
    return [b"%s %d" % (prefix, n) for n in range(1, count + 1)]


def ids(packets):
    return [packet.id for packet in packets]


def wait_waiting(lab, count):
    wait_for(lambda: lab.router.waiting() == count, f"{count} packets wait in the queues")


# A program in a process of its own: sends every message that it is given through the socket that it inherited, then
# says which user it is, which capabilities it has, and which packets it received if it was asked for some.
CHILD = """
import socket, struct, sys
inherited = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12, fileno=int(sys.argv[1]))
ids = [struct.unpack_from("!I", inherited.recv(0x20000), 24)[0] for _ in range(int(sys.argv[2]))]
for message in sys.argv[3:]:
    inherited.send(bytes.fromhex(message))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["Uid"].split()[1], int(status["CapEff"], 16), status["NoNewPrivs"].strip(), *ids)
"""
# Another one: opens a socket for the netfilter of its namespace and hands it over.
OPENER = """
import socket, sys
there, opened = socket.socket(fileno=int(sys.argv[1])), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
socket.send_fds(there, [b"."], [opened.fileno()])
"""
WITHOUT_RIGHT = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--")
ORDINARY_USER = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--no-new-privs",
                 "--inh-caps", "-all,+net_admin", "--ambient-caps", "-all,+net_admin", "--bounding-set",
                 "-all,+net_admin", "--")


def in_child(client, *messages, launcher=(), receive=0):
    """Runs CHILD with the client's socket. Its user, its capabilities, whether it can gain any, and the ids it read."""
    output = subprocess.run(
        [*launcher, sys.executable, "-I", "-c", CHILD, str(client.fileno()), str(receive),
         *(message.hex() for message in messages)], pass_fds=[client.fileno()], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, cwd="/", timeout=CHILD_SECONDS, check=True, preexec_fn=tied_to_parent).stdout
    user, capabilities, confined, *received = (int(word) for word in output.split())
    return user, capabilities, bool(confined), received


def opened_by_child(namespace, launcher):
    """Runs OPENER in a namespace. The descriptor of the socket that it opened."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there, namespace.entered():
        here.settimeout(CHILD_SECONDS)
        subprocess.run([*launcher, sys.executable, "-I", "-c", OPENER, str(there.fileno())], pass_fds=[there.fileno()],
                       stdin=subprocess.DEVNULL, timeout=CHILD_SECONDS, check=True, preexec_fn=tied_to_parent)
        return socket.recv_fds(here, 1, 1)[1][0]


# Queue and socket


def test_01_a_queue_belongs_to_the_port_id_and_the_namespace_of_one_socket(lab, open_client):
    owner, other = open_client(), open_client()
    assert owner.configure(1, netlink.command(netlink.BIND)) is None
    assert other.configure(1, netlink.command(netlink.BIND)) == "EPERM"
    assert owner.configure(1, netlink.command(netlink.BIND)) == "EBUSY"
    for request in (netlink.copy(COPY_PACKET, 0), netlink.max_len(1), netlink.command(netlink.UNBIND)):
        assert other.configure(1, request) == "EPERM"
        assert owner.configure(2, request) == "ENODEV"
    assert other.answer(1, 1, ACCEPT) == other.answer_up_to(1, 1, ACCEPT) == "EPERM"
    assert owner.answer(2, 1, ACCEPT) == owner.answer_up_to(2, 1, ACCEPT) == "ENODEV"
    assert {number: queue.port_id for number, queue in lab.router.queues().items()} == {1: owner.port_id}
    # Where the socket was made counts, not where its user is: this process is in none of the laboratory's namespaces.
    with contextlib.closing(netlink.Client(lab.client)) as elsewhere:
        assert elsewhere.configure(1, netlink.command(netlink.BIND)) is None
        assert lab.client.queues()[1].port_id == elsewhere.port_id
        assert owner.configure(1, netlink.command(netlink.UNBIND)) is None
        assert lab.router.queues() == {} and list(lab.client.queues()) == [1]


def test_02_only_the_last_copy_of_the_socket_takes_the_queue_and_its_packets_along(lab, path, stack, client):
    client.bind(1)
    path.through()
    path.send(b"queued")
    wait_waiting(lab, 1)
    started = [subprocess.Popen(["sleep", "60"], preexec_fn=tied_to_parent, **options) for options in
               ({"pass_fds": [client.fileno()]}, {"close_fds": False})]  # an heir; the other's copy closed on exec
    for process in started:
        stack.callback(process.wait)
        stack.callback(process.kill)
    client.close()
    assert lab.router.queues()[1].port_id == client.port_id and lab.router.waiting() == 1
    started[0].kill()
    started[0].wait()
    wait_for(lambda: lab.router.queues() == {}, "the queue is gone with its last descriptor")
    assert started[1].poll() is None
    assert path.arrived() == []


def test_03_a_verdict_needs_the_capability_in_the_sender_and_in_the_opener(lab, path, client):
    client.bind(1)
    path.through()
    path.send(b"a", b"b")
    assert ids(client.packets(2)) == [1, 2]
    user, capabilities, _, _ = in_child(client, netlink.verdict(1, 1, ACCEPT, sequence=5), launcher=WITHOUT_RIGHT)
    assert user == 0 and not capabilities & 1 << CAP_NET_ADMIN
    answer = client.receive()
    assert (answer.error, answer.sequence) == (errno.EPERM, 5)
    assert lab.router.waiting() == 2, "root without the capability changes nothing"
    # The other way round: opened without it, used with it.
    for launcher, error in ((WITHOUT_RIGHT, "EPERM"), ((), None)):
        with contextlib.closing(netlink.Client.adopt(opened_by_child(lab.router, launcher))) as adopted:
            assert adopted.configure(2, netlink.command(netlink.BIND)) == error
    assert client.answer(1, 1, ACCEPT) is None and path.arrived() == [b"a"]


def test_04_a_new_queue_drops_until_its_copy_mode_is_set(lab, path, client):
    path.through(bypass=True)
    assert client.configure(1, netlink.command(netlink.BIND)) is None
    path.send(b"early")
    assert path.arrived() == [], "dropped, and not even bypassed"
    queue = lab.router.queues()[1]
    assert queue.copy_mode == COPY_NONE
    assert (queue.waiting, queue.last_id, queue.queue_dropped, queue.user_dropped) == (0, 0, 0, 0), "nor counted"
    assert client.configure(1, netlink.copy(COPY_META, 0)) is None
    path.send(b"late")
    assert client.packet().id == 1 and client.answer(1, 1, ACCEPT) is None
    assert path.arrived() == [b"late"]


def test_06_bypass_is_for_a_queue_without_owner_and_fail_open_is_not_counted(lab, path, client):
    path.through(bypass=True)
    path.send(b"no owner")
    assert path.arrived() == [b"no owner"]
    client.bind(1, netlink.max_len(1), netlink.flags(netlink.FAIL_OPEN), netlink.mask(netlink.FAIL_OPEN))
    path.send(b"waits")
    wait_waiting(lab, 1)
    assert path.arrived() == [], "an owner that does not answer is not bypassed"
    path.send(b"does not fit", b"nor this")
    assert path.arrived() == [b"does not fit", b"nor this"]
    queue = lab.router.queues()[1]
    assert (queue.waiting, queue.last_id, queue.queue_dropped, queue.user_dropped) == (1, 1, 0, 0)


def test_07_deleting_any_base_chain_empties_every_queue_of_the_namespace(lab, path, client):
    client.bind(1)
    client.bind(2)
    path.through(1)
    path.send(b"a", b"b")
    assert ids(client.packets(2)) == [1, 2]
    assert client.answer(1, 2, TO_QUEUE_2) is None and client.packet().queue == 2
    lab.router.run("nft", "add table arp other; add chain arp other input { type filter hook input priority 0; }")
    assert {number: queue.waiting for number, queue in lab.router.queues().items()} == {1: 1, 2: 1}
    lab.router.run("nft", "delete chain arp other input")
    assert {number: queue.waiting for number, queue in lab.router.queues().items()} == {1: 0, 2: 0}
    assert client.answer(1, 1, ACCEPT) == client.answer(2, 1, ACCEPT) == "ENOENT"
    assert path.arrived() == []
    path.send(b"c")
    assert client.packet().id == 3 and client.answer(1, 3, ACCEPT) is None
    assert path.arrived() == [b"c"], "the queues themselves go on"


def test_08_the_columns_of_the_kernels_list(lab, path, open_client):
    full, slow = open_client(), open_client(receive_buffer=0)
    full.bind(1, netlink.max_len(2), copy_range=100)
    slow.bind(2, mode=COPY_META)
    rule = path.through(1)
    path.send(*texts(5))
    full.packets(2)
    path.arrived()
    rule.remove()
    path.through(2)
    path.send(*texts(50))
    path.arrived()
    lines = lab.router.read("/proc/thread-self/net/netfilter/nfnetlink_queue").splitlines()
    first, second = ([int(word) for word in line.split()] for line in lines)
    assert first == [1, full.port_id, 2, COPY_PACKET, 100, 3, 0, 2, 1]
    waiting, lost, last_id = second[2], second[6], second[7]
    assert second == [2, slow.port_id, waiting, COPY_META, 0, 0, lost, last_id, 1]
    assert lost > 0 and waiting + lost == 50
    assert last_id == 50, "what the socket had no room for has used up its id"


# Flags


def test_09_flags_need_a_mask_and_an_unknown_one_is_refused_before_anything_else(lab, client):
    everything = 0xffffffff
    for number in (1, 2):  # bound and not bound
        unknown = [client.configure(number, netlink.flags(bit), netlink.mask(bit)) for bit in (0x20, 1 << 31)]
        assert unknown == ["EOPNOTSUPP"] * 2
        assert client.configure(number, netlink.flags(0x20), netlink.mask(0)) == "EOPNOTSUPP", "wanted or not"
        if number == 1:
            assert client.configure(1, netlink.flags(netlink.UID_GID), netlink.mask(netlink.UID_GID)) == "ENODEV"
            assert client.configure(1, netlink.flags(netlink.UID_GID)) == "EINVAL", "no mask"
            client.bind(1)
    assert client.configure(1, netlink.flags(netlink.UID_GID)) == "EINVAL", "no mask"
    Rule(lab.router, "OUTPUT", *QUEUED, *queue_target(1), families=(4,))
    with lab.router.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        seen = []
        for bits, mask in ((netlink.UID_GID, 0), (netlink.UID_GID, netlink.UID_GID), (0, netlink.FAIL_OPEN),
                           (0, everything)):
            assert client.configure(1, netlink.flags(bits), netlink.mask(mask)) is None
            sender.sendto(b"", (lab.server_main[4], QUEUED_PORT))
            seen.append(netlink.UID in client.packet().attributes)
    assert seen == [False, True, True, False], "only bits in the mask are changed"


def test_10_the_conntrack_flag_works_or_is_refused(lab, path, client):
    """It works where the kernel has CONFIG_NETFILTER_NETLINK_GLUE_CT and is EOPNOTSUPP elsewhere."""
    lab.router.run("iptables", "-w", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "NEW")
    path.through()
    client.bind(1)
    error = client.configure(1, netlink.flags(netlink.CONNTRACK), netlink.mask(netlink.CONNTRACK))
    path.send(b"tracked")
    packet = client.packet()
    assert (error, netlink.CT in packet.attributes) in ((None, True), ("EOPNOTSUPP", False))
    assert (netlink.CT_INFO in packet.attributes) == (netlink.CT in packet.attributes)


def test_11_the_iptables_target_queues_whether_or_not_nft_can(lab, path, client):
    """Also with balance (31) and bypass (6). `nft ... queue` works by its effect, or is not known to the kernel."""
    client.bind(1)
    client.bind(2)
    chain = "{ type filter hook forward priority -10; }"
    lab.router.run("nft", f"add table ip other; add chain ip other forward {chain}")
    nft = subprocess.run(["ip", "netns", "exec", lab.router.name, "nft", "add rule ip other forward udp dport "
                          f"{QUEUED_PORT} queue num 2"], stderr=subprocess.PIPE, text=True, timeout=20, check=False)
    path.through(1)
    path.send(b"queued")
    if nft.returncode == 0:
        assert client.packet().queue == 2 and client.answer(2, 1, ACCEPT) is None
    else:
        assert "No such file or directory" in nft.stderr, nft.stderr
    assert client.packet().queue == 1 and client.answer(1, 1, ACCEPT) is None
    assert path.arrived() == [b"queued"]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="cpu-fanout on one CPU is one queue")
def test_11_31_cpu_fanout_follows_the_cpu_and_not_the_flow(lab, stack, client):
    cpus = sorted(os.sched_getaffinity(0))
    stack.callback(os.sched_setaffinity, 0, cpus)
    client.bind(1)
    client.bind(2)
    Rule(lab.router, "OUTPUT", *QUEUED, *queue_target(1, 2), "--queue-cpu-fanout", families=(4,))
    with lab.router.entered():
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for cpu in cpus * 2:
        os.sched_setaffinity(0, [cpu])
        sender.sendto(b"one flow", (lab.server_main[4], QUEUED_PORT))
        assert client.packet().queue == 1 + cpu % 2


# Receiving


def test_12_13_which_attributes_come_depends_on_the_hook(lab, stack, path, client):
    client.bind(1, netlink.flags(netlink.UID_GID), netlink.mask(netlink.UID_GID))
    for hook in ("INPUT", "FORWARD", "OUTPUT"):
        Rule(lab.router, hook, *QUEUED, *queue_target(1), families=(4,))
    with lab.router.entered():
        local = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        # The kernel stamps what it receives while a socket wants to know: 29 is SO_TIMESTAMP.
        local.setsockopt(socket.SOL_SOCKET, 29, 1)
    target = (lab.server_main[4], QUEUED_PORT)
    seen = {}

    def look(hook, sender, address):
        sender.sendto(b"look", address)
        packet = client.packet()
        assert client.answer(1, packet.id, DROP) is None
        seen[hook] = set(packet.attributes)
        assert packet.protocol == 0x0800 and packet.hook == {"INPUT": 1, "FORWARD": 2, "OUTPUT": 3}[hook]
        return netlink.TIMESTAMP in seen[hook]

    # The kernel begins to stamp a moment after it was asked to.
    wait_for(lambda: look("INPUT", path.sender, (lab.router_main[4], QUEUED_PORT)), "packets are stamped")
    look("FORWARD", path.sender, target)
    look("OUTPUT", local, target)
    received = {netlink.IFINDEX_INDEV, netlink.HWADDR, netlink.TIMESTAMP}
    sent = {netlink.IFINDEX_OUTDEV, netlink.UID, netlink.GID}
    common = {netlink.PACKET_HDR, PAYLOAD}
    varying = {netlink.SKB_INFO, netlink.PRIORITY, netlink.CGROUP_CLASSID}  # by checksum offload, socket and kernel
    assert seen["INPUT"] - varying == common | received
    assert seen["FORWARD"] - varying == common | received | {netlink.IFINDEX_OUTDEV}
    assert seen["OUTPUT"] - varying == common | sent


def test_14_33_ids_count_from_1_per_queue_and_verdicts_decide_the_order(lab, path, client):
    client.bind(1)
    client.bind(2)
    path.through(1)
    path.send(*texts(6))
    packets = client.packets(6)
    assert ids(packets) == [1, 2, 3, 4, 5, 6] and [udp_text(packet) for packet in packets] == texts(6)
    # The third is held, and overtaken by those that are answered before it.
    assert [client.answer(1, packet_id, ACCEPT) for packet_id in (1, 2, 4, 5, 3)] == [None] * 5
    assert path.arrived() == [texts(6)[index] for index in (0, 1, 3, 4, 2)]
    assert client.answer(1, 6, TO_QUEUE_2) is None
    packet = client.packet()
    assert (packet.queue, packet.id) == (2, 1)
    assert client.answer(2, 1, DROP) is None
    assert client.configure(1, netlink.command(netlink.UNBIND)) is None
    client.bind(1)
    path.send(b"again")
    assert client.packet().id == 1, "a queue that is bound again starts with id 1"


def test_15_the_copy_range_and_the_true_length(lab, stack, client):
    client.bind(1)
    Rule(lab.router, "OUTPUT", *QUEUED, *queue_target(1), families=(4,))
    with lab.router.entered():
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    header = IPV4_HEADER + UDP_HEADER
    largest = 0xffff
    for asked, granted, sizes in ((0, COPY_RANGE_MAX, [header, largest]),
                                  (COPY_RANGE_MAX + 1, COPY_RANGE_MAX, [largest]),
                                  (0xffffffff, COPY_RANGE_MAX, [header]),
                                  (100, 100, [header, 99, 100, 101, largest])):
        assert client.configure(1, netlink.copy(COPY_PACKET, asked)) is None
        assert lab.router.queues()[1].copy_range == granted
        for size in sizes:  # the loopback interface takes a whole packet of the largest size
            sender.sendto(bytes(size - header), ("127.0.0.1", QUEUED_PORT))
            packet = client.packet()
            assert len(packet.attributes[PAYLOAD]) == min(size, granted)
            expected = struct.pack("!I", size) if size > granted else None
            assert packet.attributes.get(netlink.CAP_LEN) == expected
            assert packet.size <= granted + 1024, "what the rest of a message takes"
            assert client.answer(1, packet.id, DROP) is None


def test_16_a_message_that_is_cut_still_says_which_packet_it_is(lab, path, client):
    client.bind(1)
    path.through()
    path.send(*texts(3))
    wait_waiting(lab, 3)
    for expected, size in ((1, 32), (2, 64), (3, 100)):  # 32: both headers and the first attribute
        packet = client.receive(size)
        assert packet.cut and packet.id == expected and packet.size > size
        client.send(netlink.verdict(1, packet.id, ACCEPT))  # an answer would be read at its full size
    assert path.arrived() == texts(3)


@pytest.mark.parametrize("no_enobufs", [True, False])
def test_17_39_an_overrun_is_an_error_of_the_socket_unless_it_was_asked_not_to_be(lab, path, open_client, no_enobufs):
    client = open_client(receive_buffer=0, no_enobufs=no_enobufs)
    client.bind(1)
    path.through()
    poll = select.poll()
    poll.register(client, select.POLLIN)
    path.send(*texts(50))
    path.arrived()
    queue = lab.router.queues()[1]
    assert queue.user_dropped > 0 and queue.waiting + queue.user_dropped == 50, "counted either way"
    [(_, events)] = poll.poll(0)
    assert events == select.POLLIN | (0 if no_enobufs else select.POLLERR)
    if not no_enobufs:
        with pytest.raises(OSError) as raised:
            client.receive()
        assert raised.value.errno == errno.ENOBUFS
        assert poll.poll(0) == [(client.fileno(), select.POLLIN)], "said once"
    assert ids(client.packets(queue.waiting)) == list(range(1, queue.waiting + 1))
    assert client.is_idle()
    assert client.answer_up_to(1, queue.waiting, ACCEPT) is None
    path.send(b"afterwards")
    assert client.packet().id == 51 and client.answer(1, 51, ACCEPT) is None
    assert path.arrived() == [*texts(queue.waiting), b"afterwards"]


def test_18_40_errors_come_unasked_among_the_packets_and_say_what_they_answer(lab, path, open_client):
    client, other = open_client(), open_client()
    client.bind(1)
    other.bind(2)
    path.through()
    wrong = {errno.ENOENT: netlink.verdict(1, 99, ACCEPT, sequence=11),
             errno.EPERM: netlink.verdict(2, 98, DROP, sequence=12),
             errno.EINVAL: netlink.verdict(1, 97, 2, sequence=13),  # NF_STOLEN is nothing to answer
             errno.ENODEV: netlink.verdict(3, 96, ACCEPT, sequence=14)}
    for number, message in enumerate(wrong.values(), 1):
        path.send(b"%d" % number)
        wait_waiting(lab, number)
        client.send(message)
    stream = [client.receive() for _ in range(2 * len(wrong))]
    assert [type(message) for message in stream] == [Packet, Answer] * len(wrong)
    assert ids(stream[::2]) == [1, 2, 3, 4]
    assert [answer.error for answer in stream[1::2]] == list(wrong)
    assert [answer.sequence for answer in stream[1::2]] == [11, 12, 13, 14]
    for answer, message in zip(stream[1::2], wrong.values()):
        assert answer.request == message, "the whole request comes back, and in it the id"
    client.send(netlink.message(netlink.VERDICT, 1, sequence=15))  # a verdict without a verdict
    assert client.receive()[:2] == (errno.EINVAL, 15)


def test_19_the_receive_buffer_is_doubled_and_counts_more_than_the_bytes_in_it(lab, path, open_client):
    with open("/proc/sys/net/core/rmem_max", encoding="ascii") as file:
        limit = int(file.read())
    wanted = 2 * limit
    client = open_client(receive_buffer=wanted)
    read = (socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert client.socket.getsockopt(*read) == 2 * wanted
    client.socket.setsockopt(*read, wanted)
    assert client.socket.getsockopt(*read) == 2 * limit, "without FORCE the system's limit holds"
    client.socket.setsockopt(socket.SOL_SOCKET, netlink.SO_RCVBUFFORCE, 50_000)
    client.bind(1)
    path.through()
    path.send(*texts(400, b""))
    path.arrived()
    fit = lab.router.queues()[1].waiting
    size = client.packet().size
    assert 20 < fit < 400
    assert 100_000 / fit > 4 * size, f"{fit} messages of {size} bytes fill 100,000 bytes"


# Verdicts


def test_20_a_bad_id_does_not_stop_the_verdicts_after_it(path, client):
    client.bind(1)
    path.through()
    path.send(*texts(4))
    client.packets(4)
    client.send(netlink.verdict(1, 1, ACCEPT), netlink.verdict(1, 99, ACCEPT, sequence=5), netlink.verdict(1, 2, DROP),
                netlink.verdict(1, 98, DROP, sequence=6), netlink.verdict(1, 3, ACCEPT), netlink.verdict(1, 4, ACCEPT))
    assert [client.receive()[:2] for _ in range(2)] == [(errno.ENOENT, 5), (errno.ENOENT, 6)]
    assert client.is_idle(), "a verdict that is taken leaves no answer"
    assert path.arrived() == [texts(4)[index] for index in (0, 2, 3)]


def test_21_a_batch_answers_every_packet_up_to_its_id_also_those_nobody_has_read(lab, path, client):
    client.bind(1)
    path.through()
    marked = Rule(lab.router, "POSTROUTING", *QUEUED, "-m", "mark", "--mark", str(MARK), table="mangle",
                  families=(4,))
    path.send(*texts(6))
    wait_waiting(lab, 6)
    assert ids(client.packets(2)) == [1, 2]
    changed = netlink.attribute(PAYLOAD, bytes(IPV4_HEADER + UDP_HEADER))
    assert client.answer(1, 2, DROP) is None
    assert client.answer_up_to(1, 4, ACCEPT, netlink.number(netlink.MARK, MARK), changed) is None
    assert path.arrived() == [texts(6)[index] for index in (0, 2, 3)], "in order, and their payload as it was"
    assert marked.packets() == 3
    assert client.answer_up_to(1, 4, ACCEPT) == "ENOENT"
    assert ids(client.packets(4)) == [3, 4, 5, 6], "their messages still arrive"
    assert client.answer_up_to(1, 0xffff, ACCEPT) is None, "an id that does not exist yet is a limit like any other"
    assert path.arrived() == texts(6)[4:] and marked.packets() == 3


def test_22_a_send_must_fit_the_send_buffer(lab, path, client):
    client.bind(1)
    path.through()
    path.send(b"a", b"b")
    client.packets(2)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    limit = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 32
    unknown, head = 200, len(netlink.verdict(1, 1, ACCEPT)) + netlink.ATTRIBUTE
    whole = netlink.verdict(1, 1, ACCEPT, netlink.attribute(unknown, bytes(limit - head)))
    assert len(whole) == limit
    client.send(whole)
    with pytest.raises(OSError) as raised:
        client.send(netlink.verdict(1, 2, ACCEPT), bytes(limit))
    assert raised.value.errno == errno.EMSGSIZE
    assert path.arrived() == [b"a"] and lab.router.waiting() == 1, "nothing of what is too long is looked at"


def test_23_an_accepted_packet_goes_its_way_before_send_returns(lab, stack, path, client):
    client.bind(1)
    Rule(lab.router, "INPUT", *QUEUED, *queue_target(1), families=(4,))
    with lab.router.entered():
        receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    receiver.bind((lab.router_main[4], QUEUED_PORT))
    path.sender.sendto(b"local", (lab.router_main[4], QUEUED_PORT))
    client.packet()
    client.send(netlink.verdict(1, 1, ACCEPT))
    assert netlink.is_readable(receiver) and receiver.recv(100) == b"local"


def test_24_requeued_and_repeated_packets(lab, path, client):
    Rule(lab.router, "FORWARD", *QUEUED, "-m", "mark", "--mark", str(MARK), "-j", "ACCEPT", families=(4,))
    path.through()
    client.bind(1)
    path.send(*texts(3))
    client.packets(3)
    to_queue_9 = 9 << 16 | netlink.QUEUE
    assert client.answer(1, 1, to_queue_9) is None, "an unbound queue drops without an answer"
    assert client.answer(1, 2, to_queue_9 | netlink.QUEUE_BYPASS) is None
    assert path.arrived() == [b"datagram 2"]
    for packet_id in (3, 4):  # the rules start again, and so does the queue
        assert client.answer(1, packet_id, netlink.REPEAT) is None
        assert client.packet().id == packet_id + 1
    assert client.answer(1, 5, netlink.REPEAT, netlink.number(netlink.MARK, MARK)) is None
    assert path.arrived() == [b"datagram 3"] and lab.router.waiting() == 0


# Changing packets


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def with_text(packet, text):
    """The same IPv4 UDP packet with another text: all lengths and checksums are right."""
    udp_size = UDP_HEADER + len(text)
    udp = packet[20:24] + struct.pack("!HH", udp_size, 0) + text
    value = checksum(packet[12:20] + struct.pack("!HH", socket.IPPROTO_UDP, udp_size) + udp)
    header = packet[:2] + struct.pack("!H", IPV4_HEADER + udp_size) + packet[4:10] + b"\0\0" + packet[12:20]
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + udp[:6] + struct.pack("!H", value) + text


def change(path, client, edit, text=b"twelve bytes"):
    """Queues one datagram and answers it with a changed packet. What the kernel said, and what left the router."""
    path.send(text)
    packet = client.packet()
    changed = edit(packet.attributes[PAYLOAD])
    error = client.answer(1, packet.id, ACCEPT, netlink.attribute(PAYLOAD, changed))
    return error, changed, path.seen_on_the_wire()


def test_25_26_a_new_payload_is_the_whole_new_packet_of_every_length(path, client):
    client.bind(1)
    path.through()
    for size in (*range(8), 12, 13, 100, 1400):
        error, changed, seen = change(path, client, lambda packet, size=size: with_text(packet, bytes(size)))
        assert (error, seen) == (None, [changed])
        assert path.arrived() == [bytes(size)]
    # A copy that was cut, sent back, cuts the packet.
    for cut in (1, 2, 3, 4):
        error, changed, seen = change(path, client, lambda packet, cut=cut: packet[:-cut])
        assert (error, seen) == (None, [changed]), "no padding comes back"
        assert path.arrived() == []


def test_27_a_change_that_is_refused_is_dropped_and_reported_as_done(path, client):
    """This kernel looks at one thing: a packet must reach to its transport header. Newer ones compare headers too."""
    client.bind(1)
    path.through()
    for size in (IPV4_HEADER - 1, 1, 0):
        assert change(path, client, lambda packet, size=size: packet[:size])[::2] == (None, [])
    error, changed, seen = change(path, client, lambda packet: packet[:IPV4_HEADER])
    assert (error, seen) == (None, [changed])
    for offset, value in ((0, 0x65), (0, 0x46), (3, 200), (6, 0x20), (9, socket.IPPROTO_TCP)):
        error, changed, seen = change(path, client, lambda packet, offset=offset, value=value: (
            packet[:offset] + bytes([value]) + packet[offset + 1:]))
        assert error is None and seen in ([], [changed]), "refused or not, it is reported as done"


def test_28_the_checksum_of_a_change_is_left_as_it_was_sent(lab, path, client):
    client.bind(1)
    path.through()

    def errors():
        names, values = (line.split() for line in lab.server.read("/proc/thread-self/net/snmp").splitlines()
                         if line.startswith("Udp:"))
        return int(dict(zip(names, values))["InCsumErrors"])

    before = errors()
    error, changed, seen = change(path, client, lambda packet: packet[:-1] + b"!")
    assert (error, seen) == (None, [changed]) and path.arrived() == []
    assert errors() == before + 1
    error, changed, seen = change(path, client, lambda packet: with_text(packet, b"right"))
    assert (error, seen) == (None, [changed]) and path.arrived() == [b"right"]
    assert errors() == before + 1


def test_30_a_pending_checksum_is_normal_for_local_output(lab, path, client):
    client.bind(1)
    Rule(lab.router, "OUTPUT", *QUEUED, *queue_target(1), families=(4,))
    with lab.router.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        for bits in (netlink.GSO, 0):
            assert client.configure(1, netlink.flags(bits), netlink.mask(netlink.GSO)) is None
            sender.sendto(b"local", (lab.server_main[4], QUEUED_PORT))
            packet = client.packet()
            payload = packet.attributes[PAYLOAD]
            [info] = struct.unpack("!I", packet.attributes.get(netlink.SKB_INFO, bytes(4)))
            right = payload == with_text(payload, b"local")
            pending = bool(info & netlink.SKB_CHECKSUM_NOT_READY)
            assert pending == (not right) == (bits == netlink.GSO), "without the flag the kernel fills it in before"
            assert client.answer(1, packet.id, ACCEPT) is None
            assert path.arrived() == [b"local"], "it arrives unharmed if it is left alone"


# Order and fan-out


@pytest.mark.parametrize("version", [4, 6])
def test_31_queue_balance_keeps_a_pair_of_addresses_together_in_both_directions(lab, stack, client, version):
    queues, ports = 4, (7101, 7102, 7103)
    for queue in range(1, queues + 1):
        client.bind(queue)
    Rule(lab.router, "FORWARD", *queue_target(1, queues), families=(version,))
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]

    def bound(namespace, address, port, kind=socket.SOCK_DGRAM, protocol=0):
        with namespace.entered():
            made = stack.enter_context(socket.socket(family, kind, protocol))
        made.bind((address, port))
        return made

    def queue_of(sender, address, port):
        sender.sendto(b"which", (address, port))
        packet = client.packet()
        assert client.answer(packet.queue, packet.id, DROP) is None
        return packet.queue

    used, other = [], []
    server = lab.server_main[version]
    for address in lab.client_addresses[version][:16]:
        seen = set()
        for port in ports:
            seen.add(queue_of(bound(lab.client, address, port), server, QUEUED_PORT + port))
            seen.add(queue_of(bound(lab.server, server, 0), address, port))
        assert len(seen) == 1, f"{address}: queues {seen}"
        used += seen
        other.append(queue_of(bound(lab.client, address, 0, socket.SOCK_RAW, EXPERIMENTAL_PROTOCOL), server, 0))
    assert len(set(used)) > 1, "different pairs are spread"
    assert (used == other) == (version == 6), "another protocol may be on another queue, with IPv4 only"


def test_32_with_conntrack_the_queue_sees_whole_datagrams(lab, path, client):
    client.bind(1)
    lab.router.run("iptables", "-w", "-A", "FORWARD", "-d", lab.server_main[4], *queue_target(1))
    text = bytes(4000)
    path.send(text)
    fragments = [packet.attributes[PAYLOAD] for packet in client.packets(3)]
    assert sum(len(fragment) - IPV4_HEADER for fragment in fragments) == UDP_HEADER + len(text)
    assert client.answer_up_to(1, 3, DROP) is None
    lab.router.run("iptables", "-w", "-I", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID")
    path.send(text)
    packet = client.packet()
    assert udp_text(packet) == text and netlink.CAP_LEN not in packet.attributes
    assert client.answer(1, packet.id, ACCEPT) is None
    assert client.is_idle()
    assert path.receiver.recv(0x10000) == text


def test_33_34_held_packets_are_found_and_leave_in_the_order_of_their_verdicts(lab, path, client):
    held = 2 * BACKLOG
    client.bind(1, netlink.max_len(held))
    path.through()
    for first in range(0, held, BACKLOG):
        path.send(*texts(held)[first:first + BACKLOG])
        wait_waiting(lab, first + BACKLOG)
    order = ids(client.packets(held))
    assert order == list(range(1, held + 1))
    random.Random(34).shuffle(order)
    arrived = []
    for first in range(0, held, BACKLOG):
        client.send(*(netlink.verdict(1, packet_id, ACCEPT) for packet_id in order[first:first + BACKLOG]))
        arrived += path.arrived()
    assert arrived == [b"datagram %d" % packet_id for packet_id in order]
    assert client.is_idle()


# Closing without loss


@pytest.mark.parametrize("fail_open", [True, False])
def test_35_a_queue_of_length_0_takes_nothing_more_and_keeps_what_it_has(lab, path, client, fail_open):
    client.bind(1)
    path.through()
    path.send(b"queued before")
    client.packet()
    bits = netlink.FAIL_OPEN if fail_open else 0
    assert client.configure(1, netlink.max_len(0), netlink.flags(bits), netlink.mask(netlink.FAIL_OPEN)) is None
    path.send(*texts(50))
    assert path.arrived() == (texts(50) if fail_open else [])
    queue = lab.router.queues()[1]
    assert (queue.waiting, queue.last_id, queue.queue_dropped) == (1, 1, 0 if fail_open else 50)
    assert client.is_idle()
    assert client.answer(1, 1, ACCEPT) is None and path.arrived() == [b"queued before"]


# One socket, several processes


def test_36_an_ordinary_user_with_the_capability_answers_through_an_inherited_socket(lab, path, client):
    client.bind(1)
    path.through()
    path.send(*texts(3))
    wait_waiting(lab, 3)
    user, capabilities, confined, received = in_child(
        client, netlink.verdict(1, 1, ACCEPT), netlink.verdict(1, 2, DROP),
        netlink.message(netlink.NFT_MSG_GETGEN, 0, sequence=9, subsystem=netlink.SUBSYSTEM_NFTABLES),
        launcher=ORDINARY_USER, receive=2)
    assert (user, capabilities, confined) == (NOBODY, 1 << CAP_NET_ADMIN, True)
    assert received == [1, 2]
    assert lab.router.queues()[1].port_id == client.port_id, "the queue has outlived execve, and its user"
    assert path.arrived() == [b"datagram 1"]
    assert client.packet().id == 3
    # It can do more than answer: here it has asked nftables which generation of rules is in force.
    assert client.receive().kind == netlink.SUBSYSTEM_NFTABLES << 8 | netlink.NFT_MSG_NEWGEN


def test_37_the_answer_to_a_request_goes_to_whoever_reads(lab, path, client):
    client.bind(1)
    path.through()
    path.send(b"a")
    wait_waiting(lab, 1)
    in_child(client, netlink.message(netlink.CONFIG, 1, netlink.max_len(77), sequence=70, acknowledge=True),
             netlink.message(netlink.CONFIG, 1, netlink.flags(0x20), netlink.mask(0x20), sequence=71))
    assert client.packet().id == 1, "in the order of the stream"
    assert [client.receive()[:2] for _ in range(2)] == [(0, 70), (errno.EOPNOTSUPP, 71)]


def test_38_each_message_goes_to_one_reader_only(lab, path, client):
    client.bind(1)
    path.through()
    path.send(*texts(4))
    wait_waiting(lab, 4)
    assert client.packet().id == 1
    assert in_child(client, receive=2)[3] == [2, 3]
    assert client.packet().id == 4
    assert client.answer_up_to(1, 4, ACCEPT) is None, "also what the other reader has not decided"
    assert path.arrived() == texts(4) and lab.router.waiting() == 0
