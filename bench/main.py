# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the whole benchmark: bench/run does the set-up and then starts this.

Always: one thing runs at a time, all subjects of a measure one after the other in each round, in turn from the first
to the last and from the last to the first. A figure that could not be taken is named, and the rest goes on.
"""

import argparse
import contextlib
import datetime
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import flows
import footprint
import profiles
import report
import saturation
import traffic
from figures import Figures
from laboratory import CannotMeasure, Laboratory
from subjects import Subjects

ROUNDS, SECONDS = 5, 3.0
QUICK_ROUNDS, QUICK_SECONDS = 2, 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FOLDER_PREFIX = "nfqe-bench-"
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")


class Bench:
    """What the measures share. folder: for files of this run."""

    def __init__(self, build, lab, folder, seconds):
        self.build, self.lab, self.folder, self.seconds = build, lab, folder, seconds
        self.subjects = Subjects(build)
        self.figures = Figures()
        self.packets_per_queue = {}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures nfq-engine; see the file's first lines.")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="two rounds of a second each")
    parser.add_argument("--rounds", type=int, help="default: 5, with --quick 2")
    parser.add_argument("--seconds", type=float, help="of each figure; default: 3, with --quick 1")
    parser.add_argument("--only", action="append", metavar="NAME",
                        help="measures whose name contains this: saturated, CPU, bulk, latency, requests, flow, ...")
    parser.add_argument("--profile", action="store_true", help="also write where the time goes (package linux-perf)")
    return parser.parse_args()


def take(bench, measure, subject, function):
    """One figure. What went wrong is kept, with its reason; whatever it was, the rest goes on."""
    print(f"  {measure}: {subject.name} ...", flush=True)
    try:
        function()
    except Exception as error:  # pylint: disable=broad-except
        known = isinstance(error, (CannotMeasure, OSError, ValueError, subprocess.SubprocessError))
        reason = str(error) if known else f"the benchmark itself failed: {error!r}"
        print(f"    cannot be measured: {reason}", flush=True)
        bench.figures.fail(f"{measure}, round {bench.figures.round}" if bench.figures.round else measure, subject.name,
                           reason)


def wanted(only, steps):
    return [step for step in steps if only is None or any(name.lower() in step[0].lower() for name in only)]


def measure_all(bench, rounds, only):
    print("once:", flush=True)
    for step in wanted(only, [*footprint.once_steps(bench), *flows.once_steps(bench)]):
        take(bench, *step)
    groups = [saturation.steps, traffic.steps, flows.steps, footprint.steps]
    for number in range(rounds):
        bench.figures.round = number + 1
        print(f"round {number + 1} of {rounds}:", flush=True)
        for group in groups:
            steps = wanted(only, group(bench))
            for step in steps if number % 2 == 0 else reversed(steps):
                take(bench, *step)


def stop(number, _):
    """Ends the run in order, once: another signal must not end the tidying up."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def remove_stale_folders():
    """Removes what runs that were killed have left behind."""
    for name in os.listdir(tempfile.gettempdir()):
        match = re.fullmatch(FOLDER_PREFIX + r"(\d+)-\w+", name)
        if match and not os.path.exists(f"/proc/{match.group(1)}"):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


def give_back(paths):
    """What root wrote belongs to the user who called sudo."""
    if "SUDO_UID" in os.environ and os.getuid() == 0:
        for path in paths:
            shutil.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def main():
    arguments = parse_arguments()
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)
    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    started = time.monotonic()
    os.makedirs(RESULTS, exist_ok=True)
    date = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    remove_stale_folders()
    prefix = f"{FOLDER_PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, contextlib.closing(Laboratory()) as lab:
        bench = Bench(arguments.build, lab, folder, seconds)
        measure_all(bench, rounds, arguments.only)
        profile_paths = profiles.write(bench, os.path.join(RESULTS, date)) if arguments.profile else []
    about = report.describe_machine(bench.subjects.engine_program)
    about.update(date=date, rounds=rounds, seconds_a_figure=seconds, minutes=round((time.monotonic() - started) / 60, 1))
    paths = report.write(RESULTS, date, about, bench.figures, bench.packets_per_queue)
    paths += profile_paths
    give_back([RESULTS, *paths])
    with open(paths[0], encoding="utf-8") as file:
        print("\n" + file.read())
    print("Written: " + " ".join(os.path.relpath(path) for path in paths))
    return 1 if bench.figures.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotMeasure as error:
        sys.exit(f"bench: {error}")
