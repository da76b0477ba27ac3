# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: every queue flag and parameter does what its name says, or the engine refuses it with the reason.

A flag that was requested may have no effect, so each test checks the effect. The plugin `describe` in a worker logs
what the kernel delivers; receivers and /proc count what happened to the packets. Whether the running kernel has a
flag is tested without the engine, and read from the kernel's configuration if there is one. To overflow a queue, its
worker is stopped, so the numbers are exact: so many packets wait, and so many do not fit.
"""

# Longer than 500 lines: one promise about all flags, and what shows the effects has no other user.

import contextlib
import ctypes
import gzip
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from support.commands import wait_for
from support.engine import plugin
from support.processes import process_status, tied_to_parent
from support.rules import Rule, queue_target
from support.traffic import BULK, BULK_PATH, curl
from test_refusals import refused

EXIT_CONFIGURATION, EXIT_PLUGIN = 3, 4
PORT = 7100
MTU = 1500
IP_AND_UDP = {4: 28, 6: 48}  # bytes of both headers
STALLED = "60s"              # a --handle-timeout that no test reaches, so that a stopped worker is not replaced
HEADER_BYTES = 512           # copied where a plugin needs headers
DECLARED_BYTES = 128         # what NFQE_NEED_HEADERS asks for, and with that --copy-range can be lowered to
OWNER_UID, OWNER_GID = 54321, 12345  # no user of this machine has them
CONFIGURATION = "/proc/config.gz"

# As in nfqe/packet.h.
HAS_MARK, HAS_TIMESTAMP, HAS_IN, HAS_OUT, HAS_HW_ADDRESS = 0x01, 0x02, 0x04, 0x08, 0x40
HAS_UID, HAS_GID, HAS_CONNTRACK_MARK, HAS_SECCTX = 0x80, 0x100, 0x400, 0x800
TRUNCATED, GSO, CHECKSUM_PENDING, HEADERS_CUT = 0x01, 0x02, 0x04, 0x20
PROTOCOL_KNOWN, CHECKSUM_UNVERIFIED = 0x80, 0x200

# As in linux/netlink.h and linux/netfilter/nfnetlink_queue.h.
NETLINK_NETFILTER, NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 12, 1, 4, 2
NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, NFQNL_CFG_CMD_BIND = 3, 2, 1
NFQA_CFG_CMD, NFQA_CFG_MASK, NFQA_CFG_FLAGS, CFG_F_CONNTRACK, CFG_F_SECCTX = 1, 4, 5, 2, 16
SYS_PIDFD_GETFD = 438
SO_TIMESTAMP = 29


class Datagrams:
    """Marked datagrams (tests/plugins/marked.h) through one queue of the router, at the hook of that name."""

    def __init__(self, lab, hook="FORWARD", family=4, queue=1, packet_mark=0):
        self.lab, self.queue, self.family, self.sent, self.received = lab, queue, family, 0, 0
        self.source = lab.router if hook in ("OUTPUT", "POSTROUTING") else lab.client
        target = lab.router if hook in ("INPUT", "PREROUTING") else lab.server
        self.address = (lab.router_main if target is lab.router else lab.server_main)[family], PORT + queue
        match = ("-p", "udp", "--dport", str(PORT + queue))
        if packet_mark:
            Rule(lab.router, hook, *match, "-j", "MARK", "--set-mark", hex(packet_mark), table="mangle",
                 families=(family,))
        Rule(lab.router, hook, *match, *queue_target(queue), table="mangle", families=(family,))
        with self.source.entered():
            self.sender = socket.socket(self.socket_family, socket.SOCK_DGRAM)
        with target.entered():
            self.receiver = socket.socket(self.socket_family, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.receiver.bind(self.address)
        self.receiver.setblocking(False)

    @property
    def socket_family(self):
        return socket.AF_INET if self.family == 4 else socket.AF_INET6

    def send(self, count=1, packet_size=100, mark=1):
        """Datagrams whose packets are so large, from the IP header on."""
        for _ in range(count):
            payload = struct.pack("!4sIQB", b"nfqp", 0, self.sent, mark)
            self.sender.sendto(payload.ljust(packet_size - IP_AND_UDP[self.family], b"."), self.address)
            self.sent += 1

    def send_as(self, uid, gid):
        """One datagram from a process of another user."""
        program = ("import socket, sys; socket.socket(int(sys.argv[1]), socket.SOCK_DGRAM)"
                   ".sendto(bytes.fromhex(sys.argv[2]), (sys.argv[3], int(sys.argv[4])))")
        payload = struct.pack("!4sIQB", b"nfqp", 0, self.sent, 1)
        with self.source.entered():
            subprocess.run([sys.executable, "-c", program, str(int(self.socket_family)), payload.hex(),
                            self.address[0], str(self.address[1])], user=uid, group=gid, extra_groups=[], check=True,
                           stdin=subprocess.DEVNULL, timeout=20, preexec_fn=tied_to_parent)
        self.sent += 1

    def arrived(self):
        """How many have arrived so far."""
        with contextlib.suppress(BlockingIOError):
            while self.receiver.recv(65536):
                self.received += 1
        return self.received

    def wait_arrived(self, count):
        wait_for(lambda: self.arrived() >= count, f"{count} datagrams arrive")
        assert self.received == count

    def kernel(self):
        return self.lab.router.queues()[self.queue]

    def close(self):
        self.sender.close()
        self.receiver.close()


@pytest.fixture
def through(lab):
    """through(hook=..., family=..., ...): the Datagrams of that description."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(contextlib.closing(Datagrams(lab, **options)))


