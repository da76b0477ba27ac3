# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of the tree in which scripts/mutants builds and tests a mutant, within limits.

Always: the original tree is never written to. A mutant cannot affect anything else: each build and each test runs in
new process, network and mount namespaces, and all that it started ends with them, so a mutant that calls kill(-1) or
forks for ever reaches no other process. Time, number of processes, memory and size of files are limited. A test that
measures time runs alone, and must fail twice to count.
"""

import contextlib
import os
import select
import shutil
import subprocess
import threading
import time

import run_tests
import summarize_tests

LABELS = ("unit", "abi")
SETUP_SECONDS = 1200      # the first build of a copy, all tests together
BUILD_SECONDS = 300       # a build after one change
TEST_FACTOR, TEST_MORE_SECONDS, TEST_MAX_SECONDS = 5, 3, 120  # against the time without a mutant
END_SECONDS = 10          # that what was killed may take to be gone
LOOK_SECONDS = 0.25       # between two looks at what a test uses
PROCESSES_MAX = 256       # at once; the tests need about 20
ADDRESS_BYTES = 4 << 30   # of one process, but not with the sanitizers, which reserve much more
MEMORY_BYTES = 4 << 30    # of all processes of a test
FILE_BYTES = 1 << 30      # one file; shared memory too
OUTPUT_READ = 65536       # of the end of what a test printed
FIRST_TESTS = 4           # run before the other programs are even built
PAGE = os.sysconf("SC_PAGE_SIZE")

KILLED, SURVIVED, NOT_BUILT = "killed", "survived", "did not build"

alone = threading.Lock()  # held by the test that measures time


def isolation():
    """The command in front of what is to be isolated; None where this user cannot."""
    more = [] if os.geteuid() == 0 else ["--map-current-user"]
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", *more, "--pid", "--fork", "--kill-child", "--mount-proc",
               "--net", "--ipc"]
    result = subprocess.run([*command, "true"], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, timeout=END_SECONDS)
    return command if result.returncode == 0 else None


def descendants(pid):
    """Every process below `pid`, with the bytes it has in memory."""
    children, memory, found, todo = {}, {}, [], [pid]
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(name))
                memory[int(name)] = int(fields[21]) * PAGE
    while todo:
        todo = [child for parent in todo for child in children.get(parent, ())]
        found += todo
    return [(process, memory[process]) for process in found]


class Bounds:
    """Runs commands within the bounds."""

    def __init__(self, prefix, address_bytes):
        self.prefix, self.address_bytes = prefix, address_bytes
        self.running = None

    def run(self, command, seconds, output, cwd, env):
        """0 or another exit code, negative for a signal; or what bound was reached, as a text."""
        # The soft limit of cores alone: a test of processes that leave none raises it.
        limits = ["prlimit", "--core=0:", f"--fsize={FILE_BYTES}", f"--cpu={int(seconds) + 5}"]
        if self.address_bytes:
            limits.append(f"--as={self.address_bytes}")
        # The shell is the namespace's first process, which must be one that waits for orphans.
        line = [*self.prefix, *limits, "/bin/sh", "-c", '"$@"; exit $?', "sh", *command]
        with open(output, "wb") as file:
            self.running = subprocess.Popen(line, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                            start_new_session=True)
        try:
            reached = self.wait(seconds)
        finally:
            self.end()
        return reached or signed(self.running.returncode)

    def wait(self, seconds):
        """Waits for the end; returns the bound that was reached, or None."""
        deadline = time.monotonic() + seconds
        with contextlib.closing(Descriptor(os.pidfd_open(self.running.pid))) as pidfd:
            while not select.select([pidfd], [], [], LOOK_SECONDS)[0]:
                processes = descendants(self.running.pid)
                if time.monotonic() > deadline:
                    return f"did not end within {seconds:.0f} s"
                if len(processes) > PROCESSES_MAX:
                    return f"more than {PROCESSES_MAX} processes"
                if sum(size for _, size in processes) > MEMORY_BYTES:
                    return f"more than {MEMORY_BYTES >> 30} GiB of memory"
        return None

    def end(self):
        """Ends the namespace by its first process, and waits until all that was in it is gone."""
        for child in children(self.running.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, 9)
        try:
            self.running.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()


class Descriptor:
    def __init__(self, number):
        self.number = number

    def fileno(self):
        return self.number

    def close(self):
        os.close(self.number)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def signed(code):
    """What a shell says of a command that a signal ended, as Python says it."""
    return 128 - code if code > 128 else code


class Lab:
    """One copy of the tree with its build."""

    def __init__(self, root, directory, preset, prefix, compile_jobs):
        self.root, self.preset, self.compile_jobs = root, preset, compile_jobs
        self.tree, self.build = os.path.join(directory, "tree"), os.path.join(directory, "tree", "build", preset)
        self.temporary, self.output = os.path.join(directory, "tmp"), os.path.join(directory, "output")
        self.bounds = Bounds(prefix, 0 if preset == "asan" else ADDRESS_BYTES)
        self.seconds = {}  # test -> its time without a mutant

    # ---- set-up

    def copy(self):
        """Makes the copy equal to the tree, committed or not; unchanged files keep their time, and so their objects."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=self.root,
                                check=True, text=True, stdout=subprocess.PIPE, timeout=BUILD_SECONDS).stdout.split("\0")
        wanted = {path for path in listed if path and os.path.isfile(os.path.join(self.root, path))}
        for directory, directories, names in os.walk(self.tree):
            if directory == self.tree:
                directories[:] = [name for name in directories if name != "build"]
            for name in names:
                path = os.path.join(directory, name)
                if os.path.relpath(path, self.tree) not in wanted:
                    os.remove(path)
        for path in wanted:
            source, target = os.path.join(self.root, path), os.path.join(self.tree, path)
            if read(source) != read(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(source, target)

    def prepare(self):
        """Copies, configures and builds; returns the failure as a text, or None."""
        self.copy()
        launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        for command in (["cmake", "--preset", self.preset, "-DNFQE_TESTS=ON", *launcher],
                        ["cmake", "--build", self.build, "--", "-j", str(self.compile_jobs)]):
            code = self.run(command, SETUP_SECONDS, self.tree, {})
            if code != 0:
                return f"{' '.join(command)}: {explain(code)}\n{self.end_of_output()}"
        return None

    def tests(self, exclude):
        return [test for test in run_tests.find_all(self.preset, self.build) if test.label in LABELS and test.command
                and not test.disabled and not (exclude and exclude.search(test.name))]

    # ---- running

    def run(self, command, seconds, cwd, environment):
        shutil.rmtree(self.temporary, ignore_errors=True)
        os.makedirs(self.temporary)
        return self.bounds.run(command, seconds, self.output, cwd, {
            **os.environ, "CI": "false", "NFQE_QUICK": "1", **environment, "TMPDIR": self.temporary})

    def run_test(self, test, seconds):
        with alone if test.locks else contextlib.nullcontext():
            return self.run(test.command, seconds, test.directory, test.environment)

    def end_of_output(self):
        data = read(self.output) or b""
        return data[-OUTPUT_READ:].decode(errors="replace")

    def measure(self, test):
        """Runs a test without a mutant; returns its exit code or what bound it reached."""
        begin = time.monotonic()
        code = self.run_test(test, TEST_MAX_SECONDS)
        self.seconds[test.name] = time.monotonic() - begin
        return code

    def fails(self, test, seconds):
        """How a test fails now, as a text; None if it passes."""
        limit = min(TEST_MAX_SECONDS, TEST_FACTOR * seconds + TEST_MORE_SECONDS)
        for _ in range(2 if test.locks else 1):
            code = self.run_test(test, limit)
            if code == 0:
                return None
        parts = list(dict.fromkeys(summarize_tests.FAILED_PART.findall(self.end_of_output())))
        if not parts or not isinstance(code, int) or code < 0:
            return explain(code)
        return parts[0] + (f" and {len(parts) - 1} more" if len(parts) > 1 else "")

    def judge(self, path, changed, tests, seconds):
        """Tries a mutant with these tests, in their order: KILLED, SURVIVED or NOT_BUILT; what killed it; how."""
        target = os.path.join(self.tree, path)
        original = read(target)
        try:
            write(target, changed.encode())
            for group in groups(tests):
                if not self.build_for(group):
                    return NOT_BUILT, "", ""
                for test in group:
                    how = self.fails(test, seconds[test.name])
                    if how is not None:
                        return KILLED, test.name, how
            return SURVIVED, "", ""
        finally:
            write(target, original)

    def build_for(self, tests):
        targets = {}
        for test in tests:
            targets.update(dict.fromkeys(test.targets() or ["all"]))
        command = ["ninja", "-C", self.build, "-j", str(self.compile_jobs), *(["all"] if "all" in targets else targets)]
        return self.run(command, BUILD_SECONDS, self.tree, {}) == 0


def groups(tests):
    """The tests in parts, each built before it is run: a few, then the other unit tests, then the rest."""
    first, rest = tests[:FIRST_TESTS], tests[FIRST_TESTS:]
    unit = [test for test in rest if test.label == "unit"]
    return [group for group in (first, unit, [test for test in rest if test.label != "unit"]) if group]


def explain(code):
    if isinstance(code, str):
        return code
    if code == 77:
        return "skipped, which it is not without the mutant"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
