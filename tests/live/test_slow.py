# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a plugin that is slow delays the packets after the slow one and no others, and the log names it once.

What is decided is sent before the rest of its burst is. A hang ends 50 ms after --handle-timeout at the latest; one in
handle_batch() takes a quarter of the time more, to find the packet. The plugins sleep, so the time that they take does
not depend on how busy the machine is; what processes waited for a CPU, as the kernel counts it, comes on top.
"""

import contextlib
import os
import time

import pytest

from orders import CRASH
from support.engine import PREFIX, plugin
from support.processes import run_delay
from support.scale import scaled_count
from test_hostile import MISBEHAVE, NONE, Orders, stop_in_order

SLOW_SECONDS = 0.2
LATE_SECONDS = 0.15  # for what wakes up late although there is a CPU; what is promised is 5 ms
SLOW = rf"^{PREFIX}queue 1: plugin (\S+) \S+ is slow: it took more than 100 ms over a packet"


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


def processes_of_queue(engine):
    """Those that wait for a CPU between a packet of queue 1 and its arrival here."""
    return engine.queue_processes()[1], *engine.wait_workers(1), os.getpid()


def arrivals(orders, count, since):
    """How long after `since` each of the next datagrams arrives."""
    times = []
    for _ in range(count):
        orders.receiver.recv(2048)
        times.append(time.monotonic() - since)
    return times


def test_what_is_decided_leaves_before_the_rest_of_its_burst(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--plugin",
                          plugin("misbehave_second,do=sleep:200,on=every"), "--queue", "1")
    orders = through(1)
    count = scaled_count(16, 5)
    processes = processes_of_queue(engine)
    orders.send_as_one_burst(engine, *[NONE] * count)
    start, delay = time.monotonic(), run_delay(*processes)
    times = arrivals(orders, count, start)
    delay = run_delay(*processes) - delay
    for number, taken in enumerate(times):
        assert taken < (number + 1) * SLOW_SECONDS * 1.1 + LATE_SECONDS + delay, f"packet {number}: {times}, {delay}"
    assert [match.group(1) for match in engine.matches(SLOW)] == ["misbehave_second"], engine.lines
    assert stop_in_order(lab, engine, orders)["crash_verdicts"] == 0
    assert len(engine.matches(SLOW)) == 1, "once"


def test_a_plugin_that_is_not_slow_is_not_named(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:30"), "--queue", "1")
    orders = through(1)
    numbers = orders.send_as_one_burst(engine, *[MISBEHAVE] * 20)  # all of them together take longer
    assert orders.delivered() == numbers
    assert stop_in_order(lab, engine, orders)["packets"] == orders.sent
    assert not engine.matches("is slow"), engine.lines


def hang_once(lab, start_engine, through, name, where, timeout):
    """A burst of which one packet hangs. Returns how long the others took, and how long processes waited for a CPU."""
    engine = start_engine("--plugin", plugin(f"{name},do=sleep:60000,in={where},times=2"), "--queue", "1",
                          "--handle-timeout", f"{timeout}ms")
    orders = through(1)
    processes = processes_of_queue(engine)
    orders.send_as_one_burst(engine, NONE, NONE, MISBEHAVE, NONE, NONE)
    start, delay = time.monotonic(), run_delay(*processes)
    taken = arrivals(orders, 4, start)
    delay = run_delay(*processes) - delay
    assert orders.delivered() == []
    assert stop_in_order(lab, engine, orders)["crash_verdicts"] == 1, engine.lines
    return taken, max(delay, 0)  # what a worker that has ended waited is not counted


@pytest.mark.parametrize("timeout", [200, 1000])
def test_a_hang_is_found_soon_after_its_time_out(lab, start_engine, through, timeout):
    taken, delay = hang_once(lab, start_engine, through, "misbehave", "handle", timeout)
    assert timeout / 1000 - 0.01 < taken[-1] < timeout / 1000 + 0.05 + LATE_SECONDS + delay, (taken, delay)
    assert taken[1] < LATE_SECONDS + delay, "those before it are answered at once"


def test_a_hang_in_a_batch_takes_a_quarter_more(lab, start_engine, through):
    taken, delay = hang_once(lab, start_engine, through, "misbehave_batch", "handle", 1000)
    assert 1.2 < taken[-1] < 1.25 + 0.05 + 2 * LATE_SECONDS + delay, (taken, delay)


def test_after_a_hang_in_a_batch_a_packet_that_takes_less_than_a_quarter_is_not_guilty(lab, start_engine, through):
    """The burst takes longer than the time-out, and none of its packets. The first plugin, which has handle_batch(), has no
    opinion on them."""
    engine = start_engine("--plugin", plugin("obey_batch"), "--plugin",
                          plugin("misbehave,do=sleep:180,on=every"), "--queue", "1")
    orders = through(1)
    numbers = orders.send_as_one_burst(engine, *[NONE] * 8)
    assert orders.delivered() == numbers
    counters = stop_in_order(lab, engine, orders)
    assert counters["crash_verdicts"] == 0 and counters["restarts"] == 1, (counters, engine.lines)


def test_after_a_crash_in_a_batch_packets_have_their_whole_time_out(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("obey_batch"), "--plugin", plugin("misbehave,do=sleep:400,on=every"),
                          "--queue", "1")
    orders = through(1)
    numbers = orders.send_as_one_burst(engine, NONE, CRASH, NONE)
    assert orders.delivered() == [numbers[0], numbers[2]]
    assert stop_in_order(lab, engine, orders)["crash_verdicts"] == 1, engine.lines