def all_described(engine):
    """What the plugin said of the packets so far: of each a dictionary of text and numbers."""
    return [read_pairs(line.group(1)) for line in engine.matches(r"plugin describe\w*: packet: (.*)$")]


def described(engine, count):
    """The same of exactly so many packets, waiting for the last one."""
    wait_for(lambda: len(all_described(engine)) >= count, f"{count} packets are described")
    assert len(all_described(engine)) == count, engine.lines
    return all_described(engine)


def described_total(engine):
    """What the plugin said of all packets when its worker ended in order, after a stop. Spares have had none."""
    said = [read_pairs(match.group(1)) for match in engine.matches(r"plugin describe\w*: total: (.*)$")]
    return max(said, key=lambda total: total["packets"])


def read_pairs(text):
    pairs = (pair.split("=") for pair in text.split())
    return {name: int(value, 0) if re.fullmatch(r"0x[0-9a-f]+|0|[1-9][0-9]*", value) else value
            for name, value in pairs}


@contextlib.contextmanager
def stalled(engine, queue=1):
    """The process of a queue is stopped. Packets that arrive meanwhile wait in the kernel. The supervisor is stopped,
    too: else it takes the process for one that hangs, and replaces it after a second, which a busy machine needs."""
    process = engine.queue_processes()[queue]
    engine.signal(signal.SIGSTOP)
    wait_for(lambda: process_status(engine.process.pid)[1] == "T", "the supervisor is stopped")
    try:
        assert engine.signal_child(process, signal.SIGSTOP)
        wait_for(lambda: process_status(process)[1] == "T", "the queue process is stopped")
        yield
    finally:
        engine.signal_child(process, signal.SIGCONT)
        engine.signal(signal.SIGCONT)
    assert engine.queue_processes()[queue] == process, "the stopped queue process was not replaced"


