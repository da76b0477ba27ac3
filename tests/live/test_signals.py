# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: no signal but SIGKILL and SIGSTOP ends or stops the supervisor, whoever sends it, also a plugin to its group.

Each signal that has no meaning is named in the log and costs no packet. A write that the limit on file sizes refuses
is a failed write, at the start and later.
"""

import contextlib
import os
import resource
import signal
import subprocess

import pytest

from support.commands import wait_for
from support.engine import ENGINE, PREFIX, plugin
from support.processes import process_status, stat_fields
from test_hostile import NONE, Orders, assert_serves, stop_in_order

EXIT_PLUGIN = 4
MISBEHAVE = 1     # the mark of a datagram that the plugin goes wrong on
LAST_SIGNAL = 64
MEANT = {signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP,  # other tests send these
         signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH, signal.SIGURG, signal.SIGPIPE, signal.SIGXFSZ}
UNEXPECTED = [number for number in range(1, LAST_SIGNAL + 1) if number not in MEANT]
SILENT = [signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH, signal.SIGURG, signal.SIGPIPE, signal.SIGXFSZ]
IGNORED_LINE = r"^nfq-engine: (SIG\w+|signal \d+) from process \d+: it has no meaning here and is ignored; "
SHOWN = 5  # of such lines in ten seconds
SESSION = 3  # in stat_fields(): name, state, parent, group, session


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


def pending(process_id):
    """The signals that wait for the process to take them, as bits."""
    with open(f"/proc/{process_id}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("ShdPnd:"))


def send_all(engine, numbers):
    for number in numbers:
        os.kill(engine.process.pid, number)
        wait_for(lambda: not pending(engine.process.pid), f"signal {number} was taken")


def test_every_signal_without_a_meaning_is_named_and_costs_no_packet(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
    orders = through(1)
    for queue in (1, 2):
        engine.wait_workers(queue)
    before, lines = engine.children(), len(engine.lines)
    assert len(UNEXPECTED) > 50
    send_all(engine, UNEXPECTED + SILENT)
    numbers = orders.send(*[NONE] * 20)
    assert orders.delivered() == numbers
    assert engine.children() == before
    shown = engine.matches(IGNORED_LINE)
    assert len(shown) == SHOWN == len(engine.lines) - lines, "and not a line for each"
    assert f"from process {os.getpid()}: " in shown[0].group(0)
    assert_serves(engine, orders)
    stop_in_order(lab, engine, orders)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGKILL, signal.SIGSTOP])
def test_a_signal_that_a_plugin_sends_to_its_group_reaches_its_worker_alone(lab, start_engine, through, number):
    engine = start_engine("--plugin", plugin(f"misbehave,do=kill-group:{number:d}"), "--queue", "1-2",
                          "--handle-timeout", "500ms", launcher=("setsid",))  # so that this test is not in the group
    def others():
        return [name for name in engine.children().items() if name[1] != "nfqe-w1"]

    engine.wait_workers(1)
    engine.wait_workers(2)
    before = others()
    orders, other = through(1), through(2)
    numbers = orders.send(NONE, MISBEHAVE, NONE)
    delivered = orders.delivered()
    if number in (signal.SIGTERM, signal.SIGINT):  # the supervisor alone acts on these
        assert delivered == numbers
    else:
        assert delivered == [numbers[0], numbers[2]]
    assert other.delivered() == []
    assert set(before) <= set(others()), "nothing else has ended"
    assert not engine.matches("SIG(TERM|INT|USR1)( from|:)"), engine.lines
    assert_serves(engine, orders)
    stop_in_order(lab, engine, orders)


def test_an_interrupt_from_a_terminal_reaches_the_supervisor_alone(lab, start_engine, through):
    """It is sent to the whole process group."""
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:100,on=every"), "--queue", "1", "--drain-timeout", "20s",
                          launcher=("setsid",))
    orders = through(1)
    orders.send(*[NONE] * 10)
    wait_for(lambda: lab.router.queues()[1].last_id == 10, "all are queued")
    os.killpg(engine.process.pid, signal.SIGINT)
    assert engine.wait() == 0
    counters = engine.final()[1]
    assert counters["packets"] == counters["accepted"] == 10 and counters["restarts"] == 0, (counters, engine.lines)
    assert len(engine.matches("^nfq-engine: SIGINT: ")) == 1


def test_every_child_has_a_session_of_its_own(start_engine):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
    for queue in (1, 2):
        engine.wait_workers(queue)
    processes = [engine.process.pid, *engine.children()]
    sessions = {int(stat_fields(process)[SESSION + 1]) for process in processes}
    assert len(sessions) == len(processes) == 2 + 2 * 3
    assert engine.stop() == 0


@pytest.mark.parametrize("blocks", [4, 64])
def test_a_limit_on_file_sizes_is_an_error_at_the_start(lab, blocks):
    """The plugin's copy in memory and the queue's memory are files to the kernel."""
    with lab.router.entered():
        result = subprocess.run(
            ["bash", "-c", f"ulimit -f {blocks}; exec \"$@\"", "bash", ENGINE, "--plugin", plugin("accept_all"), "--queue",
             "1"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    assert result.returncode in (1, EXIT_PLUGIN), result
    assert result.stderr.startswith(PREFIX) and result.stderr.count("\n") == 1, result
    assert result.stderr.endswith("run: ulimit -f unlimited\n"), result
    assert lab.router.queues() == {}


def test_a_log_file_that_may_not_grow_costs_no_packet_and_goes_on_when_it_may(lab, start_engine, through, tmp_path):
    log = tmp_path / "log"
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1", ready=False,
                          launcher=("sh", "-c", f'exec "$@" 2>"{log}"', "sh"))
    wait_for(lambda: log.exists() and PREFIX + "ready" in log.read_text(encoding="ascii").splitlines(), "it is ready", 10)
    orders = through(1)
    limit = resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 10, limit[1]))
    for _ in range(3):
        numbers = orders.send(NONE, MISBEHAVE, NONE)
        assert orders.delivered() == [numbers[0], numbers[2]]
    assert process_status(engine.process.pid)[1] in "RS"
    assert log.read_text(encoding="ascii").count("crashed") == 0
    resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, limit)
    wait_for(lambda: log.read_text(encoding="ascii").count("crashed (SIGSEGV) on packet") == 3, "the log goes on")
    assert engine.stop() == 0
    lines = log.read_text(encoding="ascii").splitlines()
    assert all(line.startswith(PREFIX) for line in lines), lines
    assert f"final: packets={orders.sent} " in lines[-1], lines
