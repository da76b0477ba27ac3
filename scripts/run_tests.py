#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds tests as ctest knows them, and runs them in the foreground: run_tests.py list|plan|run PRESET... [NAME...]

  list PRESET...               every test with its label and its preset
  plan PRESET NAME             one line: `root` or `user`, then what to build: `all`, `none`, or some targets
  run PRESET NAME [ARGUMENT...]

Started by scripts/check, with the top directory as the working directory. Always: name, command, environment, working
directory, time limit and exit code for a skip come from ctest itself. Exit code of `run`: 0 all passed, 77 some were
skipped and none failed, 1 one failed; 2: there is no such test, or it takes no arguments.
"""

import difflib
import json
import os
import re
import shlex
import subprocess
import sys
import threading

import summarize_tests

EXIT_FAILED, EXIT_USAGE, EXIT_SKIPPED = 1, 2, 77
CTEST_SECONDS = 60
ROOT_LABELS = ("live",)
CMOCKA_FILTER = "NFQE_TEST_FILTER"  # tests/scripts/cmocka_filter.c
END_SECONDS = 10  # that a test may take to remove what it made
ADD_TEST = re.compile(r'^add_test\(\[=\[(.+?)\]=\] "([^"]+)"', re.MULTILINE)
PYTEST_NONE_CHOSEN = 5  # its exit code
CMOCKA_RUNS = "[ RUN      ]"


class Test:
    """One test of a preset."""

    def __init__(self, preset, build, entry):
        properties = {item["name"]: item["value"] for item in entry.get("properties", ())}
        self.name, self.preset = entry["name"], preset
        self.build = os.path.realpath(build)
        self.command = entry.get("command")  # None while its program is not built
        self.label = (properties.get("LABELS") or [""])[0]
        self.directory = properties.get("WORKING_DIRECTORY", self.build)
        self.environment = dict(text.split("=", 1) for text in properties.get("ENVIRONMENT", ()))
        self.timeout = properties.get("TIMEOUT")
        self.skip_code = properties.get("SKIP_RETURN_CODE")
        self.locks = properties.get("RESOURCE_LOCK") or []
        self.disabled = bool(properties.get("DISABLED"))

    def is_pytest(self):
        return bool(self.command) and "pytest" in self.command

    def is_cmocka(self):
        return bool(self.command) and self.label in ("unit", "abi") and self.command[0].startswith(self.build + "/")

    def targets(self):
        """What to build for it; None for everything."""
        if self.label == "fuzz":
            return ["fuzzers"]
        command = self.command or [find_programs(self.build).get(self.name, self.build)]
        if self.build in command or self.label not in ("unit", "abi", "lint"):
            return None
        words = command if self.label != "lint" else self.environment.values()
        return [os.path.relpath(word, self.build) for word in words if word.startswith(self.build + "/")]

    def by_hand(self, environment):
        """What to type to run it without scripts/check."""
        words = [f"{name}={value}" for name, value in environment.items()]
        return shlex.join((["env", *words] if words else []) + [relative(word) for word in self.command])


def relative(word):
    here = os.getcwd() + "/"
    return word[len(here):] if word.startswith(here) else word


def find_programs(build):
    """Test name -> program, also where the program is not built yet, of which ctest says nothing."""
    programs = {}
    for directory, _, names in os.walk(build):
        if "CTestTestfile.cmake" in names:
            with open(os.path.join(directory, "CTestTestfile.cmake"), encoding="utf-8") as file:
                programs.update(ADD_TEST.findall(file.read()))
    return programs


def find_all(preset, build=None):
    """All tests of a preset, or of a build directory elsewhere."""
    build = build or os.path.join("build", preset)
    result = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, timeout=CTEST_SECONDS)
    return [Test(preset, build, entry) for entry in json.loads(result.stdout)["tests"]]


def find(preset, name):
    tests = find_all(preset)
    found = [test for test in tests if test.name == name]
    if not found:
        try:
            found = [test for test in tests if re.search(name, test.name)]
        except re.error as error:
            stop(f"{name} is not a regular expression: {error}")
    if not found:
        near = difflib.get_close_matches(name, [test.name for test in tests], 3, 0.5)
        stop(f"no test of the preset {preset} is called {name}" + (f"; perhaps {' or '.join(near)}" if near else "")
             + "; scripts/check lists all")
    return found


def stop(text):
    print(f"check: {text}", file=sys.stderr)
    sys.exit(EXIT_USAGE)


def list_tests(presets):
    for preset in presets:
        for test in find_all(preset):
            if (test.label == "fuzz") == (preset == "fuzz"):
                print(f"{test.label:8} {preset:8} {test.name}")


def plan(preset, name):
    tests = find(preset, name)
    targets = {}
    for test in tests:
        wanted = test.targets()
        if wanted is None:
            targets = {"all": None}
            break
        targets.update(dict.fromkeys(wanted))
    user = "root" if any(test.label in ROOT_LABELS for test in tests) else "user"
    print(user, *(targets or ["none"]))


def with_arguments(test, arguments):
    """The command and what the environment has more, for a test that is given arguments."""
    if not arguments:
        return test.command, {}
    if test.is_pytest():
        return [*test.command, *arguments], {}
    if test.is_cmocka() and len(arguments) == 2 and arguments[0] == "-k":
        return test.command, {CMOCKA_FILTER: f"*{arguments[1]}*"}
    if test.is_cmocka():
        stop(f"{test.name} is a cmocka program: it takes -k PART and no other arguments")
    if test.label == "fuzz":
        stop(f"{test.name} takes no arguments; scripts/fuzz {test.name.partition('.')[2]} SECONDS runs longer")
    stop(f"{test.name} takes no arguments")
    raise AssertionError


def run_and_copy(command, timeout, **how):
    """Runs a command whose output is shown as it comes; its exit code, None if it did not end, and its output."""
    chunks, late = [], threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how) as process:
        def end():
            late.set()
            process.terminate()  # so that it can remove what it made

        timers = []
        if timeout:
            timers = [threading.Timer(timeout, end), threading.Timer(timeout + END_SECONDS, process.kill)]
        for timer in timers:
            timer.start()
        while chunk := process.stdout.read1():
            chunks.append(chunk)
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        process.wait()
        for timer in timers:
            timer.cancel()
    return None if late.is_set() else process.returncode, b"".join(chunks).decode(errors="replace")


def run_one(test, arguments):
    """Runs a test; returns 0, EXIT_FAILED or EXIT_SKIPPED, and why."""
    if test.command is None:
        return EXIT_FAILED, "its program was not built"
    if test.disabled:
        return EXIT_SKIPPED, "disabled in its CMakeLists.txt"
    command, more = with_arguments(test, arguments)
    how = {"cwd": test.directory, "env": {**os.environ, **test.environment, **more}}
    if arguments and test.is_pytest():  # perhaps --pdb: it has the terminal, and all the time it wants
        code, output = subprocess.run(command, check=False, **how).returncode, ""
    else:
        code, output = run_and_copy(command, None if arguments else test.timeout, **how)
    if code is None:
        return EXIT_FAILED, f"it did not end within {test.timeout:.0f} s"
    if code == 0 and more and CMOCKA_RUNS not in output:
        return EXIT_FAILED, f"none of its functions has {arguments[1]} in its name"
    if code == PYTEST_NONE_CHOSEN and test.is_pytest() and arguments:
        return EXIT_FAILED, f"{shlex.join(arguments)} chooses none of its functions"
    skipped = dict.fromkeys(reason for _, reason in summarize_tests.skipped_parts(output))
    if code == test.skip_code or (code == 0 and skipped):
        part = "" if code or summarize_tests.skipped_all(output) else "a part of it: "
        return EXIT_SKIPPED, part + ("; ".join(skipped) or summarize_tests.NO_REASON)
    if code == 0:
        return 0, ""
    return EXIT_FAILED, f"signal {-code}" if code < 0 else f"exit code {code}"


def print_how_to_debug(test):
    lines = []
    here = f"scripts/check {test.name}"
    if test.is_cmocka():
        lines.append(f"one function:    {here} -k PART")
        if test.preset == "release":
            lines.append(f"sanitizers:      scripts/check --asan {test.name}")
            lines.append(f"with symbols:    scripts/check --debug {test.name}, which then has the line for gdb")
        else:
            settings = {**test.environment, "CMOCKA_TEST_ABORT": "1"}
            if test.preset == "asan":
                settings["ASAN_OPTIONS"] = "abort_on_error=1:detect_leaks=0"
            words = " ".join(shlex.quote(f"{name}={value}") for name, value in settings.items())
            lines.append(f"debugger:        env {words} gdb --args {shlex.join(map(relative, test.command))}")
    elif test.is_pytest():
        lines.append(f"one function:    {here} -k PART")
        lines.append(f"stop at failure: {here} -x --pdb (namespaces and processes are still there)")
        if test.label in ROOT_LABELS:
            lines.append(f"sanitizers:      scripts/check --asan {test.name}")
    elif test.label == "fuzz":
        lines.append("run it again:    see above; scripts/fuzz TARGET SECONDS starts with the inputs that it has found")
    elif test.command:
        lines.append(f"by hand:         {test.by_hand(test.environment)}")
    for line in lines:
        print(f"  {line}")


def run(preset, name, arguments):
    tests = find(preset, name)
    if arguments and len(tests) > 1:
        stop(f"arguments are for one test, but {name} finds {len(tests)}: {' '.join(test.name for test in tests)}")
    outcome = 0
    for test in tests:
        print(f"== {test.name} ({preset})", flush=True)
        code, why = run_one(test, arguments)
        said = {0: "passed", EXIT_SKIPPED: "skipped", EXIT_FAILED: "FAILED"}[code]
        print(f"== {test.name} ({preset}): {said}" + (f": {why}" if why else ""), flush=True)
        if code == EXIT_FAILED:
            print_how_to_debug(test)
        outcome = EXIT_FAILED if EXIT_FAILED in (outcome, code) else outcome or code
    return outcome


def main(words):
    if len(words) >= 2 and words[0] == "list":
        list_tests(words[1:])
    elif len(words) == 3 and words[0] == "plan":
        plan(words[1], words[2])
    elif len(words) >= 3 and words[0] == "run":
        return run(words[1], words[2], words[3:])
    else:
        stop("usage: run_tests.py list|plan|run PRESET... [NAME...]")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
