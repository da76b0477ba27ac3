# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: packets that are made to be taken for something else do not get past the verdicts of flows.

The packets are made by hand (wire.py), the host that answers is a real one. A new connection between the ports of an
accepted flow does not get the flow's verdict, wherever in the packet its SYN is. A packet that its receiver ignores
decides no flow. Many flows of one or two packets do not push other flows out of the table.
"""

import contextlib
import socket
import threading
import time
from collections import namedtuple

import pytest

import wire
from orders import (ACCEPT, ACCEPT_FLOW, CLIENT_PORT, DROP, DROP_FLOW, SILENCE_SECONDS, TALK_PORT, TCP_PORT, Connection,
                    Trace, head, traced, wait_decided)
from support.commands import wait_for
from support.lab import Lab
from support.rules import Rule, queue_target
from support.scale import scaled_count
from wire import ACK, AH, DESTINATION, FRAGMENT, HOP_BY_HOP, ICMP, PSH, ROUTING, SYN, TCP, UDP, extension, ip

MSS = bytes.fromhex("020405b4")
SEQUENCE = 1_000_000
Flood = namedtuple("Flood", "port packets")
FLOODS = {"udp": Flood(7900, 1), "udp, answered": Flood(7901, 2), "tcp": Flood(7902, 2), "tcp, SYN": Flood(7903, 3)}
FLOOD_STEP = 20
ACCEPTED, DROPPED = 100, 20
ESTABLISHED_SECONDS = 2.1  # a flow without a handshake is established after 2
SO_RCVBUFFORCE = 33


@pytest.fixture
def sender(lab):
    with contextlib.closing(wire.Wire(lab)) as opened:
        yield opened


@pytest.fixture
def start_obey(lab, start_engine, tmp_path):
    """start_obey(arguments..., others=order): an engine with obey, whose queue gets all forwarded packets. Its trace."""
    def start(*arguments, **options):
        trace = Trace(tmp_path, "obey")
        engine = start_engine("--plugin", traced("obey", trace, **options), "--queue", "1", *arguments)
        Rule(lab.router, "FORWARD", *queue_target(1))
        return engine, trace
    return start


def whole(source, dest, segment):
    return [ip(source, dest, TCP, segment)]


def after(*kinds):
    """The segment after these extension headers."""
    def make(source, dest, segment):
        payload, following = segment, TCP
        for kind in reversed(kinds):
            payload = (wire.routing(following, dest) if kind == ROUTING else
                       wire.ipv6_fragment(following, 0, False) if kind == FRAGMENT else
                       extension(following, 16 if kind == DESTINATION else 8)) + payload
            following = kind
        return [ip(source, dest, following, payload)]
    return make


def in_fragments(size, last_first=False):
    """The segment in IPv4 fragments of so many bytes."""
    def make(source, dest, segment):
        parts = [ip(source, dest, TCP, segment[at:at + size], offset=at, more=at + size < len(segment))
                 for at in range(0, len(segment), size)]
        return parts[::-1] if last_first else parts
    return make


def in_ipv6_fragments(source, dest, segment):
    """Linux wants the whole TCP header in the first one."""
    return [ip(source, dest, FRAGMENT, wire.ipv6_fragment(TCP, at, more) + segment[at:end])
            for at, end, more in ((0, 24, True), (24, len(segment), False))]


def by_segments(source, dest, segment):
    """By another address first, from which the server sends it on, here to itself."""
    first = Lab.server_addresses[6][0]
    return [ip(source, first, ROUTING, wire.routing(TCP, dest, first, kind=4, left=1) + segment)]


@pytest.mark.parametrize("family, make", [
    (4, whole), (6, whole), (6, after(DESTINATION)), (6, after(HOP_BY_HOP)), (6, after(ROUTING)), (6, after(FRAGMENT)),
    (6, after(HOP_BY_HOP, DESTINATION, ROUTING, DESTINATION)), (6, by_segments), (6, in_ipv6_fragments),
    (4, in_fragments(8)), (4, in_fragments(8, last_first=True)), (4, in_fragments(16)), (4, in_fragments(24))], ids=[
        "ipv4", "ipv6", "destination", "hop by hop", "routing", "atomic fragment", "four headers", "segments",
        "ipv6 fragments", "8 bytes", "8 bytes, last first", "16 bytes", "24 bytes"])
def test_a_new_connection_is_decided_wherever_its_syn_is(lab, start_obey, listen, sender, family, make):
    """The first connection is accepted, and reset. The next one between the same ports begins by hand."""
    for interface in ("all", "link2"):
        lab.server.write(f"/proc/sys/net/ipv6/conf/{interface}/seg6_enabled", "1")
    engine, trace = start_obey()
    server = listen(lab.server, lab.server_main[family])
    with contextlib.closing(Connection(lab, server)) as first:
        assert first.exchange(ACCEPT_FLOW)
        assert first.exchange(DROP), "the flow is accepted"
    decided, asked = lab.router.queues()[1].last_id, trace.asked()
    assert asked == 4
    Rule(lab.client, "OUTPUT", "-p", "tcp", "--tcp-flags", "RST", "RST", "-j", "DROP")  # no socket knows the connection
    source, dest = (lab.client_addresses[family][0], CLIENT_PORT), (lab.server_main[family], TCP_PORT)
    packets = make(source[0], dest[0], wire.tcp(source, dest, SYN, sequence=SEQUENCE, options=MSS, data=bytes(8)))
    sender.send(*packets)
    acknowledged = sender.take_syn_ack(SEQUENCE) + 1
    wait_decided(lab.router, decided + len(packets) + 1)
    assert trace.asked() == asked + len(packets) + 1, "about the SYN, and the SYN with ACK"
    sender.send(ip(source[0], dest[0], TCP, wire.tcp(source, dest, ACK | PSH, sequence=SEQUENCE + 1,
                                                     acknowledged=acknowledged, data=head(DROP))))
    wait_for(lambda: trace.asked() >= asked + len(packets) + 2, "it is asked about what is sent")
    assert engine.stop() == 0
    assert engine.total("dropped") == 1


@pytest.mark.parametrize("size", [0, 8, 16])
def test_a_syn_after_ah_in_fragments_does_not_get_the_verdict_of_its_flow(lab, start_obey, listen, sender, size):
    """Of IPv4. AH is what can come before the ports, so that they, or the SYN, are in a later fragment: then no plugin
    is told of ports, and the flow is neither decided nor used. With the ports known, the flow is ended if the fragment
    is accepted."""
    engine, trace = start_obey()
    server = listen(lab.server, lab.server_main[4])
    Rule(lab.server, "INPUT", "-p", str(AH), "-j", "DROP")  # it answers nothing
    with contextlib.closing(Connection(lab, server)) as connection:
        assert connection.exchange(ACCEPT_FLOW)
        assert connection.exchange(DROP), "the flow is accepted"
        decided, asked = lab.router.queues()[1].last_id, trace.asked()
        source, dest = (lab.client_addresses[4][0], CLIENT_PORT), (lab.server_main[4], TCP_PORT)
        payload = wire.authentication(TCP) + wire.tcp(source, dest, SYN, sequence=SEQUENCE)
        first = len(payload) - 20 + size
        sender.send(ip(source[0], dest[0], AH, payload[:first], more=True),
                    ip(source[0], dest[0], AH, payload[first:], offset=first))
        wait_decided(lab.router, decided + 2)
        assert trace.asked() == asked + 2
        assert connection.exchange(DROP, timeout=SILENCE_SECONDS) == (size == 0)
    assert engine.stop() == 0
    assert engine.total("flows_added") == 1, engine.final()


# What its receiver ignores


def ignored(kind, source, dest):
    """A packet that the receiver ignores, and one of the same flow that it takes."""
    asks = head(ACCEPT_FLOW)
    if kind in ("tcp header", "tcp checksum"):
        wrong = (wire.tcp(source, dest, ACK, words=15) if kind == "tcp header" else
                 wire.tcp(source, dest, ACK | PSH, data=asks, wrong=1))
        return TCP, wrong, wire.tcp(source, dest, ACK | PSH, data=asks)
    if kind == "echo checksum":
        return ICMP, wire.echo(source[1], asks, wrong=1), wire.echo(source[1], asks)
    wrong = {"udp too long": wire.udp(source, dest, asks, length=8 + len(asks) + 1),
             "udp too short": wire.udp(source, dest, asks, length=7),
             "udp checksum": wire.udp(source, dest, asks, wrong=1)}[kind]
    return UDP, wrong, wire.udp(source, dest, asks)


@pytest.mark.parametrize("family, kind", [
    (4, "tcp header"), (6, "tcp header"), (4, "tcp checksum"), (6, "tcp checksum"), (4, "udp too long"),
    (6, "udp too short"), (4, "udp checksum"), (6, "udp checksum"), (4, "echo checksum")])
def test_a_packet_that_its_receiver_ignores_decides_no_flow(lab, start_obey, sender, family, kind):
    """The plugin decides for the flow on each packet, the next one of the flow included."""
    engine, trace = start_obey(others=ACCEPT_FLOW)
    source, dest = (lab.client_addresses[family][0], 7801), (lab.server_main[family], 7802)
    protocol, wrong, right = ignored(kind, source, dest)
    Rule(lab.server, "INPUT", "-p", {TCP: "tcp", UDP: "udp", ICMP: "icmp"}[protocol], "-j", "DROP")  # it answers nothing
    for count, (payload, asked) in enumerate(((wrong, 1), (wrong, 2), (right, 3), (right, 3)), 1):
        sender.send(ip(source[0], dest[0], protocol, payload))
        wait_decided(lab.router, count)
        assert trace.asked() == asked
    assert engine.stop() == 0
    assert engine.total("flow_not_stored") == 2 and engine.total("flows_added") == 1, engine.final()


# Many flows


@pytest.fixture
def answerer(lab):
    """What answers each datagram to one port of the server, and each SYN to another one."""
    with lab.server.entered():
        datagrams, listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    address = (lab.server_main[4], FLOODS["udp, answered"].port)
    with datagrams, listener:
        datagrams.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        datagrams.bind(address)
        listener.bind((lab.server_main[4], FLOODS["tcp, SYN"].port))
        listener.listen()

        def answer():
            while True:
                data, source = datagrams.recvfrom(100)
                if data == b"end":
                    return
                datagrams.sendto(data, source)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        with lab.server.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", address)
        thread.join()


def flood(lab, sender, kind, decided, count):
    """So many flows of the client's: of one packet of UDP; of two, with the answer; of TCP, answered by a reset; of two
    packets of TCP, SYN and SYN with ACK, and a reset by the client. decided: packets so far; returns how many then.
    A few at a time, so that the answer finds the flow in the table."""
    packets = FLOODS[kind].packets
    for number in range(count):
        source = (lab.client_addresses[4][number % 32], 10000 + number)
        dest = (lab.server_main[4], FLOODS[kind].port)
        sender.send(ip(source[0], dest[0], UDP, wire.udp(source, dest, b"one")) if kind.startswith("udp") else
                    ip(source[0], dest[0], TCP, wire.tcp(source, dest, SYN if kind == "tcp, SYN" else ACK)))
        if number % FLOOD_STEP == FLOOD_STEP - 1:
            wait_decided(lab.router, decided + packets * (number + 1))
    return decided + packets * count


class Flooded:
    """An engine whose queue gets a flood, and the flows that are to outlast it: of each the first packet is decided. The
    dropped flows have shown one packet."""

    def __init__(self, lab, start_engine, directory, talk, queue, kind, size):
        self.lab, self.kind = lab, kind
        self.trace = Trace(directory, f"obey{queue}")
        self.engine = start_engine("--plugin", traced("obey", self.trace, others=ACCEPT_FLOW), "--queue", str(queue),
                                   "--flow-table", str(size))
        first = (queue - 1) * (ACCEPTED + DROPPED)
        ports = f"{TALK_PORT + first}:{TALK_PORT + first + ACCEPTED + DROPPED - 1}"
        protocol = "udp" if kind.startswith("udp") else "tcp"
        for match in (("-p", "udp", "--dport", ports), ("-p", protocol, "--dport", str(FLOODS[kind].port)),
                      ("-p", protocol, "--sport", str(FLOODS[kind].port))):
            Rule(lab.router, "FORWARD", *match, *queue_target(queue))
        self.talks = [talk(first + number) for number in range(ACCEPTED + DROPPED)]
        for number, one in enumerate(self.talks):
            one.send(ACCEPT_FLOW if number < ACCEPTED else DROP_FLOW)

    def answer(self):
        for one in self.talks[:ACCEPTED]:
            one.send(DROP, back=True)

    def check(self, sender, decided, many):
        """The flood, after which all have kept their verdicts. decided: as in flood()."""
        decided = flood(self.lab, sender, self.kind, decided, many)
        asked = self.trace.asked()
        for number, one in enumerate(self.talks):
            one.send(DROP if number < ACCEPTED else ACCEPT)
        decided += len(self.talks)
        wait_decided(self.lab.router, decided)
        wait_for(lambda: all(one.came() == [0, 1] for one in self.talks[:ACCEPTED]), "all accepted flows are still accepted")
        assert all(one.came() == [] for one in self.talks[ACCEPTED:]), "all dropped flows are still dropped"
        assert self.trace.asked() == asked
        return decided


@pytest.mark.parametrize("kinds", [("udp", "udp, answered"), ("tcp", "tcp, SYN")], ids=["udp", "tcp"])
def test_flows_of_one_or_two_packets_replace_no_established_flow_and_no_dropped_one(
        lab, start_engine, tmp_path, talk, sender, answerer, kinds):
    """More than the table holds, of two kinds, with an engine for each kind. The accepted flows are of UDP, and have lasted
    for some seconds."""
    del answerer
    size, many = 800, scaled_count(3200, 1600)
    Rule(lab.server, "INPUT", "-p", "udp", "--dport", str(FLOODS["udp"].port), "-j", "DROP")  # no ICMP errors
    Rule(lab.client, "INPUT", "-p", "udp", "--sport", str(FLOODS["udp, answered"].port), "-j", "DROP")
    flooded = [Flooded(lab, start_engine, tmp_path, talk, queue, kind, size) for queue, kind in enumerate(kinds, 1)]
    decided = len(kinds) * (ACCEPTED + DROPPED)
    wait_decided(lab.router, decided)
    time.sleep(ESTABLISHED_SECONDS)
    for each in flooded:
        each.answer()
    decided += len(kinds) * ACCEPTED
    wait_decided(lab.router, decided)
    for each in flooded:
        decided = each.check(sender, decided, many)
    for each in flooded:
        assert each.engine.stop() == 0
        total = each.engine.total
        assert total("flows_replaced") == total("flows_added") - size >= len(each.talks) + many - size
