# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: workers may be killed at any time, a thousand times; only the packets that were being decided are lost.

SIGKILL hits a random worker at a random moment, under load, so it hits every phase of a worker's life: waiting,
between two system calls, in handle(), while sending verdicts, while starting. Afterwards no packet waits in a queue,
the missing datagrams are exactly those that got the crash verdict according to the engine, and no other one arrived
twice or out of order. The random numbers come from a seed that a failure prints.
"""

import random
import signal
import time

import pytest

from support.commands import wait_for
from support.engine import SLOW, plugin
from support.scale import scaled_count, scaled_limit

ENDLESS = 50_000_000  # more datagrams than can be sent until the pump is told to stop
PAUSE_SECONDS = 0.008  # the longest pause between two kills; also short enough to hit a worker while it starts
SHORT_SECONDS = 0.001  # so short that one burst sees several workers die
SETTLE_SECONDS = 6.0   # longer than the engine pauses when workers die again and again before they do anything
KILLING_LIMIT = 100.0


def kill_workers(engine, kills, pause, seed):
    """Kills random workers; each process once."""
    generator = random.Random(seed)
    killed = set()
    end = time.monotonic() + scaled_limit(KILLING_LIMIT)
    while len(killed) < kills:
        assert time.monotonic() < end, f"only {len(killed)} of {kills} kills within the limit"
        assert engine.process.poll() is None, f"the supervisor has ended: {engine.lines[-5:]}"
        time.sleep(generator.uniform(0, pause))  # the random moment, not a wait for something
        workers = sorted(set(engine.workers().values()) - killed)
        if workers:
            worker = generator.choice(workers)
            if engine.signal_child(worker, signal.SIGKILL):
                killed.add(worker)


@pytest.mark.parametrize("name, queues, kills, quick_kills, pause, busy", [
    ("accept_all", 2, 1000, 100, PAUSE_SECONDS, False),  # nearly always hit outside of handle()
    (SLOW, 1, 200, 50, PAUSE_SECONDS, False),            # nearly always hit inside of handle()
    (SLOW, 1, 100, 50, SHORT_SECONDS, True),             # often hit while taking up what the one before left
])
def test_killed_workers_cost_only_what_they_were_deciding(
        lab, start_engine, start_pump, start_busy, name, queues, kills, quick_kills, pause, busy):
    kills = scaled_count(kills, quick_kills)
    seed = random.randrange(1 << 32)
    engine = start_engine("--plugin", plugin(name), "--queue", f"1-{queues}" if queues > 1 else "1",
                          "--handle-timeout", "10s")
    lab.queue_pump_traffic(1, queues)
    pump = start_pump(ENDLESS, time_limit=KILLING_LIMIT + 20, settle=SETTLE_SECONDS)
    wait_for(lambda: min(queue.last_id for queue in lab.router.queues().values()) > 100, "all queues are under load")

    descriptors = engine.descriptors()
    if busy:
        start_busy()

    kill_workers(engine, kills, pause, seed)
    report = pump.stop_sending().report()

    wait_for(lambda: lab.router.waiting() == 0, f"no packet waits in a queue (seed {seed})")
    kernel = lab.router.queues()
    assert len(kernel) == queues
    assert all(queue.queue_dropped == queue.user_dropped == 0 for queue in kernel.values()), kernel
    assert sum(queue.last_id for queue in kernel.values()) == report["sent"], "every datagram was queued once"
    wait_for(lambda: len(engine.workers()) == queues, "the last worker that was killed has been replaced")
    assert engine.descriptors() <= descriptors + 2, "the supervisor must not leak descriptors"
    assert engine.zombies() == [], "the supervisor must reap its workers"
    assert engine.stop() == 0
    context = f"seed {seed}, {report}, {engine.final()}"
    assert report["duplicates"] == 0 and report["out_of_order"] == 0, context
    assert report["lost"] == engine.total("crash_verdicts") == engine.total("dropped"), context
    assert engine.total("restarts") == kills, context
    assert engine.total("packets") == report["sent"], context
    assert engine.total("stale_verdicts") == 0, context
    assert engine.total("crash_verdicts") <= kills, context
    assert report["longest_pause_ms"] < (5000 if busy else 1000), f"no worker was missed until --handle-timeout: {context}"
    if name == SLOW:
        assert engine.total("crash_verdicts") > 0, f"no kill hit handle(): {context}"


def test_a_killed_worker_of_an_idle_queue_costs_nothing(lab, start_engine, start_pump):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
    before = engine.workers()
    for worker in before.values():
        assert engine.signal_child(worker, signal.SIGKILL)
    wait_for(lambda: sorted(engine.workers()) == [1, 2] and not set(engine.workers().values()) & set(before.values()),
             "both workers have been replaced")
    lab.queue_pump_traffic(1, 2)
    assert start_pump(10000).report()["lost"] == 0
    assert engine.stop() == 0
    assert engine.total("crash_verdicts") == 0
    assert engine.total("restarts") == 2
