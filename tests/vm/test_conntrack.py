# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: with --conntrack, or for a plugin that needs it, a packet comes with what the kernel knows of its connection.

What reaches a plugin is described by the plugin `describe`, and compared with what the kernel says of the same connection
in /proc/net/nf_conntrack. A netlink client looks at the attribute itself, so that it is known what the kernel gives.
"""

import ipaddress
import re
import struct
import time

import pytest

import netlink
from orders import ACCEPT
from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule
from test_flags import HAS_CONNTRACK_MARK, described, read_pairs, through

MARK, LATER_MARK = 0x77, 0x78000000
# As in linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_common.h.
TUPLE_ORIG, TUPLE_REPLY, STATUS, CONNECTION_MARK, ID = 1, 2, 3, 8, 12
ESTABLISHED, NEW, ESTABLISHED_REPLY = 0, 2, 3
SEEN_REPLY, CONFIRMED = 0x2, 0x8
HAS_ENTRY = 0x1 | 0x2 | 0x4 | 0x8  # of enum nfqe_conntrack_presence: tuples, mark, id, status


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


def said(engine, what):
    """The lines of `describe` about conntrack entries."""
    return [read_pairs(match.group(1)) for match in engine.matches(rf"plugin describe\w*: {what}: (.*)$")]


def kernel_entry(lab, family):
    """The text of the kernel's only UDP connection of that family, and its pairs; those of replies come second."""
    lines = [line for line in lab.router.read("/proc/thread-self/net/nf_conntrack").splitlines()
             if line.startswith({4: "ipv4", 6: "ipv6"}[family]) and " udp " in line]
    assert len(lines) == 1, lines
    return lines[0], re.findall(r"(\w[\w-]*)=(\S+)", lines[0])


@pytest.mark.parametrize("family", [4, 6])
def test_the_entry_is_what_the_kernel_says_of_the_connection(lab, start_engine, talk, family):
    """A packet, one back, one more. The kernel counts a packet before the queue sees it."""
    for name in ("acct", "timestamp"):
        lab.router.write(f"/proc/sys/net/netfilter/nf_conntrack_{name}", "1")
    track(lab)
    Rule(lab.router, "PREROUTING", "-p", "udp", "-j", "CONNMARK", "--set-mark", hex(MARK), table="mangle")
    Rule(lab.router, "PREROUTING", "-p", "udp", "-j", "MARK", "--set-mark", "1", table="mangle")
    Rule(lab.router, "FORWARD", "-p", "udp", "-j", "NFQUEUE", "--queue-num", "1")
    engine = start_engine("--plugin", plugin("describe_conntrack"), "--queue", "1")
    before = int(time.time())
    one = talk(family=family)
    for number, back in enumerate((False, True, False)):
        one.send(ACCEPT, back=back)
        wait_for(lambda number=number: len(one.came()) + len(one.came(back=True)) == number + 1, "it arrives")
    described(engine, 3)
    text, pairs = kernel_entry(lab, family)
    assert engine.stop() == 0
    entries, originals, replies = said(engine, "entry"), said(engine, "original"), said(engine, "reply")
    assert [(entry["state"], entry["is_reply"]) for entry in entries] == [(NEW, 0), (ESTABLISHED, 1), (ESTABLISHED, 0)]
    last = entries[2]
    assert all(entry["present"] & HAS_ENTRY == HAS_ENTRY for entry in entries), entries
    for tuples, place in ((originals, 0), (replies, 1)):
        wanted = {name: [value for key, value in pairs if key == name][place] for name in ("src", "dst", "sport", "dport")}
        for said_of in tuples:
            for end in ("source", "dest"):
                address = int(ipaddress.ip_address(wanted[{"source": "src", "dest": "dst"}[end]]))
                assert said_of[end] == address, (said_of, wanted)
            assert (said_of["sport"], said_of["dport"]) == (int(wanted["sport"]), int(wanted["dport"])), text
            assert said_of["protocol"] == 17 and said_of["zone"] == 0
    for name in ("packets", "bytes"):
        assert last[name] == ":".join(value for key, value in pairs if key == name), (last, text)
    assert last["mark"] == MARK == int(dict(pairs)["mark"]), text
    assert abs(last["timeout"] - int(text.split()[4])) <= 60 and last["id"] == entries[0]["id"], text
    assert last["status"] & (SEEN_REPLY | CONFIRMED) == SEEN_REPLY | CONFIRMED and not entries[0]["status"] & SEEN_REPLY
    assert before - 1 <= last["start_s"] <= int(time.time()), last


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
