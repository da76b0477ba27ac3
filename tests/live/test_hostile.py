# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: whatever a plugin does to its process, or the environment to the engine, at most the current packet is lost.

A plugin writes into packets and over all memory that it can reach, closes and changes descriptors that are not its own,
gives up rights, ends its process, forks, starts threads that crash, crashes in close(), and reaches for the queue and
for other processes, to which it has no right. An environment ignores SIGCHLD, closes
standard descriptors, or has no more descriptors. Each time, exactly the packets that the plugin was handling are
lost, all others get their own verdict, other queues are not affected, and the engine continues.

The tests use few datagrams, each with an order for the plugin. If they must be in one burst, the queue process is
stopped until the kernel says that all of them wait.
"""

import collections
import contextlib
import os
import resource
import signal
import socket
import struct
import time

import netlink
import pytest

from support.commands import wait_for
from support.engine import plugin
from support.processes import process_status, status_field
from support.rules import Rule, queue_target

ENDLESS = 50_000_000  # more datagrams than can be sent until the pump is told to stop
ORDERS_PORT = 7001
ORDER_SIZE = 64
ARRIVAL_SECONDS = 5.0  # far longer than a worker's replacement takes
CLOSED_AT_MOST = 3     # descriptors below this limit are open: nothing can be opened
NONE = 0               # no order: the packet is accepted
MISBEHAVE, DROP = 1, 255  # as in tests/plugins/misbehave.c


class Orders:
    """Numbered datagrams from client to server through one queue, each with an order; see tests/plugins/marked.h."""

    def __init__(self, lab, queue):
        self.lab, self.queue, self.sent = lab, queue, 0
        port = ORDERS_PORT + queue
        self.address = (lab.server_main[4], port)
        Rule(lab.router, "FORWARD", "-p", "udp", "--dport", str(port), *queue_target(queue))
        with lab.client.entered():
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with lab.server.entered():
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(self.address)
        self.receiver.settimeout(ARRIVAL_SECONDS)

    def send(self, *orders):
        """Sends one datagram for each order. Returns their numbers: 0 is the first ever, with the kernel's id 1."""
        first = self.sent
        for order in orders:
            self.sender.sendto(struct.pack("!4sIQB", b"nfqp", 0, self.sent, order).ljust(ORDER_SIZE, b"."), self.address)
            self.sent += 1
        return list(range(first, self.sent))

    def send_as_one_burst(self, engine, *orders):
        """The same, and the queue process receives all of them at once."""
        process = engine.queue_processes()[self.queue]
        assert engine.signal_child(process, signal.SIGSTOP)
        wait_for(lambda: process_status(process)[1] == "T", "the queue process is stopped")
        numbers = self.send(*orders)
        wait_for(lambda: self.lab.router.queues()[self.queue].waiting == len(orders), "the whole burst waits")
        assert engine.signal_child(process, signal.SIGCONT)
        return numbers

    def delivered(self):
        """The numbers that arrived since the last call, in order. One more datagram is sent after them: when that
        one arrives, all that were accepted before it have arrived."""
        last = self.send(NONE)[0]
        numbers = []
        while True:
            try:
                number = struct.unpack_from("!4sIQB", self.receiver.recv(2048))[2]
            except TimeoutError as late:
                waiting = self.lab.router.queues()
                raise AssertionError(f"{last} has not arrived after {numbers}; the kernel's queues: {waiting}") from late
            if number == last:
                return numbers
            numbers.append(number)

    def close(self):
        self.sender.close()
        self.receiver.close()


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


def stop_in_order(lab, engine, orders):
    """A normal stop, after which every packet is accounted for."""
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in a queue")
    kernel = lab.router.queues()[orders.queue]
    assert kernel.last_id == orders.sent and kernel.queue_dropped == kernel.user_dropped == 0, kernel
    assert engine.stop() == 0
    counters = engine.final()[orders.queue]
    assert counters["packets"] == orders.sent, counters
    assert counters["malformed"] == counters["truncated"] == counters["stale_verdicts"] == counters["verdict_errors"] == 0, counters
    return counters


