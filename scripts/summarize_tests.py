#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Adds up what ctest wrote: summarize_tests.py --results FOLDER --seconds N PRESET:LABEL...

Reads FOLDER/PRESET-LABEL.xml (ctest --output-junit) for each run that was expected, and prints a table, the names and
reasons of skipped tests and the names of failed ones. Always: a run that left no file counts as one failure, and
so does a test that ctest could not start. A test is also skipped if it says so itself (`SKIPPED: reason`, or a line of
pytest -rs) although it passed. With CI=true in the environment a skipped live test is a failure. The last line is
`N passed, N failed, N skipped`; the exit code is 1 if anything failed.
"""

import argparse
import os
import re
import sys
import xml.etree.ElementTree

SKIPPED_WHOLE = re.compile(r"^skipped: (.+)$", re.MULTILINE | re.IGNORECASE)
SKIPPED_PART = re.compile(r"^SKIPPED \[\d+\] (\S+?)(?::\d+)?: (.+)$", re.MULTILINE)
FAILED_PART = re.compile(r"^(?:\[  FAILED  \] |_{3,} )([a-zA-Z_]\w*)(?: _{3,})?$", re.MULTILINE)  # cmocka, pytest
SKIP_CODE = "SKIP_RETURN_CODE"


class Run:
    """What one run of ctest, a label with a preset, came to."""

    def __init__(self, preset, label):
        self.preset, self.label = preset, label
        self.passed, self.seconds = 0, 0.0
        self.failed, self.skipped = [], []  # (name, reason)

    def skip(self, name, reason):
        if self.label == "live" and os.environ.get("CI") == "true":
            self.failed.append((name, f"skipped, which CI does not accept for a live test: {reason}"))
        else:
            self.skipped.append((name, reason))

    def add(self, case):
        name, status = case.get("name"), case.get("status")
        output = case.findtext("system-out") or ""
        element = case.find("skipped")
        self.seconds += float(case.get("time") or 0)
        if status == "run":
            self.passed += 1
            for part in SKIPPED_PART.finditer(output):
                self.skip(f"{name} ({part.group(1)})", part.group(2))
            for part in SKIPPED_WHOLE.finditer(output):
                self.skip(f"{name} (a part of it)", part.group(1))
        elif status == "disabled":
            self.skip(name, "disabled in its CMakeLists.txt")
        elif element is not None and SKIP_CODE in element.get("message", ""):
            reason = SKIPPED_WHOLE.search(output) or SKIPPED_PART.search(output)
            self.skip(name, reason.group(reason.lastindex).strip() if reason else "says no reason")
        elif element is not None:
            self.failed.append((name, element.get("message", "could not be started")))
        else:
            parts = list(dict.fromkeys(FAILED_PART.findall(output)))
            self.failed.append((name, ", ".join(parts) or "see its output above"))

    def read(self, folder):
        try:
            cases = xml.etree.ElementTree.parse(os.path.join(folder, f"{self.preset}-{self.label}.xml"))
        except (OSError, xml.etree.ElementTree.ParseError):
            self.failed.append((f"{self.label}.*", "no result: ctest did not get to its end, or there is no such test"))
            return
        for case in cases.iter("testcase"):
            self.add(case)
        if not self.passed and not self.failed and not self.skipped:
            self.failed.append((f"{self.label}.*", "no test has this label"))


def print_names(title, runs, attribute):
    rows = [(name, run.preset, reason) for run in runs for name, reason in getattr(run, attribute)]
    if rows:
        print(f"\n{title}:")
        for name, preset, reason in rows:
            print(f"  {name} ({preset}): {reason}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("runs", nargs="+")
    arguments = parser.parse_args()
    runs = [Run(*text.split(":")) for text in arguments.runs]
    for run in runs:
        run.read(arguments.results)

    print(f"\n{'label':8} {'preset':8} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for run in runs:
        print(f"{run.label:8} {run.preset:8} {run.passed:7} {len(run.failed):7} {len(run.skipped):8} {run.seconds:8.1f}")
    print_names("Skipped", runs, "skipped")
    print_names("Failed", runs, "failed")
    passed = sum(run.passed for run in runs)
    failed = sum(len(run.failed) for run in runs)
    skipped = sum(len(run.skipped) for run in runs)
    print(f"\nAll tests together took {arguments.seconds // 60} min {arguments.seconds % 60} s.\n")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
