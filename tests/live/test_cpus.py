# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: without --cpu a queue's process and its worker keep to one CPU, but not against an administrator's will; and a
CPU of --cpu that is taken away while the engine runs costs no packet.

A cpuset, which container managers change at run time, takes the CPU away from all processes of the engine. Those that
replace a dead one then run on any CPU that is left, and the log says so.
"""

import contextlib
import os
import pathlib
import signal

import pytest

from support.commands import wait_for
from support.engine import PREFIX, plugin
from test_hostile import NONE, Orders, stop_in_order

VERSION_1 = pathlib.Path("/sys/fs/cgroup/cpuset")
VERSION_2 = pathlib.Path("/sys/fs/cgroup")


def parent_cpuset():
    """The directory in which cpusets can be made, or None."""
    if (VERSION_1 / "cpuset.cpus").exists():
        return VERSION_1
    with contextlib.suppress(OSError):
        if "cpuset" in (VERSION_2 / "cgroup.controllers").read_text().split():
            (VERSION_2 / "cgroup.subtree_control").write_text("+cpuset")
            return VERSION_2
    return None


@pytest.fixture
def cpuset():
    """cpuset(process ids, cpu): from now on these, and all that they fork, have this CPU alone."""
    parent = parent_cpuset()
    if parent is None:
        pytest.skip("no cpuset can be made here")
    group = parent / f"nfqe-test-{os.getpid()}"
    group.mkdir()
    mems = "cpuset.mems" if parent == VERSION_1 else "cpuset.mems.effective"

    def put(process_ids, cpu):
        (group / "cpuset.cpus").write_text(str(cpu))
        (group / "cpuset.mems").write_text((parent / mems).read_text())
        for process_id in process_ids:
            (group / "cgroup.procs").write_text(str(process_id))

    yield put
    for process_id in (group / "cgroup.procs").read_text().split():
        (parent / "cgroup.procs").write_text(process_id)
    group.rmdir()


def test_a_queue_and_its_worker_keep_to_one_cpu(lab, start_engine):
    cpus = os.sched_getaffinity(0)
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1")
    with contextlib.closing(Orders(lab, 1)) as orders:
        workers, process = engine.wait_workers(1), engine.queue_processes()[1]
        for each in (process, *workers):  # whatever else runs here, they have a CPU when they want one
            with contextlib.suppress(PermissionError):  # a cgroup may have no time for it
                os.sched_setscheduler(each, os.SCHED_RR, os.sched_param(1))

        def keep_to_one():
            numbers = orders.send(NONE)
            assert orders.delivered() == numbers
            used = os.sched_getaffinity(process)
            return len(used) == 1 and os.sched_getaffinity(workers[0]) == used

        wait_for(keep_to_one, "both keep to one CPU, once others use it less", 30)
        os.sched_setaffinity(process, cpus)
        for _ in range(20):
            assert not keep_to_one() or len(cpus) == 1, "what taskset says stays"
        stop_in_order(lab, engine, orders)


def test_a_cpu_that_is_taken_away_costs_no_packet(lab, start_engine, cpuset):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("needs two CPUs")
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1", "--cpu", str(cpus[-1]))
    orders = Orders(lab, 1)
    try:
        numbers = orders.send(NONE)
        assert orders.delivered() == numbers
        workers, process = engine.wait_workers(1), engine.queue_processes()[1]
        assert os.sched_getaffinity(process) == os.sched_getaffinity(workers[0]) == {cpus[-1]}
        cpuset([engine.process.pid, *engine.children()], cpus[0])
        assert engine.kill_workers(1) == workers
        workers = engine.wait_workers(1, without=workers)
        numbers = orders.send(NONE, NONE)
        assert orders.delivered() == numbers
        engine.wait_line(rf"^{PREFIX}queue 1: a worker cannot run on CPU {cpus[-1]}: Invalid argument; it runs on any$")
        assert engine.signal_child(process, signal.SIGKILL)
        wait_for(lambda: engine.queue_processes().get(1) not in (None, process), "it has been replaced")
        engine.wait_workers(1, without=workers)
        numbers = orders.send(NONE, NONE)
        assert orders.delivered() == numbers
        engine.wait_line(
            rf"^{PREFIX}queue 1: its process cannot run on CPU {cpus[-1]}: Invalid argument; it runs on any$")
        assert os.sched_getaffinity(engine.queue_processes()[1]) == {cpus[0]}
        assert stop_in_order(lab, engine, orders)["crash_verdicts"] == 0
    finally:
        orders.close()
