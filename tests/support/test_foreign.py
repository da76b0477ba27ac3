# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: bench/run --compare knows the load of others from its own.

With made-up snapshots, and with a real process that spins: one of the run, and one of another program.
"""

import os
import subprocess
import sys
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[1:1] = [os.path.join(ROOT, "bench"), os.path.join(ROOT, "tests")]

import foreign  # pylint: disable=wrong-import-position
from support.processes import tied_to_parent  # pylint: disable=wrong-import-position

RUN, CHILD, OTHER, KERNEL = 100, 101, 200, 2
SPIN_SECONDS = 1.0


def snapshot(at, busy, steal=0.0, **usages):
    """usages: name of the process -> (used, waited)"""
    parents = {"RUN": 1, "CHILD": RUN, "OTHER": 1, "KERNEL": 0}
    return foreign.Snapshot(at, busy, steal, {
        globals()[name]: foreign.Usage(parents[name], name == "KERNEL", *values) for name, values in usages.items()})


class MadeUp(unittest.TestCase):
    def check(self, expected, before, after):
        self.assertAlmostEqual(foreign.foreign_load(before, after, RUN), expected)

    def test_what_the_run_uses_and_waits_for_does_not_count(self):
        self.check(0.0, snapshot(0, 10, RUN=(1, 1), CHILD=(1, 1)), snapshot(2, 14, RUN=(3, 9), CHILD=(3, 9)))

    def test_nor_do_its_children_that_have_ended(self):
        """Their time is their parent's, all of it at once."""
        self.check(0.0, snapshot(0, 10, RUN=(1, 0), CHILD=(5, 0)), snapshot(2, 14, RUN=(10, 0)))

    def test_what_another_process_uses_counts(self):
        self.check(0.75, snapshot(0, 10, RUN=(1, 0), OTHER=(4, 0)), snapshot(2, 12, RUN=(1.5, 0), OTHER=(5.5, 0)))

    def test_what_another_process_waits_for_counts_also_if_it_is_new(self):
        self.check(1.0, snapshot(0, 10, OTHER=(1, 2)), snapshot(2, 11, OTHER=(2, 3)))
        self.check(1.0, snapshot(0, 10), snapshot(2, 11, OTHER=(1, 1)))

    def test_use_that_no_process_shows_counts(self):
        """Of another container."""
        self.check(0.5, snapshot(0, 10, RUN=(1, 0)), snapshot(2, 13, RUN=(3, 0)))

    def test_use_that_the_kernel_booked_elsewhere_counts(self):
        """The run's own time has softirqs in it, which `busy` has not."""
        self.check(0.5, snapshot(0, 10, RUN=(1, 0), OTHER=(1, 0)), snapshot(2, 12, RUN=(3, 0), OTHER=(2, 0)))

    def test_steal_counts_and_kernel_threads_do_not(self):
        self.check(0.5, snapshot(0, 10, 1.0, KERNEL=(1, 0)), snapshot(2, 10, 2.0, KERNEL=(2, 5)))

    def test_it_is_never_negative(self):
        self.check(0.0, snapshot(0, 10, RUN=(1, 0), OTHER=(9, 0)), snapshot(2, 11, RUN=(4, 0)))


class ThisMachine(unittest.TestCase):
    def test_a_process_that_spins_counts_for_every_run_but_its_own(self):
        """The same second for two runs: this process, and one without children. Other load counts in both."""
        with subprocess.Popen(["sleep", "60"], preexec_fn=tied_to_parent) as another, \
                subprocess.Popen(["sh", "-c", "while :; do :; done"], preexec_fn=tied_to_parent) as spinner:
            try:
                before = foreign.take_snapshot()
                time.sleep(SPIN_SECONDS)
                after = foreign.take_snapshot()
            finally:
                another.kill()
                spinner.kill()
        seen = foreign.foreign_load(before, after, another.pid)
        self.assertAlmostEqual(seen - foreign.foreign_load(before, after, os.getpid()), 1.0, delta=0.25)


if __name__ == "__main__":
    unittest.main()