def kernel_takes(namespace, flag):
    """Whether the kernel binds a queue with this flag, without the engine."""
    with namespace.entered():
        asker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    with asker:
        asker.bind((0, 0))
        asker.settimeout(5)
        body = (struct.pack("!BBH", socket.AF_UNSPEC, 0, 99) +
                struct.pack("=HHBxH", 8, NFQA_CFG_CMD, NFQNL_CFG_CMD_BIND, 0) +
                struct.pack("=HH", 8, NFQA_CFG_FLAGS) + struct.pack("!I", flag) +
                struct.pack("=HH", 8, NFQA_CFG_MASK) + struct.pack("!I", flag))
        asker.send(struct.pack("=IHHII", 16 + len(body), NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
                               NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
        answer = asker.recv(4096)
        assert struct.unpack_from("=H", answer, 4) == (NLMSG_ERROR,)
        error = -struct.unpack_from("=i", answer, 16)[0]
        assert error in (0, 95), f"neither taken nor EOPNOTSUPP: {os.strerror(error)}"
        return error == 0


def configured(option):
    """Whether the kernel was built with that option; None: it does not say."""
    if not os.path.exists(CONFIGURATION):
        return None
    with gzip.open(CONFIGURATION, "rt", encoding="ascii") as file:
        return any(re.match(rf"{option}=[ym]$", line) for line in file)


def netlink_receive_buffers(engine):
    """What getsockopt(2) says of every netfilter socket of the supervisor."""
    libc = ctypes.CDLL(None, use_errno=True)
    sizes = []
    pidfd = os.pidfd_open(engine.process.pid)
    try:
        for number in os.listdir(f"/proc/{engine.process.pid}/fd"):
            if os.readlink(f"/proc/{engine.process.pid}/fd/{number}").startswith("socket:"):
                copy = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(number), 0)
                assert copy >= 0, os.strerror(ctypes.get_errno())
                with socket.socket(fileno=copy) as opened:
                    if (opened.family, opened.proto) == (socket.AF_NETLINK, NETLINK_NETFILTER):
                        sizes.append(opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
    finally:
        os.close(pidfd)
    return sizes


# Length of the queue, and what becomes of the packets that do not fit


@pytest.mark.parametrize("fail_open", [True, False])
def test_fail_open_decides_about_packets_over_a_full_queue(start_engine, through, fail_open):
    """With it they pass while the worker is stopped, and no counter counts them; without it they are dropped and
    counted. Packets that fit are answered later in both cases."""
    fits, rest = 16, 200
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1", "--max-len", str(fits),
                          "--handle-timeout", STALLED, *(["--fail-open"] if fail_open else []))
    datagrams = through()
    with stalled(engine):
        datagrams.send(fits + rest, mark=0)
        wait_for(lambda: datagrams.arrived() + datagrams.kernel().queue_dropped == rest, "the rest is decided")
        assert datagrams.received == (rest if fail_open else 0)
        assert datagrams.kernel().waiting == fits
    datagrams.wait_arrived(fits + rest if fail_open else fits)
    assert engine.stop() == 0
    assert engine.total("packets") == engine.total("accepted") == fits
    assert engine.total("kernel_queue_dropped") == (0 if fail_open else rest)
    assert engine.total("kernel_user_dropped") == engine.total("restarts") == 0


@pytest.mark.parametrize("name, packet_size", [("describe", 100), ("describe_headers", 100), ("describe_payload", MTU)])
@pytest.mark.parametrize("max_len", [1, 17, 500])
def test_a_queue_holds_exactly_its_length(start_engine, through, max_len, name, packet_size):
    """The default receive buffer has room for as many: no packet is lost there."""
    rest = 50
    engine = start_engine("--plugin", plugin(name), "--queue", "1", "--max-len", str(max_len),
                          "--handle-timeout", STALLED)
    datagrams = through()
    with stalled(engine):
        datagrams.send(max_len, packet_size, mark=0)
        wait_for(lambda: datagrams.kernel().waiting == max_len, "all that fit wait")
        assert datagrams.kernel().queue_dropped == 0
        datagrams.send(rest, packet_size, mark=0)
        wait_for(lambda: datagrams.kernel().queue_dropped == rest, "the rest is dropped and counted")
        assert datagrams.kernel().waiting == max_len
    datagrams.wait_arrived(max_len)
    assert engine.stop() == 0
    assert engine.total("packets") == max_len
    assert engine.total("kernel_queue_dropped") == rest and engine.total("kernel_user_dropped") == 0


# Segmentation offload and checksums


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("gso", ["on", "auto", "off"])
def test_gso_decides_whether_packets_come_whole(lab, start_engine, start_web_server, tmp_path, gso, family):
    """On: above the MTU, with the flags that say so and the checksum still to come. Off, and by default for a plugin
    that needs the payload: none above the MTU, and the checksum of every single segment is right. The page arrives unchanged either way. The firewall, which sees packets
    whole, marks one that is above the MTU; the plugin describes that one, or the segments that became of it."""
    start_web_server(lab.server, 8080)
    engine = start_engine("--plugin", plugin("describe_payload"), "--queue", "1", "--gso", gso)
    match = ("-p", "tcp", "--sport", "8080")
    Rule(lab.router, "FORWARD", *match, "-m", "length", "--length", f"{MTU + 1}:65535", "-m", "limit",
         "--limit", "1/hour", "--limit-burst", "1", "-j", "MARK", "--set-mark", "1", table="mangle")
    Rule(lab.router, "FORWARD", *match, *queue_target(1))
    page = tmp_path / "page"
    assert curl(lab.client, lab.server_main[family], 8080, 30, BULK_PATH, str(page)) == 0
    assert page.read_bytes() == BULK
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in the queue")
    assert engine.stop() == 0
    large = all_described(engine)
    total = described_total(engine)
    assert total["packets"] == engine.total("packets") == engine.total("accepted")
    assert total["wrong"] == 0, total
    if gso != "on":
        assert total["longest"] == MTU and total["gso"] == total["pending"] == 0, total
        assert total["valid"] == total["packets"] > len(BULK) // MTU, total
        assert len(large) > 1, "the firewall marked one packet, which was segmented"
        assert all(packet["flags"] & ~CHECKSUM_UNVERIFIED == PROTOCOL_KNOWN for packet in large), large
        assert all(packet["checksum"] == "valid" for packet in large), large
    else:
        assert total["longest"] > 10 * MTU and total["gso"] > 0 and total["pending"] > 0, total
        assert total["packets"] < len(BULK) // MTU, total
        assert len(large) == 1 and large[0]["wire_len"] > MTU, large
        assert large[0]["flags"] & ~TRUNCATED == GSO | CHECKSUM_PENDING | PROTOCOL_KNOWN, large


@pytest.mark.parametrize("gso", ["on", "off"])
def test_checksums_of_local_output(start_engine, through, gso):
    """What this machine sends itself has its checksum filled in later, unless --gso off asks for finished packets."""
    engine = start_engine("--plugin", plugin("describe_payload"), "--queue", "1", "--gso", gso)
    for family in (4, 6):
        through(hook="OUTPUT", family=family).send(packet_size=1000)
    for packet in described(engine, 2):
        assert packet["flags"] == PROTOCOL_KNOWN | (CHECKSUM_PENDING if gso == "on" else 0), packet
        assert packet["checksum"] == ("unknown" if gso == "on" else "valid"), packet
    assert engine.stop() == 0


# Owner, conntrack, security context


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name, options, present", [
    ("describe_owner", (), True), ("describe_headers", ("--uid-gid",), True), ("describe", ("--uid-gid",), True),
    ("describe_headers", (), False)])
