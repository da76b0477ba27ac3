# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: what plugins print is in the log, line by line and within a limit, and no log that is not read makes the
supervisor wait.

A plugin prints lines, half a line before its worker crashes, and more than any log can take. Standard error is a
terminal that is stopped or not read, a pipe that another program keeps full, a pipe without a reader. Workers crash
meanwhile and are replaced, and the final counters are in the log when it is read again. Signals come while the end of the
log waits to be read.
"""

import contextlib
import os
import signal
import termios
import time

import pytest

from support.commands import LabError, wait_for
from support.engine import PREFIX, plugin
from support.processes import cpu_seconds, status_field
from support.scale import QUICK, scaled_count
from test_hostile import NONE, Orders, assert_serves, stop_in_order

MISBEHAVE = 1  # the mark of a datagram that the plugin goes wrong on
OUTPUT = f"{PREFIX}output of worker queue 1: "
EXIT_PLUGIN = 4
LINES_SHOWN = 300  # of what plugins print, in ten seconds
PART = 4096


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


# What plugins print


@pytest.mark.parametrize("target", ["&1", "/dev/null"])
def test_what_a_plugin_prints_is_in_the_log_line_by_line(lab, start_engine, through, target):
    engine = start_engine("--plugin", plugin("misbehave,do=print:3"), "--queue", "1",
                          launcher=("sh", "-c", f'exec "$@" >{target}', "sh"))
    orders = through(1)
    numbers = orders.send(MISBEHAVE)
    assert orders.delivered() == numbers
    engine.wait_line(f"^{OUTPUT}printed line 2$")
    assert not engine.matches("last words"), "this line has no end yet"
    stop_in_order(lab, engine, orders)
    printed = [line for line in engine.lines if "printed" in line]
    assert printed == [f"{OUTPUT}printed line {i}" for i in range(3)] + [f"{OUTPUT}printed last words"]


@pytest.mark.parametrize("place, process", [("load", "the fork server"), ("open", "worker queue 1"),
                                            ("close", "worker queue 1"), ("unload", "the fork server")])
def test_every_function_of_a_plugin_can_print(start_engine, place, process):
    engine = start_engine("--plugin", plugin(f"misbehave,do=print:1,in={place}"), "--queue", "1", "--spares", "0")
    assert engine.stop() == 0
    printed = [line for line in engine.lines if "printed" in line]
    assert printed == [f"{PREFIX}output of {process}: printed line 0", f"{PREFIX}output of {process}: printed last words"]


def test_last_words_of_a_crash_are_in_the_log_before_the_crash(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=print-and-crash:1"), "--queue", "1")
    orders = through(1)
    for crashes in range(1, 4):
        numbers = orders.send(NONE, MISBEHAVE, NONE)
        assert orders.delivered() == [numbers[0], numbers[2]]
        wait_for(lambda: len(engine.matches("crashed")) == crashes, "the crash is reported before there is another")
    shown = [line for line in engine.lines if "printed" in line or "crashed" in line]
    for i in range(0, 9, 3):
        assert shown[i:i + 2] == [f"{OUTPUT}printed line 0", f"{OUTPUT}printed last words"], shown
        assert "misbehave 1.2.3 crashed (SIGSEGV) on packet" in shown[i + 2], shown
    stop_in_order(lab, engine, orders)


def test_endless_output_is_limited_and_delays_nothing_else(lab, start_engine, through):
    mib = scaled_count(200, 100)
    engine = start_engine("--plugin", plugin(f"misbehave,do=print-mib:{mib}"), "--queue", "1-2", "--handle-timeout", "20s")
    orders, other = through(1), through(2)
    orders.send(MISBEHAVE)
    end = time.monotonic() + (0.5 if QUICK else 1.0)
    while time.monotonic() < end:
        numbers = other.send(NONE)
        assert other.delivered() == numbers
    before = engine.wait_workers(2)
    assert engine.kill_workers(2) == before
    engine.wait_line("queue 2: worker .* is replaced")
    wait_for(lambda: lab.router.waiting() == 0, "the plugin has printed all", 20)
    assert orders.delivered() == [0]
    assert engine.stop() == 0
    dots = [line for line in engine.lines if line.startswith(OUTPUT)]
    assert dots and len(dots) <= 2 * LINES_SHOWN and set(dots) == {OUTPUT + "." * 63}, len(dots)
    held_back = sum(int(match.group(1)) for match in engine.matches(r"\.\.\. (\d+) more lines of plugins' output not"))
    assert len(dots) + held_back == (mib << 20) // 64


def test_a_plugin_that_logs_in_a_crash_loop_is_limited(lab, start_engine, through):
    """Each worker says something in open() and crashes on its first packet."""
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--plugin", plugin("environment,name=PATH"),
                          "--queue", "1", "--crash-limit", "off")
    orders, deaths = through(1), scaled_count(1000, 400, 400)
    orders.send(*[MISBEHAVE] * deaths)
    wait_for(lambda: lab.router.waiting() == 0, "all are answered", 20)
    assert orders.delivered() == []
    assert stop_in_order(lab, engine, orders)["restarts"] == deaths
    said = len(engine.matches("plugin environment: open: "))
    assert LINES_SHOWN / 2 < said <= 2 * LINES_SHOWN, said
    held_back = sum(int(match.group(1)) for match in engine.matches(r"\.\.\. (\d+) more lines of the workers' log not"))
    assert said + held_back >= deaths > LINES_SHOWN


# Standard error that is not read


class Output:
    """What the engine has for standard error; it opens it by itself, and others have it too."""

    def __init__(self, reader, writer, path):
        self.reader, self.writer = reader, writer
        os.set_blocking(reader, False)
        self.launcher = ("sh", "-c", f'exec "$@" 2>"{path}"', "sh")
        self._text = b""

    def read(self):
        """All whole lines so far, without what the test itself wrote."""
        with contextlib.suppress(BlockingIOError, OSError):
            while part := os.read(self.reader, PART):
                self._text += part
        return [line.lstrip(".") for line in self._text.decode("ascii").replace("\r", "").split("\n")[:-1]]

    def wait_for(self, condition, what, timeout=5.0):
        """Waits until condition(all whole lines so far) is true; after the time-out, the error has the lines."""
        try:
            wait_for(lambda: condition(self.read()), what, timeout)
        except LabError as error:
            raise LabError(f"{error}; the log is: {self.read()}, and then {self._text[-200:]}") from error

    def go_on(self):
        """From now on the test reads it."""

    def close(self):
        for descriptor in (self.reader, self.writer):
            if descriptor is not None:
                os.close(descriptor)


class Stopped(Output):
    """A terminal that is stopped, as by ^S."""

    def __init__(self):
        reader, writer = os.openpty()
        super().__init__(reader, writer, os.ttyname(writer))

    def stop(self):
        termios.tcflow(self.writer, termios.TCOOFF)

    def go_on(self):
        termios.tcflow(self.writer, termios.TCOON)


class Unread(Output):
    """A terminal that is full, because nothing is read from it."""

    def __init__(self):
        reader, writer = os.openpty()
        super().__init__(reader, writer, os.ttyname(writer))

    def stop(self):
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"." * PART)


class Filled(Output):
    """A pipe that another writer fills, but for a byte."""

    def __init__(self):
        reader, writer = os.pipe()
        super().__init__(reader, writer, f"/proc/{os.getpid()}/fd/{writer}")

    def stop(self):
        os.set_blocking(self.writer, False)
        for size in (PART, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(self.writer, b"." * size)
        os.read(self.reader, PART)
        os.write(self.writer, b"." * (PART - 1))


@pytest.fixture(params=[Stopped, Unread, Filled])
def output(request):
    with contextlib.closing(request.param()) as opened:
        yield opened


@pytest.mark.parametrize("end", ["read before the stop", "read during the stop"])
def test_a_log_that_is_not_read_costs_no_packet_and_is_whole_later(lab, start_engine, through, output, end):
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1", ready=False, launcher=output.launcher)
    output.wait_for(lambda lines: PREFIX + "ready" in lines, "the engine is ready", 10)
    output.stop()
    orders = through(1)
    for _ in range(10):
        numbers = orders.send(NONE, MISBEHAVE, NONE)
        assert orders.delivered() == [numbers[0], numbers[2]], "workers are replaced"
    assert_serves(engine, orders)
    used, looked_at = cpu_seconds([engine.process.pid]), 0.2 if QUICK else 0.5
    time.sleep(looked_at)
    assert cpu_seconds([engine.process.pid]) - used < looked_at / 10, "it does not spin"
    if end == "read during the stop":
        engine.signal(signal.SIGTERM)
        wait_for(lambda: not lab.router.queues(), "the queue is not bound any more")
    output.go_on()
    output.wait_for(lambda lines: sum("crashed (SIGSEGV)" in line for line in lines) == 5, "the log goes on")
    if end == "read before the stop":
        engine.signal(signal.SIGTERM)
    assert engine.wait() == 0
    final = [line for line in output.read() if "final: " in line]
    assert len(final) == 1 and f"final: packets={orders.sent} " in final[0], output.read()


def blocks_sigterm(engine):
    return int(status_field(engine.process.pid, "SigBlk"), 16) >> signal.SIGTERM - 1 & 1


def ends_though_signals_come(engine):
    """Sends signals at each look until the engine ends, which it does though its log is not read; the exit code."""
    def ended():
        engine.signal(signal.SIGCHLD)
        engine.signal(signal.SIGTERM)
        return engine.process.poll() is not None
    wait_for(ended, "the engine ends")
    return engine.wait()


def test_signals_while_the_end_of_the_log_waits_do_not_change_the_end(start_engine):
    with contextlib.closing(Filled()) as output:
        engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1", ready=False, launcher=output.launcher)
        output.wait_for(lambda lines: PREFIX + "ready" in lines, "the engine is ready", 10)
        output.stop()
        engine.signal(signal.SIGTERM)
        assert ends_though_signals_come(engine) == 0


def test_signals_while_a_refusal_waits_to_be_read_do_not_change_the_refusal(start_engine):
    with contextlib.closing(Filled()) as output:
        output.stop()
        engine = start_engine("--plugin", __file__, "--queue", "1", ready=False, launcher=output.launcher)
        wait_for(lambda: engine.process.poll() is not None or blocks_sigterm(engine), "SIGTERM does not kill it")
        assert ends_though_signals_come(engine) == EXIT_PLUGIN


def test_a_log_without_a_reader_costs_no_packet_and_no_time(lab, start_engine, through):
    with contextlib.closing(Filled()) as output:
        engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1", ready=False,
                              launcher=output.launcher)
        wait_for(lambda: PREFIX + "ready" in output.read(), "the engine is ready", 10)
        os.close(output.writer)
        os.close(output.reader)
        output.reader = output.writer = None
        orders = through(1)
        for _ in range(10):
            numbers = orders.send(NONE, MISBEHAVE, NONE)
            assert orders.delivered() == [numbers[0], numbers[2]]
        assert_serves(engine, orders)
        wait_for(lambda: lab.router.waiting() == 0, "no packet waits in the queue")
        start = time.monotonic()
        assert engine.stop() == 0
        assert time.monotonic() - start < 0.9, "it does not wait for a reader that cannot come"
