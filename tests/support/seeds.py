# SPDX-License-Identifier: GPL-2.0-or-later
"""The random numbers of a test come from a seed, which a failure prints.

Environment: NFQE_SEED=N, that seed in place of a new one. Then the numbers are the same, not the times: a machine with
another load is elsewhere at the same moment.
"""

import os
import random


def new_seed():
    given = os.environ.get("NFQE_SEED", "")
    return int(given) if given else random.randrange(1 << 32)


class Kills:
    """Random deaths. The n-th one has the same numbers with the same seed, however often a test had to look for
    processes before it: each takes as many from the generator."""

    def __init__(self, seed):
        self.generator = random.Random(seed)

    def draw(self):
        """Three numbers from 0 to 1: for the pause before it, for the kind of process, for which one of its kind."""
        return self.generator.random(), self.generator.random(), self.generator.random()


def pick(values, number):
    """One of the values, by a number from 0 to 1."""
    return values[int(number * len(values))]
