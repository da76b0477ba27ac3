# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the whole benchmark, or the comparison of two builds: bench/run does the set-up and then starts this.

Always: one measurement runs at a time. In each round the subjects of a measure follow each other, in alternating order.
A figure that could not be measured is reported, and the others are still measured.
"""

import argparse
import os
import subprocess
import sys
import time
import traceback

sys.path.insert(1, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))  # `support`

import compare
import compare_report
import flows
import footprint
import paired
import profiles
import report
import saturation
import session
import traffic
from subjects import Subjects, check_alike, find_build
from support.commands import LabError

ROUNDS, SECONDS = 5, 3.0
QUICK_ROUNDS, QUICK_SECONDS = 2, 1.0
EXIT_FAILED = 2
WARM_UP_SECONDS, SETTLE_SECONDS = 0.5, 1.0


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures nfq-engine; see the file's first lines.")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--called-from", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="two rounds of a second each")
    parser.add_argument("--rounds", type=int, help="default: 5, with --quick 2")
    parser.add_argument("--seconds", type=float, help="of each figure; default: 3, with --quick 1, with --compare 0.6")
    parser.add_argument("--only", action="append", metavar="NAME",
                        help="measures whose name contains this: saturated, CPU, bulk, latency, requests, flow, ...")
    parser.add_argument("--profile", action="store_true", help="also write where the time goes (package linux-perf)")
    parser.add_argument("--compare", metavar="DIR", help="against the build in DIR, or in the build/bench of the tree DIR")
    parser.add_argument("--pairs", type=int, default=compare.PAIRS,
                        help=f"of each measure, with --compare; default: {compare.PAIRS}")
    arguments = parser.parse_args()
    if arguments.compare is not None:
        for option in ("quick", "rounds", "profile"):
            if getattr(arguments, option):
                parser.error(f"--{option} is not for --compare")
        if arguments.pairs < paired.PAIRS_MIN:
            parser.error(f"--pairs must be at least {paired.PAIRS_MIN}")
    return arguments


def take(bench, measure, subject, function):
    """One figure. A failure is recorded with its reason, and the run continues."""
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


def measure_build(arguments, date, started):
    """A whole run. Returns the exit code and the files that were written."""
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)
    subjects = Subjects(arguments.build)
    with session.open_session() as (lab, directory):
        pace = session.Pace(seconds, WARM_UP_SECONDS, SETTLE_SECONDS)
        bench = session.Bench(arguments.build, subjects, lab, directory, pace)
        measure_all(bench, rounds, arguments.only)
        profile_paths = profiles.write(bench, os.path.join(session.RESULTS, date)) if arguments.profile else []
    about = report.describe_machine(bench.subjects.engine_program)
    about.update(date=date, rounds=rounds, seconds_a_figure=seconds, minutes=round((time.monotonic() - started) / 60, 1))
    paths = report.write(session.RESULTS, date, about, bench.figures, bench.packets_per_queue)
    return 1 if bench.figures.failures else 0, paths + profile_paths


def compare_builds(arguments, date, started):
    """This build against another one. Returns the exit code and the files that were written."""
    other = find_build(os.path.join(arguments.called_from, arguments.compare))
    check_alike(arguments.build, other)
    subjects = Subjects(arguments.build), Subjects(other, arguments.build)
    pace = compare.PACE._replace(seconds=arguments.seconds or compare.PACE.seconds)
    with session.open_session() as (lab, directory):
        benches = [session.Bench(arguments.build, each, lab, directory, pace) for each in subjects]
        comparison = compare.Comparison(benches, arguments.only, arguments.pairs)
        comparison.run()
    about = report.describe_machine(subjects[compare.THIS].engine_program)
    about.update(date=date, pairs=arguments.pairs, this=arguments.build, other=other,
                 other_engine=report.describe_machine(subjects[compare.OTHER].engine_program)["engine"],
                 minutes=round((time.monotonic() - started) / 60, 1))
    return compare_report.exit_code(comparison), compare_report.write(session.RESULTS, about, comparison)


def main():
    arguments = parse_arguments()
    started = time.monotonic()
    date = session.date_of_run()
    code, paths = (compare_builds if arguments.compare is not None else measure_build)(arguments, date, started)
    session.give_back(paths)
    session.show(paths)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as failure:
        print(f"bench: {failure}", file=sys.stderr)
    except Exception:  # pylint: disable=broad-except  # Python's own exit code of it would say that a measure is worse
        traceback.print_exc()
    sys.exit(EXIT_FAILED)
