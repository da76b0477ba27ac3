# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that the checks that compile share: which files the build compiles, with which definitions, and running a tool
on many of them.

Always: such a check is called with the tree, the build directory, and perhaps the only files to look at. What is
compiled is taken from the tree, even if the build directory was configured for another copy of it; nothing is written
to either. The fuzz targets, which are built only with clang, are compiled as the engine is.
"""

import concurrent.futures
import json
import os
import re
import shlex
import sys

import tree

JOBS = 2  # as PROCESSORS in CMakeLists.txt says
NICE = 10
DIRECTORIES = ("engine/", "plugins/", "plugin-api/", "tests/")
ENDINGS = (".c", ".cpp")
FUZZ = "tests/fuzz/"
INCLUDED = ("engine", "plugin-api/include", "tests/unit/support")
# The tools also print the source and the way to a finding. A compiler that has no line to name has failed otherwise.
FINDING = re.compile(r"\S+:\d+:(?:\d+:)? (?!note:|style:)")
NO_FINDING = re.compile(r"^\S+: (?:fatal )?error: |^\S+ ended with exit code \d+$")
OF_THE_SOURCE = ("-D", "-I", "-isystem", "-std=")  # these arguments say what is compiled; the others, how


def source_directory(build):
    """The tree that the build directory was configured for."""
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("CMAKE_HOME_DIRECTORY:"):
                return line.rstrip("\n").partition("=")[2]
    sys.exit(f"{build}/CMakeCache.txt names no source directory")


def as_the_engine(root, path):
    standard = "gnu11" if path.endswith(".c") else "gnu++17"
    return ["-D_GNU_SOURCE", *(f"-I{root}/{directory}" for directory in INCLUDED), f"-std={standard}"]


def units(root, build):
    """Every (path, arguments) that is compiled, once; the path is relative to root."""
    source, build = source_directory(build), os.path.realpath(build)

    def moved(text):
        for prefix in ("-I", "-isystem", ""):
            path = text[len(prefix):]
            if text.startswith(prefix + source + "/") and not path.startswith(build + "/"):
                return prefix + os.path.join(root, os.path.relpath(path, source))
        return text

    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    found = {}
    for entry in entries:
        words, arguments = shlex.split(entry["command"]), []
        for before, word in zip(words, words[1:]):
            if word.startswith(OF_THE_SOURCE) or before == "-isystem":
                arguments.append(moved(word))
        found[os.path.relpath(entry["file"], source), tuple(arguments)] = None
    compiled = {path for path, _ in found}
    fuzz = tree.files(root, lambda path: path.startswith(FUZZ) and path.endswith(ENDINGS) and path not in compiled)
    return [*((path, list(arguments)) for path, arguments in found if os.path.isfile(os.path.join(root, path))),
            *((path, as_the_engine(root, path)) for path in fuzz)]


def wanted(path, only):
    return not only or path in only


def write_commands(root, directory, entries):
    """A compile_commands.json in directory, for tools that read one."""
    entries = [{"directory": root, "file": os.path.join(root, path),
                "arguments": ["cc", *arguments, "-c", os.path.join(root, path)]} for path, arguments in entries]
    path = os.path.join(directory, "compile_commands.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(entries, file)
    return path


def run_all(root, commands):
    """Runs tools, JOBS at a time; what those that found something said: `path:line: what`, each once."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        outputs = list(pool.map(lambda command: tree.run_tool(root, command), commands))
    findings = (line.removeprefix(root + "/") for output in outputs for line in output
                if FINDING.match(line) or NO_FINDING.search(line))
    return list(dict.fromkeys(findings))


def main(check):
    """Runs check(root, build, only), which returns the findings; `only` is a list of paths, empty for all."""
    if len(sys.argv) < 3 or not os.path.isdir(sys.argv[1]):
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY BUILD-DIRECTORY [FILE...]")
    root, build, only = os.path.realpath(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if not os.path.isfile(os.path.join(build, "compile_commands.json")):
        sys.exit(f"{build} has no compile_commands.json; cmake --preset release makes it")
    os.nice(NICE)
    findings = check(root, build, only)
    print("\n".join(findings))
    sys.exit(1 if findings else 0)
