# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: processes may be killed at any time, a thousand times; only packets that a plugin was deciding are lost.

SIGKILL hits a random process at a random moment, under load, so it hits every phase of its life: waiting, between two
system calls, in handle(), while sending verdicts, while starting. Queue processes, workers, spares and the fork server
are hit, each kind alone and all together. Afterwards no packet waits in a queue, the missing datagrams are exactly
those that got the crash verdict according to the engine, and no other one arrived twice or out of order. The death of a
queue process alone costs nothing at all: its successor has another worker decide what its own worker had. The random
numbers come from a seed that a failure prints (support/seeds.py).
"""

import signal
import time

import pytest

from support.commands import wait_for
from support.engine import SLOW, plugin
from support.scale import scaled_count, scaled_limit
from support.seeds import Kills, new_seed, pick

ENDLESS = 50_000_000  # more datagrams than can be sent until the pump is told to stop
PAUSE_SECONDS = 0.008  # the longest pause between two kills; also short enough to hit a process while it starts
LONGER_SECONDS = 0.03  # a queue process begins with new workers; killed before it answers anything, it waits longer
SHORT_SECONDS = 0.001  # so short that one burst sees several workers die
SETTLE_SECONDS = 6.0   # longer than the engine pauses when workers die again and again before they do anything
KILLING_LIMIT = 100.0
MISSED_MS = 8000  # births pause for up to a second each; a process that is missed takes --handle-timeout, 10 s

QUEUE_PROCESSES, WORKERS, FORK_SERVER = "queue processes", "workers and spares", "fork server"
ALL = (QUEUE_PROCESSES, WORKERS, FORK_SERVER)


def processes(engine, kinds):
    """Process id -> kind, of all processes of these kinds."""
    found = {}
    if QUEUE_PROCESSES in kinds:
        found.update(dict.fromkeys(engine.queue_processes().values(), QUEUE_PROCESSES))
    if WORKERS in kinds:
        found.update(dict.fromkeys(sum(engine.workers().values(), []), WORKERS))
    fork_server = engine.fork_server() if FORK_SERVER in kinds else None
    if fork_server is not None:
        found[fork_server] = FORK_SERVER
    return found


def kill_processes(engine, kinds, kills, pause, seed):
    """Kills random processes of these kinds; each once. How many of each kind."""
    kills_drawn = Kills(seed)
    killed = {}
    end = time.monotonic() + scaled_limit(KILLING_LIMIT)
    drawn = kills_drawn.draw()
    while len(killed) < kills:
        assert time.monotonic() < end, f"only {len(killed)} of {kills} kills within the limit: {engine.lines[-5:]}"
        assert engine.process.poll() is None, f"the supervisor has ended: {engine.lines[-5:]}"
        time.sleep(drawn[0] * pause)  # the random moment, not a wait for something
        found = {process_id: kind for process_id, kind in processes(engine, kinds).items() if process_id not in killed}
        if found:
            kind = pick(sorted(set(found.values())), drawn[1])  # or the only fork server would hardly ever be hit
            process_id = pick(sorted(each for each, its in found.items() if its == kind), drawn[2])
            if engine.signal_child(process_id, signal.SIGKILL):
                killed[process_id] = kind
                drawn = kills_drawn.draw()
    return {kind: list(killed.values()).count(kind) for kind in ALL}


@pytest.mark.parametrize("kinds, name, queues, kills, quick_kills, pause, busy", [
    ((QUEUE_PROCESSES,), "accept_all", 2, 1000, 30, LONGER_SECONDS, False),
    ((QUEUE_PROCESSES,), SLOW, 1, 200, 20, LONGER_SECONDS, True),
    ((WORKERS,), "accept_all", 2, 1000, 30, PAUSE_SECONDS, False),  # nearly always hit outside of handle()
    ((WORKERS,), SLOW, 1, 200, 30, PAUSE_SECONDS, False),            # often hit inside of handle()
    ((WORKERS,), SLOW, 1, 100, 30, SHORT_SECONDS, True),             # often hit while they begin with what one has left
    (ALL, "accept_all", 2, 500, 30, PAUSE_SECONDS, False),
    (ALL, SLOW, 2, 200, 20, PAUSE_SECONDS, True),
])
def test_killed_processes_cost_only_what_a_plugin_was_deciding(
        lab, start_engine, start_pump, start_busy, kinds, name, queues, kills, quick_kills, pause, busy):
    kills = scaled_count(kills, quick_kills)
    seed = new_seed()
    engine = start_engine("--plugin", plugin(name), "--queue", f"1-{queues}" if queues > 1 else "1",
                          "--handle-timeout", "10s", "--crash-limit", "off", "--outage-timeout", "60s")
    lab.queue_pump_traffic(1, queues)
    pump = start_pump(ENDLESS, time_limit=KILLING_LIMIT + 20, settle=SETTLE_SECONDS)
    wait_for(lambda: min(queue.last_id for queue in lab.router.queues().values()) > 100, "all queues are under load")

    for queue in range(1, queues + 1):
        engine.wait_workers(queue)
    descriptors = engine.descriptors()
    if busy:
        start_busy()

    killed = kill_processes(engine, kinds, kills, pause, seed)
    report = pump.stop_sending().report()

    wait_for(lambda: lab.router.waiting() == 0, f"no packet waits in a queue (seed {seed})")
    kernel = lab.router.queues()
    assert len(kernel) == queues
    assert all(queue.queue_dropped == queue.user_dropped == 0 for queue in kernel.values()), kernel
    assert sum(queue.last_id for queue in kernel.values()) == report["sent"], "every datagram was queued once"
    for queue in range(1, queues + 1):
        engine.wait_workers(queue)
    wait_for(lambda: len(engine.children()) == 3 * queues + 1, "every process that was killed has been replaced")
    wait_for(lambda: engine.descriptors() <= descriptors + 2, "the supervisor does not leak descriptors")
    wait_for(lambda: engine.zombies() == [], "the supervisor reaps its children")
    assert engine.stop() == 0
    context = f"seed {seed}, {killed}, {report}, {engine.final()}"
    assert report["duplicates"] == 0 and report["out_of_order"] == 0, context
    assert report["lost"] == engine.total("crash_verdicts") == engine.total("dropped"), context
    assert engine.total("packets") == report["sent"], context
    assert engine.total("stale_verdicts") == engine.total("outages") == 0, context
    assert engine.total("crash_verdicts") <= killed[WORKERS], context
    assert report["longest_pause_ms"] < MISSED_MS, f"no process was missed until --handle-timeout: {context}"
    if kinds in ((QUEUE_PROCESSES,), (WORKERS,)):
        assert engine.total("restarts") == kills, context
    if kinds == (WORKERS,) and name == SLOW:
        assert engine.total("crash_verdicts") > 0, f"no kill hit handle(): {context}"


@pytest.mark.parametrize("kinds", [(QUEUE_PROCESSES,), (WORKERS,)])
def test_killed_processes_of_a_queue_with_several_workers(lab, start_engine, start_pump, kinds):
    """The order of the packets of each flow stays, too."""
    kills, seed = scaled_count(200, 25), new_seed()
    engine = start_engine("--plugin", plugin(SLOW), "--queue", "1", "--workers", "3", "--spares", "2", "--handle-timeout",
                          "10s", "--crash-limit", "off", "--outage-timeout", "60s")
    lab.queue_pump_traffic()
    pump = start_pump(ENDLESS, time_limit=KILLING_LIMIT + 20, settle=SETTLE_SECONDS)
    engine.wait_workers(1, 3 + 2)
    killed = kill_processes(engine, kinds, kills, LONGER_SECONDS, seed)
    report = pump.stop_sending().report()
    wait_for(lambda: lab.router.waiting() == 0, f"no packet waits in a queue (seed {seed})")
    engine.wait_workers(1, 3 + 2)
    assert engine.stop() == 0
    context = f"seed {seed}, {killed}, {report}, {engine.final()}"
    assert report["duplicates"] == 0 and report["out_of_order"] == 0, context
    assert report["lost"] == engine.total("crash_verdicts") == engine.total("dropped") <= killed[WORKERS], context
    assert engine.total("packets") == report["sent"] and engine.total("restarts") == kills, context


@pytest.mark.parametrize("kind", [QUEUE_PROCESSES, WORKERS])
def test_killed_processes_of_an_idle_queue_cost_nothing(lab, start_engine, start_pump, kind):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
    for queue in (1, 2):
        engine.wait_workers(queue)
    before = processes(engine, ALL)
    killed = [each for each in before if before[each] == kind]
    for process_id in killed:
        assert engine.signal_child(process_id, signal.SIGKILL)
    # A queue process takes its workers along: their rings were its own.
    gone = killed + [each for each in before if before[each] == WORKERS]
    wait_for(lambda: len(processes(engine, ALL)) == len(before) and not set(gone) & set(processes(engine, ALL)),
             "all have been replaced")
    assert set(before) - set(gone) <= set(processes(engine, ALL)), "no other process has ended"
    lab.queue_pump_traffic(1, 2)
    assert start_pump(10000).report()["lost"] == 0
    assert engine.stop() == 0
    assert engine.total("crash_verdicts") == 0
    assert engine.total("restarts") == len(killed)