def test_the_owner_of_local_output_is_known(start_engine, through, name, options, present, family):
    """Requested by an option, or by a plugin's need. The two packets were sent by two users."""
    engine = start_engine("--plugin", plugin(name), "--queue", "1", *options)
    datagrams = through(hook="OUTPUT", family=family, packet_mark=1)
    datagrams.send()
    described(engine, 1)
    datagrams.send_as(OWNER_UID, OWNER_GID)
    packets = described(engine, 2)
    owners = [(os.getuid(), os.getgid()), (OWNER_UID, OWNER_GID)] if present else [(0, 0), (0, 0)]
    assert [(packet["uid"], packet["gid"]) for packet in packets] == owners
    for packet in packets:
        assert packet["present"] & (HAS_UID | HAS_GID) == (HAS_UID | HAS_GID if present else 0), packet
    assert engine.stop() == 0


@pytest.mark.parametrize("name, options", [("describe_owner", ()), ("describe_headers", ("--uid-gid",))])
def test_forwarded_packets_have_no_owner(start_engine, through, name, options):
    engine = start_engine("--plugin", plugin(name), "--queue", "1", *options)
    for family in (4, 6):
        through(family=family, packet_mark=1).send_as(OWNER_UID, OWNER_GID)
    for packet in described(engine, 2):
        assert packet["present"] & (HAS_UID | HAS_GID) == 0 and packet["uid"] == packet["gid"] == 0, packet
    assert engine.stop() == 0


@pytest.mark.parametrize("flag, bit, kernel_option", [
    ("conntrack", CFG_F_CONNTRACK, "CONFIG_NETFILTER_NETLINK_GLUE_CT"),
    ("secctx", CFG_F_SECCTX, "CONFIG_NETWORK_SECMARK")])
