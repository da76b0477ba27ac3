# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: after a flow verdict, the rest of the flow gets that verdict, and no plugin is asked about it.

Both directions, IPv4 and IPv6, with one queue and several. After the deciding packet every packet asks for the
opposite of the decision (orders.py), so the receiver shows if a plugin was asked about one. A flow ends if it is idle
for too long, if it is the one idle for longest in a full table, or if a new TCP connection replaces an accepted one;
only then the plugin is asked again. test_flow_deaths.py shows that deaths of workers do not end it.
"""

import contextlib
import socket
import threading
import time

import pytest

from orders import (ACCEPT, ACCEPT_FLOW, BULK, DROP, DROP_FLOW, SILENCE_SECONDS, Connection, Trace, head, traced,
                    wait_decided)
from support.commands import WAIT_SECONDS, wait_for
from support.rules import Rule, queue_target
from test_flags import stalled

TICK_SECONDS = 0.125  # the resolution of idle times


@pytest.fixture
def start_obey(lab, start_engine, tmp_path):
    """start_obey(arguments...): an engine with obey whose queues get all forwarded packets. Also its trace."""
    def start(*arguments, name="obey", queues=1, front=()):
        trace = Trace(tmp_path, "obey")
        engine = start_engine(*front, "--plugin", traced(name, trace), "--queue",
                              f"1-{queues}" if queues > 1 else "1", *arguments)
        Rule(lab.router, "FORWARD", *queue_target(1, queues))
        return engine, trace
    return start


def opposite(order):
    return {ACCEPT_FLOW: DROP, DROP_FLOW: ACCEPT}[order]


def assert_final(engine, **expected):
    """Final counters, summed over the queues; what is not named here is 0, as far as it is about flows or trouble."""
    for name in ("flow_packets", "flows_added", "flows_replaced", "flows_expired", "flow_not_stored", "crash_verdicts", "invalid",
                 "verdicts_resent", "stale_verdicts", "verdict_errors", "truncated", "malformed", "recovered_ids", "restarts"):
        assert engine.total(name) == expected.pop(name, 0), f"{name}: {engine.final()}"
    for name, value in expected.items():
        assert engine.total(name) == value, f"{name}: {engine.final()}"


@pytest.mark.parametrize("queues", [1, 4])
@pytest.mark.parametrize("order", [ACCEPT_FLOW, DROP_FLOW])
@pytest.mark.parametrize("family", [4, 6])
def test_the_rest_of_a_flow_gets_its_verdict_without_the_chain(
        lab, start_obey, talk, tmp_path, family, order, queues):
    """Of each second flow, the decision is about a packet of the server. The plugin before is not asked either."""
    flows, rounds = 12, 25
    witness = Trace(tmp_path, "witness")
    engine, decider = start_obey(queues=queues, front=("--plugin", traced("obey_witness", witness)))
    talks = [talk(number, family) for number in range(flows)]
    for number, one in enumerate(talks):
        one.send(order, back=number % 2 == 1)
    wait_decided(lab.router, flows)
    for _ in range(rounds):
        for one in talks:
            one.send(opposite(order))
            one.send(opposite(order), back=True)
    sent = flows + flows * rounds * 2
    wait_decided(lab.router, sent)
    for one in talks:
        for back in (False, True):
            expected = list(range(one.sent[back])) if order == ACCEPT_FLOW else []
            wait_for(lambda one=one, back=back, count=len(expected): len(one.came(back)) >= count, "all arrive")
            assert one.came(back) == expected
    assert witness.asked() == decider.asked() == flows
    assert engine.stop() == 0
    assert_final(engine, packets=sent, flow_packets=sent - flows, flows_added=flows,
                 accepted=sent if order == ACCEPT_FLOW else 0, dropped=0 if order == ACCEPT_FLOW else sent)
    if queues > 1:
        assert sum(queue["flows_added"] > 0 for queue in engine.final().values()) > 1, "more than one queue had flows"


@pytest.mark.parametrize("order", [ACCEPT_FLOW, DROP_FLOW])
def test_a_flow_decided_on_its_tenth_packet_is_asked_about_ten_times(lab, start_obey, talk, order):
    """Also if the packets after it are in four bursts that the worker has, or will get, already."""
    engine, trace = start_obey("--handle-timeout", "60s")
    one = talk(0)
    sent = 10 + 500
    with stalled(engine):
        one.send(ACCEPT if order == DROP_FLOW else DROP, 9)
        one.send(order)
        one.send(opposite(order), 500)
        wait_for(lambda: lab.router.waiting() == sent, "all wait")
    wait_decided(lab.router, sent)
    expected = list(range(9, sent)) if order == ACCEPT_FLOW else list(range(9))
    wait_for(lambda: len(one.came()) >= len(expected), "all arrive")
    assert one.came() == expected, "once, and in order"
    assert trace.asked() == 10
    assert engine.stop() == 0
    assert_final(engine, packets=sent, flow_packets=500, flows_added=1, accepted=len(expected))


@pytest.mark.parametrize("order", [ACCEPT_FLOW, DROP_FLOW])
@pytest.mark.parametrize("name", ["obey", "obey_batch"])
def test_packets_of_one_burst_follow_its_first_decision(lab, start_obey, talk, name, order):
    """The deciding packet and later ones are in one burst; so are earlier packets of the same flow, and
    those of other flows, which get what they ask for. Of two decisions for a flow, the first one counts."""
    engine, trace = start_obey("--handle-timeout", "60s", name=name)
    decided, other = talk(0), talk(1)
    against = {ACCEPT_FLOW: DROP_FLOW, DROP_FLOW: ACCEPT_FLOW}[order]
    with stalled(engine):
        for step in (opposite(order), order, opposite(order), opposite(order), against, opposite(order)):
            decided.send(step)
            decided.send(opposite(order) if step == opposite(order) else order, back=True)
            other.send(ACCEPT)
            other.send(DROP, back=True)
            other.send(DROP)
        wait_for(lambda: lab.router.waiting() == 30, "all wait for one burst")
    wait_decided(lab.router, 30)
    # The first packet of the flow and its answer got what they asked for, the other ten what was decided.
    passed = [1, 2, 3, 4, 5] if order == ACCEPT_FLOW else [0]
    wait_for(lambda: len(other.came()) == 6, "the other flow's packets arrive")
    assert other.came() == [0, 2, 4, 6, 8, 10] and other.came(back=True) == []
    assert decided.came() == passed and decided.came(back=True) == passed
    assert engine.stop() == 0
    assert_final(engine, packets=30, flow_packets=9, flows_added=1, accepted=6 + 2 * len(passed))
    assert trace.asked() == (30 if name == "obey_batch" else 30 - 9)


def test_a_full_table_forgets_exactly_the_longest_idle_flows(lab, start_obey, talk):
    """100 flows fit. The first is used again, then 20 more are decided: the 20 oldest of the others make room."""
    size, more = 100, 20
    engine, trace = start_obey("--flow-table", str(size))
    talks = [talk(number) for number in range(size + more)]
    for one in talks[:size]:
        one.send(ACCEPT_FLOW)
    wait_decided(lab.router, size)
    talks[0].send(DROP)
    wait_decided(lab.router, size + 1)
    assert trace.asked() == size, "nothing is forgotten while all fit"
    for one in talks[size:]:
        one.send(ACCEPT_FLOW)
    wait_decided(lab.router, size + 1 + more)
    for one in talks:
        one.send(DROP)
    wait_decided(lab.router, 2 * size + 1 + 2 * more)
    forgotten = range(1, more + 1)
    wait_for(lambda: all(len(one.came()) >= one.sent[0] - (number in forgotten) for number, one in enumerate(talks)),
             "all that is decided arrives")
    assert [number for number, one in enumerate(talks) if len(one.came()) != one.sent[0]] == list(forgotten)
    assert engine.stop() == 0
    assert_final(engine, flows_added=size + more, flows_replaced=more, flow_packets=1 + size, dropped=more)
    assert trace.asked() == size + 2 * more


def use(lab, one, order, sent, seconds):
    """The flow has packets of the server's all the time; `sent` packets were queued before. Returns how many are now."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        one.send(order, back=True)
        sent += 1
        wait_decided(lab.router, sent)
        time.sleep(TICK_SECONDS)
    return sent


