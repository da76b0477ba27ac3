# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: after the start the supervisor makes no call that can wait, but for epoll_wait in its event loop.

The engine runs under a seccomp filter that fails each such call and reports it (tests/support/no_wait.c): reads and
writes of descriptors that are not non-blocking, waits for children without WNOHANG, sleeps, polls with a time-out,
locks. Meanwhile workers crash, hang and are killed, the fork server dies, plugins print, signals come, the engine
stops.
"""

import contextlib
import os
import signal
import subprocess

import pytest

from support.commands import wait_for
from support.engine import PREFIX, plugin
from test_hostile import NONE, Orders, assert_serves

MISBEHAVE = 1  # the mark of a datagram that the plugin goes wrong on
EXIT_SKIPPED = 77
NO_WAIT = os.path.join(os.environ.get("NFQE_TOOLS", ""), "no_wait")


class Filter:
    """A seccomp filter for an engine that is started with `launcher`."""

    def __init__(self, directory):
        self._report = directory / "waits"
        self.launcher = (NO_WAIT, str(self._report))

    def begin(self):
        """From now on each call that can wait fails."""
        self._report.with_name("waits.armed").touch()

    def waits(self):
        return self._report.read_text(encoding="ascii").splitlines()


@pytest.fixture
def no_wait(tmp_path):
    result = subprocess.run([NO_WAIT, str(tmp_path / "probe"), "/bin/true"], capture_output=True, text=True, timeout=10,
                            check=False)
    if result.returncode == EXIT_SKIPPED:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result
    return Filter(tmp_path)


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


def start(start_engine, no_wait, name, *options):
    engine = start_engine("--plugin", plugin(name), "--queue", "1-2", *options, launcher=no_wait.launcher)
    no_wait.begin()
    return engine


@pytest.mark.parametrize("command, call", [("exec sleep 0.01", "clock_nanosleep"), ("read line", "read"),
                                           ("sleep 0.01; :", "wait4"), ("echo line", "write")])
def test_the_filter_notices_a_call_that_waits(no_wait, command, call):
    no_wait.begin()
    subprocess.run([*no_wait.launcher, "/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE, timeout=10, check=False)
    assert any(line.startswith(f"{call}(") for line in no_wait.waits()), no_wait.waits()


def test_nothing_waits_while_workers_crash(start_engine, through, no_wait):
    engine = start(start_engine, no_wait, "misbehave,do=print-and-crash:5", "--crash-limit", "off")
    orders = through(1)
    for _ in range(20):
        numbers = orders.send(NONE, MISBEHAVE, NONE)
        assert orders.delivered() == [numbers[0], numbers[2]]
    assert no_wait.waits() == [], engine.lines[-5:]


def test_nothing_waits_while_children_are_killed(start_engine, through, no_wait):
    engine = start(start_engine, no_wait, "accept_all")
    orders = through(1)
    for _ in range(3):
        fork_server = engine.fork_server()
        assert engine.signal_child(fork_server, signal.SIGKILL)
        wait_for(lambda gone=fork_server: engine.fork_server() not in (None, gone), "there is a new fork server")
        assert_serves(engine, orders)  # kills workers, spares, queue process
    assert no_wait.waits() == [], engine.lines[-5:]


def test_nothing_waits_while_workers_cannot_start(start_engine, through, no_wait):
    engine = start(start_engine, no_wait, "misbehave,do=fail,in=open,after=4,times=5")
    orders = through(1)
    engine.wait_opened(2)
    engine.wait_opened(1)
    assert len(engine.kill_workers(1)) == 2
    numbers = orders.send(NONE)
    engine.wait_line("the list /etc/list cannot be read")
    assert orders.delivered() == numbers
    assert no_wait.waits() == [], engine.lines[-5:]


def test_nothing_waits_while_signals_come_and_plugins_print(start_engine, through, no_wait):
    engine = start(start_engine, no_wait, "misbehave,do=print-mib:5")
    orders = through(1)
    orders.send(*[MISBEHAVE] * 5)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGXFSZ, signal.SIGRTMIN):
        engine.signal(number)
    assert orders.delivered() == list(range(5))
    engine.wait_line("^" + PREFIX + "SIGALRM from process")
    assert no_wait.waits() == [], engine.lines[-5:]


def test_nothing_waits_while_a_worker_hangs(start_engine, through, no_wait):
    engine = start(start_engine, no_wait, "misbehave,do=hang", "--handle-timeout", "300ms")
    orders = through(1)
    numbers = orders.send(NONE, MISBEHAVE, NONE)
    assert orders.delivered() == [numbers[0], numbers[2]]
    assert no_wait.waits() == [], engine.lines[-5:]


def test_nothing_waits_at_a_stop(start_engine, through, no_wait):
    engine = start(start_engine, no_wait, "misbehave,do=sleep:50,in=unload")
    assert_serves(engine, through(1))
    assert engine.stop() == 0
    assert no_wait.waits() == [], engine.lines[-5:]
