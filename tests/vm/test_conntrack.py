# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: with --conntrack, or for a plugin that needs it, a packet comes with what the kernel knows of its connection.

Of that, the ABI has the connection's mark. That it is there, and gone where there is none, is described by the plugin
`describe`; the rest of the attribute is looked at by a netlink client, so that it is known what the kernel would give.
"""

import struct

import pytest

import netlink
from orders import ACCEPT
from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule
from test_flags import HAS_CONNTRACK_MARK, described, through

MARK, LATER_MARK = 0x77, 0x78000000
# As in linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_common.h.
TUPLE_ORIG, TUPLE_REPLY, STATUS, CONNECTION_MARK, ID = 1, 2, 3, 8, 12
ESTABLISHED, NEW, ESTABLISHED_REPLY = 0, 2, 3
SEEN_REPLY, CONFIRMED = 0x2, 0x8


def track(lab):
    """Connections are tracked in the router once a rule asks for their state."""
    Rule(lab.router, "FORWARD", "-m", "conntrack", "--ctstate", "NEW")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name, options", [
    ("describe_conntrack", ()), ("describe_headers", ("--conntrack",)), ("describe", ("--conntrack",))])
def test_the_mark_of_the_connection_comes_as_it_is_at_that_moment(lab, start_engine, through, name, options, family):
    """0 while it has none; then each mark that it was given, however large."""
    track(lab)
    engine = start_engine("--plugin", plugin(name), "--queue", "1", *options)
    datagrams = through(family=family, packet_mark=1)
    datagrams.send()
    described(engine, 1)
    for count, mark in ((2, MARK), (3, LATER_MARK)):
        # In front of the queue, which is in the same table.
        Rule(lab.router, "PREROUTING", "-p", "udp", "-j", "CONNMARK", "--set-mark", hex(mark), table="mangle")
        datagrams.send()
        described(engine, count)
    packets = described(engine, 3)
    assert [packet["conntrack_mark"] for packet in packets] == [0, MARK, LATER_MARK]
    assert all(packet["present"] & HAS_CONNTRACK_MARK for packet in packets), packets
    assert engine.stop() == 0
    assert engine.total("accepted") == 3


@pytest.mark.parametrize("name, tracked", [("describe_conntrack", False), ("describe_headers", True)])
def test_no_mark_comes_without_tracking_or_without_the_flag(lab, start_engine, through, name, tracked):
    if not tracked:
        Rule(lab.router, "PREROUTING", "-p", "udp", "-j", "CT", "--notrack", table="raw")
    Rule(lab.router, "PREROUTING", "-p", "udp", "-j", "CONNMARK", "--set-mark", hex(MARK), table="mangle")
    engine = start_engine("--plugin", plugin(name), "--queue", "1")
    through(packet_mark=1).send()
    packet = described(engine, 1)[0]
    assert packet["present"] & HAS_CONNTRACK_MARK == packet["conntrack_mark"] == 0, packet
    assert engine.stop() == 0


def test_10_what_the_conntrack_attribute_says_of_a_connection(lab, talk):
    """The number is that of docs/kernel-notes.md. Three packets: the first, one back, one more."""
    track(lab)
    lab_rules = [Rule(lab.router, "FORWARD", "-p", "udp", "-j", "NFQUEUE", "--queue-num", "1")]
    client = netlink.Client(lab.router)
    try:
        client.bind(1, netlink.flags(netlink.CONNTRACK), netlink.mask(netlink.CONNTRACK))
        one = talk()
        seen = []
        for back in (False, True, False):
            one.send(ACCEPT, back=back)
            packet = client.packet()
            info, = struct.unpack("!I", packet.attributes[netlink.CT_INFO])
            seen.append((info, netlink.attributes_of(packet.attributes[netlink.CT])))
            assert client.answer(1, packet.id, netlink.ACCEPT) is None
        wait_for(lambda: (one.came(), one.came(back=True)) == ([0, 1], [0]), "all arrive")
    finally:
        client.close()
    assert [info for info, _ in seen] == [NEW, ESTABLISHED_REPLY, ESTABLISHED]
    statuses = [struct.unpack("!I", attributes[STATUS])[0] & (SEEN_REPLY | CONFIRMED) for _, attributes in seen]
    assert statuses == [0, SEEN_REPLY | CONFIRMED, SEEN_REPLY | CONFIRMED]
    for _, attributes in seen:
        assert {TUPLE_ORIG, TUPLE_REPLY, STATUS, CONNECTION_MARK, ID} <= set(attributes)
        assert attributes[TUPLE_ORIG] == seen[0][1][TUPLE_ORIG], "one connection, whatever the direction"
    assert lab_rules[0].packets() == 3