@pytest.mark.parametrize("by_need", [False, True])
def test_what_the_kernel_lacks_is_refused_by_its_name(lab, start_engine, through, flag, bit, kernel_option, by_need):
    """The engine's answer is the kernel's own. As an option: exit code 3; as a need: 4, naming the plugin's file."""
    takes = kernel_takes(lab.router, bit)
    assert configured(kernel_option) in (takes, None), "the test asks the kernel wrongly"
    file = plugin(f"describe_{flag}" if by_need else "describe_headers")
    arguments = ("--plugin", file, "--queue", "1", *(() if by_need else (f"--{flag}",)))
    if not takes:
        code, line = refused(lab, *arguments)
        assert code == (EXIT_PLUGIN if by_need else EXIT_CONFIGURATION), line
        assert kernel_option in line and (file if by_need else f"--{flag}") in line, line
        assert lab.router.queues() == {}
        return
    engine = start_engine(*arguments)
    assert engine.matches(rf"queue 1: .* flags (.*,)?{flag}(,|$)"), engine.lines
    if flag == "conntrack":
        Rule(lab.router, "FORWARD", "-p", "udp", "-j", "CONNMARK", "--set-mark", "0x77", table="mangle")
    through(packet_mark=1).send()
    packet = described(engine, 1)[0]
    if flag == "conntrack":
        assert packet["present"] & HAS_CONNTRACK_MARK and packet["conntrack_mark"] == 0x77, packet
    else:  # a forwarded packet belongs to no socket here, so it has no context, whatever security module runs
        assert packet["present"] & HAS_SECCTX == 0 and packet["secctx_len"] == 0, packet
    assert engine.stop() == 0


# How much is copied


@pytest.mark.parametrize("name, copy_range", [("describe_headers", 200), ("describe", 100), ("describe_headers", None)])
def test_the_copy_range_truncates_at_its_last_byte(start_engine, through, name, copy_range):
    """len is what was copied, wire_len the true length, and TRUNCATED tells the two apart. IPv4 and IPv6."""
    options = ("--copy-range", str(copy_range)) if copy_range else ()
    engine = start_engine("--plugin", plugin(name), "--queue", "1", *options)
    limit = copy_range or HEADER_BYTES
    sizes = (limit - 1, limit, limit + 1, MTU)
    for number, family in enumerate((4, 6)):
        datagrams = through(family=family, queue=1)
        for size in sizes:
            datagrams.send(packet_size=size)
            described(engine, number * len(sizes) + sizes.index(size) + 1)
    for packet, size in zip(described(engine, 2 * len(sizes)), 2 * sizes):
        assert (packet["len"], packet["wire_len"]) == (min(size, limit), size), packet
        assert packet["flags"] & TRUNCATED == (TRUNCATED if size > limit else 0), packet
    assert engine.stop() == 0
    assert engine.total("truncated") == 0, "what is truncated on purpose is no message that was cut"


def test_a_whole_packet_is_copied_for_a_plugin_that_needs_it(start_engine, through):
    """To its last byte, which its checksum shows; --gso off, so that there is one already."""
    engine = start_engine("--plugin", plugin("describe_payload"), "--queue", "1", "--gso", "off")
    through().send(packet_size=MTU)
    packet = described(engine, 1)[0]
    assert packet["len"] == packet["wire_len"] == MTU and packet["flags"] & TRUNCATED == 0, packet
    assert packet["checksum"] == "valid", packet
    assert engine.stop() == 0


@pytest.mark.parametrize("name, copy_range", [("describe_headers", DECLARED_BYTES - 1), ("describe_payload", 65530)])
def test_a_copy_range_below_a_need_is_refused(lab, name, copy_range):
    code, line = refused(lab, "--plugin", plugin("describe"), "--plugin", plugin(name), "--queue", "1",
                         "--copy-range", str(copy_range))
    assert code == EXIT_CONFIGURATION, line
    assert f"--copy-range {copy_range}" in line and name in line, line


def test_a_chain_that_needs_no_bytes_gets_metadata_only(start_engine, through):
    engine = start_engine("--plugin", plugin("describe"), "--plugin", plugin("accept_all"), "--queue", "1")
    assert engine.matches(r"queue 1: .* copy metadata only"), engine.lines
    datagrams = through(packet_mark=0x1234)
    assert datagrams.kernel().copy_mode == 1
    datagrams.send()
    packet = described(engine, 1)[0]
    assert packet["len"] == packet["wire_len"] == 0 and packet["flags"] & HEADERS_CUT, packet
    assert packet["mark"] == 0x1234 and packet["hw_protocol"] == 0x0800, packet
    datagrams.wait_arrived(1)
    assert engine.stop() == 0


# The receive buffer


