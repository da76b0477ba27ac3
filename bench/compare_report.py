# SPDX-License-Identifier: GPL-2.0-or-later
"""The output of bench/run --compare: a row for each measure, the void pairs, and all values as JSON."""

import json
import math
import os
import statistics
from collections import Counter

import compare
import paired
import report

WIDE = 2 * paired.WORSE  # an interval of this width cannot tell a change of WORSE from none
EXIT_WORSE, EXIT_VOID = 1, 2


def percent(ratio):
    """A ratio as a change."""
    return "-" if math.isinf(ratio) else f"{(ratio - 1) * 100:+.1f} %"


def verdict(measure):
    """In words."""
    last = measure.judged[-1]
    if measure.worse:
        return "WORSE"
    if last.worse:
        return "worse, but could not be measured again: see below"
    if len(measure.judged) == 2:
        return "not worse when measured again"
    if last.better:
        return "better"
    return "not worse" if last.high / last.low <= 1 + WIDE or last.high == last.low else "not worse, but wide"


def rows(comparison):
    found = [["measure", "other", "this", "this / other", "interval", "verdict"]]
    for measure in comparison.measures.values():
        last = measure.judged[-1]
        values = [statistics.median(pair[side] for pair in measure.pairs) for side in (compare.OTHER, compare.THIS)]
        found.append([measure.name, *(report.number(value, measure.unit) for value in values), percent(last.ratio),
                      f"{percent(last.low)} to {percent(last.high)}", verdict(measure)])
    return found


def exit_code(comparison):
    if comparison.worse():
        return EXIT_WORSE
    return EXIT_VOID if comparison.failures or not comparison.measures else 0


def conclusion(comparison):
    worse = comparison.worse()
    if worse:
        return f"Worse by more than {paired.WORSE:.0%}: " + "; ".join(measure.name for measure in worse) + "."
    if exit_code(comparison) == EXIT_VOID:
        return "The run is void: it cannot say that no measure is worse, since some could not be measured."
    return f"No measure is worse by more than {paired.WORSE:.0%}."


def void_lines(comparison):
    if not comparison.voids:
        return []
    counts = Counter((void.step, "foreign load" if void.foreign else void.reason) for void in comparison.voids)
    return ["", f"Void pairs: {len(comparison.voids)} of {comparison.tries}; they were repeated", "",
            *report.table([["measure", "pairs", "why"],
                           *([step, str(count), reason] for (step, reason), count in counts.items())])]


def text(about, comparison):
    level = 2 * sum(math.comb(about["pairs"], i) for i in range(paired.interval_place(about["pairs"]))) / 2**about["pairs"]
    lines = [f"nfq-engine, two builds compared, {about['date']}", "",
             f"machine  {about['cpus']} CPUs, {about['processor']}, {about['memory_gib']} GiB"
             f"{', virtual' if about['hypervisor'] == 'yes' else ''}",
             f"kernel   {about['kernel']}, TCP congestion control {about['tcp_congestion_control']}",
             f"this     {about['engine']}, {about['this']}",
             f"other    {about['other_engine']}, {about['other']}",
             f"run      {about['pairs']} interleaved pairs of each measure, {about['minutes']} minutes",
             "", conclusion(comparison), "",
             f"this / other is the median of the pairs' ratios. It is in the interval with {1 - level:.1%} confidence, "
             "whatever the distribution. A measure",
             f"is worse if the whole interval is beyond {paired.WORSE:.0%} worse, and is so again in as many new pairs. "
             "wide: a change of this size may be hidden.", "",
             *report.table(rows(comparison))]
    for title, reasons in (("Could not be measured", comparison.failures), ("Left out", comparison.left_out)):
        if reasons:
            lines += ["", title, "", *(f"{name}: {reason}" for name, reason in reasons.items())]
    return "\n".join([*lines, *void_lines(comparison)]) + "\n"


def content(about, comparison):
    return {
        "about": about,
        "conclusion": conclusion(comparison),
        "measures": {measure.name: {
            "unit": measure.unit, "worse": measure.worse, "verdict": verdict(measure),
            "judged": [judgement._asdict() for judgement in measure.judged],
            "pairs": [{"this": pair[compare.THIS], "other": pair[compare.OTHER]} for pair in measure.pairs],
        } for measure in comparison.measures.values()},
        "failures": comparison.failures,
        "left_out": comparison.left_out,
        "void": [void._asdict() for void in comparison.voids],
    }


def write(directory, about, comparison):
    """Returns the paths written, the table first."""
    base = os.path.join(directory, f"{about['date']}-compare")
    with open(base + ".txt", "w", encoding="utf-8") as file:
        file.write(text(about, comparison))
    with open(base + ".json", "w", encoding="utf-8") as file:
        json.dump(content(about, comparison), file, indent=1)
        file.write("\n")
    return [base + ".txt", base + ".json"]
