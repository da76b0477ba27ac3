# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine with the plugin `zoo` (tests/plugins/zoo.c) on queue 1 and 2, one packet with an order at a time, and what
became of all others.

Always: a Zoo's queue 1 has a Talk whose packets say accept, drop or attack; queue 2 has the pump's traffic, whose
packets never attack. A packet of queue 1 that says attack may be lost, accepted or dropped: it is the plugin's. Of the
others each has to get what it asks for.
"""

import contextlib
import time

from orders import ACCEPT, CRASH, DROP, TALK_PORT, Talk
from support.commands import wait_for
from support.engine import PREFIX, WORKER_UIDS, plugin
from support.processes import process_status, status_field
from support.rules import Rule, queue_target

ATTACK = CRASH
ENDLESS = 50_000_000
DRAIN_SECONDS = 5.0  # --drain-timeout by default


def processes_named(engine, name):
    """Children of the supervisor of this name that run."""
    return sorted(pid for pid, child in engine.children().items() if child == name)


def left_over(namespace):
    """Processes of the namespace with a uid of workers: what plugins have left running, if no engine runs there."""
    found = []
    for pid in namespace.process_ids():
        with contextlib.suppress(OSError):
            if int(status_field(pid, "Uid")) in WORKER_UIDS:
                found.append(pid)
    return found


class Zoo:
    """The engine with one animal, and both queues' traffic. It is checked when the test calls stop().
    workers: how many each queue has, with spares."""

    def __init__(self, lab, start_engine, start_pump, animal, *options, name="zoo", pump=True, workers=2, **how):
        self.lab, self.animal = lab, animal
        self.engine = start_engine("--plugin", plugin(f"{name},do={animal}"), "--queue", "1-2", "--crash-limit", "off",
                                   *options, **how)
        Rule(lab.router, "FORWARD", "-p", "udp", "--dport", str(TALK_PORT), *queue_target(1))
        self.talk = Talk(lab)
        self.orders = []
        self.pump = None
        if pump:
            lab.queue_pump_traffic(2)
            self.pump = start_pump(ENDLESS, window=64, time_limit=120)
            wait_for(lambda: lab.router.queues()[2].last_id > 1000, "queue 2 has traffic")
        for queue in (1, 2):
            self.engine.wait_workers(queue, workers)  # spares may open after the engine is ready
        self.others = self.innocent()

    def innocent(self):
        """The processes that no packet of queue 1 may end."""
        return (processes_named(self.engine, "nfqe-w2"), processes_named(self.engine, "nfqe-q1"),
                processes_named(self.engine, "nfqe-q2"), processes_named(self.engine, "nfqe-forkserver"))

    def send(self, *orders):
        for order in orders:
            self.talk.send(order)
            self.orders.append(order)

    def attack(self, times=1, around=8):
        """Attacks, among packets that say accept and drop. Waits until all are decided."""
        for _ in range(times):
            self.send(*[ACCEPT, DROP] * around, ATTACK, *[DROP, ACCEPT] * around)
            self.wait_decided()

    def wait_decided(self, timeout=15.0):
        def decided():
            queue = self.lab.router.queues().get(1)
            return queue is not None and queue.last_id >= len(self.orders) and queue.waiting == 0
        wait_for(decided, f"{len(self.orders)} packets of queue 1 are decided: {self.lab.router.queues()}; "
                          f"{self.engine.lines[-6:]}", timeout)

    def check_packets(self, strict=True):
        """What arrived is what asked for it, once and in order."""
        wanted = {number for number, order in enumerate(self.orders) if order == ACCEPT}
        may = wanted | {number for number, order in enumerate(self.orders) if order == ATTACK}

        def arrived():
            return wanted <= set(self.talk.came())
        if strict:
            with contextlib.suppress(Exception):
                wait_for(arrived, "all packets that were to be accepted have arrived", 1.0)
        came = self.talk.came()
        assert len(set(came)) == len(came), "no packet came twice"
        assert came == sorted(came), "in order"
        if strict:
            assert set(came) <= may, f"accepted against their verdict: {set(came) - may}"
            assert wanted <= set(came), f"lost: {sorted(wanted - set(came))}"
        queues = self.lab.router.queues()
        assert all(queue.queue_dropped == queue.user_dropped == 0 for queue in queues.values()), queues

    def check_others(self):
        before = self.lab.router.queues()[2].last_id
        wait_for(lambda: self.lab.router.queues()[2].last_id > before + 1000, "queue 2 continues")
        wait_for(lambda: self.innocent() == self.others,  # a process that is being born has its parent's name
                 f"only the processes from the start, {self.others}, are there: {self.innocent()}", 1.0)

    def check_no_breach(self):
        assert not self.engine.matches("breach"), self.engine.matches("breach")

    def stop(self, strict=True, code=0, limit=DRAIN_SECONDS, stopper=None):
        """Everything is checked, then the engine stops in time, then its books are compared with the kernel's."""
        self.check_packets(strict)
        if self.pump:
            self.check_others()
            report = self.pump.stop_sending().report()
            assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report
        self.check_no_breach()
        wait_for(lambda: self.lab.router.waiting() == 0, "no packet waits")
        start = time.monotonic()
        assert (stopper or self.engine.stop)() == code, self.engine.lines
        elapsed = time.monotonic() - start
        assert elapsed < limit + 0.5, f"stopped after {elapsed:.2f} s: {self.engine.lines[-8:]}"
        counters = self.engine.final()
        assert counters[1]["packets"] == len(self.orders), counters
        for queue in counters.values():
            assert queue["stale_verdicts"] == queue["verdict_errors"] == queue["malformed"] == 0, counters
        if self.pump:
            assert counters[2]["packets"] == counters[2]["accepted"] == report["sent"], counters
            assert counters[2]["crash_verdicts"] == counters[2]["restarts"] == 0, counters
        return counters

    def assert_named(self, pattern, name="zoo"):
        """The log names the plugin."""
        self.engine.wait_line(rf"^{PREFIX}queue 1: .*plugin {name}\b.*{pattern}")


def starts_again(lab, start_engine, seconds=2.0):
    """The next engine serves the same queues within the time of an ordinary start."""
    start = time.monotonic()
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-2")
    assert time.monotonic() - start < seconds, engine.lines
    talk = Talk(lab, number=1, port=TALK_PORT - 2)
    try:
        talk.send(ACCEPT, 20)
        wait_for(lambda: len(talk.came()) == 20, "the next engine serves")
    finally:
        talk.close()
    assert engine.stop() == 0
