# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: drop_tcp80 lets no connection to port 80 through that hides its port: after extension headers of every kind,
many or long, or with its TCP header in several fragments. Connections to other ports with the same headers pass, as
far as their ports are among the copied bytes.

A packet is made by hand and sent at a real server. It counts as let through if the server answers with a SYN-ACK.
Each case is first sent without the engine: the server does answer.
"""

import contextlib
import socket
import struct

import pytest

from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule, queue_target

CLIENT = {4: "10.71.1.2", 6: "fd71:1::2"}
SERVER = {4: "10.71.2.2", 6: "fd71:2::2"}
TCP, AH, HOP_BY_HOP, ROUTING, DESTINATION = 6, 51, 0, 43, 60
IPV6_DSTOPTS = 59  # socket option
SYN_ACK = 0x12
OTHER_PORT = 8080
SILENCE = 0.7  # seconds in which an answer would have come, over links of this machine


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def address(family, text):
    return socket.inet_pton(socket.AF_INET if family == 4 else socket.AF_INET6, text)


def syn(family, source_port, port):
    header = struct.pack("!HHIIBBHHH", source_port, port, 1000, 0, 5 << 4, 2, 65535, 0, 0)
    ends = address(family, CLIENT[family]) + address(family, SERVER[family])
    pseudo = ends + (struct.pack("!BBH", 0, TCP, 20) if family == 4 else struct.pack("!IHBB", 20, 0, 0, TCP))
    return header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]


def options(size):
    """What follows the first two bytes of an options header of so many bytes: options that a receiver ignores."""
    filling = b""
    while len(filling) < size - 2:
        left = size - 2 - len(filling)
        take = left if left <= 257 else min(257, left - 2)
        filling += bytes([0x1e, take - 2]) + bytes(take - 2)
    return filling


def ipv6(headers, transport):
    """headers: of each its number, and a function from the number of the next one to its bytes."""
    body, following = transport, TCP
    for number, make in reversed(headers):
        body, following = make(following) + body, number
    return (struct.pack("!IHBB", 6 << 28, len(body), following, 64)
            + address(6, CLIENT[6]) + address(6, SERVER[6]) + body)


def option_header(number, size):
    return number, lambda following: bytes([following, size // 8 - 1]) + options(size)


def routing_header(kind, size):
    return ROUTING, lambda following: bytes([following, size // 8 - 1, kind, 0]) + bytes(size - 4)


# How IPv6 hides a port, and whether 512 bytes show it.
HEADERS = {
    "72 bytes of destination options": ([option_header(DESTINATION, 72)], True),
    "80 bytes of destination options": ([option_header(DESTINATION, 80)], True),
    "72 bytes of hop-by-hop options": ([option_header(HOP_BY_HOP, 72)], True),
    "9 headers": ([option_header(DESTINATION, 8)] * 9, True),
    "40 headers": ([option_header(DESTINATION, 8)] * 40, True),
    "routing type 0": ([routing_header(0, 88)], True),
    "routing type 200": ([routing_header(200, 88)], True),
    "routing type 253": ([routing_header(253, 88)], True),
    "600 bytes of destination options": ([option_header(DESTINATION, 600)], False),
    "80 headers": ([option_header(DESTINATION, 8)] * 80, False),
}


class Prober:
    """Sends what it is given from the client, and hears what the server answers."""

    def __init__(self, lab):
        with lab.client.entered():
            self.senders = {4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
                            6: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)}
            self.hearers = {4: socket.socket(socket.AF_INET, socket.SOCK_RAW, TCP),
                            6: socket.socket(socket.AF_INET6, socket.SOCK_RAW, TCP)}
        self.next_port = 20000

    def close(self):
        for each in (*self.senders.values(), *self.hearers.values()):
            each.close()

    def port(self):
        self.next_port += 1
        return self.next_port

    def send(self, family, packets):
        for packet in packets:
            self.senders[family].sendto(packet, (SERVER[family], 0))

    def answered(self, family, wanted):
        """The source ports, of those wanted, whose SYN was answered by a SYN-ACK. Ends when all were, or in silence."""
        hearer = self.hearers[family]
        hearer.settimeout(SILENCE)
        heard = set()
        with contextlib.suppress(TimeoutError):
            while not wanted <= heard:
                packet = hearer.recv(65536)
                header = packet[(packet[0] & 15) * 4:] if family == 4 else packet
                if header[13] == SYN_ACK:
                    heard.add(struct.unpack_from("!H", header, 2)[0])
        return heard & wanted


@pytest.fixture
def prober(lab):
    with contextlib.closing(Prober(lab)) as made:
        yield made


def send_hidden(prober, port):
    """Each case of HEADERS: name -> source port."""
    sent = {}
    for name, (headers, _) in HEADERS.items():
        sent[name] = prober.port()
        prober.send(6, [ipv6(headers, syn(6, sent[name], port))])
    return sent


def names_answered(prober, sent):
    heard = prober.answered(6, set(sent.values()))
    return {name for name, source in sent.items() if source in heard}


def test_extension_headers_hide_no_port(lab, start_engine, start_web_server, prober):
    start_web_server(lab.server, 80, OTHER_PORT)
    reach = names_answered(prober, send_hidden(prober, 80))
    assert reach == set(HEADERS), "the kernel of the server takes all of them, as long as no engine is there"
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1")
    Rule(lab.router, "FORWARD", *queue_target(1))
    assert names_answered(prober, send_hidden(prober, 80)) == set()
    shown = {name for name, (_, shows) in HEADERS.items() if shows}
    assert names_answered(prober, send_hidden(prober, OTHER_PORT)) == shown
    assert engine.stop() == 0


def test_a_socket_with_destination_options_hides_no_port(lab, start_engine, start_web_server):
    """What any program gets with setsockopt(2)."""
    start_web_server(lab.server, 80, OTHER_PORT)

    def connects(port):
        with lab.client.entered():
            client = socket.socket(socket.AF_INET6)
        with client:
            client.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, bytes([0, 80 // 8 - 1]) + options(80))
            client.settimeout(SILENCE)
            try:
                client.connect((SERVER[6], port))
            except TimeoutError:
                return False
            return True

    assert connects(80)
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1")
    Rule(lab.router, "FORWARD", *queue_target(1))
    assert not connects(80)
    assert connects(OTHER_PORT)
    assert engine.stop() == 0


def ipv4_fragments(payload, identification, size):
    fragments = []
    for offset in range(0, len(payload), size):
        piece = payload[offset:offset + size]
        more = 0x2000 if offset + size < len(payload) else 0
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(piece), identification, more | offset // 8, 64, TCP, 0)
        fragments.append(header + address(4, CLIENT[4]) + address(4, SERVER[4]) + piece)
    return fragments


@pytest.mark.parametrize("order", ["in order", "last first"])
def test_a_syn_in_fragments_of_8_bytes_does_not_get_to_port_80(
        lab, start_engine, start_web_server, prober, order):
    """Over IPv4. An IPv6 receiver takes no first fragment without the whole TCP header."""
    start_web_server(lab.server, 80)

    def passes():
        source = prober.port()
        pieces = ipv4_fragments(syn(4, source, 80), source, 8)
        prober.send(4, pieces if order == "in order" else reversed(pieces))
        return prober.answered(4, {source}) == {source}

    assert passes()
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1")
    Rule(lab.router, "FORWARD", *queue_target(1))
    assert not passes()
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in the queue")
    assert engine.stop() == 0
    assert engine.total("dropped") >= 1, engine.final()


def first_fragment(protocol, payload, identification):
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), identification, 0x2000, 64, protocol, 0)
    return header + address(4, CLIENT[4]) + address(4, SERVER[4]) + payload


def test_a_first_fragment_without_its_ports_is_not_taken_for_one_that_has_none(lab, start_engine, prober):
    """Of IPv4: what comes later in it, or instead of it, could be ports. Not all would be put together by Linux."""
    segment, ah = syn(4, prober.port(), 80), struct.pack("!BBHII", TCP, 4, 0, 7, 1) + bytes(12)
    cases = [(TCP, segment[:size]) for size in (0, 1, 4, 7, 8, 16)]
    cases += [(AH, (ah + segment)[:size]) for size in (0, 8, 16, 24, 28, 32, 40)]
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1")
    Rule(lab.router, "FORWARD", *queue_target(1))
    prober.send(4, [first_fragment(protocol, payload, number) for number, (protocol, payload) in enumerate(cases, 1)])
    wait_for(lambda: lab.router.queues()[1].last_id == len(cases) and lab.router.waiting() == 0, "all are decided")
    assert engine.stop() == 0
    assert engine.total("dropped") == engine.total("packets") == len(cases), engine.final()
