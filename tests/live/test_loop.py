# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: after engines were started and stopped many times, or killed while they started, nothing of them is left.

No process, in any namespace and with any parent; no descriptor in the process that started them; no bound queue,
network namespace, shared memory file or temporary file. The test process is a subreaper, so that a process whose
parent has ended becomes its child. The random times come from a seed that a failure prints.
"""

import contextlib
import ctypes
import os
import random
import re
import signal
import time

import pytest

from support.commands import LabError, wait_for
from support.engine import Engine, plugin
from support.lab import Lab
from support.namespaces import NETNS_DIRECTORY
from support.scale import scaled_count
from support.seeds import new_seed

PR_SET_CHILD_SUBREAPER = 36
AT_ONCE = 8          # engines that run at the same time, each with a queue of its own
GONE_SECONDS = 2.0   # for what is left of a killed supervisor: its children end by a signal of the kernel
MEMORY_FILE = "/memfd:nfqe"
# In shared directories, only names like the project's count, without those of other tests that run.
SHARED_DIRECTORIES = ("/tmp", "/var/tmp", "/run", "/dev/shm")
SHARED_NAME = re.compile(r"nfq(?!e-(abi|fuzz)-)")

_libc = ctypes.CDLL(None, use_errno=True)


def descriptors(process_id="self"):
    """What each descriptor of a process refers to, without the one that reads this."""
    found = {}
    directory = f"/proc/{process_id}/fd"
    with contextlib.suppress(FileNotFoundError):  # the process may end meanwhile
        for number in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):
                found[int(number)] = os.readlink(f"{directory}/{number}")
    return found


def memory_files(process_id):
    """The engine's memory files that a process holds by a descriptor or has mapped."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{process_id}/maps", encoding="utf-8") as file:
        mapped = [line.split(maxsplit=5)[5].strip() for line in file if MEMORY_FILE in line]
        return mapped + [name for name in descriptors(process_id).values() if name.startswith(MEMORY_FILE)]
    return []


def children():
    """The children of the test process, of all its threads, and those that it inherited."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError), open(
                f"/proc/self/task/{thread}/children", encoding="ascii") as file:
            found += map(int, file.read().split())
    return found


def reap_inherited():
    """Waits for what has ended and had its parent end before it. Only while no engine runs: it would be reaped too."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass


def footprint(lab, directory):
    """All that could be left, each by its name. A memory file exists as long as a process has it open or mapped, so
    only processes that could be left are checked for those; other tests of this machine have theirs."""
    processes = lab.router.process_ids() + children()
    own = f"{Lab.PREFIX}-{os.getpid()}-"
    named = {path: sorted(name for name in os.listdir(path) if SHARED_NAME.search(name)) for path in SHARED_DIRECTORIES}
    return {
        "processes": processes,
        "queues": lab.router.queues(),
        "descriptors": sorted(descriptors().items()),
        "memory files": [memory_files(process_id) for process_id in (os.getpid(), *processes)],
        "namespaces": sorted(name for name in os.listdir(NETNS_DIRECTORY) if name.startswith(own)),
        "mounts": sorted(line.split()[4] for line in open_mounts() if own in line),
        "temporary files": sorted(os.listdir(directory)),
        **named,
    }


def open_mounts():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return file.read().splitlines()


@pytest.fixture
def unchanged(lab, tmp_path, monkeypatch):
    """unchanged() compares what there is with what there was before the test. Temporary files go to a directory of
    the test's own, which is also where the engines run."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert _libc.prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    before = footprint(lab, tmp_path)
    assert before["processes"] == [] and before["queues"] == {} and before["temporary files"] == [], before

    def nothing_is_left():
        reap_inherited()
        return footprint(lab, tmp_path) == before

    def compare(timeout=0.0):
        try:
            wait_for(nothing_is_left, "nothing is left", timeout)
        except LabError:
            after = footprint(lab, tmp_path)
            left = {name: (value, after[name]) for name, value in before.items() if value != after[name]}
            raise AssertionError(f"before and after: {left}") from None

    yield compare
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def several(lab):
    """several(count): so many engines at once, ended with the test."""
    engines = []

    def start(count, *options):
        started = [Engine(lab.router, *options, "--plugin", plugin("describe_headers"), "--queue", str(queue))
                   for queue in range(count)]
        engines.extend(started)
        return started

    def close():
        while engines:
            engines.pop().close()

    start.close = close
    yield start
    close()


def test_starts_and_stops_leave_nothing_behind(lab, several, unchanged):
    """After a normal stop, everything is removed when the supervisor ends, not some time later."""
    starts = scaled_count(1000, 50)
    for first in range(0, starts, AT_ONCE):
        engines = several(min(AT_ONCE, starts - first))
        for engine in engines:
            engine.wait_ready()
        assert sorted(lab.router.queues()) == list(range(len(engines)))
        for engine in engines:
            engine.signal(signal.SIGTERM)
        assert [engine.wait() for engine in engines] == [0] * len(engines)
        assert lab.router.queues() == {} and lab.router.process_ids() == []
        several.close()
    unchanged()


def seconds_to_ready(several):
    """How long an engine takes from its first instruction to `ready`: the shortest of a few."""
    measured = []
    for _ in range(5):
        engine = several(1)[0]
        begin = time.monotonic()
        wait_for(lambda: engine.matches("ready$"), "the engine is ready", 10, interval=0.0002)
        measured.append(time.monotonic() - begin)
        assert engine.stop() == 0
        several.close()
    return min(measured)


@pytest.mark.parametrize("number, codes", [(signal.SIGKILL, {-signal.SIGKILL}), (signal.SIGTERM, {-signal.SIGTERM, 0})])
def test_a_start_that_is_cut_short_leaves_nothing_behind(lab, several, unchanged, number, codes):
    """The signal comes at a random moment between the first instruction and a little after `ready`. SIGTERM ends the
    program at once only before it has begun; from then on it is an orderly stop, with exit code 0."""
    count = scaled_count(100, 20)
    seed = new_seed()
    generator = random.Random(seed)
    longest_pause = 1.2 * seconds_to_ready(several)
    early = 0
    for start in range(count):
        context = f"start {start}, seed {seed}"
        engine = several(1)[0]
        time.sleep(generator.uniform(0, longest_pause))  # the random moment, not a wait for something
        engine.signal(number)
        code = engine.wait()
        assert code in codes, f"{context}: exit code {code}, {engine.lines}"
        early += not engine.matches("ready$")
        several.close()
        wait_for(lambda: lab.router.process_ids() == [] and lab.router.queues() == {}, f"nothing is left; {context}",
                 GONE_SECONDS)
    assert early > count // 4, f"only {early} of {count} signals came before `ready`, within {longest_pause:.4f} s"
    unchanged(GONE_SECONDS)