def test_an_idle_flow_is_forgotten_and_one_in_use_is_not(lab, start_obey, talk):
    engine, trace = start_obey("--flow-timeout", "1s")
    idle, used = talk(0), talk(1)
    idle.send(ACCEPT_FLOW)
    used.send(ACCEPT_FLOW)
    wait_decided(lab.router, 2)
    sent = use(lab, used, DROP, 2, 1.0 + 3 * TICK_SECONDS)
    used.send(DROP)
    idle.send(DROP)
    wait_decided(lab.router, sent + 2)
    assert trace.asked() == 3, "it was asked about the idle flow once more, and only about that"
    wait_for(lambda: [idle.came(), used.came()] == [[0], [0, 1]], "what was decided arrives")
    assert len(used.came(back=True)) == sent - 2
    assert engine.stop() == 0
    assert_final(engine, flows_added=2, flows_expired=1, flow_packets=sent - 1, packets=sent + 2)


def test_a_dropped_flow_is_forgotten_whether_it_is_used_or_not(lab, start_obey, talk):
    """Whoever goes on sending does not keep it."""
    engine, trace = start_obey("--flow-timeout", "1s")
    idle, used = talk(0), talk(1)
    idle.send(DROP_FLOW)
    used.send(DROP_FLOW)
    wait_decided(lab.router, 2)
    sent = use(lab, used, ACCEPT, 2, 0.5)
    assert trace.asked() == 2 and used.came(back=True) == []
    sent = use(lab, used, ACCEPT, sent, 0.5 + 3 * TICK_SECONDS)
    idle.send(ACCEPT)
    wait_decided(lab.router, sent + 1)
    wait_for(lambda: idle.came() == [1], "the plugin is asked, and accepts it")
    assert used.came(back=True), "and the other one, too"
    assert engine.stop() == 0
    assert_final(engine, flows_added=2, flows_expired=2, packets=sent + 1, flow_packets=engine.total("flow_packets"))


