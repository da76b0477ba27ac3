# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets: what each measure must reach, and how that is read from the figures.

A target is one line of the table. Its value comes from a function of the figures, which answers None where a figure
is missing. `not built yet` is what the engine has no code for.
"""

from collections import namedtuple

NOT_BUILT = "not built yet"

ENGINE, TUNED, CLASSIC, NONE = "engine drop_tcp80", "reference_tuned", "reference_classic", "no queue"

# compare: ">=" or "<="; unit: how the value is written, "x" for a ratio
Target = namedtuple("Target", "measure compare limit unit value")
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


def idle_of_others(figures):
    values = [figures.median(f"idle wake-ups, {role}", ENGINE) for role in ("worker", "template")]
    return None if None in values else sum(values)


TARGETS = [
    Target("saturated queue, accept: engine / reference_tuned", ">=", 0.95, "x",
           ratio("saturated queue, accept", TUNED)),
    Target("saturated queue, accept: engine / reference_classic", ">=", 1.5, "x",
           ratio("saturated queue, accept", CLASSIC)),
    Target("saturated queue, drop: engine / reference_tuned", ">=", 0.95, "x", ratio("saturated queue, drop", TUNED)),
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
    Target("flow verdict with bypass mark / the same rules without the queue", ">=", 0.95, "x", NOT_BUILT),
    Target("flow verdict without bypass mark / the same chain without it", ">=", 1.0, "x", NOT_BUILT),
    Target("flow table: 1 M flows", "<=", 128, "MiB", NOT_BUILT),
    Target("flow table: look-up at 1 M flows / at 1 k flows", "<=", 2, "x", NOT_BUILT),
    Target("latency p50: engine / reference_classic", "<=", 1.1, "x", ratio("latency p50", CLASSIC)),
    Target("requests, 1 queue: engine / reference_classic", ">=", 1.0, "x", ratio("requests, 1 queue", CLASSIC)),
    Target("requests, 2 queues: engine / reference_classic", ">=", 1.0, "x", ratio("requests, 2 queues", CLASSIC)),
    Target("requests, 4 queues: engine / reference_classic", ">=", 1.0, "x", ratio("requests, 4 queues", CLASSIC)),
    Target("idle wake-ups, worker and template", "<=", 0, "1/s", idle_of_others),
    Target("idle wake-ups, supervisor", "<=", 5, "1/s", median("idle wake-ups, supervisor")),
    Target("memory (PSS) with one queue", "<=", 8, "MiB", median("memory, 1 queue")),
    Target("memory (PSS) of a further queue", "<=", 1, "MiB", further_queue),
    Target("start to first verdict", "<=", 50, "ms", median("start to first verdict")),
]


def judge(figures):
    """A Verdict for each target: its value or None, and `yes`, `no`, `not measured` or `not built yet`."""
    verdicts = []
    for target in TARGETS:
        value = None if target.value == NOT_BUILT else target.value(figures)
        if target.value == NOT_BUILT:
            met = NOT_BUILT
        elif value is None:
            met = "not measured"
        else:
            met = "yes" if (value >= target.limit if target.compare == ">=" else value <= target.limit) else "no"
        verdicts.append(Verdict(target, value, met))
    return verdicts
