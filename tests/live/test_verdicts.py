# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: each packet gets the verdict that it asks for, also while its queue is full and many packets are dropped.

Batch verdicts apply to all ids up to their own, so a wrong batch gives a packet its neighbour's verdict, which a
counter of accepted packets alone may not show. So each datagram contains the verdict that it asks for (orders.py), in
runs, alternating and at random; the sender always sends more than the queue can hold; and sender, plugin and receiver
are compared datagram by datagram. The kernel must have counted exactly those that the plugin was not asked about as
dropped.
"""

import itertools
import random

import pytest

from orders import ACCEPT, ACCEPT_FLOW, DROP, DROP_FLOW, Trace, traced
from support.commands import wait_for
from support.rules import Rule
from support.scale import scaled_count
from support.seeds import new_seed

FLOWS = 64       # as many as the pump has source addresses
MAX_LEN = 64     # a fraction of what the pump has on its way, so the queue is full again and again
WINDOW = 900
RELEASE_SECONDS = 0.005
SETTLE_SECONDS = 0.6
SEGMENT_MAX = 300  # datagrams of one pattern
WORK_MICROSECONDS = 20
BURST = 64       # handle_batch() is also asked about packets after the deciding one in its burst
MARK_BITS, MARK_MASK = 0x10, 0x30
# What the firewall does at random to packets before they are queued: DSCP, and the mark that goes with it.
PAINTED = {0: 0, 1: 0x01, 2: 0x22}


def patterns(count, generator):
    """Orders in irregular patterns."""
    makers = (
        lambda: itertools.repeat(generator.choice((ACCEPT, DROP))),
        lambda: itertools.cycle((ACCEPT, DROP)),
        lambda: itertools.cycle((ACCEPT, ACCEPT, DROP)),
        lambda: iter(lambda: generator.choice((ACCEPT, DROP)), None),
        lambda: iter(lambda: DROP if generator.random() < 0.05 else ACCEPT, None),
    )
    marks = bytearray()
    while len(marks) < count:
        marks += bytes(itertools.islice(generator.choice(makers)(), generator.randrange(1, SEGMENT_MAX)))
    return marks[:count]


class Flood:
    """What became of a flood of datagrams with these orders through one queue or more, of which every one was full."""

    def __init__(self, lab, start_engine, start_pump, directory, marks, name="obey", queues=1, options=()):
        count = len(marks)
        self.marks, self.batches = marks, name.endswith("batch")
        trace = Trace(directory, name, count)
        self.engine = start_engine("--plugin", traced(name, trace, FLOWS, work=WORK_MICROSECONDS), "--queue",
                                   f"1-{queues}" if queues > 1 else "1", "--max-len", str(MAX_LEN), *options)
        rule = lab.queue_pump_traffic(1, queues)
        after = lab.count_pump_traffic(lab.router, "POSTROUTING")
        pump = start_pump(count, marks=bytes(marks), flows=FLOWS, window=WINDOW, release=RELEASE_SECONDS,
                          settle=SETTLE_SECONDS)
        report = pump.report(lambda: lab.all_decided(count))
        wait_for(lambda: lab.router.waiting() == 0, "no packet waits in a queue")
        kernel = lab.router.queues()
        assert self.engine.stop() == 0
        self.arrived, self.asked = pump.arrived, trace.datagrams()
        total = self.engine.total
        self.context = context = f"{report}, {self.engine.final()}, {kernel}"
        assert all(queue.queue_dropped > 0 for queue in kernel.values()), f"every queue was full: {context}"
        refused = sum(queue.queue_dropped + queue.user_dropped for queue in kernel.values())
        assert refused == total("kernel_queue_dropped") + total("kernel_user_dropped"), context
        assert report["sent"] == rule.packets() == count, f"lost before the queue: {context}"
        assert total("packets") == sum(queue.last_id for queue in kernel.values()) == count - refused, context
        assert report["received"] == after.packets() == total("accepted"), context
        assert report["sent"] == report["received"] + total("dropped") + refused, context
        assert report["duplicates"] == report["out_of_order"] == 0, context
        assert sum(self.arrived) == report["received"], context
        assert max(self.asked) == 1, f"no plugin was asked twice: {context}"
        for counter in ("crash_verdicts", "invalid", "verdicts_resent", "stale_verdicts", "verdict_errors", "receive_errors", "truncated",
                        "malformed", "recovered_ids", "restarts", "flows_replaced", "flows_expired", "flow_not_stored"):
            assert total(counter) == 0, f"{counter}: {context}"

    def wrong(self, indexes):
        """Those of them about which the plugin was asked, and which did not get what they ask for; or about which it
        was not, but which arrived."""
        return [index for index in indexes
                if self.arrived[index] != (self.asked[index] and self.marks[index] in (ACCEPT, ACCEPT_FLOW))]


@pytest.mark.parametrize("queues", [1, 2])
@pytest.mark.parametrize("name", ["obey", "obey_batch"])
def test_each_packet_gets_what_it_asks_for(lab, start_engine, start_pump, tmp_path, name, queues):
    count = scaled_count(120000, 15000)
    seed = new_seed()
    flood = Flood(lab, start_engine, start_pump, tmp_path, patterns(count, random.Random(seed)), name, queues)
    assert flood.wrong(range(count)) == [], f"seed {seed}, {flood.context}"
    assert sum(flood.asked) == flood.engine.total("packets"), flood.context


def flow_plan(count, generator):
    """Four kinds of flows, in groups of neighbours: accepted from their first packet on, dropped, decided somewhere in
    the middle, never decided. The first packet of each flow finds room in the queue; no later one can be sure."""
    marks = patterns(count, generator)
    middles = {}
    for flow in range(FLOWS):
        kind = flow // 4 % 4
        if kind < 2:
            marks[flow] = (ACCEPT_FLOW, DROP_FLOW)[kind]
        elif kind == 2:
            middles[flow] = generator.randrange(1, count // FLOWS) * FLOWS + flow
            marks[middles[flow]] = generator.choice((ACCEPT_FLOW, DROP_FLOW))
    return marks, middles


def assert_flows(flood, middles, context):
    """Each packet got the verdict of its flow, if that was decided. How many of an accepted flow were accepted."""
    count = len(flood.marks)
    of_flows = 0
    for flow in range(FLOWS):
        first = flow if flow // 4 % 4 < 2 else middles.get(flow)
        if first is None or not flood.asked[first]:  # never decided, or the queue had no room for what asked for it
            first = count
        before = range(flow, min(first + 1, count), FLOWS)
        after = range(first + FLOWS, count, FLOWS)
        assert flood.wrong(before) == [], context
        asked = sum(flood.asked[index] for index in after)
        assert asked == 0 or flood.batches and asked < BURST, f"asked about a decided flow: {context}"
        if first < count and flood.marks[first] == DROP_FLOW:
            assert not any(flood.arrived[index] for index in after), f"passed, of a dropped flow: {context}"
        elif first < count:
            of_flows += sum(flood.arrived[index] for index in after) + flood.arrived[first]
    total = flood.engine.total
    unasked = total("packets") - sum(flood.asked)
    assert total("flow_packets") == unasked or flood.batches and total("flow_packets") > unasked, context
    assert of_flows > 0 and total("flow_packets") > of_flows, context
    return of_flows


@pytest.mark.parametrize("name, queues", [("obey", 1), ("obey", 2), ("obey_batch", 1)])
def test_each_packet_gets_the_verdict_of_its_flow(lab, start_engine, start_pump, tmp_path, name, queues):
    count = scaled_count(120000, 15000)
    seed = new_seed()
    marks, middles = flow_plan(count, random.Random(seed))
    flood = Flood(lab, start_engine, start_pump, tmp_path, marks, name, queues)
    assert_flows(flood, middles, f"seed {seed}, {flood.context}")


@pytest.mark.parametrize("name", ["obey", "obey_batch"])
def test_each_packet_keeps_its_mark_beside_the_bits_of_its_flow(
        lab, start_engine, start_pump, tmp_path, name):
    """Marks differ from packet to packet, so neighbours with the same verdict may not share a batch. What the mark was
    is painted onto the packet (DSCP) as well, so each combination is counted after the queue."""
    count = scaled_count(80000, 10000)
    seed = new_seed()
    for dscp, probability in ((1, 0.7), (2, 0.4)):
        Rule(lab.router, "PREROUTING", "-p", "udp", "-m", "dscp", "--dscp", "0", "-m", "statistic", "--mode", "random",
             "--probability", str(probability), "-j", "DSCP", "--set-dscp", str(dscp), table="mangle")
        Rule(lab.router, "PREROUTING", "-p", "udp", "-m", "dscp", "--dscp", str(dscp), "-j", "MARK", "--set-mark",
             hex(PAINTED[dscp]), table="mangle")
    flowing, ordinary = {}, {}
    for dscp, before in PAINTED.items():
        for counters, mark in ((flowing, before & ~MARK_MASK | MARK_BITS), (ordinary, before & ~MARK_MASK)):
            counters[dscp] = Rule(lab.router, "POSTROUTING", "-m", "dscp", "--dscp", str(dscp),
                                  "-m", "mark", "--mark", hex(mark), table="mangle")
    marks, middles = flow_plan(count, random.Random(seed))
    flood = Flood(lab, start_engine, start_pump, tmp_path, marks, name, 1,
                  ("--bypass-mark", f"{MARK_BITS:#x}/{MARK_MASK:#x}"))
    context = f"seed {seed}, {flood.context}"
    of_flows = assert_flows(flood, middles, context)
    counted = {dscp: (flowing[dscp].packets(), ordinary[dscp].packets()) for dscp in PAINTED}
    assert all(min(pair) > 0 for pair in counted.values()), f"{counted}, {context}"
    assert sum(pair[0] for pair in counted.values()) == of_flows, f"{counted}, {context}"
    assert sum(map(sum, counted.values())) == sum(flood.arrived), f"no packet has another mark: {counted}, {context}"