def assert_serves(engine, orders):
    """The engine answers packets, replaces killed workers and a killed queue process, and answers packets again. Each
    worker and spare that was killed, and the queue process, count as a restart."""
    numbers = orders.send(*[NONE] * 5)
    assert orders.delivered() == numbers
    before = engine.wait_workers(orders.queue)
    assert engine.kill_workers(orders.queue) == before
    numbers = orders.send(*[NONE] * 5)
    assert orders.delivered() == numbers
    process, before = engine.queue_processes()[orders.queue], engine.wait_workers(orders.queue, without=before)
    assert engine.signal_child(process, signal.SIGKILL)
    numbers = orders.send(*[NONE] * 5)
    assert orders.delivered() == numbers
    assert engine.queue_processes()[orders.queue] != process
    engine.wait_workers(orders.queue, without=before)


# Memory


def test_a_write_into_a_packet_costs_that_packet_and_no_verdict_of_those_after_it(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=overrun:4096"), "--queue", "1")
    orders = through(1)
    crashed_on = []
    for length in (10, 6):  # with packets after the dropped ones, and without: their own verdict applies
        burst = [NONE, NONE, MISBEHAVE, DROP, DROP, DROP, NONE, NONE, NONE, NONE][:length]
        numbers = orders.send_as_one_burst(engine, *burst)
        assert orders.delivered() == [number for number, order in zip(numbers, burst) if order == NONE]
        crashed_on.append(numbers[2])
    numbers = orders.send_as_one_burst(engine, NONE, NONE)
    assert orders.delivered() == numbers
    for number in crashed_on:
        engine.wait_line(rf"plugin misbehave 1\.2\.3 crashed \(SIGSEGV\) on packet {number + 1}; verdict drop")
    counters = stop_in_order(lab, engine, orders)
    assert counters["crash_verdicts"] == counters["restarts"] == 2, counters
    assert counters["dropped"] == 2 + 6, counters
    assert counters["recovered_ids"] == 0, counters


def test_an_overrun_on_one_queue_does_not_disturb_the_queue_after_it(
        lab, start_engine, start_pump, through):
    engine = start_engine("--plugin", plugin(f"misbehave,do=overrun:{4 << 20}"), "--queue", "1-2")
    others = engine.queue_processes(), engine.wait_workers(1)
    orders = through(2)
    lab.queue_pump_traffic(1)
    pump = start_pump(ENDLESS, time_limit=60)
    for _ in range(5):
        last_id = lab.router.queues()[1].last_id
        numbers = orders.send(NONE, MISBEHAVE, NONE)
        assert orders.delivered() == [numbers[0], numbers[2]]
        wait_for(lambda: lab.router.queues()[1].last_id > last_id + 1000, "queue 1 continues")
    report = pump.stop_sending().report()
    assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report
    assert (engine.queue_processes(), engine.workers()[1]) == others, "no queue process and no worker of queue 1 may die"
    assert stop_in_order(lab, engine, orders)["crash_verdicts"] == 5
    counters = engine.final()[1]
    assert counters["packets"] == counters["accepted"] == report["sent"], counters
    assert counters["crash_verdicts"] == counters["restarts"] == counters["malformed"] == 0, counters


def test_a_plugin_that_destroys_all_memory_it_can_reach_reaches_its_own_packets_alone(
        lab, start_engine, start_pump, through):
    """What it had answered just before, and nothing has taken yet, goes with it: so the packets come one by one."""
    engine = start_engine("--plugin", plugin("misbehave,do=overwrite-memory"), "--queue", "1-3")
    processes, workers = engine.queue_processes(), {queue: engine.wait_workers(queue) for queue in (1, 2, 3)}
    orders = through(2)
    lab.queue_pump_traffic(1)
    pump = start_pump(ENDLESS, time_limit=60)
    third = through(3)
    for _ in range(3):
        last_id = lab.router.queues()[1].last_id
        numbers = orders.send(NONE)
        assert orders.delivered() == numbers
        orders.send(MISBEHAVE)
        wait_for(lambda: lab.router.queues()[2].waiting == 0, "it was answered")
        numbers = orders.send(NONE, NONE)
        assert orders.delivered() == numbers, "queue 2 continues, and the packet got the --on-crash verdict"
        assert third.delivered() == []
        wait_for(lambda: lab.router.queues()[1].last_id > last_id + 1000, "queue 1 continues")
    report = pump.stop_sending().report()
    assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report
    assert engine.queue_processes() == processes, "no queue process has ended"
    assert {queue: engine.workers()[queue] for queue in (1, 3)} == {queue: workers[queue] for queue in (1, 3)}
    told = (r"queue 2: plugin misbehave 1\.2\.3 wrote over the memory in which a worker answers"
            r"( on packet \d+; verdict drop)?; worker \d+ replaced$")
    assert len(engine.matches(told)) == len(engine.matches("replaced$")) >= 3, engine.lines
    counters = stop_in_order(lab, engine, orders)
    assert counters["crash_verdicts"] == counters["dropped"] == 3, counters
    # Who spoils what a worker says of itself is not believed to have had a packet, until more workers than the queue has at
    # a time have ended over it.
    assert 3 <= counters["restarts"] <= 3 * 3, counters
    counters = engine.final()[1]
    assert counters["packets"] == counters["accepted"] == report["sent"], counters
    assert counters["crash_verdicts"] == counters["restarts"] == 0, counters
    assert engine.final()[3]["packets"] == third.sent


# Other programs


def test_a_message_of_another_program_does_not_reach_the_queue(lab, start_engine, through):
    """It looks like a packet of the kernel; its sender has the engine's rights, and the namespace."""
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1")
    orders = through(1)
    numbers = orders.send(NONE)
    port_id = lab.router.queues()[1].port_id
    packet = netlink.message(netlink.PACKET, 1, netlink.attribute(netlink.PACKET_HDR, struct.pack("!IHBx", 1000, 0x800, 2)))
    with contextlib.closing(netlink.Client(lab.router)) as other:
        for _ in range(100):
            with pytest.raises(ConnectionRefusedError):
                other.socket.sendto(packet, (port_id, 0))
    numbers += orders.send(NONE, NONE)
    assert orders.delivered() == numbers
    assert stop_in_order(lab, engine, orders)["restarts"] == 0


# The process and its descriptors


@pytest.mark.parametrize("way", ["close-descriptors", "close-all-descriptors", "replace-descriptors",
                                 "change-descriptors", "fork-twice"])
def test_a_plugin_that_spoils_its_process_costs_at_most_its_packet(lab, start_engine, through, way):
    engine = start_engine("--plugin", plugin(f"misbehave,do={way}"), "--queue", "1-2")
    orders, other = through(1), through(2)
    processes, others = engine.queue_processes(), engine.wait_workers(2)
    for _ in range(3):
        numbers = orders.send_as_one_burst(engine, NONE, DROP, MISBEHAVE, NONE, DROP, NONE)
        delivered = orders.delivered()
        assert [number for number in delivered if number != numbers[2]] == [numbers[0], numbers[3], numbers[5]]
        assert other.delivered() == []
    assert engine.queue_processes() == processes and engine.workers()[2] == others, "no other process has ended"
    if "close" in way or way == "replace-descriptors":
        told = r"queue 1: (worker \d+: .*; it is replaced|plugin misbehave 1\.2\.3 .*)$"
        wait_for(lambda: len(engine.matches(told)) == 3, f"the log tells of each of the three workers: {engine.lines}")
    counters = stop_in_order(lab, engine, orders)
    assert counters["restarts"] <= 3, counters
    assert counters["crash_verdicts"] <= counters["restarts"], counters
    assert counters["dropped"] == counters["crash_verdicts"] + 3 * 2, counters
    assert engine.final()[2]["restarts"] == 0, engine.final()


@pytest.mark.parametrize("way, what", [
    ("exit:3", "exited with status 3"),
    ("_exit:0", "exited with status 0"),     # as if it were done
    ("_exit:70", "exited with status 70"),   # as the engine itself does
    ("crash-thread", r"crashed \(SIGSEGV\)"),
])
def test_a_plugin_that_ends_its_process_costs_the_packet_that_it_had(lab, start_engine, through, way, what):
    engine = start_engine("--plugin", plugin(f"misbehave,do={way}"), "--queue", "1")
    orders = through(1)
    for _ in range(2):
        numbers = orders.send_as_one_burst(engine, NONE, NONE, MISBEHAVE, NONE, NONE)
        assert orders.delivered() == numbers[:2] + numbers[3:]
        engine.wait_line(rf"queue 1: plugin misbehave 1\.2\.3 {what} on packet {numbers[2] + 1}; verdict drop")
    counters = stop_in_order(lab, engine, orders)
    assert counters["crash_verdicts"] == counters["dropped"] == counters["restarts"] == 2, counters


def test_a_crash_in_close_does_not_delay_the_stop(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=crash,in=close"), "--queue", "1-4", "--drain-timeout", "30s")
    orders = through(1)
    numbers = orders.send(*[NONE] * 20)
    assert orders.delivered() == numbers
    start = time.monotonic()
    counters = stop_in_order(lab, engine, orders)
    elapsed = time.monotonic() - start
    assert elapsed < 2.0, f"stopped after {elapsed:.2f} s: {engine.lines}"
    assert counters["accepted"] == orders.sent, counters
    assert engine.total("restarts") == 0, "no worker was replaced"
    for queue in range(1, 5):
        engine.wait_line(rf"queue {queue}: \S*/misbehave\.so: close\(\) crashed \(SIGSEGV\)")


# Rights


@pytest.mark.parametrize("place", ["open", "handle", "load", "close"])
def test_a_plugin_has_no_right_to_the_queue_and_to_other_processes(lab, start_engine, through, place):
    engine = start_engine("--plugin", plugin(f"misbehave,do=attack,in={place}"), "--queue", "1")
    port_id = lab.router.queues()[1].port_id
    orders = through(1)
    numbers = orders.send(NONE, MISBEHAVE, NONE)
    assert orders.delivered() == numbers, "the queue is bound, the supervisor lives"
    assert lab.router.queues()[1].port_id == port_id
    assert stop_in_order(lab, engine, orders)["restarts"] == 0
    refused = [match.groups() for match in engine.matches("output of .*: (netlink|parent|priority|trace): (.*)$")]
    tried = collections.Counter(what for what, _ in refused)  # by the worker and the spare, perhaps at the same time
    assert set(tried) == {"netlink", "parent", "priority", "trace"} and len(set(tried.values())) == 1, engine.lines
    assert all(result in ("Operation not permitted", "Permission denied") for _, result in refused), refused


@pytest.mark.parametrize("kind", ["worker", "queue process", "fork server"])
def test_each_process_has_its_own_user_and_no_right_that_it_does_not_need(start_engine, kind):
    """Before and after it was killed."""
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
    of_kind = {"worker": lambda: sum(engine.workers().values(), []),
               "queue process": lambda: list(engine.queue_processes().values()),
               "fork server": lambda: [engine.fork_server()] if engine.fork_server() else []}[kind]
    engine.wait_workers(1)
    engine.wait_workers(2)
    count, before = len(of_kind()), []
    for _ in range(2):
        wait_for(lambda: len(of_kind()) == count and not set(of_kind()) & set(before), "all are there")
        before = of_kind()
        # A new process shows what it has when it has its plugins open, or serves.
        rights = "0000000000001000" if kind == "queue process" else "0000000000000000"
        if kind == "fork server":  # of its own namespace: to give its workers their users
            rights = "00000000000000c0"
        wait_for(lambda: all(status_field(each, "CapEff") == rights for each in before), f"each has {rights}")
        for each in before:
            assert status_field(each, "CapPrm") == status_field(each, "CapEff")
            assert status_field(each, "CapBnd") == status_field(each, "CapAmb") == "0000000000000000"
            assert status_field(each, "NoNewPrivs") == "1"
            assert all(int(status_field(each, name)) >= 70000 for name in ("Uid", "Gid"))
        assert len({status_field(each, "Uid") for each in before}) == len(before)
        for each in before:
            assert engine.signal_child(each, signal.SIGKILL)
    assert engine.stop() == 0


@pytest.mark.parametrize("way", ["drop-capabilities", "kill-group:15"])
def test_a_worker_that_lost_its_tie_dies_with_the_supervisor(lab, start_engine, through, way):
    engine = start_engine("--plugin", plugin(f"misbehave,do={way},in=open"), "--queue", "1")
    assert_serves(engine, through(1))
    engine.process.kill()
    engine.process.wait()
    wait_for(lambda: not lab.router.process_ids(), "no process is left", timeout=1.0)
    wait_for(lambda: not lab.router.queues(), "no queue is bound", timeout=1.0)


# The environment


def test_an_engine_that_is_started_with_sigchld_ignored_replaces_workers(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1",
                          launcher=("env", "--ignore-signal=CHLD"))  # a shell would not leave it ignored
    orders = through(1)
    assert_serves(engine, orders)
    assert engine.zombies() == []
    assert stop_in_order(lab, engine, orders)["restarts"] == 3


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
def test_an_engine_that_is_started_without_standard_descriptors_serves(lab, start_engine, through, closed):
    """No other file may get one of these numbers: a log line would go there."""
    redirections = " ".join(f"{descriptor}>&-" for descriptor in closed)
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1", ready=False,
                          launcher=("sh", "-c", f"exec \"$@\" {redirections}", "sh"))
    wait_for(lambda: 1 in lab.router.queues() and 1 in engine.workers(), "the queue is bound", timeout=10.0)
    for descriptor in closed:
        assert os.readlink(f"/proc/{engine.process.pid}/fd/{descriptor}") == "/dev/null"
    orders = through(1)
    assert_serves(engine, orders)
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in the queue")
    assert engine.stop() == 0
    if 2 not in closed:
        assert engine.total("packets") == engine.total("accepted") == orders.sent


def test_a_fork_server_that_cannot_be_started_for_a_moment_is_started_later(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
    orders = through(1)
    numbers = orders.send(NONE, NONE)
    assert orders.delivered() == numbers
    before, workers = engine.fork_server(), {queue: engine.wait_workers(queue) for queue in (1, 2)}
    limits = resource.prlimit(engine.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(engine.process.pid, resource.RLIMIT_NOFILE, (CLOSED_AT_MOST, limits[1]))
    assert engine.signal_child(before, signal.SIGKILL)
    engine.wait_line("no channel for the fork server: Too many open files")
    assert engine.workers() == workers, "workers go on without a fork server"
    assert engine.kill_workers(2) == workers[2]
    wait_for(lambda: 2 not in engine.workers(), "workers die while there is no fork server")
    numbers = orders.send(NONE, NONE)
    assert orders.delivered() == numbers, "the other queue is served"
    resource.prlimit(engine.process.pid, resource.RLIMIT_NOFILE, limits)
    wait_for(lambda: engine.fork_server() not in (None, before), "there is a new fork server")
    engine.wait_workers(2, without=workers[2])
    assert_serves(engine, orders)
    assert stop_in_order(lab, engine, orders)["crash_verdicts"] == 0
    assert engine.total("restarts") == 2 + 3
