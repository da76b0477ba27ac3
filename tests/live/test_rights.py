# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: an engine with few rights, or with a /proc that shows little, works, and says what it does not know.

An ordinary user with CAP_NET_ADMIN as an ambient capability, as a service manager gives it; a /proc without anything but
processes (subset=pid), or without those of others (hidepid); a container that allows no user namespaces. The kernel's
figures are root's to read, so what they would say is unknown there, and a stop does not wait for them.
"""

import contextlib
import signal
import time

import pytest

from support.commands import wait_for
from support.engine import PREFIX, SLOW, plugin
from support.processes import process_status, status_field
from test_hostile import DROP, MISBEHAVE, NONE, Orders
from test_refusals import EXIT_QUEUE, owned_queue

USER = "4242"
FILE = "/proc/net/netfilter/nfnetlink_queue"
UNKNOWN = "so it is unknown what the kernel drops and how many packets wait"
STOP_SECONDS = 1.5  # the drain time-out is 5 s

ORDINARY = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--inh-caps", "+net_admin",
            "--ambient-caps", "+net_admin", "--")


def with_proc(options, *launcher):
    """A launcher that mounts /proc with these options first."""
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c",
            f'mount -t proc -o {options} proc /proc && exec "$@"', "sh", *launcher)


WAYS = {
    "ordinary user": ORDINARY,
    "subset=pid": with_proc("subset=pid"),
    "ordinary user, hidepid": with_proc("hidepid=2", *ORDINARY),
    "ordinary user, subset=pid, hidepid": with_proc("subset=pid,hidepid=2", *ORDINARY),
}
# As setpriv(1) cannot be told: the kernel refuses user namespaces to a process with a root of its own.
NO_USER_NAMESPACES = ("unshare", "--mount", "--propagation", "private", "sh", "-c",
                      'd=$(mktemp -d) && mount --rbind / "$d" && exec chroot "$d" "$@"', "sh")


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


def stop_at_once(engine):
    began = time.monotonic()
    assert engine.stop() == 0
    took = time.monotonic() - began
    assert took < STOP_SECONDS, f"the stop took {took:.1f} s: {engine.lines}"


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_read_is_unknown_and_the_rest_works(start_engine, through, way):
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1", "--on-stop", "drop", launcher=WAYS[way])
    reason = "No such file or directory" if "subset" in way else "Permission denied"
    remedy = "ProcSubset=all" if "subset" in way else "CAP_DAC_READ_SEARCH"
    assert len(engine.matches(rf"^{PREFIX}warning: {FILE} cannot be read \({reason}\), {UNKNOWN}; .*{remedy}")) == 1, \
        engine.lines
    assert engine.matches(rf"^{PREFIX}queue 1: max-len 8192, copy packet 512 bytes,"), engine.lines
    if "ordinary" in way:
        assert {status_field(each, "Uid") for each in engine.children()} == {USER}
    orders = through(1)
    numbers = orders.send(NONE, DROP, NONE, MISBEHAVE, NONE)
    assert orders.delivered() == [numbers[0], numbers[2], numbers[4]]
    workers = engine.wait_workers(1)
    assert engine.kill_workers(1) == workers
    engine.wait_workers(1, without=workers)
    numbers = orders.send(NONE)
    assert orders.delivered() == numbers
    stop_at_once(engine)
    counters = engine.final()[1]
    assert counters["kernel_queue_dropped"] is None and counters["kernel_user_dropped"] is None, engine.lines
    assert counters["packets"] == orders.sent and counters["dropped"] == 2, counters


@pytest.mark.parametrize("way", ["ordinary user", "subset=pid"])
def test_a_stop_answers_what_is_queued_without_the_figures(lab, start_engine, start_pump, way):
    engine = start_engine("--plugin", plugin(SLOW), "--queue", "1", "--on-stop", "drop", launcher=WAYS[way])
    lab.queue_pump_traffic()
    pump = start_pump(50_000_000, window=900, time_limit=60, settle=0.3)
    wait_for(lambda: lab.router.waiting() > 450, "the queue is deep")
    stop_at_once(engine)
    report = pump.stop_sending().report()
    assert report["received"] == engine.total("packets") == engine.total("accepted"), (report, engine.final())
    assert not engine.matches("were not answered"), engine.lines


def test_a_queue_without_its_process_is_stopped_without_the_figures(start_engine, through):
    """The queue process is away while the supervisor looks, with a packet that it has received and not answered."""
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:300"), "--queue", "1", "--on-stop", "drop",
                          launcher=WAYS["ordinary user"])
    orders = through(1)
    orders.send(MISBEHAVE, NONE)
    process = engine.queue_processes()[1]
    wait_for(lambda: orders.lab.router.queues()[1].waiting == 2, "both wait")
    engine.signal(signal.SIGTERM)
    assert engine.signal_child(process, signal.SIGKILL)
    began = time.monotonic()
    assert engine.wait() == 0
    assert time.monotonic() - began < 2 * STOP_SECONDS, engine.lines
    counters = engine.final()[1]
    assert counters["packets"] == counters["accepted"] == 2, (counters, engine.lines)


def test_packets_that_a_stop_left_are_counted_without_the_figures(start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=hang"), "--queue", "1", "--handle-timeout", "60s",
                          "--drain-timeout", "300ms", launcher=WAYS["ordinary user"])
    orders = through(1)
    orders.send_as_one_burst(engine, MISBEHAVE, NONE, NONE)
    wait_for(lambda: process_status(engine.queue_processes()[1])[1] == "S", "the queue process waits for the plugin")
    assert engine.stop() == 0
    assert engine.matches(rf"^{PREFIX}queue 1: at least 3 packets were not answered in time and are dropped"), engine.lines


@pytest.mark.parametrize("way", ["ordinary user", "subset=pid"])
def test_a_queue_of_another_program_is_said_to_be_one(lab, start_engine, way):
    with owned_queue(lab.router, 7):
        engine = start_engine("--plugin", plugin("accept_all"), "--queue", "6-7", launcher=WAYS[way], ready=False)
        assert engine.wait() == EXIT_QUEUE
        assert engine.matches(rf"^{PREFIX}queue 7: cannot be bound: Operation not permitted; another program owns it \(root "
                              rf"sees its netlink port id in {FILE}, which cannot be read here"), engine.lines
        assert list(lab.router.queues()) == [7]


def test_a_container_without_user_namespaces(start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1", launcher=NO_USER_NAMESPACES)
    assert len(engine.matches(rf"^{PREFIX}workers share a uid: ")) == 1, engine.lines
    orders = through(1)
    users = {status_field(each, "Uid") for each in engine.wait_workers(1)}
    assert len(users) == 1 and "0" not in users
    numbers = orders.send(NONE, MISBEHAVE, NONE)
    assert orders.delivered() == [numbers[0], numbers[2]]
    engine.wait_workers(1)
    stop_at_once(engine)
    counters = engine.final()[1]
    assert counters["crash_verdicts"] == 1 and counters["kernel_queue_dropped"] == 0, counters
