# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: what a bridge forwards is decided like what a router forwards, and says by which port it came and goes.

The router's namespace joins client and server with a bridge of its own. Its packets get into the queue in two ways: by
a rule of nft's family `bridge`, which takes `queue` for nft, and by a rule of iptables, which br_netfilter asks about
bridged packets. In both, the interfaces are the bridge, the physical ones its ports. VLAN tag and link-layer header come
the first way alone; a netlink client looks at what the kernel sends, a plugin at what reaches it.
"""

import contextlib
import struct

import pytest

import netlink
from bridge import MACS, VLAN, Bridge
from orders import ACCEPT, DROP, Trace, head, traced, wait_decided
from support.commands import wait_for
from support.engine import plugin
from test_flags import described

AF_INET, AF_BRIDGE, AF_INET6 = 2, 7, 10
FORWARD = 2
HAS_IN, HAS_OUT, HAS_PHYSICAL_IN, HAS_PHYSICAL_OUT = 0x04, 0x08, 0x10, 0x20  # as in nfqe/abi.h
HAS_VLAN, HAS_LINK_HEADER = 0x1000, 0x2000
PRIORITY = 5
VLAN_PROTOCOL, VLAN_TCI = 1, 2  # within NFQA_VLAN, as in linux/netfilter/nfnetlink_queue.h
ETHERNET = 14
TAG_PROTOCOL = 0x8100


@pytest.fixture
def bridge(lab):
    return Bridge(lab, vlan=True)


@pytest.mark.parametrize("way, vlan", [("nft", 0), ("nft", VLAN), ("br_netfilter", 0)])
@pytest.mark.parametrize("family", [4, 6])
def test_a_bridged_packet_names_the_bridge_and_its_ports(bridge, start_engine, way, vlan, family):
    engine = start_engine("--plugin", plugin("describe_payload"), "--queue", "1", "--gso", "off")
    bridge.queue(way)
    with bridge.talk(family, vlan) as one:
        one.send(ACCEPT, size=100)
        wait_for(lambda: one.came() == [0], "what is accepted arrives")
    packet = described(engine, 1)[0]
    assert packet["family"] == (AF_BRIDGE if way == "nft" else {4: AF_INET, 6: AF_INET6}[family]), packet
    assert packet["hook"] == FORWARD and packet["hw_protocol"] == {4: 0x0800, 6: 0x86dd}[family], packet
    wanted = HAS_IN | HAS_OUT | HAS_PHYSICAL_IN | HAS_PHYSICAL_OUT
    assert packet["present"] & wanted == wanted, packet
    assert packet["in"] == packet["out"] == bridge.index("bridge0"), packet
    assert (packet["phys_in"], packet["phys_out"]) == (bridge.index("port1"), bridge.index("port2")), packet
    assert packet["hw_address"] == MACS["client"].replace(":", ""), packet
    assert packet["len"] == packet["wire_len"] == 100 + {4: 28, 6: 48}[family], "from the network header on"
    assert packet["checksum"] == "valid", packet
    assert engine.stop() == 0


@pytest.mark.parametrize("way, vlan", [("nft", 0), ("nft", VLAN), ("br_netfilter", 0)])
@pytest.mark.parametrize("family", [4, 6])
def test_vlan_tag_and_link_layer_header_reach_the_plugin(bridge, start_engine, way, vlan, family):
    """With a tag, the header is as without: the kernel has taken the tag out of it. The tag has a priority, too."""
    if vlan:
        bridge.lab.client.run("ip", "link", "set", "tagged", "type", "vlan", "egress-qos-map", f"0:{PRIORITY}")
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1")
    bridge.queue(way)
    with bridge.talk(family, vlan) as one:
        one.send(ACCEPT, size=100)
        wait_for(lambda: one.came() == [0], "what is accepted arrives")
    packet = described(engine, 1)[0]
    assert packet["present"] & (HAS_VLAN | HAS_LINK_HEADER) == (
        HAS_LINK_HEADER * (way == "nft") | HAS_VLAN * bool(vlan)), packet
    assert packet["vlan"] == (f"{TAG_PROTOCOL:#06x}:{PRIORITY << 13 | vlan:#06x}" if vlan else "0x0000:0x0000"), packet
    header = (MACS["server"] + MACS["client"]).replace(":", "") + {4: "0800", 6: "86dd"}[family]
    wanted = (ETHERNET, int(header, 16)) if way == "nft" else (0, "0x")
    assert (packet["link_header_len"], packet["link_header"]) == wanted, packet
    assert engine.stop() == 0


@pytest.mark.parametrize("way, vlan, family", [("nft", 0, 4), ("nft", VLAN, 6), ("br_netfilter", 0, 6)])
def test_a_bridged_packet_gets_the_verdict_of_the_plugin(lab, bridge, start_engine, tmp_path, way, vlan, family):
    """Each one its own; and without an engine all pass by the rule's bypass."""
    trace = Trace(tmp_path, "obey")
    engine = start_engine("--plugin", traced("obey", trace), "--queue", "1")
    bridge.queue(way)
    with bridge.talk(family, vlan) as one:
        for _ in range(10):
            one.send(ACCEPT, 2)
            one.send(DROP)
        wait_decided(lab.router, 30)
        expected = [number for number in range(30) if number % 3 != 2]
        wait_for(lambda: len(one.came()) == len(expected), "what is accepted arrives")
        assert one.came() == expected and trace.asked() == 30
        assert engine.stop() == 0
        one.send(DROP, 3)
        wait_for(lambda: one.came() == [*expected, 30, 31, 32], "all arrive without an engine")
    assert engine.total("dropped") == 10 and engine.total("accepted") == 20


@pytest.mark.parametrize("vlan", [0, VLAN])
def test_13_vlan_and_link_layer_header_come_for_bridges(lab, bridge, vlan):
    """The number is that of docs/kernel-notes.md. The payload begins with the network header in either case."""
    bridge.queue("nft")
    with contextlib.closing(netlink.Client(lab.router)) as client, bridge.talk(4, vlan) as one:
        client.bind(1)
        one.send(ACCEPT)
        packet = client.packet()
        attributes = packet.attributes
        assert packet.protocol == 0x0800 and attributes[netlink.PAYLOAD][28:] == head(ACCEPT)
        link = attributes[netlink.L2HDR]
        assert len(link) == ETHERNET
        assert (link[:6].hex(":"), link[6:12].hex(":")) == (MACS["server"], MACS["client"])
        assert (netlink.VLAN in attributes) == bool(vlan)
        if vlan:
            tag = netlink.attributes_of(attributes[netlink.VLAN])
            assert struct.unpack("!H", tag[VLAN_PROTOCOL]) == (TAG_PROTOCOL,)
            assert struct.unpack("!H", tag[VLAN_TCI])[0] & 0xfff == VLAN
        assert client.answer(1, packet.id, netlink.ACCEPT) is None
        wait_for(lambda: one.came() == [0], "it arrives, with its tag")