# TCP


@pytest.mark.parametrize("family, queues", [(4, 1), (6, 2)])
def test_a_connection_is_decided_on_its_first_payload_until_it_begins_anew(lab, start_obey, listen, family, queues):
    """Accepted, the rest of it passes whatever it asks for. A new connection between the same ports is asked about
    again; a dropped one stays dropped, also if it begins again."""
    engine, trace = start_obey(queues=queues)
    server = listen(lab.server, lab.server_main[family])
    with contextlib.closing(Connection(lab, server)) as first:
        assert trace.asked() == 3, "SYN, SYN with ACK, ACK"
        assert first.exchange(ACCEPT_FLOW)
        assert trace.asked() == 4
        for _ in range(3):
            assert first.exchange(DROP, len(BULK))
        assert trace.asked() == 4
    with contextlib.closing(Connection(lab, server)) as second:
        assert trace.asked() == 7, "the handshake of the new connection"
        assert not second.exchange(DROP, timeout=SILENCE_SECONDS)
        asked = trace.asked()
        assert asked >= 8, "the segment, and how often it was sent again"
    with contextlib.closing(Connection(lab, server)) as third:
        handshake = trace.asked()
        assert third.exchange(ACCEPT_FLOW)
        assert third.exchange(DROP, len(BULK))
        assert trace.asked() == handshake + 1
    with contextlib.closing(Connection(lab, server)) as fourth:
        handshake = trace.asked()
        assert not fourth.exchange(DROP_FLOW, timeout=SILENCE_SECONDS)
        assert trace.asked() == handshake + 1, "what was sent again belongs to a flow that is decided"
    with pytest.raises(TimeoutError):
        Connection(lab, server, timeout=SILENCE_SECONDS)
    assert trace.asked() == handshake + 1
    assert engine.stop() == 0
    assert_final(engine, packets=engine.total("packets"), flow_packets=engine.total("packets") - handshake - 1,
                 flows_added=3)


def test_a_packet_of_more_than_64_kib_is_of_its_flow(lab, start_engine, tmp_path, listen):
    """The kernel puts a hop-by-hop header into such IPv6 packets, which is not on the wire. They are local: it does not
    forward them to a link of the same size."""
    size = 1 << 26
    for namespace in (lab.router, lab.server):
        namespace.run("ip", "link", "set", "dev", "link2", "gso_max_size", "200000", "gro_max_size", "200000")
    trace = Trace(tmp_path, "obey")
    engine = start_engine("--plugin", traced("obey", trace), "--queue", "1")
    for chain in ("OUTPUT", "INPUT"):
        Rule(lab.router, chain, "-p", "tcp", *queue_target(1))
    server = listen(lab.server, lab.server_main[6])
    with contextlib.ExitStack() as stack:
        with lab.router.entered():
            client = stack.enter_context(socket.socket(socket.AF_INET6))
        client.settimeout(WAIT_SECONDS)
        client.connect(server.getsockname()[:2])
        receiver = stack.enter_context(server.accept()[0])
        receiver.settimeout(WAIT_SECONDS)
        client.sendall(head(ACCEPT_FLOW))
        assert receiver.recv(100) == head(ACCEPT_FLOW)
        asked, queued = trace.asked(), lab.router.queues()[1].last_id
        sender = threading.Thread(target=client.sendall, args=(bytes(size),))
        sender.start()
        left = size
        while left > 0:
            left -= len(receiver.recv(1 << 20))
        sender.join()
    assert size / (lab.router.queues()[1].last_id - queued) > 1 << 16, "most packets are of more than 64 KiB"
    assert trace.asked() == asked
    assert engine.stop() == 0


# Packets without a flow


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("order", [ACCEPT_FLOW, DROP_FLOW])
def test_a_fragment_decides_no_flow_and_is_not_accepted_with_one(lab, start_obey, talk, family, order):
    """Without connection tracking, fragments are queued as they are: the plugin decides on the first of two, which
    says nothing about the second, nor about whole datagrams between the same ports. Of a flow that is dropped, the first
    one is dropped; the second one can be of any flow."""
    engine, trace = start_obey()
    one = talk(0, family)
    one.send(order, size=2000)
    wait_decided(lab.router, 2)
    one.send(opposite(order))
    wait_decided(lab.router, 3)
    passed = [0] if order == ACCEPT_FLOW else [1]
    wait_for(lambda: one.came() == passed, "what was asked for arrives")
    one.send(order)
    one.send(opposite(order), size=2000)
    wait_decided(lab.router, 6)
    assert trace.asked() == (6 if order == ACCEPT_FLOW else 5)
    assert one.came() == ([0, 2] if order == ACCEPT_FLOW else [1])
    assert engine.stop() == 0
    assert_final(engine, packets=6, flow_not_stored=1, flows_added=1, flow_packets=0 if order == ACCEPT_FLOW else 1)
