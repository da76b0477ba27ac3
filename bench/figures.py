# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of one run: for each measure and each subject, one value for each round.

Subjects are compared round by round, since the values of a round were measured one after the other, under similar
conditions. The result is the median of the rounds' ratios. A round without one of the two values is left out.
"""

import statistics


class Figures:
    """values[measure][subject] is the list of the rounds; round: the one at hand, 0 for what is taken once."""

    def __init__(self):
        self.round = 0
        self.values = {}
        self._places = {}
        self.units = {}
        self.failures = []

    def add(self, measure, unit, subject, value):
        self.units[measure] = unit
        self.values.setdefault(measure, {}).setdefault(subject, []).append(value)
        places = self._places.setdefault((measure, subject), [])
        places.append((self.round, sum(place[0] == self.round for place in places)))

    def fail(self, measure, subject, reason):
        self.failures.append(f"{measure}, {subject}: {reason}")

    def rounds(self, measure, subject):
        return self.values.get(measure, {}).get(subject, [])

    def _by_place(self, measure, subject):
        return dict(zip(self._places.get((measure, subject), []), self.rounds(measure, subject)))

    def median(self, measure, subject):
        """None if there is no value."""
        values = self.rounds(measure, subject)
        return statistics.median(values) if values else None

    def ratio(self, measure, subject, to):
        """The median over the rounds of subject divided by to; None if there is none."""
        values = self._by_place(measure, subject)
        others = self._by_place(measure, to)
        ratios = [value / others[place] for place, value in values.items() if others.get(place)]
        return statistics.median(ratios) if ratios else None
