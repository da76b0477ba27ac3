# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: no process that has had a packet leaves a core, unless --core-dumps says so, and then those of plugins alone.

The engine is started without a limit on cores, in a directory where all users may write. A process that is not dumpable
can be told from its files in /proc, which belong to root.
"""

import os
import signal

import pytest

from support.commands import wait_for
from support.engine import plugin
from test_hostile import MISBEHAVE, NONE, Orders

UNLIMITED = "unlimited"


@pytest.fixture
def start(start_engine, tmp_path):
    """start(options...): an engine whose plugin crashes, in a directory for cores."""
    directory = tmp_path / "cores"
    directory.mkdir()
    directory.chmod(0o1777)

    def start_in(*options):
        engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1", *options,
                              launcher=("sh", "-c", f"cd {directory} && ulimit -c unlimited && exec \"$@\"", "sh"))
        engine.wait_workers(1)
        return engine, directory

    return start_in


def core_limit(process_id):
    """The soft and the hard one."""
    with open(f"/proc/{process_id}/limits", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("Max core file size"))
    return line.split()[4:6]


def is_dumpable(process_id):
    return os.stat(f"/proc/{process_id}/mem").st_uid != 0


def crash(lab, engine):
    orders = Orders(lab, 1)
    try:
        numbers = orders.send(NONE, MISBEHAVE, NONE)
        assert orders.delivered() == [numbers[0], numbers[2]]
    finally:
        orders.close()
    engine.wait_line(r"plugin misbehave 1\.2\.3 crashed \(SIGSEGV\)")
    wait_for(lambda: not engine.zombies(), "the worker has been reaped")


def test_no_process_leaves_a_core(lab, start):
    engine, directory = start()
    crash(lab, engine)
    engine.wait_workers(1)
    children = engine.children()
    assert set(children.values()) == {"nfqe-q1", "nfqe-w1", "nfqe-forkserver"}
    for process_id, name in children.items():
        assert core_limit(process_id) == ["0", "0"], name
        assert not is_dumpable(process_id), name
    assert engine.stop() == 0
    assert os.listdir(directory) == []


def test_with_core_dumps_processes_of_plugins_leave_one(lab, start):
    engine, directory = start("--core-dumps")
    for process_id, name in engine.children().items():
        wanted = name != "nfqe-q1"
        assert core_limit(process_id) == ([UNLIMITED] * 2 if wanted else ["0", "0"]), name
        assert is_dumpable(process_id) == wanted, name
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        pattern = file.read()
    crash(lab, engine)
    assert engine.signal_child(engine.queue_processes()[1], signal.SIGABRT)
    wait_for(lambda: len(engine.matches("queue process")) == 1, "the queue process has ended")
    assert engine.stop() == 0
    if pattern.startswith(("|", "/")):
        print(f"no core was looked for: core_pattern is {pattern}")
        return
    cores = os.listdir(directory)
    assert len(cores) == 1, cores
    assert os.stat(directory / cores[0]).st_uid >= 70000
