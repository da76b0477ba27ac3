# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of one run: for each measure and each subject, one value a round.

A comparison is made round by round, since what was measured one after the other had the same machine; its result is the
median of the rounds' ratios.
"""

import statistics


class Figures:
    """values[measure][subject] is the list of the rounds."""

    def __init__(self):
        self.values = {}
        self.units = {}
        self.failures = []

    def add(self, measure, unit, subject, value):
        self.units[measure] = unit
        self.values.setdefault(measure, {}).setdefault(subject, []).append(value)

    def fail(self, measure, subject, reason):
        self.failures.append(f"{measure}, {subject}: {reason}")

    def rounds(self, measure, subject):
        return self.values.get(measure, {}).get(subject, [])

    def median(self, measure, subject):
        """None if there is no value."""
        values = self.rounds(measure, subject)
        return statistics.median(values) if values else None

    def ratio(self, measure, subject, to):
        """The median over the rounds of subject divided by to; None if there is none."""
        ratios = [left / right for left, right in zip(self.rounds(measure, subject), self.rounds(measure, to)) if right]
        return statistics.median(ratios) if ratios else None
