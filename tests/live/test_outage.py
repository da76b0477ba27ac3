# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a plugin that crashes again and again, and a queue without a worker, end as the options say, and no queue waits
for ever.

--crash-limit with --on-crash-limit outage, skip and stop; --outage-timeout, --outage-retry, and --on-outage accept, drop
and stop. The kernel's queue, and a rule after it, count what became of the packets. A plugin that waits in open() for
a file keeps its queue without a worker for as long as a test wants.
"""

import contextlib
import time

import pytest

from orders import ACCEPT, DROP_FLOW, Trace, traced
from support.commands import wait_for
from support.engine import PREFIX, plugin
from support.rules import Rule, queue_target
from support.scale import scaled_count
from test_hostile import DROP, MISBEHAVE, NONE, ORDERS_PORT, Orders, stop_in_order

EXIT_OUTAGE = 6
CRASHES = 3
LIMIT = ("--crash-limit", f"{CRASHES}/1m")
REACHED = (rf"^{PREFIX}queue 1: plugin misbehave has crashed, hung or failed to open {CRASHES} times within 60000 ms, the "
           "--crash-limit; ")
OVER = rf"^{PREFIX}queue 1: the outage is over, a worker has opened its plugins$"


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


def passed(lab, queue=1):
    """A rule that counts the datagrams of test_hostile.Orders that have passed the queue."""
    return Rule(lab.router, "POSTROUTING", "-p", "udp", "--dport", str(ORDERS_PORT + queue), table="mangle")


def send_decided(lab, orders, *wanted):
    """Sends them and waits until none waits in the queue. Returns their numbers."""
    numbers = orders.send(*wanted)
    wait_for(lambda: lab.router.queues()[orders.queue].last_id == orders.sent and lab.router.waiting() == 0,
             "every packet is answered")
    return numbers


def crash_to_the_limit(lab, orders):
    for _ in range(CRASHES):
        send_decided(lab, orders, MISBEHAVE)


# The crash limit


@pytest.mark.parametrize("verdict", ["accept", "drop"])
def test_an_outage_after_too_many_crashes_ends_with_the_next_try(lab, start_engine, through, verdict):
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1-2", *LIMIT, "--on-outage", verdict,
                          "--outage-retry", "1s")
    orders, other, after = through(1), through(2), passed(lab)
    count = 20
    for outage in (1, 2):
        if outage == 1:
            crash_to_the_limit(lab, orders)
        else:
            send_decided(lab, orders, MISBEHAVE)  # those before still count
        wait_for(lambda expected=outage: len(engine.matches(REACHED + "the queue has an outage$")) == expected,
                 f"the limit is reached: {engine.lines}")
        wait_for(lambda expected=outage: len(engine.matches(
            rf"queue 1: outage, packets get verdict {verdict}; a worker is tried again in 1000 ms$")) == expected,
                 f"the outage has begun: {engine.lines}")
        began, before = time.monotonic(), after.packets()
        send_decided(lab, orders, *[NONE, DROP] * (count // 2))
        assert time.monotonic() - began < 0.7, "they have not waited for a worker"
        assert after.packets() - before == (count if verdict == "accept" else 0)
        assert other.delivered() == [], "the other queue has no outage"
        wait_for(lambda expected=outage: len(engine.matches(OVER)) == expected, f"the outage is over: {engine.lines}")
        assert 0.7 < time.monotonic() - began < 3.0
        before = after.packets()
        send_decided(lab, orders, NONE, DROP, NONE)
        assert after.packets() - before == 2, "the plugin decides again"
    counters = stop_in_order(lab, engine, orders)
    assert counters["outages"] == 2 and engine.final()[2]["outages"] == 0, engine.final()
    assert counters["crash_verdicts"] == CRASHES + 1, counters
    assert counters["accepted"] == after.packets() and counters["dropped"] == orders.sent - after.packets(), counters


def test_the_engine_stops_after_too_many_crashes_and_answers_what_is_queued(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1-2", *LIMIT, "--on-crash-limit", "stop")
    orders, after = through(1), passed(lab)
    orders.send_as_one_burst(engine, *[NONE, MISBEHAVE] * CRASHES, *[NONE] * 20)
    assert engine.wait() == EXIT_OUTAGE, engine.lines
    assert engine.matches(REACHED + "the engine stops, as --on-crash-limit says$"), engine.lines
    counters = engine.final()[1]
    assert counters["packets"] == CRASHES * 2 + 20 and counters["crash_verdicts"] == CRASHES, counters
    assert after.packets() == counters["accepted"] == CRASHES + 20, counters
    assert lab.router.queues() == {}


def test_a_plugin_that_crashes_too_often_is_left_out(lab, start_engine, through):
    """The next one of the chain decides; it would accept the datagrams that the first one crashes on."""
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--plugin", plugin("misbehave_second,do=work:1"),
                          "--queue", "1", *LIMIT, "--on-crash-limit", "skip")
    orders, after = through(1), passed(lab)
    crash_to_the_limit(lab, orders)
    engine.wait_line(REACHED + "it is left out of the plugin chain until the engine is started again$")
    wait_for(lambda: send_decided(lab, orders, MISBEHAVE) and after.packets() > 0, "the first one is not asked any more")
    before, sent = after.packets(), orders.sent
    send_decided(lab, orders, *[MISBEHAVE, NONE, DROP] * 10)
    assert after.packets() - before == 20
    engine.wait_workers(1)
    assert len(engine.kill_workers(1)) == 2
    send_decided(lab, orders, *[MISBEHAVE, NONE, DROP] * 10)
    assert after.packets() - before == 40, "nor is it in those that come later"
    counters = stop_in_order(lab, engine, orders)
    assert counters["outages"] == 0 and counters["crash_verdicts"] == sent - before, counters


def test_hangs_reach_the_limit(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=hang"), "--queue", "1", *LIMIT, "--handle-timeout", "100ms",
                          "--on-crash-limit", "stop")
    orders = through(1)
    orders.send(*[MISBEHAVE] * CRASHES)
    assert engine.wait() == EXIT_OUTAGE, engine.lines
    assert engine.matches(REACHED), engine.lines
    assert engine.final()[1]["crash_verdicts"] == CRASHES


def test_workers_that_cannot_open_reach_the_limit(start_engine):
    engine = start_engine("--plugin", plugin("misbehave,do=fail,in=open,after=1"), "--queue", "1", "--spares", "0", *LIMIT,
                          "--on-crash-limit", "stop", "--drain-timeout", "300ms")
    assert len(engine.kill_workers(1)) == 1
    assert engine.wait() == EXIT_OUTAGE, engine.lines
    assert engine.matches(REACHED), engine.lines


def test_a_worker_that_is_killed_between_packets_says_nothing_of_its_plugins(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1", "--crash-limit", "1/1m", "--spares", "0")
    orders = through(1)
    for _ in range(5):
        numbers = orders.send(NONE)
        assert orders.delivered() == numbers
        workers = engine.wait_workers(1, 1)
        assert engine.kill_workers(1) == workers
        engine.wait_workers(1, 1, without=workers)
    numbers = orders.send(NONE)
    assert orders.delivered() == numbers
    counters = stop_in_order(lab, engine, orders)
    assert counters["outages"] == 0 and counters["restarts"] == 5, counters


# A queue without a worker


def start_without_worker(start_engine, until, *options, front=()):
    """An engine whose queue 1 has no worker from now on, until that file is there."""
    engine = start_engine(*front, "--plugin", plugin(f"misbehave,do=wait-for-file,in=open,after=2,file={until}"), "--queue",
                          "1", "--outage-timeout", "500ms", *options)
    return engine, engine.wait_opened(1)


@pytest.mark.parametrize("verdict", ["accept", "drop"])
def test_packets_wait_for_a_worker_until_the_outage_time_out(lab, start_engine, through, tmp_path, verdict):
    until = tmp_path / "until"
    engine, workers = start_without_worker(start_engine, until, "--on-outage", verdict)
    orders, after = through(1), passed(lab)
    numbers = orders.send(NONE)
    assert orders.delivered() == numbers
    before, sent = after.packets(), orders.sent
    assert engine.kill_workers(1) == workers
    killed = time.monotonic()
    orders.send(*[DROP] * 10)
    wait_for(lambda: lab.router.queues()[1].last_id == orders.sent, "they are queued")
    if time.monotonic() - killed < 0.3:
        assert lab.router.waiting() == 10 and after.packets() == before
    wait_for(lambda: lab.router.waiting() == 0, "they are answered")
    assert 0.4 < time.monotonic() - killed < 2.0
    send_decided(lab, orders, *[DROP] * 10)
    assert after.packets() - before == (20 if verdict == "accept" else 0)
    engine.wait_line(rf"^{PREFIX}queue 1: outage, there was no worker for 500 ms; packets get verdict {verdict} until there "
                     "is one$")
    until.touch()
    engine.wait_line(OVER)
    before = after.packets()
    send_decided(lab, orders, NONE, DROP, NONE)
    assert after.packets() - before == 2
    counters = stop_in_order(lab, engine, orders)
    assert counters["outages"] == 1 and counters["crash_verdicts"] == 0, counters
    assert counters["accepted"] + counters["dropped"] == orders.sent, (counters, sent)


@pytest.mark.parametrize("way, times, why", [
    ("fail", 6, r"open\(\) failed: the list /etc/list cannot be read"), ("crash", 6, r"open\(\) crashed \(SIGSEGV\)"),
    ("hang", scaled_count(6, 3), r"open\(\) did not return within 300 ms")])
def test_an_open_that_goes_wrong_after_a_crash_ends_in_an_outage_and_not_for_ever(
        lab, start_engine, through, way, times, why):
    """As where the plugin's file of settings was deleted: it opens again when that is back, here at the 7th try, or
    at the 4th."""
    engine = start_engine("--plugin", plugin(f"misbehave,do={way},in=open,after=1,times={times}"), "--queue", "1", "--spares",
                          "0", "--load-timeout", "300ms", "--outage-timeout", "100ms", "--on-outage", "accept")
    orders, after = through(1), passed(lab)
    workers = engine.wait_workers(1, 1)
    assert engine.kill_workers(1) == workers
    killed = time.monotonic()
    send_decided(lab, orders, *[DROP] * 10)
    assert time.monotonic() - killed < 0.6 and after.packets() == 10, "--on-outage answers after the time-out"
    engine.wait_line(rf"^{PREFIX}queue 1: outage, there was no worker for 100 ms")
    engine.wait_line(why)
    engine.wait_line(OVER, 15)
    send_decided(lab, orders, DROP, NONE)
    assert after.packets() == 11, "the plugin decides again"
    assert stop_in_order(lab, engine, orders)["crash_verdicts"] == 0


def test_a_worker_that_comes_before_the_outage_time_out_decides_what_has_waited(lab, start_engine, through, tmp_path):
    until = tmp_path / "until"
    engine, workers = start_without_worker(start_engine, until)
    orders = through(1)
    assert engine.kill_workers(1) == workers
    numbers = orders.send(NONE, DROP, NONE)
    wait_for(lambda: lab.router.waiting() == 3, "they wait")
    until.touch()
    assert orders.delivered() == [numbers[0], numbers[2]]
    assert stop_in_order(lab, engine, orders)["outages"] == 0


def test_a_decided_flow_keeps_its_verdict_in_an_outage(lab, start_engine, talk, tmp_path):
    until, trace = tmp_path / "until", Trace(tmp_path, "obey")
    engine, workers = start_without_worker(start_engine, until, "--on-outage", "accept",
                                           front=("--plugin", traced("obey", trace)))
    Rule(lab.router, "FORWARD", *queue_target(1))
    decided, other = talk(0), talk(1)
    decided.send(DROP_FLOW)
    wait_for(lambda: lab.router.queues()[1].last_id == 1 and lab.router.waiting() == 0, "it is decided")
    assert engine.kill_workers(1) == workers
    engine.wait_line("queue 1: outage")
    decided.send(ACCEPT, 5)
    other.send(ACCEPT, 5)
    wait_for(lambda: len(other.came()) == 5, "the other flow passes")
    assert decided.came() == [] and trace.asked() == 1
    until.touch()
    engine.wait_line(OVER)
    assert engine.stop() == 0
    assert engine.total("flow_packets") == 5 and engine.total("outages") == 1


def test_the_engine_stops_in_an_outage(lab, start_engine, through, tmp_path):
    engine, workers = start_without_worker(start_engine, tmp_path / "until", "--on-outage", "stop", "--drain-timeout",
                                           "300ms")
    orders = through(1)
    numbers = orders.send(NONE)
    assert orders.delivered() == numbers
    assert engine.kill_workers(1) == workers
    killed = time.monotonic()
    assert engine.wait() == EXIT_OUTAGE, engine.lines
    assert 0.4 < time.monotonic() - killed < 3.0
    assert engine.matches(rf"^{PREFIX}queue 1: outage, no worker decides; the engine stops, as --on-outage says$"), engine.lines
    assert engine.final()[1]["outages"] == 1
    assert lab.router.queues() == {}


def test_an_outage_outlives_the_queue_process(lab, start_engine, through, tmp_path):
    """Its successor does not wait for the time-out once more."""
    until = tmp_path / "until"
    engine, workers = start_without_worker(start_engine, until, "--on-outage", "accept")
    orders, after = through(1), passed(lab)
    assert engine.kill_workers(1) == workers
    engine.wait_line("queue 1: outage")
    process = engine.queue_processes()[1]
    assert engine.signal_child(process, 9)
    wait_for(lambda: engine.queue_processes().get(1) not in (None, process), "it has been replaced")
    began = time.monotonic()
    send_decided(lab, orders, *[DROP] * 10)
    assert time.monotonic() - began < 0.4
    assert after.packets() == 10
    until.touch()
    engine.wait_line(OVER)
    assert stop_in_order(lab, engine, orders)["outages"] == 1
