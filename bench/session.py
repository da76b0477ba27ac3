# SPDX-License-Identifier: GPL-2.0-or-later
"""What every kind of run has: its laboratory, a directory for its files, the place of its results, a clean end.

Always: directory and laboratory are removed when the run ends, also by a signal; those of killed runs are removed by
the next run.
"""

import contextlib
import datetime
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import namedtuple

from figures import Figures
from laboratory import Laboratory

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PREFIX = "nfqe-bench-"
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")

# seconds: of one figure; warm_up: of load before it; settle: of silence before the engine at rest is looked at
Pace = namedtuple("Pace", "seconds warm_up settle")


class Bench:
    """What the measures of one build share. build: of this tree, with the load programs; directory: for files of this
    run."""

    def __init__(self, build, subjects, lab, directory, pace):
        self.build, self.subjects, self.lab, self.directory = build, subjects, lab, directory
        self.seconds, self.warm_up, self.settle = pace
        self.figures = Figures()
        self.packets_per_queue = {}


def stop(number, _):
    """Ends the run in order, once: another signal must not end the tidying up."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def remove_stale():
    """Removes the directories of runs that were killed."""
    for name in os.listdir(tempfile.gettempdir()):
        match = re.fullmatch(PREFIX + r"(\d+)-\w+", name)
        if match and not os.path.exists(f"/proc/{match.group(1)}"):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


@contextlib.contextmanager
def open_session():
    """The laboratory and the directory of a run."""
    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    remove_stale()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as directory, Laboratory() as lab:
        yield lab, directory


def date_of_run():
    os.makedirs(RESULTS, exist_ok=True)
    return datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")


def give_back(paths):
    """What root wrote belongs to the user who called sudo."""
    if "SUDO_UID" in os.environ and os.getuid() == 0:
        for path in [RESULTS, *paths]:
            shutil.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def show(paths):
    """Prints the first of the files that were written, and the names of all."""
    with open(paths[0], encoding="utf-8") as file:
        print("\n" + file.read())
    print("Written: " + " ".join(os.path.relpath(path) for path in paths))
