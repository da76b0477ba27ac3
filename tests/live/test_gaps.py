# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: rare events in an engine's life lose no packet unnecessarily, and are logged.

A plugin returns an invalid verdict. A plugin takes long, but not too long: normally, during a stop, while another
queue's worker cannot start. The fork server hangs. Another process binds a queue while the plugins load. There is no
worker when the engine stops. The log is not read. SIGHUP, which has no meaning yet, arrives.
"""

import contextlib
import os
import re
import signal
import time

import pytest

from support.commands import wait_for
from support.engine import PREFIX, plugin
from support.processes import process_status, status_field
from support.scale import QUICK, scaled_count
from test_hostile import NONE, Orders, assert_serves, stop_in_order
from test_refusals import EXIT_QUEUE, OWN_NAME, owned_queue

NUMBER, HELD, FLAG = 1, 2, 3  # as do=invalid in tests/plugins/misbehave.c
INVALID = {NUMBER: "0x7", HELD: "0x4", FLAG: "0x101"}
OPEN_FAILED = r"^.*the list /etc/list cannot be read.*$"
LINES_MAX = 5        # of one kind in ten seconds
MISBEHAVE = 1        # the mark of a datagram that the plugin goes wrong on
SIGHUP_LINE = (r"^nfq-engine: SIGHUP: nothing to do, this engine cannot reload; to change its configuration, "
               r"stop it with SIGTERM and start it again$")
LOAD_TIMEOUT, PAUSE_SECONDS = "2s", 2.2 if QUICK else 3
PIPE_BYTES = 1 << 20  # more than a pipe takes
FILLING = re.compile(rb"\.{100,}")


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


def kill_workers(engine, queue, count=2):
    """Kills the workers and spares of a queue, which had so many; returns them."""
    workers = engine.wait_workers(queue, count)
    assert engine.kill_workers(queue) == workers
    return workers


def is_pending(process_id, number):
    """Whether a signal has been sent to the process that it has not taken yet."""
    with open(f"/proc/{process_id}/status", encoding="ascii", errors="replace") as file:
        pending = next(int(line.split()[1], 16) for line in file if line.startswith("ShdPnd:"))
    return bool(pending >> (number - 1) & 1)


def signal_and_wait(engine, number):
    """The supervisor has taken the signal."""
    engine.signal(number)
    wait_for(lambda: not is_pending(engine.process.pid, number), "the signal was taken")


# Answers that are no verdict


@pytest.mark.parametrize("on_crash", ["drop", "accept"])
def test_an_answer_that_is_no_verdict_becomes_the_crash_verdict(lab, start_engine, through, on_crash):
    engine = start_engine("--plugin", plugin("misbehave,do=invalid"), "--queue", "1", "--on-crash", on_crash)
    processes = engine.queue_processes(), engine.wait_workers(1)
    orders = through(1)
    for order, value in INVALID.items():
        numbers = orders.send_as_one_burst(engine, NONE, order, NONE)
        assert orders.delivered() == (numbers if on_crash == "accept" else [numbers[0], numbers[2]])
        engine.wait_line(rf"^{PREFIX}queue 1: plugin misbehave 1\.2\.3 answered {value} on packet {numbers[1] + 1}, "
                         rf"which is no verdict that it may give; verdict {on_crash}$")
    for _ in range(10):
        numbers = orders.send_as_one_burst(engine, NUMBER, NONE, HELD)
        assert orders.delivered() == (numbers if on_crash == "accept" else [numbers[1]])
    assert (engine.queue_processes(), engine.workers()[1]) == processes, "no process dies of it"
    counters = stop_in_order(lab, engine, orders)
    assert counters["invalid"] == 3 + 10 * 2, counters
    assert counters["dropped"] == (counters["invalid"] if on_crash == "drop" else 0), counters
    assert counters["crash_verdicts"] == counters["restarts"] == 0, counters
    assert len(engine.matches("is no verdict")) == LINES_MAX, "the log is rate-limited"


# Plugins that take long, but not too long


def assert_none_guilty(engine, counters):
    assert counters["crash_verdicts"] == counters["restarts"] == counters["dropped"] == 0, (counters, engine.lines)
    assert not engine.matches("made no progress"), engine.lines


def test_a_plugin_that_takes_nearly_the_time_out_is_not_guilty(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:360"), "--queue", "1", "--handle-timeout", "400ms")
    orders = through(1)
    numbers = orders.send(*[MISBEHAVE] * scaled_count(8, 2))
    wait_for(lambda: lab.router.waiting() == 0, "every packet is answered", 15)
    assert orders.delivered() == numbers
    assert_none_guilty(engine, stop_in_order(lab, engine, orders))


def test_a_plugin_has_its_whole_time_out_during_a_stop_too(lab, start_engine, through):
    """The supervisor looks at its workers more often then, which must not make the time-out shorter."""
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:600"), "--queue", "1", "--handle-timeout", "1s",
                          "--drain-timeout", "20s", "--on-stop", "drop")
    orders = through(1)
    numbers = orders.send_as_one_burst(engine, *[MISBEHAVE] * scaled_count(4, 1))
    assert engine.stop() == 0
    counters = engine.final()[1]
    assert counters["packets"] == counters["accepted"] == len(numbers), (counters, engine.lines)
    assert_none_guilty(engine, counters)


def test_a_plugin_has_its_whole_time_out_while_another_worker_cannot_start(lab, start_engine, through):
    """The supervisor ticks faster while it waits for the next try."""
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:800"),
                          "--plugin", plugin("misbehave_second,do=fail,in=open,after=4"),
                          "--queue", "1-2", "--handle-timeout", "1s", "--drain-timeout", "1s")
    orders = through(1)
    engine.wait_opened(1)
    engine.wait_opened(2)
    kill_workers(engine, 2)
    engine.wait_line(OPEN_FAILED)
    numbers = orders.send(*[MISBEHAVE] * scaled_count(4, 1))
    wait_for(lambda: lab.router.queues()[1].waiting == 0, "every packet is answered", 15)
    assert orders.delivered() == numbers
    assert engine.stop() == 0
    assert_none_guilty(engine, engine.final()[1])


# The fork server


def test_a_fork_server_that_hangs_is_replaced_and_then_the_workers(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2", "--load-timeout", "60s")
    orders = through(1)
    fork_server, other = engine.fork_server(), engine.wait_workers(2)
    engine.wait_workers(1)
    assert engine.signal_child(fork_server, signal.SIGSTOP)
    wait_for(lambda: process_status(fork_server)[1] == "T", "the fork server is stopped")
    before = kill_workers(engine, 1)
    numbers = orders.send(*[NONE] * 20)
    engine.wait_line(rf"^{PREFIX}the fork server did not answer in time and was killed$")  # long before the load time-out
    engine.wait_line(rf"^{PREFIX}the fork server is started again in \d+ ms; the workers go on$")
    engine.wait_workers(1, without=before)
    assert orders.delivered() == numbers, "what waited meanwhile is answered"
    assert engine.fork_server() not in (None, fork_server)
    assert engine.workers()[2] == other, "the workers of the other queue have noticed nothing"
    assert_serves(engine, orders)
    assert stop_in_order(lab, engine, orders)["crash_verdicts"] == 0
    assert engine.zombies() == []


def switches(process_id):
    """How often it has waited."""
    return int(status_field(process_id, "voluntary_ctxt_switches"))


def start_and_pause(start_engine, place, until, queue):
    """An engine whose plugin waits for the file in load() or open(), with all its processes stopped. Those that watch the
    plugin, the supervisor first, and all of them."""
    engine = start_engine("--plugin", plugin(f"misbehave,do=wait-for-file,in={place},file={until}"), "--queue", str(queue),
                          "--load-timeout", LOAD_TIMEOUT, ready=False)
    wait_for(lambda: engine.fork_server() and engine.queue_processes() and (place == "load" or engine.workers()),
             "the plugin is loaded or opened")
    watching = [engine.process.pid, *engine.queue_processes().values()]
    all_of_them = [*watching, *(set(engine.children()) - set(watching))]
    for process in all_of_them:
        os.kill(process, signal.SIGSTOP)
    return engine, watching, all_of_them


def test_a_pause_that_is_longer_than_the_load_time_out_ends_no_start(start_engine, tmp_path):
    """All processes of two engines stand still, as when a machine is suspended; those that watch the plugin go on first."""
    until = {place: tmp_path / place for place in ("load", "open")}
    paused = [start_and_pause(start_engine, place, until[place], queue) for queue, place in enumerate(until, 1)]
    time.sleep(PAUSE_SECONDS)
    for (engine, watching, all_of_them), place in zip(paused, until):
        before = {process: switches(process) for process in watching}
        for process in watching:
            os.kill(process, signal.SIGCONT)
        wait_for(lambda who=watching[0], before=before: switches(who) > before[who] + 2, "the supervisor has looked")
        for process in all_of_them:
            os.kill(process, signal.SIGCONT)
        until[place].touch()
        engine.wait_ready()
        assert engine.stop() == 0


# Signals


def test_sighup_is_answered_with_a_line_and_nothing_else(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
    orders = through(1)
    for queue in (1, 2):
        engine.wait_workers(queue)
    before = engine.children(), engine.descriptors(), sorted(lab.router.queues())
    lines = len(engine.lines)
    for count in (1, 2):
        signal_and_wait(engine, signal.SIGHUP)
        wait_for(lambda expected=count: len(engine.matches(SIGHUP_LINE)) == expected, "the line is there")
    for child in engine.children():
        assert engine.signal_child(child, signal.SIGHUP), "as a terminal does, to all of the group"
    numbers = orders.send(*[NONE] * 5)
    assert orders.delivered() == numbers
    assert (engine.children(), engine.descriptors(), sorted(lab.router.queues())) == before
    assert len(engine.lines) == lines + 2, engine.lines
    assert stop_in_order(lab, engine, orders)["restarts"] == 0


# A queue that is taken while the plugins load


@pytest.mark.parametrize("taken", [1, 3], ids=["the first", "the last"])
def test_a_queue_that_was_taken_during_load_is_refused(lab, start_engine, tmp_path, taken):
    """Also where other queues were bound already: they are given back."""
    until = tmp_path / "until"
    engine = start_engine("--plugin", plugin(f"misbehave,do=wait-for-file,in=load,file={until}"),
                          "--queue", "1-3", ready=False)
    wait_for(lambda: engine.fork_server() is not None, "the fork server runs: the first look at the queues is over")
    with owned_queue(lab.router, taken) as port_id:
        until.touch()
        assert engine.wait() == EXIT_QUEUE, engine.lines
        assert engine.lines == [
            f"{PREFIX}queue {taken}: is owned by process {os.getpid()} ({OWN_NAME}), netlink port id {port_id}; stop it or "
            "choose another queue"]
        assert list(lab.router.queues()) == [taken], "the queues of the engine are given back, the other is not touched"
        assert lab.router.process_ids() == []


# Workers that cannot be made any more


def test_the_plugin_whose_open_fails_in_a_new_worker_is_named(lab, start_engine):
    engine = start_engine("--plugin", plugin("accept_all"),
                          "--plugin", plugin("misbehave,do=fail,in=open,after=2"), "--queue", "1")
    engine.wait_opened(1)
    kill_workers(engine, 1)
    assert "misbehave" in engine.wait_line(OPEN_FAILED).group(0)


@pytest.mark.parametrize("spares", [0, 1])
def test_an_open_that_fails_costs_no_packet_that_was_received_before(lab, start_engine, through, spares):
    """The workers are killed while one has a burst; the next ones cannot open, and then one can."""
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:1000"),
                          "--plugin", plugin(f"misbehave_second,do=fail,in=open,after={1 + spares},times=6"),
                          "--queue", "1", "--handle-timeout", "10s", "--spares", str(spares),
                          "--outage-timeout", "10s")
    engine.wait_opened(1, 1 + spares)
    orders = through(1)
    numbers = orders.send_as_one_burst(engine, NONE, NONE, MISBEHAVE, *[NONE] * 7)
    # The two in front of it have been answered.
    wait_for(lambda: lab.router.queues()[1].waiting == len(numbers) - 2, "a worker is with the third packet")
    kill_workers(engine, 1, 1 + spares)
    assert orders.delivered() == [number for number in numbers if number != numbers[2]]
    counters = stop_in_order(lab, engine, orders)
    assert counters["crash_verdicts"] == counters["dropped"] == 1, (counters, engine.lines)



def start_without_worker(lab, start_engine, *options):
    """An engine that serves, and then cannot make a worker any more."""
    engine = start_engine("--plugin", plugin("misbehave,do=fail,in=open,after=2"), "--queue", "1", "--outage-timeout",
                          "60s", *options)
    engine.wait_opened(1)
    kill_workers(engine, 1)
    engine.wait_line(OPEN_FAILED)
    assert list(lab.router.queues()) == [1], "the queue stays bound"
    return engine


def test_a_stop_without_a_worker_and_without_packets_is_quick(lab, start_engine):
    engine = start_without_worker(lab, start_engine, "--drain-timeout", "20s")
    start = time.monotonic()
    assert engine.stop() == 0
    assert time.monotonic() - start < 3.0
    assert engine.final()[1]["packets"] == 0


def test_a_stop_without_a_worker_waits_for_the_drain_time_out_and_says_what_was_dropped(lab, start_engine, through):
    engine = start_without_worker(lab, start_engine, "--drain-timeout", "700ms")
    through(1).send(*[NONE] * 7)
    wait_for(lambda: lab.router.waiting() == 7, "they wait")
    start = time.monotonic()
    assert engine.stop() == 0
    assert 0.6 < time.monotonic() - start < 3.0
    assert engine.matches(rf"^{PREFIX}queue 1: 7 packets were not answered in time and are dropped"), engine.lines
    counters = engine.final()[1]
    assert counters["packets"] <= 7 and counters["accepted"] == counters["dropped"] == 0, counters


# The log


class UnreadLog:
    """A pipe for the engine's standard error that is read only when a test asks for it."""

    def __init__(self):
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        # The engine opens it by itself: a descriptor that it inherited would share O_NONBLOCK with this process.
        self.launcher = ("sh", "-c", f'exec "$@" 2>/proc/{os.getpid()}/fd/{self._writer}', "sh")
        self._text = b""

    def fill(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self._writer, b"." * PIPE_BYTES)

    def read(self):
        """All whole lines so far, without what fill() wrote."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._text += os.read(self._reader, PIPE_BYTES)
        return [line.decode("ascii") for line in FILLING.sub(b"", self._text).split(b"\n")[:-1]]

    def close(self):
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def unread_log():
    with contextlib.closing(UnreadLog()) as log:
        yield log


def test_an_engine_whose_log_is_not_read_goes_on_and_says_everything_later(
        lab, start_engine, through, unread_log):
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1",
                          launcher=unread_log.launcher, ready=False)
    wait_for(lambda: PREFIX + "ready" in unread_log.read(), "the engine is ready", 10)
    before = len(unread_log.read())
    unread_log.fill()
    orders = through(1)
    for _ in range(3):
        signal_and_wait(engine, signal.SIGHUP)
    workers = engine.wait_workers(1)
    numbers = orders.send(NONE, MISBEHAVE, NONE)
    assert orders.delivered() == [numbers[0], numbers[2]]
    wait_for(lambda: engine.wait_workers(1) != workers, "the worker has been replaced")
    assert_serves(engine, orders)
    assert unread_log.read()[before:] == [], "nothing has come through"
    signal_and_wait(engine, signal.SIGHUP)
    wait_for(lambda: len(unread_log.read()) - before >= 8, "all lines are there")
    lines = unread_log.read()[before:]
    assert [line.startswith(f"{PREFIX}SIGHUP: ") for line in lines] == [True] * 3 + [False] * 4 + [True], lines
    assert "crashed (SIGSEGV) on packet" in lines[3], lines
    assert all("was killed (SIGKILL)" in line for line in lines[4:7]), lines
    assert engine.stop() == 0
    assert any(f"final: packets={orders.sent} " in line for line in unread_log.read()), unread_log.read()


def test_an_engine_whose_log_is_never_read_starts_and_stops(lab, start_engine, through, unread_log):
    unread_log.fill()
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1", launcher=unread_log.launcher, ready=False)
    wait_for(lambda: 1 in lab.router.queues(), "the queue is bound", 10)
    orders = through(1)
    numbers = orders.send(*[NONE] * 20)
    assert orders.delivered() == numbers
    assert engine.stop() == 0
    assert unread_log.read() == []
