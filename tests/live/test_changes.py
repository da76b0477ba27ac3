# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a packet that a plugin has changed arrives as the plugin made it, with right lengths and checksums; and what
cannot be changed, or whose plugin dies over it, goes on as it was received, or not at all.

The plugin change (tests/plugins/change.c) does to each packet what its first bytes say. Receivers are real sockets, whose
kernel ignores a packet with a wrong length or checksum; what is on the server's link is verified here once more.
"""

import contextlib
import os
import signal
import socket
import struct
import time

import pytest

import wire
from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule, queue_target
from support.scale import QUICK, scaled_count

PUT, WRITE, REPLACE, WRITE_HEADER, PUT_AND_DROP, PUT_AND_DIE, TRY_HEADER = range(1, 8)  # as in change.c
ORDER = struct.Struct("=4sBBHHH")
PORT, SOURCE_PORT = 7300, 7301
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
IP_HEADERS = {4: 20, 6: 40}
MTU = 1500
GROWTH = 64
WINDOW = 64
SO_NO_CHECK, UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX, IPV6_DSTOPTS, SO_RCVBUFFORCE = 11, 101, 102, 59, 33
OUTGOING = 4  # of packets that a host sends itself
LARGEST = 65531


def order(what, offset=ORDER.size, remove=0, count=0, value=0xCC):
    return ORDER.pack(b"chng", what, value, offset, remove, count)


def growth_of(size):
    """-64 to 64, each as often as any other."""
    return size * 37 % (2 * GROWTH + 1) - GROWTH


def make(size, most):
    """A payload of `size` bytes, and what is to come of it, of at most `most` bytes. What is put in is of even and odd
    length, at even and odd places, and takes the place of up to seven bytes."""
    growth = growth_of(size)
    growth = max(min(growth, most - size), ORDER.size - size)
    offset = ORDER.size + size * 31 % (size - ORDER.size + 1)
    remove = min(max(-growth, 0) + size % 8, size - offset)
    if -growth > remove:  # there are not so many bytes after it
        offset, remove = size + growth, -growth
    count = remove + growth
    sent = order(PUT, offset, remove, count, size & 0xFF) + bytes(n * 7 + size & 0xFF for n in range(size - ORDER.size))
    return sent, sent[:offset] + bytes([size & 0xFF]) * count + sent[offset + remove:]


def sizes(headers, step):
    """Of payloads, so that each length of a packet from the shortest with an order to the MTU is there."""
    return range(ORDER.size, MTU - headers + 1, step)


class Sniffer:
    """What arrives on the server's link. Each packet with an order in it must be right."""

    def __init__(self, lab):
        with lab.server.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
        self._socket.bind(("link2", 0x0003))
        self.seen = 0

    def check(self, protocol, none=False):
        """Those that have arrived. none: they are to have no checksum."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, address = self._socket.recvfrom(65536, socket.MSG_DONTWAIT)
                if address[2] != OUTGOING and b"chng" in packet:
                    self._check_packet(packet, protocol, none)
                    self.seen += 1

    def _check_packet(self, packet, protocol, none):
        if packet[0] >> 4 == 4:
            assert wire.checksum(packet[:20]) == 0 and struct.unpack_from("!H", packet, 2)[0] == len(packet)
            kind, addresses, segment = packet[9], packet[12:20], packet[20:]
        else:
            assert struct.unpack_from("!H", packet, 4)[0] == len(packet) - 40
            kind, addresses, segment = packet[6], packet[8:40], packet[40:]
            if kind == wire.DESTINATION:
                kind, segment = segment[0], segment[(segment[1] + 1) * 8:]
        assert kind == protocol
        if kind == wire.UDP:
            assert struct.unpack_from("!H", segment, 4)[0] == len(segment)
            if none:
                assert segment[6:8] == b"\0\0"
                return
            assert segment[6:8] != b"\0\0"
        pseudo = b"" if kind == wire.ICMP else addresses + struct.pack("!HBB", len(segment), 0, kind)
        assert wire.checksum(pseudo + segment) == 0, packet.hex()

    def close(self):
        self._socket.close()


class Changed:
    """An engine with the plugin change, which gets all that the client sends to the server."""

    def __init__(self, lab, start_engine, *options):
        self.lab = lab
        self.engine = start_engine("--plugin", plugin("change"), "--queue", "1", *options)
        Rule(lab.router, "FORWARD", "-i", "link1", *queue_target(1))
        self.sniffer = Sniffer(lab)
        self.sockets = [self.sniffer]

    def open(self, namespace, *kind):
        with namespace.entered():
            opened = socket.socket(*kind)
        opened.settimeout(5)
        self.sockets.append(opened)
        return opened

    def datagrams(self, family, none=False, options=0):
        """A sender and a receiver. none: without checksums. options: bytes of IPv6 destination options."""
        sender = self.open(self.lab.client, FAMILIES[family], socket.SOCK_DGRAM)
        receiver = self.open(self.lab.server, FAMILIES[family], socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if none and family == 4:
            sender.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        elif none:
            sender.setsockopt(socket.SOL_UDP, UDP_NO_CHECK6_TX, 1)
            receiver.setsockopt(socket.SOL_UDP, UDP_NO_CHECK6_RX, 1)
        if options:
            sender.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, wire.extension(0, options))
        receiver.bind((self.lab.server_main[family], PORT))
        sender.connect((self.lab.server_main[family], PORT))
        return sender, receiver

    def close(self):
        for opened in self.sockets:
            opened.close()


@pytest.fixture
def changed(lab, start_engine):
    made = []

    def start(*options):
        made.append(Changed(lab, start_engine, *options))
        return made[-1]

    yield start
    for each in made:
        each.close()


def exchange(send, receive, made, after_window):
    """Sends all, some at a time, and compares what comes with what is to come."""
    for begin in range(0, len(made), WINDOW):
        window = made[begin:begin + WINDOW]
        for number, (sent, _) in enumerate(window):
            send(sent, begin + number)
        for number, (sent, expected) in enumerate(window):
            got = receive(begin + number)
            assert got == expected, (len(sent), len(expected), len(got), sent[:ORDER.size].hex())
        after_window()


def check_datagrams(one, family, step, none=False, options=0):
    headers = IP_HEADERS[family] + 8 + options
    sender, receiver = one.datagrams(family, none, options)
    made = [make(size, MTU - headers) for size in sizes(headers, step)]
    exchange(lambda data, _: sender.send(data), lambda _: receiver.recv(65536), made,
             lambda: one.sniffer.check(wire.UDP, none))
    sender.close()
    receiver.close()
    return len(made)


def check_echo(one, family, step):
    """The server answers a request whose checksum is right."""
    protocol, request, reply = (wire.ICMP, 8, 0) if family == 4 else (socket.IPPROTO_ICMPV6, 128, 129)
    client = one.open(one.lab.client, FAMILIES[family], socket.SOCK_RAW, protocol)
    client.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
    client.connect((one.lab.server_main[family], 0))
    headers = IP_HEADERS[family] + 8
    skipped = 20 if family == 4 else 0

    def send(data, number):
        message = struct.pack("!BBHHH", request, 0, 0, 77, number) + data
        value = wire.checksum(message) if family == 4 else 0  # of IPv6, the kernel makes it
        client.send(message[:2] + struct.pack("!H", value) + message[4:])

    def receive(number):
        while True:
            message = client.recv(65536)[skipped:]
            if message[0] == reply and struct.unpack_from("!HH", message, 4) == (77, number):
                return message[8:]

    made = [make(size, MTU - headers) for size in sizes(headers, step)]
    exchange(send, receive, made, lambda: one.sniffer.check(protocol))
    client.close()
    return len(made)


def check_connections(one, family, step):
    """One segment each, which the receiver's program gets as the plugin made it."""
    listener = one.open(one.lab.server, FAMILIES[family], socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((one.lab.server_main[family], PORT))
    listener.listen()
    headers = IP_HEADERS[family] + 32  # with time stamps
    count = 0
    for size in sizes(headers, step):
        sent, expected = make(size, MTU - headers)
        client = one.open(one.lab.client, FAMILIES[family], socket.SOCK_STREAM)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.connect((one.lab.server_main[family], PORT))
        client.send(sent)
        with listener.accept()[0] as server:
            server.settimeout(5)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            got = b""
            while len(got) < len(expected):
                got += server.recv(65536)
            assert got == expected, (size, len(expected), len(got))
        client.close()
        one.sniffer.check(wire.TCP)
        count += 1
    listener.close()
    return count


@pytest.mark.parametrize("family", [4, 6])
def test_each_length_and_growth_arrives_with_right_checksums(changed, family):
    one = changed()
    step = scaled_count(1) if not QUICK else 13
    count = check_datagrams(one, family, step)
    count += check_datagrams(one, family, step, none=True)
    if family == 6:
        count += check_datagrams(one, family, step, options=16)
    count += check_echo(one, family, step)
    assert one.sniffer.seen == count
    segments = check_connections(one, family, 97 if QUICK else 17)
    one.sniffer.check(wire.TCP)
    assert one.sniffer.seen >= count + segments
    assert one.engine.stop() == 0
    assert one.engine.total("changed") >= count + segments, one.engine.final()
    for name in ("changes_refused", "invalid", "dropped", "verdict_errors", "restarts"):
        assert one.engine.total(name) == 0, (name, one.engine.final())


def test_packets_of_the_largest_length_go_out(lab, start_engine):
    """On loopback, which has them; several wait at once, among small ones."""
    engine = start_engine("--plugin", plugin("change"), "--queue", "1")
    Rule(lab.router, "OUTPUT", "-p", "udp", "--dport", str(PORT), *queue_target(1))
    with lab.router.entered():
        sender, receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with sender, receiver:
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        receiver.bind(("127.0.0.1", PORT))
        receiver.settimeout(5)
        expected = []
        for number in range(24):
            size = LARGEST - 28 - number * 60
            sent = order(PUT, ORDER.size, 0, number * 60 if number % 3 else 1, number)
            sent = sent.ljust(size if number % 3 else 100, b".")
            expected.append(sent[:ORDER.size] + bytes([number]) * (number * 60 if number % 3 else 1) + sent[ORDER.size:])
            sender.sendto(sent, ("127.0.0.1", PORT))
        for each in expected:
            assert receiver.recv(1 << 17) == each
        sender.sendto(order(PUT, count=1).ljust(LARGEST - 28, b"."), ("127.0.0.1", PORT))  # one too many
        wait_for(lambda: lab.router.queues()[1].last_id == 25 and lab.router.waiting() == 0, "it is decided")
    assert engine.stop() == 0
    assert (engine.total("changed"), engine.total("changes_refused"), engine.total("dropped")) == (24, 1, 1)


# Offset and value of a header's byte, and what the log says of the packet.
FORBIDDEN = {
    4: ((0, 0x65, "is not of the same IP version"), (0, 0x46, "has other IPv4 options"),
        (6, 0x20, "has other IPv4 fragment bits"), (7, 0x01, "has other IPv4 fragment bits")),
    6: ((0, 0x45, "is not of the same IP version"), (6, 0, "has other IPv6 extension headers")),
}


@pytest.mark.parametrize("on_crash", ["drop", "accept"])
def test_what_the_kernel_would_drop_is_an_invalid_verdict(changed, on_crash):
    """By a byte that the plugin writes. The packet is as it was received."""
    one = changed("--on-crash", on_crash)
    count = 0
    for family, cases in FORBIDDEN.items():
        sender, receiver = one.datagrams(family)
        for offset, value, text in cases:
            sender.send(order(WRITE_HEADER, offset, 0, 1, value))
            sender.send(order(TRY_HEADER, offset, 0, 1, value))
            sender.send(order(WRITE, ORDER.size, 0, 1, 9) + b"abc")
            count += 1
            if on_crash == "accept":
                assert receiver.recv(100) == order(WRITE_HEADER, offset, 0, 1, value)
            assert receiver.recv(100) == order(TRY_HEADER, offset, 0, 1, value)
            assert receiver.recv(100)[ORDER.size:] == b"\x09bc"
            if count <= 5:  # the rest is over the limit of such lines
                one.engine.wait_line(rf"queue 1: plugin change 1\.0\.0: the changed packet {count * 3 - 2} {text}, "
                                     rf"which the kernel would drop; verdict {on_crash}$")
    assert one.engine.stop() == 0
    assert one.engine.total("invalid") == count and one.engine.total("changes_refused") == 2 * count, one.engine.final()
    assert one.engine.total("changed") == 2 * count and one.engine.total("restarts") == 0, one.engine.final()


def test_what_an_operation_refuses_is_counted(changed):
    one = changed()
    sender, receiver = one.datagrams(4)
    sender.send(order(PUT, 2000))              # not in the packet: a mistake, which no counter has
    sender.send(order(REPLACE, count=3) + b"ab")
    assert receiver.recv(100) == order(REPLACE, count=3) + b"ab" + b"\xcc" * 3
    sender.send(order(PUT_AND_DROP, count=5))
    sender.send(b"nothing")
    assert receiver.recv(100) == b"nothing"
    assert one.engine.stop() == 0
    assert one.engine.matches(r"queue 1: plugin change: reasons: refused=1$")
    assert (one.engine.total("dropped"), one.engine.total("changed"), one.engine.total("changes_refused")) == (2, 1, 0)


def test_a_packet_whose_plugin_dies_is_as_it_was_received(changed):
    one = changed("--on-crash", "accept")
    sender, receiver = one.datagrams(4)
    for number in range(scaled_count(10, 4)):
        for what in (PUT, PUT_AND_DIE, PUT):
            sender.send(order(what, count=4, value=number) + b"rest")
        for what, added in ((PUT, 4), (PUT_AND_DIE, 0), (PUT, 4)):
            assert receiver.recv(100) == order(what, count=4, value=number) + bytes([number]) * added + b"rest"
    assert one.engine.stop() == 0
    assert one.engine.total("crash_verdicts") == scaled_count(10, 4), one.engine.final()
    assert one.engine.total("changed") == 2 * scaled_count(10, 4), one.engine.final()


def test_a_verdict_that_is_sent_again_has_the_same_bytes(changed):
    """Queue processes are killed while they answer. All that is accepted was changed, but for what was lost with them."""
    one = changed("--on-crash", "drop")
    sender, receiver = one.datagrams(6)
    rounds, each = scaled_count(30, 8), 40
    came = set()
    for round_number in range(rounds):
        for number in range(each):
            sender.send(order(PUT, count=3, value=number) + struct.pack("=HH", round_number, number))
        process_id = one.engine.queue_processes().get(1)
        if process_id:
            os.kill(process_id, signal.SIGKILL)
        total = (round_number + 1) * each
        wait_for(lambda total=total: one.lab.router.queues()[1].last_id >= total and one.lab.router.waiting() == 0,
                 "all are decided", 20.0)
    time.sleep(0.1)
    receiver.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            data = receiver.recv(100)
            round_number, number = struct.unpack_from("=HH", data, ORDER.size + 3)
            assert data[ORDER.size:ORDER.size + 3] == bytes([number]) * 3 and len(data) == ORDER.size + 7
            assert (round_number, number) not in came
            came.add((round_number, number))
    assert one.engine.stop() == 0
    assert len(came) == one.engine.total("accepted") == one.engine.total("changed"), one.engine.final()
    assert one.engine.total("restarts") >= rounds // 2, "processes were killed"
