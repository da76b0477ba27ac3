#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Adds up which lines ran: summarize_coverage.py --lcov FILE --uncovered FILE --percent-min N --tests-exit-code N

Reads the output of llvm-cov and prints, for each file and in total, the number of lines, functions and branches and
how many of them ran. Writes the lines that did not run to the second file, `path:line: text`. --junit FILE: also
writes the result of a test `coverage.lines`. Always: a line of several programs has run if it ran in one of them. The
exit code is 1 if less than N percent of the lines ran, or if the tests did not end with exit code 0.
"""

import argparse
import os
import sys
import xml.etree.ElementTree as ElementTree


class File:
    """Lines, functions and branches of a source, each with how often it ran."""

    def __init__(self, path):
        self.path = path
        self.lines, self.functions, self.branches = {}, {}, {}
        self.places = {}  # of the functions: a name, as the linker has it -> line
        self.names = {}   # line -> name

    def add(self, kind, text):
        fields = text.split(",")
        if kind == "DA":
            count(self.lines, int(fields[0]), fields[1])
        elif kind == "FN":
            self.places[fields[1]] = int(fields[0])
            self.names[int(fields[0])] = fields[1].rpartition(":")[2]
        elif kind == "FNDA":
            # By the line: an inline function has a name in each file that includes it, and another in C++.
            count(self.functions, self.places[fields[1]], fields[0])
        elif kind == "BRDA":
            count(self.branches, tuple(fields[:3]), fields[3])


def count(table, key, text):
    table[key] = table.get(key, 0) + (0 if text == "-" else int(text))


def read(path):
    files, current = {}, None
    with open(path, encoding="utf-8") as lcov:
        for line in lcov:
            kind, _, text = line.rstrip("\n").partition(":")
            if kind == "SF":
                name = os.path.relpath(text)
                current = files.setdefault(name, File(name))
            elif current is not None:
                current.add(kind, text)
    return [files[name] for name in sorted(files) if files[name].lines]


def ran(counts):
    return sum(1 for number in counts if number)


def percent(counts):
    return 100.0 * ran(counts) / len(counts) if counts else 100.0


def print_row(name, lines, functions, branches):
    cells = [f"{ran(counts):6}/{len(counts):<5}{percent(counts):6.1f} %" if counts else " " * 20
             for counts in (lines, functions, branches)]
    print(f"{name:34}{'  '.join(cells)}".rstrip())


def source_line(path, number):
    with open(path, encoding="utf-8") as source:
        return source.read().splitlines()[number - 1].strip()


def write_uncovered(path, files):
    with open(path, "w", encoding="utf-8") as output:
        for file in files:
            for number in sorted(number for number, times in file.lines.items() if not times):
                output.write(f"{file.path}:{number}: {source_line(file.path, number)}\n")


def write_junit(path, failure):
    suite = ElementTree.Element("testsuite", name="coverage", tests="1")
    status = "fail" if failure else "run"
    case = ElementTree.SubElement(suite, "testcase", name="coverage.lines", status=status, time="0")
    if failure:
        ElementTree.SubElement(case, "failure", message=failure)
    ElementTree.ElementTree(suite).write(path, encoding="unicode", xml_declaration=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lcov", required=True)
    parser.add_argument("--uncovered", required=True)
    parser.add_argument("--percent-min", type=float, required=True)
    parser.add_argument("--tests-exit-code", type=int, required=True)
    parser.add_argument("--junit")
    arguments = parser.parse_args()
    files = read(arguments.lcov)
    if not files:
        sys.exit(f"{arguments.lcov} names no file: nothing was counted")

    print(f"\n{'':34}{'lines':>18}{'functions':>24}{'branches':>22}")
    for file in files:
        print_row(file.path, file.lines.values(), file.functions.values(), file.branches.values())
    lines = [times for file in files for times in file.lines.values()]
    print_row("total", lines, [times for file in files for times in file.functions.values()],
              [times for file in files for times in file.branches.values()])
    write_uncovered(arguments.uncovered, files)
    never = [f"{file.path}:{line}: {file.names[line]}" for file in files
             for line, times in sorted(file.functions.items()) if not times]
    if never:
        print("\nFunctions that were never called:", *never, sep="\n  ")

    failure = None
    if arguments.tests_exit_code != 0:
        failure = "a test failed; see above"
    elif percent(lines) < arguments.percent_min:
        failure = f"{percent(lines):.1f} % of the lines ran; at least {arguments.percent_min:g} % must"
    print(f"\nThe lines that did not run are in {arguments.uncovered}.")
    print(f"coverage: {failure or f'{percent(lines):.1f} % of the lines ran'}")
    if arguments.junit:
        write_junit(arguments.junit, failure)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