@pytest.mark.parametrize("asked, size", [("8192", 8192), ("300K", 300 << 10), ("1G", 1 << 30), ("65537", 65536)])
def test_the_receive_buffer_is_as_granted(start_engine, asked, size):
    """The line at start says what the sockets have. With the engine's rights that may be more than net.core.rmem_max,
    as the largest value is, so there is nothing to complain about."""
    engine = start_engine("--plugin", plugin("describe"), "--queue", "1-2", "--receive-buffer", asked)
    lines = engine.matches(r"queue \d: .* receive buffer (\d+) bytes")
    assert [int(line.group(1)) for line in lines] == [size, size] == netlink_receive_buffers(engine)
    assert not engine.matches("rmem_max"), engine.lines
    assert engine.stop() == 0


@pytest.mark.parametrize("no_enobufs", ["on", "off", None])
def test_an_overrun_of_the_receive_buffer(start_engine, through, no_enobufs):
    """The kernel counts what it lost. Only with --no-enobufs off the engine counts the event too. The same worker goes
    on, and loses nothing afterwards."""
    options = ("--no-enobufs", no_enobufs) if no_enobufs else ()
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1", "--receive-buffer", "4096",
                          "--handle-timeout", STALLED, *options)
    datagrams = through()
    with stalled(engine):
        datagrams.send(100, mark=0)
        wait_for(lambda: datagrams.kernel().waiting + datagrams.kernel().user_dropped == 100, "all have been there")
        lost = datagrams.kernel().user_dropped
        assert 0 < lost < 100
    datagrams.wait_arrived(100 - lost)
    for number in range(20):
        datagrams.send()
        datagrams.wait_arrived(100 - lost + number + 1)
    assert datagrams.kernel().user_dropped == lost and datagrams.kernel().waiting == 0
    assert engine.stop() == 0
    assert engine.total("kernel_user_dropped") == lost and engine.total("kernel_queue_dropped") == 0
    assert engine.total("packets") == engine.total("accepted") == 120 - lost
    assert (engine.total("receive_errors") > 0) == (no_enobufs == "off"), engine.final()
    assert engine.total("restarts") == engine.total("crash_verdicts") == 0


# Where it runs, and for which queues


def allowed_cpus(process_id):
    with open(f"/proc/{process_id}/status", encoding="ascii") as file:
        return re.search(r"^Cpus_allowed_list:\s*(\S+)$", file.read(), re.MULTILINE).group(1)


