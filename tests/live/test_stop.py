# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a stop loses no packet that was accepted into the queue, ends in bounded time, and exits with 0.

A stop first lets the kernel queue nothing more: new packets are dropped (--on-stop drop) or accepted unseen (--on-stop
accept). Then what is queued is answered, for at most --drain-timeout. How many packets were accepted into the queue
is read from the kernel, while the engine stops: from then on the last packet id of a queue does not change. With
--on-stop accept and a rule with `bypass`, no packet is lost at any time.
"""

import signal
import time

import pytest

from support.commands import wait_for
from support.engine import plugin
from support.processes import held
from test_kill import QUEUE_PROCESSES, WORKERS, processes

SLOW = "misbehave,do=work:200,on=every"  # what waits in a queue takes long enough for some looks at /proc
ENDLESS = 50_000_000  # more datagrams than can be sent until the pump is told to stop
WINDOW = 900          # so many are queued when the plugin is slower than the pump
DEEP = 100            # packets that wait in a queue, on average: 20 ms of a slow plugin
BURST = 64            # packets that a worker takes at once
STOP_SECONDS = 15.0
SAME_STOP_SECONDS = 0.3  # signals that come together are one: 200 ms
GONE_SECONDS = 0.3    # without the engine and without a rule's bypass nothing more arrives


def stop_and_watch(lab, engine, number):
    """Sends the signal and reads the kernel's queues until the engine has ended.
    For each queue: the last packet id that was seen, and how often in a row it was the same."""
    seen = {}
    end = time.monotonic() + STOP_SECONDS
    engine.signal(number)
    while engine.process.poll() is None:
        assert time.monotonic() < end, f"not stopped within {STOP_SECONDS} s: {engine.lines}"
        for queue, state in lab.router.queues().items():
            last_id, times = seen.get(queue, (None, 0))
            seen[queue] = (state.last_id, times + 1 if state.last_id == last_id else 1)
        time.sleep(0.001)
    return seen


def are_deep(waiting):
    """Of the packets that are in flight, most wait for the worker that gets the least CPU time: so not all queues have
    the same depth, but each has packets."""
    return all(waiting) and sum(waiting) > DEEP * len(waiting)


def start_full_load(lab, start_engine, start_pump, name, queues, *options, bypass=False):
    """An engine with a deep queue under endless traffic."""
    engine = start_engine("--plugin", plugin(name), "--queue", f"1-{queues}" if queues > 1 else "1", *options)
    lab.queue_pump_traffic(1, queues, bypass=bypass)
    pump = start_pump(ENDLESS, window=WINDOW, time_limit=60, settle=GONE_SECONDS)
    wait_for(lambda: sum(queue.last_id for queue in lab.router.queues().values()) > WINDOW, "there is load")
    if name == SLOW:
        wait_for(lambda: are_deep([lab.router.queues()[number].waiting for number in range(1, queues + 1)]),
                 "the queues are deep", 20)
    return engine, pump


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name, queues", [(SLOW, 1), (SLOW, 4), ("accept_all", 1)])
def test_a_stop_that_drops_loses_nothing_that_was_queued(lab, start_engine, start_pump, name, queues, number):
    engine, pump = start_full_load(lab, start_engine, start_pump, name, queues, "--on-stop", "drop")
    seen = stop_and_watch(lab, engine, number)
    assert engine.wait() == 0
    report = pump.stop_sending().report()
    context = f"{seen}, {report}, {engine.final()}"
    assert report["duplicates"] == 0 and report["out_of_order"] == 0, context
    assert report["received"] == engine.total("packets") == engine.total("accepted"), context
    assert lab.server.udp_received() == (report["received"], 0), context
    queued = sum(last_id for last_id, _ in seen.values())
    if name == SLOW:  # slow enough to be watched: the ids stood still while the queue was drained
        assert all(times >= 3 for _, times in seen.values()), context
        assert report["received"] == queued, context
        assert engine.total("kernel_queue_dropped") > 0, "what came during the stop was dropped and counted"
    assert report["received"] >= queued, context
    assert engine.total("kernel_user_dropped") == 0, context


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name, queues", [(SLOW, 1), (SLOW, 4), ("accept_all", 1)])
def test_a_stop_that_accepts_loses_nothing_at_all(lab, start_engine, start_pump, name, queues, number):
    engine, pump = start_full_load(
        lab, start_engine, start_pump, name, queues, "--on-stop", "accept", bypass=True)
    seen = stop_and_watch(lab, engine, number)
    assert engine.wait() == 0
    passed = lab.server.udp_received()[0]
    wait_for(lambda: lab.server.udp_received()[0] > passed, "traffic continues without the engine")
    report = pump.stop_sending().report()
    context = f"{seen}, {report}, {engine.final()}"
    # The order is not asserted: what is accepted unseen overtakes what is still queued.
    assert report["lost"] == 0 and report["duplicates"] == 0, context
    assert engine.total("packets") == engine.total("accepted") < report["received"], context
    if name == SLOW:
        assert all(times >= 3 for _, times in seen.values()), context
        assert engine.total("packets") == sum(last_id for last_id, _ in seen.values()), context


def start_hanging(lab, start_engine, start_pump, *options):
    """An engine with a packet on which the plugin hangs, and a whole window of others after it."""
    every, window = 10000, 500
    engine = start_engine("--plugin", plugin("misbehave,do=hang"), "--queue", "1", *options)
    lab.queue_pump_traffic()
    pump = start_pump(ENDLESS, window=window, mark_every=every, time_limit=60, settle=GONE_SECONDS)
    # The marked packet is number every // 2 from 0. So many have been sent that all before it have arrived, except
    # those of its own burst: they are decided, but their verdicts wait for the end of the burst.
    wait_for(lambda: lab.router.queues()[1].last_id >= every // 2 + window - BURST, "all before the marked packet have "
             "passed", timeout=20)
    return engine, pump


def test_a_hanging_plugin_cannot_delay_a_stop_beyond_the_drain_time_out(lab, start_engine, start_pump):
    engine, pump = start_hanging(lab, start_engine, start_pump, "--handle-timeout", "60s", "--drain-timeout", "500ms")
    start = time.monotonic()
    assert engine.stop() == 0
    elapsed = time.monotonic() - start
    assert 0.4 < elapsed < 3.0, f"stopped after {elapsed:.2f} s"
    assert engine.final(), "the final counters are printed also when the queue could not be drained"
    pump.stop_sending().report()


def test_a_hang_during_a_stop_costs_the_guilty_packet_only(lab, start_engine, start_pump):
    engine, pump = start_hanging(
        lab, start_engine, start_pump, "--handle-timeout", "300ms", "--drain-timeout", "20s", "--on-stop", "drop")
    seen = stop_and_watch(lab, engine, signal.SIGTERM)
    assert engine.wait() == 0
    report = pump.stop_sending().report()
    context = f"{seen}, {report}, {engine.final()}"
    assert engine.total("crash_verdicts") >= 1, context
    assert engine.total("packets") >= sum(last_id for last_id, _ in seen.values()), context
    assert report["received"] == engine.total("packets") - engine.total("crash_verdicts"), context
    assert report["duplicates"] == 0 and report["out_of_order"] == 0, context


@pytest.mark.parametrize("kind", [QUEUE_PROCESSES, WORKERS])
def test_processes_killed_during_a_stop_cost_only_what_a_plugin_was_deciding(lab, start_engine, start_pump, kind):
    engine, pump = start_full_load(lab, start_engine, start_pump, SLOW, 1, "--on-stop", "drop")
    last_id = lab.router.queues()[1].last_id
    engine.signal(signal.SIGTERM)
    engine.wait_line("SIGTERM")
    killed = set()
    end = time.monotonic() + STOP_SECONDS
    while engine.process.poll() is None:
        assert time.monotonic() < end, f"not stopped within {STOP_SECONDS} s: {engine.lines}"
        last_id = max([last_id, *(queue.last_id for queue in lab.router.queues().values())])
        for process_id in processes(engine, (kind,)):
            if process_id not in killed and len(killed) < 10 and engine.signal_child(process_id, signal.SIGKILL):
                killed.add(process_id)
        time.sleep(0.001)
    assert engine.wait() == 0
    report = pump.stop_sending().report()
    context = f"{len(killed)} killed, last id {last_id}, {report}, {engine.final()}"
    assert len(killed) > 1, context
    assert engine.total("packets") == last_id, context
    assert report["received"] == engine.total("accepted") == last_id - engine.total("crash_verdicts"), context
    assert engine.total("crash_verdicts") <= (len(killed) if kind == WORKERS else 0), context
    assert report["duplicates"] == 0 and report["out_of_order"] == 0, context


def test_a_second_signal_ends_the_wait(lab, start_engine, start_pump):
    engine, pump = start_hanging(lab, start_engine, start_pump, "--handle-timeout", "60s", "--drain-timeout", "60s")
    engine.signal(signal.SIGTERM)
    engine.wait_line("SIGTERM")
    time.sleep(SAME_STOP_SECONDS)
    start = time.monotonic()
    assert engine.stop() == 0
    assert time.monotonic() - start < 2.0
    pump.stop_sending().report()


def test_signals_that_come_together_are_one(lab, start_engine, start_pump):
    """timeout(1) sends its signal to the process and to its group."""
    engine, pump = start_full_load(lab, start_engine, start_pump, SLOW, 4, "--on-stop", "drop")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        engine.signal(number)
        wait_for(lambda: engine.matches("SIGTERM: "), "the first is taken")
    assert engine.wait() == 0
    report = pump.stop_sending().report()
    assert report["received"] == engine.total("packets") == engine.total("accepted"), (report, engine.final())
    assert len(engine.matches("SIG")) == 1 and not engine.matches("killed"), engine.lines


# What a queue does not wait for: from its end on, the firewall's bypass applies


def wait_unbound(lab, engine, queues):
    """The queues are not bound any more, and the engine has not ended."""
    wait_for(lambda: not set(queues) & set(lab.router.queues()), f"queues {queues} are unbound; the log is: {engine.lines}")
    assert engine.process.poll() is None, "the test means an engine that still waits for something"


def test_a_queue_that_is_drained_does_not_wait_for_another_one(lab, start_engine, start_pump):
    engine, pump = start_full_load(lab, start_engine, start_pump, SLOW, 1, "--queue", "2-4", "--on-stop", "accept")
    engine.signal(signal.SIGTERM)
    wait_unbound(lab, engine, [2, 3, 4])
    assert 1 in lab.router.queues(), "its packets are still answered"
    assert engine.wait() == 0
    pump.stop_sending().report()
    assert sorted(engine.final()) == [1, 2, 3, 4]
    assert engine.final()[1]["packets"] == engine.final()[1]["accepted"] > 0


def test_no_queue_waits_for_close(lab, start_engine):
    engine = start_engine("--plugin", plugin("misbehave,do=hang,in=close"), "--queue", "1-4", "--load-timeout", "60s",
                          "--drain-timeout", "60s")
    engine.signal(signal.SIGTERM)
    wait_unbound(lab, engine, [1, 2, 3, 4])
    time.sleep(SAME_STOP_SECONDS)
    assert engine.stop() == 0
    assert len(engine.matches(r"every packet is answered, but close\(\) of plugin misbehave has not returned")) == 4


def test_no_queue_waits_for_a_worker_that_is_stopped(lab, start_engine):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2", "--load-timeout", "60s",
                          "--drain-timeout", "60s")
    for worker in engine.wait_workers(2):
        assert engine.signal_child(worker, signal.SIGSTOP)
    engine.signal(signal.SIGTERM)
    wait_unbound(lab, engine, [1, 2])
    time.sleep(SAME_STOP_SECONDS)
    assert engine.stop() == 0


def test_a_stop_does_not_wait_for_a_queue_process_that_is_stopped(lab, start_engine):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-4", "--drain-timeout", "60s")
    assert engine.signal_child(engine.queue_processes()[2], signal.SIGSTOP)
    engine.signal(signal.SIGTERM)
    wait_unbound(lab, engine, [1, 3, 4])
    assert engine.wait() == 0
    assert engine.matches("queue 2: queue process .* made no progress for"), engine.lines


def test_a_stop_while_there_is_no_fork_server_starts_none(start_engine):
    """It has just been killed, and another one would be started 10 ms later, when all queues are drained."""
    for _ in range(3):
        engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
        for queue in (1, 2):
            engine.wait_workers(queue)
        assert engine.signal_child(engine.fork_server(), signal.SIGKILL)
        start = time.monotonic()
        assert engine.stop() == 0
        assert time.monotonic() - start < 3.0


def test_after_the_drain_time_out_no_queue_waits_for_the_end_of_a_process(lab, start_engine, start_pump):
    engine, pump = start_hanging(lab, start_engine, start_pump, "--handle-timeout", "60s", "--drain-timeout", "500ms",
                                 "--spares", "0")
    with held(engine.wait_workers(1, 1)[0]):
        engine.signal(signal.SIGTERM)
        wait_unbound(lab, engine, [1])
        assert not engine.matches("was killed but is still there"), "this is said after a second"
        assert engine.wait() == 0
    engine.wait_line("worker .* was killed but is still there")
    assert engine.matches("queue 1: [0-9]+ packets were not answered in time"), engine.lines
    pump.stop_sending().report()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_engine_stops_at_once(lab, start_engine, number):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-4")
    start = time.monotonic()
    engine.signal(number)
    assert engine.wait() == 0
    assert time.monotonic() - start < 1.0
    assert sorted(engine.final()) == [1, 2, 3, 4]
    assert lab.router.queues() == {}
