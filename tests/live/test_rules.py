# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: the rules of README.md, and those that --print-rules prints, let no packet past the queue that they are for.

The rules are those of README.md, as they are there, and the printed ones with the match that their comment gives. They
are in the router, with drop_tcp80, and a socket that listens on port 80. Each packet here gets the answer of that
socket without rules, and none with them: fragments of which none has a TCP header of its own, in both orders, with
extension headers in front, IPv4 and IPv6. What connection tracking finds invalid reaches neither the plugin nor its
receiver, since the plugin would decide the flow by a packet that its receiver ignores.
"""

import contextlib
import os
import re
import socket
import struct

import pytest

from bypass import Bypass, drop_multicast, printed
from orders import (ACCEPT, ACCEPT_FLOW, CLIENT_PORT, DROP, FAMILIES, SILENCE_SECONDS, TCP_PORT, Connection, head)
from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule, has_nft_queue, load_iptables, load_nft_text, queue_target

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")
BLOCKED, ALLOWED = 80, 8080
TCP, FRAGMENT, HOP_BY_HOP, ROUTING, DESTINATION = 6, 44, 0, 43, 60
SYN, ACK = 0x02, 0x10
ABOVE_WINDOW = 1 << 30
ETH_P_ALL = 3
MORE = 0x2000   # fragments, in the IPv4 header
WHOLE = 8       # the bytes of a fragment are a multiple of it
TRAFFIC_CLASS = 0xb8  # of what is made here, and of nothing else
PADDING = b"\1\4\0\0\0\0"  # fills a header of options of 8 bytes
# In front of the fragment header: the type of each header, and what it has after its first two bytes.
FRONTS = {"nothing": [], "hop-by-hop": [(HOP_BY_HOP, PADDING)], "routing": [(ROUTING, bytes(6))],
          "both": [(HOP_BY_HOP, PADDING), (ROUTING, bytes(6))]}
FORMS = ["README iptables", "README nft", "iptables", "nft"]


@pytest.fixture(autouse=True)
def no_multicast(lab):
    drop_multicast(lab)


# Packets that are made here


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def tcp_segment(addresses, ports, flags=SYN, sequence=1, payload=b"", words=5, damage=0):
    """words: what the data offset says; damage: bits of the checksum that are wrong."""
    family = 6 if ":" in addresses[0] else 4
    segment = struct.pack("!HHIIBBHHH", *ports, sequence, 0, words << 4, flags, 64240, 0, 0) + payload
    pseudo = b"".join(socket.inet_pton(FAMILIES[family], address) for address in addresses)
    pseudo += struct.pack("!II", len(segment), TCP)
    return segment[:16] + struct.pack("!H", checksum(pseudo + segment) ^ damage) + segment[18:]


def ipv4(addresses, payload, fragment=0):
    """fragment: the field of its header. The kernel fills in the header's checksum."""
    return struct.pack("!BBHHHBBH4s4s", 0x45, TRAFFIC_CLASS, 20 + len(payload), 0x4403, fragment, 64, TCP, 0,
                       *(socket.inet_pton(socket.AF_INET, address) for address in addresses)) + payload


def ipv6(addresses, headers, last, payload):
    """headers: type and content of each; last: what the payload begins with."""
    types = [kind for kind, _ in headers] + [last]
    chain = b"".join(struct.pack("!BB", after, 0) + content for after, (_, content) in zip(types[1:], headers))
    return struct.pack("!IHBB16s16s", 6 << 28 | TRAFFIC_CLASS << 20, len(chain) + len(payload), types[0], 64,
                       *(socket.inet_pton(socket.AF_INET6, address) for address in addresses)) + chain + payload


def ipv4_fragments(addresses, segment):
    """No fragment has the whole TCP header: the flags are in the second one."""
    parts = [segment[start:start + WHOLE] for start in range(0, len(segment), WHOLE)]
    return [ipv4(addresses, part, place | (MORE if place < len(parts) - 1 else 0)) for place, part in enumerate(parts)]


def ipv6_fragments(addresses, segment, front):
    """The first one ends after an extension header; the last one has the TCP header, after another one."""
    def fragment(offset_and_more, next_header, payload):
        content = struct.pack("!HI", offset_and_more, 0x80440305)
        return ipv6(addresses, [*FRONTS[front], (FRAGMENT, content)], DESTINATION,
                    struct.pack("!BB", next_header, 0) + PADDING + payload)
    return [fragment(1, DESTINATION, b""), fragment(WHOLE, TCP, segment)]


@contextlib.contextmanager
def watched(namespace, device):
    """What goes through the device from now on: a function that returns its packets so far, from the IP header on."""
    with namespace.entered():
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    with opened:
        opened.bind((device, ETH_P_ALL))
        opened.setblocking(False)

        def packets():
            with contextlib.suppress(BlockingIOError):
                while True:
                    yield opened.recv(65536)
        yield packets


def first_sequence(packets, port):
    """Of the connection to this port: the sequence number of its SYN."""
    for packet in packets:
        segment = packet[20:] if packet[0] >> 4 == 4 else packet[40:]
        if struct.unpack_from("!H", segment, 2) == (port,) and segment[13] & (SYN | ACK) == SYN:
            return struct.unpack_from("!I", segment, 4)[0]
    raise AssertionError("no SYN was sent")


