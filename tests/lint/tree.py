# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that the checks of the sources share: finding files, and the end of a check.

Always: a check reads the tree that its only argument names and changes nothing. It reads all files, committed or not,
except in build directories and hidden directories other than .ci. Exit code 0: no finding; 1: one line for each
finding, `file:line: what is wrong`; 77: `SKIPPED: reason`.
"""

import os
import shutil
import subprocess
import sys

EXIT_SKIPPED = 77
TOOL_SECONDS = 100


def is_source_directory(directory, name):
    if name.startswith(".") and name != ".ci":
        return False
    return name not in ("build", "__pycache__") and not os.path.exists(os.path.join(directory, name, "CMakeCache.txt"))


def files(root, accept):
    """The files below root, as sorted relative paths, for which accept(path) is true."""
    found = []
    for directory, directories, names in os.walk(root):
        directories[:] = [name for name in directories if is_source_directory(directory, name)]
        paths = [os.path.relpath(os.path.join(directory, name), root) for name in names]
        found += [path for path in paths if os.path.isfile(os.path.join(root, path)) and accept(path)]
    return sorted(found)


def lines(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read().splitlines()


def first_line(root, path):
    with open(os.path.join(root, path), "rb") as file:
        return file.readline(100)


def is_script(root, path):
    return first_line(root, path).startswith(b"#!")


def is_shell_script(root, path):
    if path.endswith(".sh"):
        return True
    first = first_line(root, path)
    return first.startswith(b"#!") and first.split(b"/")[-1].split()[-1] in (b"bash", b"sh")


def find_tool(name):
    """The tool's path; without the tool the check ends as skipped."""
    path = shutil.which(name)
    if path is None:
        print(f"SKIPPED: {name} is not installed; scripts/bootstrap test installs it")
        sys.exit(EXIT_SKIPPED)
    return path


def run_tool(root, command):
    """Runs a tool in the tree; what it printed, as lines, if it found something."""
    result = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=TOOL_SECONDS, check=False)
    if result.returncode == 0:
        return []
    return result.stdout.splitlines() or [f"{command[0]} ended with exit code {result.returncode}"]


def main(check):
    """Runs check(root), which returns the findings, on the tree that the command line names."""
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    findings = check(sys.argv[1])
    print("\n".join(findings))
    sys.exit(1 if findings else 0)
