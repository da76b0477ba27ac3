# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: bench/run --compare finds a slower build, and does not report one that is equally fast.

The statistics alone, with random values of known distributions, always with the same seed.
"""

import math
import os
import random
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(1, os.path.join(ROOT, "bench"))

import paired  # pylint: disable=wrong-import-position

PAIRS = 15
RUNS = 2000


def draw(generator, slowdown, noise):
    """Pairs of times, log-normal; a tenth of them is three times as noisy."""
    pairs = []
    for _ in range(PAIRS):
        common = generator.gauss(0, 0.2)  # what the machine does to both
        values = [math.exp(common + generator.gauss(0, noise * (3 if generator.random() < 0.1 else 1)))
                  for _ in range(2)]
        pairs.append((values[0] * slowdown, values[1]))
    return pairs


def share(slowdown, noise, accept):
    generator = random.Random(1)
    return sum(accept(paired.judge(draw(generator, slowdown, noise), False)) for _ in range(RUNS)) / RUNS


class Interval(unittest.TestCase):
    def test_the_places_are_those_of_the_binomial_distribution(self):
        """From a table of the sign test, 5 % on two sides."""
        places = {5: 0, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 14: 3, 15: 4, 17: 5, 20: 6, 25: 8, 30: 10}
        self.assertEqual({count: paired.interval_place(count) for count in places}, places)

    def test_the_bounds_are_counted_from_both_ends(self):
        self.assertEqual(paired.interval(list(range(15, 0, -1))), (4, 12))
        self.assertEqual(paired.interval([3, 1, 2, 6, 5, 4]), (1, 6))

    def test_too_few_values_have_no_interval(self):
        self.assertEqual(paired.interval_place(paired.PAIRS_MIN - 1), 0)
        with self.assertRaises(ValueError):
            paired.interval([1.0] * (paired.PAIRS_MIN - 1))

    def test_it_holds_the_true_median_as_often_as_it_says(self):
        held = share(1.0, 0.05, lambda judgement: judgement.low <= 1.0 <= judgement.high)
        self.assertGreater(held, 0.95)
        self.assertLess(held, 0.98)


class Ratio(unittest.TestCase):
    def test_zero_is_equal_to_zero_and_less_than_everything(self):
        self.assertEqual(paired.ratio(0, 0), 1.0)
        self.assertEqual(paired.ratio(0, 5), 0.0)
        self.assertEqual(paired.ratio(1, 0), math.inf)
        self.assertTrue(paired.judge([(1, 0)] * 15, False).worse)


class Judge(unittest.TestCase):
    def test_worse_is_less_of_what_should_be_more_and_more_of_what_should_be_less(self):
        slower, faster = [(90, 100)] * PAIRS, [(110, 100)] * PAIRS
        self.assertEqual([paired.judge(pairs, True)[3:] for pairs in (slower, faster)], [(True, False), (False, True)])
        self.assertEqual([paired.judge(pairs, False)[3:] for pairs in (slower, faster)], [(False, True), (True, False)])

    def test_three_percent_are_not_worse_and_a_little_more_is(self):
        self.assertFalse(paired.judge([(103, 100)] * PAIRS, False).worse)
        self.assertTrue(paired.judge([(103.1, 100)] * PAIRS, False).worse)
        self.assertFalse(paired.judge([(97, 100)] * PAIRS, True).worse)
        self.assertTrue(paired.judge([(96.9, 100)] * PAIRS, True).worse)

    def test_the_whole_interval_must_be_beyond(self):
        """The 4th lowest of 15 decides: three pairs that say otherwise are outliers, four are not."""
        self.assertTrue(paired.judge([(100, 100)] * 3 + [(110, 100)] * 12, False).worse)
        self.assertFalse(paired.judge([(100, 100)] * 4 + [(110, 100)] * 11, False).worse)

    def test_the_same_speed_is_hardly_ever_called_worse(self):
        """However noisy; and never twice, which is what a run asks for."""
        for noise in (0.01, 0.03, 0.1, 0.3):
            self.assertLess(share(1.0, noise, lambda judgement: judgement.worse), 0.02)

    def test_a_tenth_slower_is_found(self):
        self.assertGreater(share(1.10, 0.02, lambda judgement: judgement.worse), 0.99)
        self.assertGreater(share(1.10, 0.03, lambda judgement: judgement.worse), 0.9)


if __name__ == "__main__":
    unittest.main()
