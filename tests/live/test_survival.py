# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: faults outside of the engine are counted and survived, and no packet is taken for the cause of one.

A receive buffer that overruns, a queue that is too short, a firewall that is reloaded under load (the kernel then
drops all that is queued, and verdicts find nothing), a fork server that dies, a worker or a queue process that stops, a
machine that pauses. Each time the losses are exactly those that the kernel counts, the same processes continue if possible, and no
packet is lost afterwards.
"""

import contextlib
import signal
import time

import pytest

from support.commands import wait_for
from support.engine import SLOW, plugin
from support.processes import process_status
from support.scale import scaled_count
from test_hostile import MISBEHAVE, NONE, Orders

ENDLESS = 50_000_000  # more datagrams than can be sent until the pump is told to stop
PASSING, OVERRUNNING = scaled_count(5000, 1000), scaled_count(20000, 6000)  # datagrams
LOSS_SECONDS = 0.3    # where losses are meant, the pump waits only so long for a window that does not arrive


def assert_traffic_passes(start_pump, count=PASSING, window=8):
    report = start_pump(count, window=window).report()
    assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report


def start_loaded(lab, start_engine, start_pump, name, *options, queues=1, **traffic):
    """An engine under endless traffic."""
    engine = start_engine("--plugin", plugin(name), "--queue", f"1-{queues}" if queues > 1 else "1", *options)
    lab.queue_pump_traffic(1, queues)
    pump = start_pump(ENDLESS, time_limit=60, **traffic)
    wait_for(lambda: min(queue.last_id for queue in lab.router.queues().values()) > 100, "there is load")
    return engine, pump


@pytest.mark.parametrize("option, value, lost_as", [
    ("--receive-buffer", "8192", "user_dropped"),
    ("--max-len", "16", "queue_dropped"),
])
def test_an_overrun_is_counted_and_survived(lab, start_engine, start_pump, option, value, lost_as):
    engine = start_engine("--plugin", plugin(SLOW), "--queue", "1", option, value)
    processes = engine.queue_processes(), engine.wait_workers(1)
    lab.queue_pump_traffic()
    report = start_pump(OVERRUNNING, window=900, release=LOSS_SECONDS).report(lambda: lab.all_decided(OVERRUNNING))
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in the queue")
    kernel = lab.router.queues()[1]
    assert getattr(kernel, lost_as) > 0, f"the test has not caused an overrun: {kernel}"
    assert report["lost"] == kernel.queue_dropped + kernel.user_dropped, f"{report}, {kernel}"
    assert report["duplicates"] == report["out_of_order"] == 0, report
    assert_traffic_passes(start_pump)
    assert (engine.queue_processes(), engine.workers()[1]) == processes, "no process may die of an overrun"
    assert engine.stop() == 0
    assert engine.total("kernel_" + lost_as) == getattr(kernel, lost_as)
    assert engine.total("packets") == engine.total("accepted") == report["received"] + PASSING
    assert engine.total("crash_verdicts") == engine.total("restarts") == 0


def test_with_fail_open_an_overflow_passes_unseen(lab, start_engine, start_pump):
    engine = start_engine("--plugin", plugin(SLOW), "--queue", "1", "--max-len", "16", "--fail-open")
    lab.queue_pump_traffic()
    report = start_pump(OVERRUNNING, window=900).report()
    assert report["lost"] == report["duplicates"] == 0, report
    assert engine.stop() == 0
    assert engine.total("packets") < report["received"]


def test_a_firewall_reload_under_load_is_counted_and_survived(lab, start_engine, start_pump):
    """The kernel drops all that is queued when any base chain is deleted. Verdicts for it come too late."""
    engine, pump = start_loaded(lab, start_engine, start_pump, SLOW, window=900, release=LOSS_SECONDS,
                                settle=LOSS_SECONDS)
    processes = engine.queue_processes(), engine.wait_workers(1)
    for _ in range(5):
        wait_for(lambda: lab.router.waiting() > 500, "the queue is deep")
        lab.router.run("nft", "add table inet nfqe; add chain inet nfqe input "
                              "{ type filter hook input priority 10; }; ")
        lab.router.run("nft", "delete table inet nfqe")
    report = pump.stop_sending().report()
    assert report["lost"] > 0, "the test has not caused a flush"
    assert report["duplicates"] == report["out_of_order"] == 0, report
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in the queue")
    assert_traffic_passes(start_pump)
    assert (engine.queue_processes(), engine.workers()[1]) == processes, "no process may die of a firewall reload"
    assert engine.stop() == 0
    assert engine.total("stale_verdicts") > 0
    assert engine.total("crash_verdicts") == engine.total("restarts") == engine.total("verdict_errors") == 0


def test_packets_that_a_firewall_reload_took_are_counted_one_by_one(lab, start_engine):
    """All are answered by one message, which the kernel answers once."""
    count = 60
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:400"), "--queue", "1")
    with contextlib.closing(Orders(lab, 1)) as orders:
        orders.send_as_one_burst(engine, MISBEHAVE, *[NONE] * (count - 1))
        lab.router.run("nft", "add table inet nfqe; add chain inet nfqe input { type filter hook input priority 10; }; ")
        lab.router.run("nft", "delete table inet nfqe")
        assert lab.router.waiting() == 0, "the kernel has dropped all that was queued"
        assert orders.delivered() == []
        assert engine.stop() == 0
    counters = engine.final()[1]
    assert counters["packets"] == counters["accepted"] == count + 1, counters
    assert counters["stale_verdicts"] == count, counters


def test_a_killed_fork_server_costs_nothing_and_is_replaced(lab, start_engine, start_pump):
    engine, pump = start_loaded(lab, start_engine, start_pump, "accept_all", queues=2)
    workers, fork_server = {queue: engine.wait_workers(queue) for queue in (1, 2)}, engine.fork_server()
    assert engine.signal_child(fork_server, signal.SIGKILL)
    wait_for(lambda: engine.fork_server() not in (None, fork_server), "there is a new fork server")
    assert engine.workers() == workers, "workers go on without a fork server"
    # The fork server's death and the workers' death together: the workers come back from the new fork server.
    fork_server = engine.fork_server()
    assert engine.signal_child(fork_server, signal.SIGKILL)
    assert engine.kill_workers(1) == workers[1]
    engine.wait_workers(1, without=workers[1])
    report = pump.stop_sending().report()
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in a queue")
    assert_traffic_passes(start_pump)
    assert engine.workers()[2] == workers[2]
    assert engine.stop() == 0
    assert report["lost"] == engine.total("crash_verdicts") <= 1, report
    assert report["duplicates"] == report["out_of_order"] == 0, report
    assert engine.total("restarts") == 2


def stop_workers(engine, queue=1):
    """Stops the workers and spares of a queue: one of them has the packets."""
    workers = engine.wait_workers(queue)
    for process_id in workers:
        assert engine.signal_child(process_id, signal.SIGSTOP)
    return workers


def test_stopped_workers_are_replaced_and_at_most_their_packets_are_guilty(lab, start_engine, start_pump):
    engine, pump = start_loaded(lab, start_engine, start_pump, "accept_all", "--handle-timeout", "500ms")
    workers = stop_workers(engine)
    # Within the load time-out, and some time more: a spare may have been stopped while it opened.
    wait_for(lambda: not set(engine.workers().get(1, [])) & set(workers), "the stopped workers have been replaced", 15)
    last_id = lab.router.queues()[1].last_id
    wait_for(lambda: lab.router.queues()[1].last_id > last_id + 1000, "traffic continues")
    report = pump.stop_sending().report()
    assert engine.stop() == 0
    assert report["lost"] == engine.total("crash_verdicts") <= 2, report
    assert report["duplicates"] == report["out_of_order"] == 0, report
    assert engine.total("restarts") == 2


def test_a_stopped_queue_process_is_replaced_and_costs_nothing(lab, start_engine, start_pump):
    engine, pump = start_loaded(lab, start_engine, start_pump, "accept_all")
    process = engine.queue_processes()[1]
    assert engine.signal_child(process, signal.SIGSTOP)
    wait_for(lambda: engine.queue_processes().get(1) not in (None, process), "it has been replaced", 5)
    engine.wait_line(rf"queue 1: queue process {process} made no progress for 1000 ms; another one goes on with its packets")
    last_id = lab.router.queues()[1].last_id
    wait_for(lambda: lab.router.queues()[1].last_id > last_id + 1000, "traffic continues")
    report = pump.stop_sending().report()
    assert engine.stop() == 0
    assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report
    assert engine.total("restarts") == 1 and engine.total("crash_verdicts") == 0


def test_in_a_paused_machine_no_packet_is_guilty(lab, start_engine, start_pump):
    """All processes of the engine stop for longer than --handle-timeout, as in a suspended virtual machine."""
    engine, pump = start_loaded(lab, start_engine, start_pump, SLOW, "--handle-timeout", "300ms")
    engine.wait_workers(1)
    children = engine.children()
    engine.signal(signal.SIGSTOP)
    for process_id in children:
        assert engine.signal_child(process_id, signal.SIGSTOP)
    time.sleep(1.0)  # the pause itself, three times the time-out
    engine.signal(signal.SIGCONT)
    for process_id in children:
        assert engine.signal_child(process_id, signal.SIGCONT)
    last_id = lab.router.queues()[1].last_id
    wait_for(lambda: lab.router.queues()[1].last_id > last_id + 1000, "traffic continues")
    report = pump.stop_sending().report()
    assert engine.children() == children
    assert engine.stop() == 0
    assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report
    assert engine.total("crash_verdicts") == engine.total("restarts") == 0


@pytest.mark.parametrize("kind", ["workers", "queue process"])
def test_a_short_stop_of_a_process_costs_nothing(lab, start_engine, start_pump, kind):
    """One that continues before its time-out keeps its packets."""
    engine, pump = start_loaded(lab, start_engine, start_pump, SLOW, "--handle-timeout", "5s")
    engine.wait_workers(1)
    children = engine.children()
    stopped = engine.workers()[1] if kind == "workers" else [engine.queue_processes()[1]]
    for process_id in stopped:
        assert engine.signal_child(process_id, signal.SIGSTOP)
        wait_for(lambda process_id=process_id: process_status(process_id)[1] == "T", "it is stopped")
    time.sleep(0.5)  # a tenth of --handle-timeout, half of the time-out of a queue process
    assert [process_status(process_id)[1] for process_id in stopped] == ["T"] * len(stopped), "they were stopped all the time"
    for process_id in stopped:
        assert engine.signal_child(process_id, signal.SIGCONT)
    last_id = lab.router.queues()[1].last_id
    wait_for(lambda: lab.router.queues()[1].last_id > last_id + 1000, "traffic continues")
    report = pump.stop_sending().report()
    assert engine.children() == children
    assert engine.stop() == 0
    assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report
    assert engine.total("crash_verdicts") == engine.total("restarts") == 0
