# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the whole benchmark: bench/run does the set-up and then starts this.

Always: one thing runs at a time, all subjects of a measure one after the other in each round, in turn from the first
to the last and from the last to the first. A figure that could not be taken is named, and the rest goes on.
"""

import argparse
import os
import subprocess
import sys
import time

sys.path.insert(1, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))  # `support`

import flows
import footprint
import profiles
import report
import saturation
import session
import traffic
from subjects import Subjects
from support.commands import LabError

ROUNDS, SECONDS = 5, 3.0
QUICK_ROUNDS, QUICK_SECONDS = 2, 1.0
WARM_UP_SECONDS, SETTLE_SECONDS = 0.5, 1.0


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
        known = isinstance(error, (LabError, OSError, ValueError, subprocess.SubprocessError))
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


def main():
    arguments = parse_arguments()
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)
    started = time.monotonic()
    date = session.date_of_run()
    subjects = Subjects(arguments.build)
    with session.open_session() as (lab, folder):
        pace = session.Pace(seconds, WARM_UP_SECONDS, SETTLE_SECONDS)
        bench = session.Bench(arguments.build, subjects, lab, folder, pace)
        measure_all(bench, rounds, arguments.only)
        profile_paths = profiles.write(bench, os.path.join(session.RESULTS, date)) if arguments.profile else []
    about = report.describe_machine(bench.subjects.engine_program)
    about.update(date=date, rounds=rounds, seconds_a_figure=seconds, minutes=round((time.monotonic() - started) / 60, 1))
    paths = report.write(session.RESULTS, date, about, bench.figures, bench.packets_per_queue)
    paths += profile_paths
    session.give_back(paths)
    session.show(paths)
    return 1 if bench.figures.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"bench: {error}")
