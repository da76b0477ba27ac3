#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Adds up what ctest wrote: summarize_tests.py --results DIRECTORY --seconds N PRESET:LABEL...

Reads DIRECTORY/PRESET-LABEL.xml (ctest --output-junit) for each expected run, and prints a table, the names and
reasons of skipped tests, and the names of failed ones. Always: a run without file counts as one failure, and so does
a test that ctest could not start. Parts that a passed test skipped count as skipped: cmocka's skip(), with the line
`skipped: reason` that the test printed before it, a line of pytest -rs, or `SKIPPED: reason`. A test that skipped all
its parts did not pass. With CI=true in the environment a skip is a failure for the labels of MUST_RUN. The last line
is `N passed, N failed, N skipped`; the exit code is 1 if a test failed.
"""

import argparse
import os
import re
import sys
import xml.etree.ElementTree

MUST_RUN = ("live", "vm")  # CI has what they need, so a skip would hide that it is missing
REASON = re.compile(r"^skipped: (.+)$", re.MULTILINE | re.IGNORECASE)
CMOCKA_SKIPPED = re.compile(r"\[ RUN      \] (\w+)\n((?:(?!\[ RUN      \]).)*?)\[  SKIPPED \] \1$",
                            re.MULTILINE | re.DOTALL)
CMOCKA_PASSED = "[       OK ]"
PYTEST_SKIPPED = re.compile(r"^SKIPPED \[(\d+)\] (\S+?)(?::\d+)?: (.+)$", re.MULTILINE)
PYTEST_NONE_PASSED = re.compile(r"^(?:=+ )?\d+ skipped(?:, \d+ \w+)* in \d", re.MULTILINE)  # passed comes first
FAILED_PART = re.compile(r"^(?:\[  FAILED  \] |_{3,} )([a-zA-Z_]\w*)(?: _{3,})?$", re.MULTILINE)  # cmocka, pytest
SKIP_CODE = "SKIP_RETURN_CODE"
NO_REASON = "says no reason"


def skipped_parts(output):
    """(part, reason) of each part that a test skipped; part is None if the test does not name it."""
    parts = []

    def note_cmocka(match):
        reason = REASON.search(match.group(2))
        parts.append((match.group(1), reason.group(1) if reason else NO_REASON))
        return ""

    rest = CMOCKA_SKIPPED.sub(note_cmocka, output)
    for count, place, reason in PYTEST_SKIPPED.findall(rest):
        parts.append((place if count == "1" else f"{place}, {count} times", reason))
    parts += [(None, reason) for reason in REASON.findall(rest)]
    return parts


def skipped_all(output):
    cmocka_skipped = CMOCKA_SKIPPED.search(output) and CMOCKA_PASSED not in output
    return bool(cmocka_skipped or PYTEST_NONE_PASSED.search(output))


class Run:
    """The results of one run of ctest: a label with a preset."""

    def __init__(self, preset, label):
        self.preset, self.label = preset, label
        self.passed, self.seconds = 0, 0.0
        self.failed, self.skipped = [], []  # (name, reason)

    def skip(self, name, reason):
        if self.label in MUST_RUN and os.environ.get("CI") == "true":
            self.failed.append((name, f"skipped, which CI does not accept for a {self.label} test: {reason}"))
        else:
            self.skipped.append((name, reason.strip()))

    def add_passed(self, name, output):
        parts = skipped_parts(output)
        if parts and skipped_all(output):
            self.skip(name, "; ".join(dict.fromkeys(reason for _, reason in parts)))
            return
        self.passed += 1
        for part, reason in parts:
            self.skip(f"{name} ({part or 'a part of it'})", reason)

    def add(self, case):
        name, status = case.get("name"), case.get("status")
        output = case.findtext("system-out") or ""
        element = case.find("skipped")
        self.seconds += float(case.get("time") or 0)
        if status == "run":
            self.add_passed(name, output)
        elif status == "disabled":
            self.skip(name, "disabled in its CMakeLists.txt")
        elif element is not None and SKIP_CODE in element.get("message", ""):
            reasons = [reason for _, reason in skipped_parts(output)]
            self.skip(name, reasons[0] if reasons else NO_REASON)
        elif element is not None:
            self.failed.append((name, element.get("message", "could not be started")))
        else:
            parts = list(dict.fromkeys(FAILED_PART.findall(output)))
            self.failed.append((name, ", ".join(parts) or "see its output above"))

    def read(self, directory):
        try:
            cases = xml.etree.ElementTree.parse(os.path.join(directory, f"{self.preset}-{self.label}.xml"))
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
