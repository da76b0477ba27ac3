# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: ps says what each process is, and the title takes nothing from the program or its plugins.

A title is written over the place where the kernel put arguments and environment. What a plugin finds in its environment
is the same in the fork server, in a worker, and in the one after a crash; the engine knows its own arguments to the end.
"""

import signal
import subprocess

import pytest

from support.commands import wait_for
from support.engine import plugin

VARIABLE = "NFQE_TEST_VARIABLE"
VALUE = "a value with blanks, longer than any title of a process of this engine"
TITLES = ["nfq-engine: supervisor", "nfq-engine: fork server", "nfq-engine: worker queue 3",
          "nfq-engine: worker queue 65535"]
SHORT_NAMES = ["nfq-engine", "nfqe-forkserver", "nfqe-q3", "nfqe-q65535"]


def ps(process_ids, column):
    """What ps shows of these processes in this column, in the order of their start."""
    listed = subprocess.run(["ps", "--sort", "pid", "-o", f"{column}=", "-p", ",".join(map(str, process_ids))],
                            capture_output=True, text=True, timeout=10, check=True)
    return [line.rstrip() for line in listed.stdout.splitlines()]


@pytest.fixture
def variable(monkeypatch):
    monkeypatch.setenv(VARIABLE, VALUE)


def start(start_engine, *arguments):
    return start_engine("--plugin", plugin(f"environment,name={VARIABLE}"), "--queue", "3", "--queue", "65535",
                        *arguments)


def processes(engine):
    return [engine.process.pid, *engine.children()]


def test_titles_and_short_names(start_engine, variable):
    engine = start(start_engine)
    assert sorted(ps(processes(engine), "args")) == sorted(TITLES)
    assert sorted(ps(processes(engine), "comm")) == sorted(SHORT_NAMES)
    assert engine.stop() == 0


def test_worker_after_a_crash_has_its_title_again(start_engine, variable):
    engine = start(start_engine)
    worker = engine.workers()[3]
    assert engine.signal_child(worker, signal.SIGKILL)
    wait_for(lambda: engine.workers().get(3, worker) != worker, "queue 3 has another worker")
    wait_for(lambda: sorted(ps(processes(engine), "args")) == sorted(TITLES), "it has its title")
    assert engine.stop() == 0


def test_environment_is_what_the_engine_was_started_with(start_engine, variable):
    engine = start(start_engine)
    engine.wait_line(f"plugin environment: load: getenv {VALUE}, environ {VALUE}$")
    opened = f"plugin environment: open: getenv {VALUE}, environ {VALUE}$"
    wait_for(lambda: len(engine.matches(opened)) == 2, "both workers have said so")
    assert engine.signal_child(engine.workers()[3], signal.SIGKILL)
    wait_for(lambda: len(engine.matches(opened)) == 3, "the one after a crash has, too")
    assert engine.stop() == 0


def test_empty_environment_leaves_room_for_a_title(start_engine):
    engine = start_engine("--plugin", plugin(f"environment,name={VARIABLE}"), "--queue", "65535",
                          launcher=("/usr/bin/env", "-i"))
    engine.wait_line(r"plugin environment: load: getenv \(none\), environ \(none\)$")
    titles = ps(processes(engine), "args")
    assert "nfq-engine: supervisor" in titles and "nfq-engine: worker queue 65535" in titles
    assert engine.stop() == 0


def test_arguments_are_known_to_the_end(start_engine, variable):
    engine = start(start_engine)
    engine.wait_line(f"plugin environment 1.0.0 .{plugin('environment')}.")
    assert engine.signal_child(engine.fork_server(), signal.SIGKILL)  # the next one has the arguments, too
    wait_for(lambda: len(engine.matches("plugin environment: load: ")) == 2, "the next fork server has loaded it")
    assert engine.stop() == 0
