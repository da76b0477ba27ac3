# SPDX-License-Identifier: GPL-2.0-or-later
"""Statistics of paired measurements: is this build worse than the other one?

A pair is one value of each build, measured one after the other, so that the state of the machine is similar for both.
The result is the ratio this / other. No distribution of the ratios is assumed, only that pairs are independent: each
ratio of an endless run is above its median with probability 1/2, so the number of those above it follows the binomial
distribution, and the ratio at place k from either end bounds the median with a known confidence. With 15 pairs and 95
% these are the 4th from both ends (96.5 %).

Always: "worse" needs the whole interval beyond WORSE; a measure that is too noisy to tell is not worse.
"""

import math
import statistics
from collections import namedtuple

CONFIDENCE = 0.95
WORSE = 0.03  # a build may be worse by this share
PAIRS_MIN = 6  # with fewer, no two values bound the median with CONFIDENCE

# ratio: median of this / other; low, high: its interval; worse, better: beyond WORSE in one or the other direction
Judgement = namedtuple("Judgement", "ratio low high worse better")


def interval_place(count, confidence=CONFIDENCE):
    """The place k, counted from 1, so that the k-th lowest and the k-th highest of `count` values bound the median; 0
    if there are too few values."""
    place = outside = 0
    while True:
        outside += math.comb(count, place)  # sets of values with at most `place` of them below the median
        if 2 * outside > (1 - confidence) * 2**count:
            return place
        place += 1


def interval(values, confidence=CONFIDENCE):
    place = interval_place(len(values), confidence)
    if place == 0:
        raise ValueError(f"{len(values)} values are too few for an interval")
    ordered = sorted(values)
    return ordered[place - 1], ordered[-place]


def ratio(this, other):
    """this / other, also where nothing was counted: two zeros are equal, and anything is infinitely more than zero."""
    if this == other:
        return 1.0
    return this / other if other != 0 else math.inf


def judge(pairs, higher_is_better):
    """pairs: (this, other), at least PAIRS_MIN."""
    ratios = [ratio(this, other) for this, other in pairs]
    low, high = interval(ratios)
    below, above = high < 1 - WORSE, low > 1 + WORSE
    worse, better = (below, above) if higher_is_better else (above, below)
    return Judgement(statistics.median(ratios), low, high, worse, better)
