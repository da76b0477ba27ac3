# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets: what each measure must reach, and how that is read from the figures.

A target is one line of the table. A function computes its value from the figures, and returns None if one is missing.
"""

from collections import namedtuple

import flows
from saturation import LOAD_FLOWS

ENGINE, TUNED, CLASSIC, NONE = "engine drop_tcp80", "reference_tuned", "reference_classic", "no queue"

# compare: ">=" or "<="; unit: how the value is written, "x" for a ratio; note: what is compared, where that needs words
Target = namedtuple("Target", "measure compare limit unit value note", defaults=[None])
Verdict = namedtuple("Verdict", "target value met")


def ratio(measure, to, subject=ENGINE):
    return lambda figures: figures.ratio(measure, subject, to)


def median(measure, subject=ENGINE):
    return lambda figures: figures.median(measure, subject)


def further_plugin(to, since):
    def value(figures):
        many = figures.median(f"decode, chain of {to}, encode", ENGINE)
        few = figures.median(f"decode, chain of {since}, encode", ENGINE)
        return None if many is None or few is None else (many - few) / (to - since)
    return value


def further_queue(figures):
    two, one = figures.median("memory, 2 queues", ENGINE), figures.median("memory, 1 queue", ENGINE)
    return None if one is None or two is None else two - one


def unpinned_extra(figures):
    ours, theirs = (figures.median("latency p50, unpinned", subject) for subject in (ENGINE, CLASSIC))
    return None if ours is None or theirs is None else ours - theirs


def look_up_growth(figures):
    most, least = (figures.median(flows.look_up(flows.TABLE_SIZES[i]), flows.FLOW) for i in (-1, 0))
    return None if most is None or least is None else most / least


def idle_of_others(figures):
    values = [figures.median(f"idle wake-ups, {role}", ENGINE) for role in ("queue process", "workers", "fork server")]
    return None if None in values else sum(values)


HALF_CPU_NOTE = (
    "The reader shares its CPU with a real-time process that takes half of the time: alone, it would drop more than "
    "the load's CPU can bring. A figure is kept only if the reader got its half.")
BYPASS_NOTE = (
    f"The rules that nfq-engine prints for --bypass-mark, with an engine whose plugin accepts every flow; and the same "
    f"rules without the line that queues. Bulk TCP is one connection; datagrams are {flows.BYPASS_FLOWS} flows, each "
    f"datagram a packet of its own, counted at the socket that they are for.")
FLOW_NOTE = (
    f"Chains of {flows.CHAIN}: drop_tcp80, {flows.CHAIN - 2} plugins that look at ports, and one that accepts: the "
    f"rest of the flow too, or the packet alone. Packets of flows that are in the table. No system calls: a recorded "
    f"burst of {flows.BURST_FLOWS} flows, CPU time without / with. Saturated queue: {LOAD_FLOWS} flows, packets with / "
    f"without.")
TABLE_NOTE = (
    "All of the engine's shared memory, with one queue, while the table holds a million flows that came through the "
    "queue.")
LOOK_UP_NOTE = (
    "64 packets of random flows of a full table, a quarter of them IPv6, at 500,000 packets a second: the search for "
    "each, and the order of use kept up to date.")

TARGETS = [
    Target("saturated queue, accept: engine / reference_tuned", ">=", 0.95, "x",
           ratio("saturated queue, accept", TUNED)),
    Target("saturated queue, accept: engine / reference_classic", ">=", 1.5, "x",
           ratio("saturated queue, accept", CLASSIC)),
    Target("saturated queue, drop, half a CPU each: engine / reference_tuned", ">=", 0.95, "x",
           ratio("saturated queue, drop", TUNED), HALF_CPU_NOTE),
    Target("saturated queue, alternate: engine / reference_tuned", ">=", 0.90, "x",
           ratio("saturated queue, alternate", TUNED)),
    Target("CPU time per packet, saturated: engine / reference_tuned", "<=", 1.05, "x",
           ratio("CPU time, accept", TUNED)),
    Target("decode + chain (drop_tcp80) + encode, no system calls", "<=", 60, "ns/packet",
           median("decode, chain of 1, encode")),
    Target("each further plugin, chain of 1 to 4", "<=", 10, "ns/packet", further_plugin(4, 1)),
    Target("each further plugin, chain of 4 to 16", "<=", 10, "ns/packet", further_plugin(16, 4)),
    Target("bulk TCP: engine / no queue", ">=", 0.95, "x", ratio("bulk TCP", NONE)),
    Target("bulk TCP: engine / reference_classic", ">=", 3.5, "x", ratio("bulk TCP", CLASSIC)),
    Target("bulk TCP, flow verdict with bypass mark / without queue", ">=", 0.95, "x",
           ratio(flows.BYPASS_BULK, "bypass rules, no queue", "engine, bypass mark"), BYPASS_NOTE),
    Target("datagrams, flow verdict with bypass mark / without queue", ">=", 0.95, "x",
           ratio(flows.BYPASS_UDP, "bypass rules, no queue", "engine, bypass mark"), BYPASS_NOTE),
    Target("no system calls, flow verdict / same chain without it", ">=", 1.0, "x",
           ratio(flows.chain_cost(flows.CHAIN), flows.FLOW, flows.PLAIN), FLOW_NOTE),
    Target("saturated queue, flow verdict / same chain without it", ">=", 1.0, "x",
           ratio(f"saturated queue, {flows.SATURATED}", flows.PLAIN, flows.FLOW), FLOW_NOTE),
    Target("flow table: memory of 1 M flows", "<=", 128, "MiB", median(flows.MEMORY_KEPT, flows.FLOW), TABLE_NOTE),
    Target("flow table: look-up at 1 M flows / at 1 k flows", "<=", 2, "x", look_up_growth, LOOK_UP_NOTE),
    Target("latency p50, pinned: engine / reference_classic", "<=", 1.15, "x", ratio("latency p50", CLASSIC)),
    Target("latency p50, unpinned: engine - reference_classic", "<=", 7, "us", unpinned_extra),
    Target("requests, 1 queue: engine / reference_classic", ">=", 1.0, "x", ratio("requests, 1 queue", CLASSIC)),
    Target("requests, 2 queues: engine / reference_classic", ">=", 1.0, "x", ratio("requests, 2 queues", CLASSIC)),
    Target("requests, 4 queues: engine / reference_classic", ">=", 1.0, "x", ratio("requests, 4 queues", CLASSIC)),
    Target("idle wake-ups, all but the supervisor", "<=", 0, "1/s", idle_of_others),
    Target("idle wake-ups, supervisor", "<=", 5, "1/s", median("idle wake-ups, supervisor")),
    Target("memory (PSS) with one queue", "<=", 3, "MiB", median("memory, 1 queue")),
    Target("memory (PSS) of a further queue", "<=", 1, "MiB", further_queue),
    Target("start to first verdict", "<=", 50, "ms", median("start to first verdict")),
]


def judge(figures):
    """A Verdict for each target: its value or None, and `yes`, `no` or `not measured`."""
    verdicts = []
    for target in TARGETS:
        value = target.value(figures)
        if value is None:
            met = "not measured"
        else:
            met = "yes" if (value >= target.limit if target.compare == ">=" else value <= target.limit) else "no"
        verdicts.append(Verdict(target, value, met))
    return verdicts
