# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: verdicts other than accept and drop do what nfqe/abi.h says, as the kernel and the receiver see it.

Each datagram contains the verdict that the plugin steer answers (tests/plugins/steer.c), so every answer can be had, also
one that no plugin may give.
"""

import os
import signal
import struct

import pytest

from orders import ACCEPT, DROP, Trace, traced, wait_decided
from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule, queue_target

# As in nfqe/abi.h.
NFQE_ACCEPT, NFQE_DROP, NFQE_REPEAT = 1, 2, 3
QUEUE_BYPASS = 0x400
ONCE, NEXT = 8, 9  # orders, as in steer.c
REPEAT_ONE = 0x10000000  # one time, in the default of --repeat-mark


def reason(index):
    return index + 1 << 16


def to_queue(number):
    return 5 | number << 16


class Steered:
    """An engine with steer at queue 1, which gets all forwarded packets, and a flow of datagrams through it."""

    def __init__(self, lab, start_engine, talk, family=4, options=()):
        self.engine = start_engine("--plugin", plugin("steer"), "--queue", "1", *options)
        Rule(lab.router, "FORWARD", "-p", "udp", *queue_target(1))
        self.lab, self.talk = lab, talk(family=family)

    def send(self, verdict, count=1, order=ACCEPT, bits=0, mask=0):
        """Datagrams with this verdict. order: for a second plugin, in another queue. bits, mask: of the mark to be set."""
        self.talk.send(order, count, tail=struct.pack("=III", verdict, bits, mask))

    def assert_came(self, numbers):
        wait_for(lambda: len(self.talk.came()) >= len(numbers), f"{numbers} arrive")
        assert self.talk.came() == numbers

    def assert_final(self, **expected):
        assert self.engine.stop() == 0
        for name in ("accepted", "dropped", "repeated", "requeued", "crash_verdicts", "invalid", "stale_verdicts", "verdict_errors",
                     "restarts"):
            assert self.engine.total(name) == expected.pop(name, 0), f"{name}: {self.engine.final()}"
        assert not expected


def reasons_of(engine, queue=1):
    return {name: int(count) for match in engine.matches(rf"queue {queue}: plugin steer: reasons: (.*)$")
            for name, _, count in (pair.partition("=") for pair in match.group(1).split())}


@pytest.fixture
def steered(lab, start_engine, talk):
    return lambda **options: Steered(lab, start_engine, talk, **options)


@pytest.mark.parametrize("family", [4, 6])
def test_another_queue_decides_what_it_is_given(lab, steered, start_engine, tmp_path, family):
    """One and several at a time, between others, in order; obey in the other queue is asked about these alone."""
    trace = Trace(tmp_path, "obey")
    other = start_engine("--plugin", traced("obey", trace), "--queue", "2")
    one = steered(family=family)
    one.send(to_queue(2))
    one.send(NFQE_ACCEPT)
    one.send(to_queue(2) | QUEUE_BYPASS, 20)
    one.send(NFQE_DROP, 3)
    one.send(to_queue(2), 5, order=DROP)
    wait_for(lambda: trace.asked() == 26, "the other queue has its packets")
    wait_decided(lab.router, 30 + 26)
    assert sorted(one.talk.came()) == list(range(22))
    assert [number for number in one.talk.came() if number != 1] == [0, *range(2, 22)]
    one.assert_final(accepted=1, dropped=3, requeued=26)
    assert other.stop() == 0
    assert (other.total("packets"), other.total("accepted"), other.total("dropped")) == (26, 21, 5), other.final()


def test_a_queue_without_a_program_drops_or_is_bypassed(lab, steered):
    one = steered()
    for _ in range(3):
        one.send(to_queue(9), 2)
        one.send(to_queue(9) | QUEUE_BYPASS, 2)
    wait_decided(lab.router, 12)
    one.assert_came([2, 3, 6, 7, 10, 11])
    one.assert_final(requeued=12)


def test_the_queue_that_a_packet_is_in_is_no_other_queue(lab, steered):
    one = steered()
    one.send(to_queue(1) | QUEUE_BYPASS, 4)
    wait_decided(lab.router, 4)
    one.send(NFQE_ACCEPT)
    one.assert_came([4])
    one.engine.wait_line(r"plugin steer 1\.0\.0 answered 0x10405 on packet 1, ")
    one.assert_final(accepted=1, dropped=4, invalid=4)


def test_packets_are_counted_by_the_reason_of_their_verdict(lab, steered):
    one = steered()
    one.send(NFQE_DROP | reason(0), 30)
    one.send(NFQE_ACCEPT | reason(1), 20)
    one.send(NFQE_DROP, 3)
    one.send(NFQE_DROP | reason(3), 4)
    one.send(NFQE_ACCEPT)
    wait_decided(lab.router, 58)
    one.assert_came([*range(30, 50), 57])
    one.assert_final(accepted=21, dropped=37, invalid=4)
    assert reasons_of(one.engine) == {"first": 30, "second": 20, "refused": 0}


def test_reasons_are_counted_once_while_processes_die(lab, steered):
    """The queue process and the workers are killed between and beside the packets."""
    one = steered()
    for round_number in range(20):
        one.send((NFQE_DROP | reason(0)) if round_number % 2 else (NFQE_ACCEPT | reason(1)), 10)
        victims = [one.engine.queue_processes().get(1)] if round_number % 3 else one.engine.workers().get(1, [])[:1]
        for process_id in filter(None, victims):
            os.kill(process_id, signal.SIGKILL)
        wait_decided(lab.router, 10 * (round_number + 1))
    assert one.engine.stop() == 0
    counts = reasons_of(one.engine)
    crashed = one.engine.total("crash_verdicts") + one.engine.total("recovered_ids")
    assert 200 - crashed <= counts["first"] + counts["second"] <= 200, (counts, one.engine.final())
    assert counts["second"] <= one.engine.total("accepted"), (counts, one.engine.final())


def marked(lab, chain, mark):
    """A rule that counts packets with exactly this mark."""
    return Rule(lab.router, chain, "-p", "udp", "-m", "mark", "--mark", hex(mark), table="mangle")


def test_marks_are_those_of_the_packets_that_go_on(lab, steered):
    """Neighbours have other marks, so they share no message. Bits outside of the mask are those that the packet had."""
    Rule(lab.router, "PREROUTING", "-p", "udp", "-j", "MARK", "--set-mark", "0x500", table="mangle")
    rules = {mark: marked(lab, "POSTROUTING", mark) for mark in (0x500, 0x501, 0x502, 0xf502, 0x400)}
    one = steered()
    for _ in range(5):
        one.send(NFQE_ACCEPT, 3)
        one.send(NFQE_ACCEPT, 3, bits=1, mask=0xff)
        one.send(NFQE_ACCEPT | reason(0), 2, bits=2, mask=0xff)
        one.send(NFQE_ACCEPT, 1, bits=0xf002, mask=0xf00f)
        one.send(NFQE_ACCEPT, 1, bits=0, mask=0x100)
        one.send(NFQE_DROP, 2, bits=1, mask=1)
    one.send(NFQE_ACCEPT, 1, bits=2, mask=1)
    wait_decided(lab.router, 5 * 12 + 1)
    wait_for(lambda: len(one.talk.came()) == 50, "all that is accepted arrives")
    assert {mark: rule.packets() for mark, rule in rules.items()} == {0x500: 15, 0x501: 15, 0x502: 10, 0xf502: 5, 0x400: 5}
    one.assert_final(accepted=50, dropped=11)
    assert reasons_of(one.engine) == {"first": 10, "second": 0, "refused": 1}


def test_marks_go_with_packets_to_another_queue(lab, steered, start_engine, tmp_path):
    other = start_engine("--plugin", traced("obey", Trace(tmp_path, "obey")), "--queue", "2")
    rule = marked(lab, "POSTROUTING", 0x7)
    one = steered()
    one.send(to_queue(2), 6, bits=7, mask=0xff)
    one.assert_came(list(range(6)))
    assert rule.packets() == 6
    one.assert_final(requeued=6)
    assert other.stop() == 0


def test_a_verdict_that_is_sent_again_has_the_same_mark(lab, steered):
    """Queue processes are killed while they answer. What arrives with another mark than its own was sent otherwise."""
    rules = {mark: marked(lab, "POSTROUTING", mark) for mark in (0, 1, 2)}
    one = steered(options=("--on-crash", "drop"))
    for round_number in range(30):
        one.send(NFQE_ACCEPT, 10, bits=1 + round_number % 2, mask=3)
        process_id = one.engine.queue_processes().get(1)
        if process_id:
            os.kill(process_id, signal.SIGKILL)
        wait_decided(lab.router, 10 * (round_number + 1))
    assert one.engine.stop() == 0
    came = len(one.talk.came())
    assert rules[0].packets() == 0 and rules[1].packets() + rules[2].packets() == came == one.engine.total("accepted")
    assert one.engine.total("restarts") > 10, "processes were killed"


def test_rules_are_run_again_with_the_new_mark(lab, steered):
    """They accept packets with the mark that the plugin sets, and queue all others."""
    accepted = Rule(lab.router, "FORWARD", "-p", "udp", "-m", "mark", "--mark", "0x1/0xff", "-j", "ACCEPT")
    left = marked(lab, "POSTROUTING", REPEAT_ONE | 1)
    one = steered()
    one.send(NFQE_REPEAT | reason(1), 10, bits=1, mask=0xff)
    one.send(NFQE_DROP, 2)
    one.send(NFQE_REPEAT, 10, bits=1, mask=0xff)
    wait_decided(lab.router, 22)
    one.assert_came([*range(10), *range(12, 22)])
    assert (accepted.packets(), left.packets()) == (20, 20)
    one.assert_final(repeated=20, dropped=2)
    assert reasons_of(one.engine) == {"first": 0, "second": 10, "refused": 0}


def test_a_packet_that_comes_back_is_accepted_without_the_count(lab, steered):
    """The rules queue it again. The plugin does not see the count: it compares all bits."""
    left = marked(lab, "POSTROUTING", 0x21)
    one = steered()
    one.send(NFQE_REPEAT, 15, order=ONCE, bits=0x21, mask=0xff)
    wait_decided(lab.router, 30)
    one.assert_came(list(range(15)))
    assert left.packets() == 15
    one.assert_final(repeated=15, accepted=15)


def test_rules_are_run_again_at_most_four_times_for_a_packet(lab, steered):
    one = steered()
    one.send(NFQE_REPEAT, 8, order=NEXT, mask=0xff)
    wait_decided(lab.router, 8 * 5)
    one.send(NFQE_ACCEPT)
    one.assert_came([8])
    one.assert_final(repeated=32, dropped=8, invalid=8, accepted=1)


def test_rules_are_not_run_again_with_the_same_mark(lab, steered):
    one = steered(options=("--on-crash", "accept", "--repeat-mark", "0x700"))
    one.send(NFQE_REPEAT, 4)
    one.send(NFQE_REPEAT, 4, bits=0, mask=0xff)
    wait_decided(lab.router, 8)
    one.assert_came(list(range(8)))
    one.engine.wait_line(r"plugin steer 1\.0\.0 answered 0x3 on packet 1, ")
    one.assert_final(accepted=8, invalid=8)