class Caller:
    """Sends segments from the client to the router, in fragments, and counts the answers to its SYNs."""

    def __init__(self, lab):
        self.lab = lab
        self.next_port = 20000
        self.answers = Rule(lab.client, "INPUT", "-p", "tcp", "--tcp-flags", "SYN,ACK", "SYN,ACK")

    def send(self, family, packets, destination):
        with self.lab.client.entered():
            sender = socket.socket(FAMILIES[family], socket.SOCK_RAW, socket.IPPROTO_RAW)
        with sender:
            for packet in packets:
                sender.sendto(packet, (destination, 0))

    def call(self, port, fronts=FRONTS):
        """In all ways; returns how many."""
        ways = [(4, None, backwards) for backwards in (False, True)]
        ways += [(6, front, backwards) for front in fronts for backwards in (False, True)]
        for family, front, backwards in ways:
            self.next_port += 1
            addresses = self.lab.client_addresses[family][0], self.lab.router_main[family]
            segment = tcp_segment(addresses, (self.next_port, port))
            packets = ipv4_fragments(addresses, segment) if family == 4 else ipv6_fragments(addresses, segment, front)
            self.send(family, reversed(packets) if backwards else packets, addresses[1])
        return len(ways)


# The rules


def readme_block(beginning):
    """The block of README.md with a line that begins so."""
    with open(README, encoding="utf-8") as file:
        block, = [block for block in file.read().split("```")[1::2] if re.search(f"^{beginning}", block, re.MULTILINE)]
    return block


def printed_with_match(lab, form):
    """The rules for port 80 alone, by the match that their comment gives."""
    text = printed(lab, f"--print-rules={form}", "--queue", "1")
    match, = re.findall(r"^#   (.* )443$", text, re.MULTILINE)
    statement = "-j NFQUEUE" if form == "iptables" else "counter queue num"
    assert text.count(statement) == 1
    return text.replace(statement, f"{match}{BLOCKED} {statement}")


def queue_without_nft(lab, chain, *match, table):
    """Where nft's rules cannot queue, iptables does, after them."""
    if not has_nft_queue(lab.router):
        Rule(lab.router, chain, *match, *queue_target(1, bypass=True), table=table)


def load(lab, form):
    if form == "README iptables":
        lab.router.run("sh", "-e", "-c", readme_block("for iptables in "))
    elif form == "README nft":
        queue_without_nft(lab, "INPUT", "-p", "tcp", table="filter")
        load_nft_text(lab.router, re.search(r"<<'END'\n(.*)^END$", readme_block("nft -f"), re.DOTALL | re.MULTILINE)[1])
    elif form == "iptables":
        load_iptables(lab.router, printed_with_match(lab, form))
    else:
        queue_without_nft(lab, "INPUT", "-p", "tcp", "--dport", str(BLOCKED), table="mangle")
        load_nft_text(lab.router, printed_with_match(lab, form))


@pytest.mark.parametrize("form", FORMS)
def test_no_fragment_hides_a_connection(lab, start_engine, start_web_server, form):
    """Each of the SYNs is answered without rules. With them, those for the other port are, as far as the kernel delivers
    them after connection tracking has reassembled them: those without a header in front."""
    start_web_server(lab.router, BLOCKED, ALLOWED)
    caller = Caller(lab)
    count = caller.call(BLOCKED)
    wait_for(lambda: caller.answers.packets() == count, "without rules, each is answered")
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1")
    load(lab, form)
    assert caller.call(BLOCKED) == count
    answered = count + caller.call(ALLOWED, ["nothing"])
    wait_for(lambda: caller.answers.packets() >= answered, "those for the other port are answered")
    assert engine.stop() == 0
    assert caller.answers.packets() == answered
    assert engine.total("dropped") == count, "each SYN came to the plugin, as one packet"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("form", ["README iptables", "README nft"])
def test_the_rules_of_the_readme_are_for_both_families(lab, start_engine, start_web_server, family, form):
    start_web_server(lab.router, BLOCKED)
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1")
    load(lab, form)
    with lab.client.entered(), contextlib.closing(socket.socket(FAMILIES[family])) as caller:
        caller.settimeout(SILENCE_SECONDS)
        with pytest.raises(TimeoutError):
            caller.connect((lab.router_main[family], BLOCKED))
    assert engine.stop() == 0
    assert engine.total("dropped") == engine.total("packets") > 0


INVALID = {"wrong checksum": {"damage": 1, "payload": head(ACCEPT_FLOW)}, "shorter than its header": {"words": 15},
           "above the window": {"payload": head(ACCEPT_FLOW)}}


@pytest.mark.parametrize("kind", INVALID)
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("form", ["iptables", "nft"])
def test_what_is_invalid_decides_no_flow(lab, start_engine, tmp_path, listen, talk, form, family, kind):
    """Although it is of a connection that is there: it is neither queued nor forwarded."""
    engine, _ = Bypass(form, lab, start_engine, tmp_path)()
    forwarded = Rule(lab.router, "POSTROUTING", "-m", "tos", "--tos", hex(TRAFFIC_CLASS), table="mangle")
    addresses = lab.client_addresses[family][0], lab.server_main[family]
    later = talk()
    listener = listen(lab.server, addresses[1])
    with watched(lab.client, "link1") as packets, contextlib.closing(Connection(lab, listener)) as connection:
        assert connection.exchange(ACCEPT)
        sequence = (first_sequence(packets(), TCP_PORT) + ABOVE_WINDOW) % (1 << 32)
        segment = tcp_segment(addresses, (CLIENT_PORT, TCP_PORT), ACK, sequence, **INVALID[kind])
        packet = ipv4(addresses, segment) if family == 4 else ipv6(addresses, [], TCP, segment)
        Caller(lab).send(family, [packet] * 3, addresses[1])
        later.send(ACCEPT)
        wait_for(lambda: later.came() == [0], "what was sent after it arrives")
        assert forwarded.packets() == 0
        assert not connection.exchange(DROP, timeout=SILENCE_SECONDS), "the plugin decides"
    assert engine.stop() == 0
    assert engine.total("flows_added") == 0
