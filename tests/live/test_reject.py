# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: the sender of a rejected packet learns it at once, wherever the packet is queued and whatever translates its
addresses; the sender of a dropped one learns nothing; and nothing is answered that must not be.

The plugin refuse has a verdict for each port from 6000 on (tests/plugins/refuse.c). What is sent is compared with what
the kernel's own REJECT sends for the same packet.
"""

import contextlib
import errno
import signal
import socket
import struct
import time

import pytest

from bypass import printed, without
from orders import FAMILIES
from support.commands import wait_for
from support.engine import Engine, plugin
from support.rules import Rule, load_iptables, queue_target
from support.scale import scaled_limit
from test_rules import tcp_segment

DROPPED, REJECTED, RESET, PORT, HOST, PROHIBITED, FLOW = range(6000, 6007)
EXIT_CONFIGURATION = 3
MARK = "0x8000000/0xc000000"
AT_ONCE = scaled_limit(2.0)  # a connection that is not refused takes minutes
SILENCE = 0.6
VIRTUAL = {4: "10.99.0.9", 6: "fd99::9"}
SERVED = 8080
SYN, FIN, ACK, PSH = 0x02, 0x01, 0x10, 0x08
UNREACHABLE = {4: (socket.IPPROTO_ICMP, 3), 6: (socket.IPPROTO_ICMPV6, 1)}

both_families = pytest.mark.parametrize("family", [4, 6])


class Refusing:
    """An engine with refuse at queue 1, which gets the packets of these hooks."""

    def __init__(self, lab, start_engine, *options, launcher=()):
        self.lab = lab
        self.engine = start_engine("--plugin", plugin("refuse"), "--queue", "1", *options, launcher=launcher)

    def queue(self, *hooks, match=()):
        for hook in hooks:
            for protocol in ("tcp", "udp"):
                Rule(self.lab.router, hook, "-p", protocol, *(match or ("--dport", "6000:6006")), *queue_target(1),
                     table="mangle")

    def assert_final(self, **expected):
        assert self.engine.stop() == 0
        for name in ("rejects_sent", "rejects_limited", "rejects_unfit", "reject_errors", "invalid", "restarts"):
            want = expected.get(name, 0)
            assert want is None or self.engine.total(name) == want, f"{name}: {self.engine.final()}"


@pytest.fixture
def refusing(lab, start_engine):
    return lambda *options: Refusing(lab, start_engine, *options)


def connect(namespace, family, address, port, seconds=AT_ONCE):
    """The errno of a connection attempt, and how long it took."""
    with namespace.entered(), socket.socket(FAMILIES[family], socket.SOCK_STREAM) as end:
        end.settimeout(seconds)
        began = time.monotonic()
        try:
            end.connect((address, port))
            code = 0
        except TimeoutError:
            code = errno.ETIMEDOUT
        except OSError as error:
            code = error.errno
        return code, time.monotonic() - began


def assert_refused(namespace, family, address, port=REJECTED):
    code, seconds = connect(namespace, family, address, port)
    assert (code, seconds < AT_ONCE) == (errno.ECONNREFUSED, True), f"{errno.errorcode.get(code)} after {seconds} s"


@contextlib.contextmanager
def datagrams(namespace, family, address, port):
    """A UDP socket that gets the ICMP errors about what it sends."""
    with namespace.entered(), socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as end:
        end.connect((address, port))
        level, option = (socket.SOL_IP, 11) if family == 4 else (socket.IPPROTO_IPV6, 25)  # IP_RECVERR, IPV6_RECVERR
        end.setsockopt(level, option, 1)
        end.settimeout(AT_ONCE)
        yield end


def error_of(end, seconds=AT_ONCE):
    end.settimeout(seconds)
    try:
        end.recv(10)
    except TimeoutError:
        return None
    except OSError as error:
        return error.errno
    return 0


# Who asks, whom, and at which hook


PLACES = {"FORWARD": lambda lab, family: (lab.client, lab.server_main[family]),
          "INPUT": lambda lab, family: (lab.client, lab.router_main[family]),
          "OUTPUT": lambda lab, family: (lab.router, lab.server_main[family])}


@both_families
@pytest.mark.parametrize("hook", PLACES)
def test_a_rejected_connection_is_refused_at_once(lab, refusing, hook, family):
    engine = refusing()
    engine.queue(hook)
    namespace, address = PLACES[hook](lab, family)
    assert_refused(namespace, family, address)
    assert_refused(namespace, family, address, RESET)
    code, seconds = connect(namespace, family, address, DROPPED, SILENCE)
    assert code == errno.ETIMEDOUT and seconds >= SILENCE
    with datagrams(namespace, family, address, REJECTED) as end:
        end.send(b"x")
        assert error_of(end) == errno.ECONNREFUSED
    engine.assert_final(rejects_sent=3)


def test_curl_says_that_the_connection_was_refused(lab, refusing):
    engine = refusing()
    engine.queue("FORWARD")
    for family, address in ((4, lab.server_main[4]), (6, f"[{lab.server_main[6]}]")):
        said = lab.client.run("sh", "-c", f"curl -sS -m 5 http://{address}:{REJECTED}/ 2>&1; echo exit $?")
        assert "exit 7" in said, (family, said)  # "failed to connect to host"; 28 would be the time-out
        said = lab.client.run("sh", "-c", f"curl -sS -m 1 http://{address}:{DROPPED}/ 2>&1; echo exit $?")
        assert "exit 28" in said, (family, said)
    engine.assert_final(rejects_sent=2)


@both_families
def test_each_kind_of_message_says_what_it_is(lab, refusing, family):
    engine = refusing()
    engine.queue("FORWARD")
    prohibited = errno.EHOSTUNREACH if family == 4 else errno.EACCES  # as the kernel reads the message
    for port, code in ((PORT, errno.ECONNREFUSED), (HOST, errno.EHOSTUNREACH), (PROHIBITED, prohibited), (RESET, None)):
        with datagrams(lab.client, family, lab.server_main[family], port) as end:
            end.send(b"x")
            assert error_of(end, AT_ONCE if code else SILENCE) == code, port
    code, _ = connect(lab.client, family, lab.server_main[family], PORT)
    assert code == errno.ECONNREFUSED
    engine.assert_final(rejects_sent=4, rejects_unfit=1)  # a reset for UDP


# Compared with the kernel


def masked(answer, family, protocol):
    """Without what a sender may choose: hop limit and id, and the header's checksum that follows from them; and without the
    checksum of a reset, which the kernel leaves to the device."""
    if protocol == socket.IPPROTO_TCP:
        answer = answer[:-4] + b".." + answer[-2:]
    if family == 4:
        return answer[:4] + b".." + answer[6:8] + b"." + answer[9:10] + b".." + answer[12:]
    return answer


class Wire:
    """Packets that are made here, from the client to the server, and the answers to them."""

    def __init__(self, lab, family):
        self.family = family
        self.addresses = lab.client_addresses[family][0], lab.server_main[family]
        with lab.client.entered():
            self.out = socket.socket(FAMILIES[family], socket.SOCK_RAW, socket.IPPROTO_RAW)
            self.answers = [socket.socket(FAMILIES[family], socket.SOCK_RAW, protocol)
                            for protocol in (socket.IPPROTO_TCP, UNREACHABLE[family][0])]

    def close(self):
        for end in (self.out, *self.answers):
            end.close()

    def send(self, protocol, body):
        source, dest = (socket.inet_pton(FAMILIES[self.family], address) for address in self.addresses)
        if self.family == 4:
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 7, 0, 64, protocol, 0)
        else:
            head = struct.pack("!IHBB", 0x60000000, len(body), protocol, 64)
        self.out.sendto(head + source + dest + body, (self.addresses[1], 0))

    def answer(self):
        """The next reset, or message that something is unreachable. Of IPv6, without the IP header."""
        end = time.monotonic() + AT_ONCE
        while time.monotonic() < end:
            for receiver in self.answers:
                receiver.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    got = receiver.recv(2000)
                    body = got[20:] if self.family == 4 else got
                    if body[13] & 4 if receiver.proto == socket.IPPROTO_TCP else body[0] == UNREACHABLE[self.family][1]:
                        return masked(got, self.family, receiver.proto)
        return None


def segments(addresses, port):
    for flags, payload in ((SYN, b""), (SYN, b"data"), (ACK, b"x" * 300), (FIN | ACK, b""), (PSH | ACK, b"abc")):
        yield socket.IPPROTO_TCP, tcp_segment(addresses, (4711, port), flags=flags, sequence=0xfffffff0, payload=payload)
    if ":" not in addresses[0]:  # without a checksum, which IPv6 requires
        yield socket.IPPROTO_UDP, struct.pack("!HHHH", 4711, port, 8 + 100, 0) + b"y" * 100


@both_families
@pytest.mark.parametrize("port", [REJECTED, PROHIBITED])
def test_answers_are_those_of_the_kernels_own_reject(lab, refusing, family, port):
    names = {(REJECTED, 4): "icmp-port-unreachable", (REJECTED, 6): "icmp6-port-unreachable",
             (PROHIBITED, 4): "icmp-admin-prohibited", (PROHIBITED, 6): "icmp6-adm-prohibited"}
    said = {}
    for who in ("kernel", "engine"):
        wire = Wire(lab, family)
        if who == "kernel":
            rules = [Rule(lab.router, "FORWARD", "-p", protocol, "--dport", str(port), "-j", "REJECT", "--reject-with",
                          "tcp-reset" if protocol == "tcp" and port == REJECTED else names[port, family],
                          families=(family,)) for protocol in ("tcp", "udp")]
        else:
            engine = refusing()
            engine.queue("FORWARD")
            rules = []
        said[who] = []
        for protocol, body in segments(wire.addresses, port):
            wire.send(protocol, body)
            said[who].append(wire.answer())
        wire.close()
        for rule in rules:
            rule.remove()
    assert None not in said["kernel"]
    for mine, theirs in zip(said["engine"], said["kernel"]):
        assert mine == theirs
    engine.assert_final(rejects_sent=len(said["kernel"]))


# Address translation, and firewalls


def translate(lab, family, *kinds):
    if "DNAT" in kinds:
        Rule(lab.router, "PREROUTING", "-d", VIRTUAL[family], "-j", "DNAT", "--to-destination", lab.server_main[family],
             table="nat", families=(family,))
    if "SNAT" in kinds:
        Rule(lab.router, "POSTROUTING", "-o", "link2", "-j", "MASQUERADE", table="nat", families=(family,))
    return VIRTUAL[family] if "DNAT" in kinds else lab.server_main[family]


def assert_senders_are_told(lab, refusing, family, *kinds):
    address = translate(lab, family, *kinds)
    engine = refusing()
    engine.queue("FORWARD")
    assert_refused(lab.client, family, address)
    for port in (REJECTED, HOST):
        with datagrams(lab.client, family, address, port) as end:
            end.send(b"x")
            assert error_of(end) == (errno.ECONNREFUSED if port == REJECTED else errno.EHOSTUNREACH)
    engine.assert_final(rejects_sent=3)


@both_families
def test_senders_before_a_nat_of_sources_are_told(lab, refusing, family):
    """Before one of destinations, with a kernel that says which addresses they wrote: tests/vm."""
    assert_senders_are_told(lab, refusing, family, "SNAT")


def assert_either_end_is_reset(lab, refusing, family, *kinds):
    """In the middle of a connection: what the client sends, and what the server sends, with the addresses that each knows."""
    address = translate(lab, family, *kinds)
    engine = refusing()
    engine.queue("FORWARD", match=("-m", "length", "--length", "200:400"))
    with lab.server.entered():
        listener = socket.create_server((lab.server_main[family], REJECTED), family=FAMILIES[family])
    for teller in range(2):
        with lab.client.entered():
            client = socket.create_connection((address, REJECTED), timeout=AT_ONCE)
        server, _ = listener.accept()
        server.settimeout(AT_ONCE)
        ends = (client, server)
        ends[teller].send(b"x" * 250)
        with pytest.raises(ConnectionResetError):
            ends[teller].recv(10)
        for end in ends:
            end.close()
    listener.close()
    engine.assert_final(rejects_sent=2)


@both_families
def test_either_end_of_a_connection_is_reset(lab, refusing, family):
    assert_either_end_is_reset(lab, refusing, family)


@both_families
@pytest.mark.parametrize("hook", PLACES)
def test_printed_rules_let_answers_pass_rules_that_ask_for_the_state(lab, refusing, hook, family):
    """They queue all three hooks; rules of the filter table that were there before drop what is invalid, or not known."""
    for chain in ("INPUT", "OUTPUT"):
        Rule(lab.router, chain, "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
        Rule(lab.router, chain, "-p", "tcp", "--tcp-flags", "RST", "RST", "-m", "conntrack", "!", "--ctstate",
             "ESTABLISHED,RELATED", "-j", "DROP")
    load_iptables(lab.router, printed(lab, "--print-rules=iptables", "--queue", "1", "--reject-mark", MARK))
    engine = refusing("--reject-mark", MARK)
    namespace, address = PLACES[hook](lab, family)
    assert_refused(namespace, family, address)
    code, _ = connect(namespace, family, address, DROPPED, SILENCE)
    assert code == errno.ETIMEDOUT
    with datagrams(namespace, family, address, REJECTED) as end:
        end.send(b"x")
        assert error_of(end) == errno.ECONNREFUSED
    engine.assert_final(rejects_sent=2)


# Left to rules


class Ruled(Refusing):
    """With the printed rules of --reject-by-rule, which queue all that is sent to, from and through the router."""

    def __init__(self, lab, start_engine, cut=None, launcher=()):
        text = printed(lab, "--print-rules=iptables", "--queue", "1", "--reject-by-rule", MARK)
        load_iptables(lab.router, without(cut, text) if cut else text)
        super().__init__(lab, start_engine, "--reject-by-rule", MARK, launcher=launcher)


@both_families
@pytest.mark.parametrize("kinds", ["", "DNAT", "SNAT", "DNAT SNAT"])
def test_rules_tell_senders_whatever_translates_addresses(lab, start_engine, family, kinds):
    Rule(lab.router, "OUTPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
    address = translate(lab, family, *kinds.split())
    engine = Ruled(lab, start_engine)
    assert_refused(lab.client, family, address)
    code, _ = connect(lab.client, family, address, DROPPED, SILENCE)
    assert code == errno.ETIMEDOUT
    with datagrams(lab.client, family, address, REJECTED) as end:
        end.send(b"x")
        assert error_of(end) == errno.ECONNREFUSED
    engine.assert_final(rejects_sent=2)
    assert engine.engine.total("repeated") == 0


@both_families
@pytest.mark.parametrize("hook", PLACES)
def test_rules_tell_senders_on_each_hook(lab, start_engine, hook, family):
    """Also those of a flow that is dropped: what the kernel sends them belongs to it."""
    engine = Ruled(lab, start_engine)
    namespace, address = PLACES[hook](lab, family)
    for port in (REJECTED, FLOW):
        assert_refused(namespace, family, address, port)
        with datagrams(namespace, family, address, port) as end:
            end.send(b"x")
            assert error_of(end) == errno.ECONNREFUSED
    engine.assert_final(rejects_sent=4)


@pytest.mark.parametrize("cut, errors", [(r"-A nfqe-queue -m mark .* -j ACCEPT", True), ("-j nfqe-reject", False)])
def test_a_packet_that_no_rule_rejects_does_not_pass(lab, start_engine, listen, cut, errors):
    """It is queued again, or comes to the last table; the engine or a rule there drops it."""
    engine = Ruled(lab, start_engine, cut=cut)
    with lab.server.entered():
        listener = socket.create_server((lab.server_main[4], REJECTED))
    code, _ = connect(lab.client, 4, lab.server_main[4], REJECTED, SILENCE)
    assert code == errno.ETIMEDOUT
    listener.close()
    if errors:
        engine.engine.wait_line("queue 1: packet .* has the mark of --reject-by-rule, but no rule has rejected it")
    engine.assert_final(rejects_sent=None, reject_errors=None)
    assert (engine.engine.total("reject_errors") > 0) == errors
    assert engine.engine.total("rejects_sent") > 0


# What is not answered


def test_multicast_and_broadcast_are_not_answered(lab, refusing):
    engine = refusing()
    engine.queue("INPUT")
    sent = 0
    for family, addresses in ((4, ["224.0.0.5", "255.255.255.255", "10.71.1.255"]), (6, ["ff02::1", "ff02::5"])):
        with lab.client.entered(), socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if family == 4:
                end.setsockopt(socket.SOL_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.71.1.2"))
            index = socket.if_nametoindex("link1")
            for address in addresses:
                end.sendto(b"x", (address, REJECTED) if family == 4 else (address, REJECTED, 0, index))
                sent += 1
    wait_for(lambda: lab.router.queues()[1].last_id >= 1, "packets are queued")
    time.sleep(SILENCE)
    engine.assert_final(rejects_unfit=None)
    unfit = engine.engine.total("rejects_unfit")
    assert 3 <= unfit <= sent and unfit == engine.engine.total("packets"), engine.engine.final()


# How many


def test_each_packet_of_a_rejected_flow_is_answered(lab, refusing):
    engine = refusing()
    engine.queue("FORWARD")
    with datagrams(lab.client, 4, lab.server_main[4], FLOW) as end:
        for _ in range(5):
            with contextlib.suppress(ConnectionRefusedError):
                end.send(b"x")
            assert error_of(end) == errno.ECONNREFUSED
    engine.assert_final(rejects_sent=5)
    assert engine.engine.total("flow_packets") == 4


def test_no_more_are_answered_than_the_rate_allows(lab, refusing):
    engine = refusing("--reject-rate", "10")
    engine.queue("FORWARD")
    with datagrams(lab.client, 4, lab.server_main[4], REJECTED) as end:
        for _ in range(200):
            with contextlib.suppress(ConnectionRefusedError):
                end.send(b"x")
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits")
    engine.assert_final(rejects_sent=None, rejects_limited=None)
    sent, limited, dropped = (engine.engine.total(name) for name in ("rejects_sent", "rejects_limited", "dropped"))
    assert 10 <= sent < 40 and sent + limited == dropped, engine.engine.final()


def test_a_firewall_that_drops_the_answers_is_named(lab, refusing):
    engine = refusing()
    engine.queue("FORWARD")
    Rule(lab.router, "OUTPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
    code, _ = connect(lab.client, 4, lab.server_main[4], REJECTED, SILENCE)
    assert code == errno.ETIMEDOUT
    engine.engine.wait_line(r"queue 1: the sender of packet \d+ cannot be told that it is dropped: Operation not permitted; "
                            r"a rule of this machine's firewall drops the answer: let packets with the mark of --reject-mark ")
    engine.assert_final(reject_errors=None)
    assert engine.engine.total("reject_errors") > 0


# Rights, and processes that die


WITHOUT_RAW = ("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--")


def test_without_the_right_to_raw_sockets_the_plugin_is_refused(lab):
    engine = Engine(lab.router, "--plugin", plugin("refuse"), "--queue", "1", launcher=WITHOUT_RAW)
    assert engine.wait() == EXIT_CONFIGURATION
    assert engine.matches("plugin refuse tells senders that their packets are dropped, but there is no raw socket for it: "
                          "Operation not permitted; start nfq-engine as root, or with CAP_NET_RAW, too"), engine.lines
    engine.close()


def test_rules_tell_senders_without_that_right(lab, start_engine):
    engine = Ruled(lab, start_engine, launcher=WITHOUT_RAW)
    assert_refused(lab.client, 4, lab.server_main[4])
    engine.assert_final(rejects_sent=1)


def test_the_successor_of_a_queue_process_tells_senders(lab, refusing):
    engine = refusing()
    engine.queue("FORWARD")
    for _ in range(3):
        assert_refused(lab.client, 4, lab.server_main[4])
        first = engine.engine.queue_processes()[1]
        engine.engine.signal_child(first, signal.SIGKILL)
        wait_for(lambda first=first: engine.engine.queue_processes().get(1, first) != first, "there is a successor")
    assert_refused(lab.client, 4, lab.server_main[4])
    engine.assert_final(rejects_sent=None, restarts=None)
    assert 4 <= engine.engine.total("rejects_sent") <= 7, engine.engine.final()