def test_queues_run_on_the_cpus_of_the_list_in_turn(start_engine):
    """The queue process and its workers, and those that replace others. The supervisor and the fork server stay where
    they were."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    engine = start_engine("--plugin", plugin("describe"), "--queue", "1-3", "--cpu", ",".join(map(str, cpus)))
    expected = {queue: str(cpus[(queue - 1) % len(cpus)]) for queue in (1, 2, 3)}

    def processes(queue):
        return [engine.queue_processes().get(queue), *engine.workers().get(queue, [])]

    def all_are_pinned():
        for queue, cpu in expected.items():
            engine.wait_workers(queue)
            wait_for(lambda queue=queue, cpu=cpu: [allowed_cpus(each) for each in processes(queue)] == [cpu] * 3,
                     f"the processes of queue {queue} run on CPU {cpu}")

    all_are_pinned()
    before = engine.wait_workers(2)
    assert engine.kill_workers(2) == before
    engine.wait_workers(2, without=before)
    all_are_pinned()
    process = engine.queue_processes()[2]
    assert engine.signal_child(process, signal.SIGKILL)
    wait_for(lambda: engine.queue_processes().get(2) not in (None, process), "the killed queue process has been replaced")
    all_are_pinned()
    assert allowed_cpus(engine.process.pid) == allowed_cpus(engine.fork_server()) == allowed_cpus(os.getpid())
    assert engine.stop() == 0


def test_a_cpu_that_is_not_there_is_refused(lab):
    available = os.sched_getaffinity(0)
    absent = next(cpu for cpu in range(1023, 0, -1) if cpu not in available)
    one = min(available)
    cases = [((), f"{one},{absent}", absent)]
    if len(available) > 1:  # a CPU that the machine has, but this process may not use
        cases.append((("taskset", "-c", str(one)), str(max(available)), max(available)))
    for launcher, cpus, named in cases:
        code, line = refused(lab, "--plugin", plugin("describe"), "--queue", "1", "--cpu", cpus, launcher=launcher)
        assert code == EXIT_CONFIGURATION, line
        assert "--cpu" in line and re.search(rf"\b{named}\b", line), line


def test_every_queue_that_is_named_is_served(lab, start_engine, through):
    """Numbers and ranges, repeated; the largest number there is, and 0."""
    numbers = [0, 3, 5, 6, 7, 65535]
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "3", "--queue", "5-7", "--queue=0",
                          "--queue", "65535-65535")
    assert sorted(lab.router.queues()) == sorted(engine.queue_processes()) == sorted(engine.workers()) == numbers
    for number in numbers[:-1]:
        through(queue=number).send()
    assert sorted(packet["queue"] for packet in described(engine, len(numbers) - 1)) == numbers[:-1]
    assert engine.stop() == 0
    assert sorted(engine.final()) == numbers


@pytest.mark.parametrize("queues, named", [(("5", "5"), 5), (("1-3", "2"), 2), (("7", "0-9"), 7)])
def test_a_queue_that_is_named_twice_is_refused(lab, queues, named):
    arguments = [text for value in queues for text in ("--queue", value)]
    code, line = refused(lab, "--plugin", plugin("describe"), *arguments)
    assert code == EXIT_CONFIGURATION, line
    assert re.search(rf"--queue {named}\b", line), line


# The verdict without an opinion, and the fields of a packet


@pytest.mark.parametrize("verdict, second, passes", [
    ("drop", "drop_marked", False), ("accept", "drop_marked", True), ("drop", "accept_all", True)])
def test_the_default_verdict_is_for_packets_without_an_opinion(start_engine, through, verdict, second, passes):
    """Both plugins of the chain see the packet. The default decides only if neither does."""
    engine = start_engine("--plugin", plugin("describe"), "--plugin", plugin(second), "--queue", "1",
                          "--default-verdict", verdict)
    datagrams = through()
    datagrams.send(50, mark=0)
    wait_for(lambda: datagrams.kernel().last_id == 50 and datagrams.kernel().waiting == 0, "all are decided")
    assert engine.stop() == 0
    datagrams.wait_arrived(50 if passes else 0)
    assert engine.total("accepted" if passes else "dropped") == engine.total("packets") == 50
    assert described_total(engine)["packets"] == 50


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("hook, number, absent", [
    ("PREROUTING", 0, HAS_OUT), ("INPUT", 1, HAS_OUT), ("FORWARD", 2, 0),
    ("OUTPUT", 3, HAS_IN | HAS_TIMESTAMP | HAS_HW_ADDRESS),
    ("POSTROUTING", 4, HAS_IN | HAS_TIMESTAMP | HAS_HW_ADDRESS)])
def test_the_fields_of_a_packet_are_right_at_each_hook(lab, start_engine, through, hook, number, absent, family):
    """Mark, interfaces, time of arrival and the sender's link address: present where the kernel has them, and right;
    elsewhere absent and 0. A second packet, without a packet mark, differs in that alone."""
    with lab.router.entered():
        link1, link2 = socket.if_nametoindex("link1"), socket.if_nametoindex("link2")
        stamped = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with stamped:  # the kernel notes the time of arrival while anyone on the machine asks for it
        stamped.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
        engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1-2")
        before = int(time.time())
        through(hook=hook, family=family, packet_mark=0xdeadbeef).send()
        described(engine, 1)
        through(hook=hook, family=family, queue=2).send()
        packets = described(engine, 2)
        after = int(time.time())
    assert [packet["mark"] for packet in packets] == [0xdeadbeef, 0]
    assert [packet["present"] & HAS_MARK for packet in packets] == [HAS_MARK, 0]
    fields = HAS_TIMESTAMP | HAS_IN | HAS_OUT | HAS_HW_ADDRESS
    for packet in packets:
        assert packet["hook"] == number and packet["hw_protocol"] == {4: 0x0800, 6: 0x86dd}[family], packet
        assert packet["present"] & fields == fields & ~absent, packet
        assert packet["in"] == (0 if absent & HAS_IN else link1), packet
        assert packet["out"] == (0 if absent & HAS_OUT else link2), packet
        assert (before <= packet["seconds"] <= after) if not absent & HAS_TIMESTAMP else packet["seconds"] == 0, packet
        address = ("000000000000", 0) if absent & HAS_HW_ADDRESS else ("020000000102", 6)
        assert (str(packet["hw_address"]).zfill(12), packet["hw_address_len"]) == address, packet
    assert engine.stop() == 0
