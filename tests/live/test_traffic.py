# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: with drop_tcp80, TCP to port 80 fails and TCP to port 8080 succeeds, wherever the queue is.

That is: IPv4 and IPv6; INPUT, OUTPUT and FORWARD; one queue, or two or four with queue-balance, which spreads by
address pair, so many addresses are used and every queue must have seen packets. The traffic is real HTTP, once
with curl as a person would try it. Each test first shows that port 80 answers without the engine, so a
broken laboratory cannot look like a working plugin, and afterwards that it answers again.
"""

from functools import partial

import pytest

from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule, queue_target
from support.scale import QUICK
from support.traffic import BULK, BULK_PATH, at_once, curl, fetch, fetch_all

# How long a client tries a port that must not answer; an open one answers in milliseconds.
BLOCKED_SECONDS = 0.3 if QUICK else 0.5
OPEN_SECONDS = 10.0
CURL_TIMED_OUT = 28


def requests_of(lab, hook, port):
    """Where the client and the server of a request are, so that it passes the hook of the router, and the
    requests: (address, port, source), over all further addresses of one side, for IPv4 and IPv6."""
    if hook == "OUTPUT":  # the router itself is the client, and the server's address varies
        return lab.router, [(address, port, None) for family in (4, 6) for address in lab.server_addresses[family]]
    target = lab.router_main if hook == "INPUT" else lab.server_main
    return lab.client, [(target[family], port, source)
                        for family in (4, 6) for source in lab.client_addresses[family]]


@pytest.mark.parametrize("queues", [1, 2, 4])
@pytest.mark.parametrize("hook", ["INPUT", "OUTPUT", "FORWARD"])
def test_port_80_fails_and_port_8080_succeeds(lab, start_engine, start_web_server, hook, queues):
    server = lab.router if hook == "INPUT" else lab.server
    start_web_server(server, 80, 8080)
    client, blocked = requests_of(lab, hook, 80)
    _, passed = requests_of(lab, hook, 8080)
    main = {family: passed[0 if family == 4 else -1][0] for family in (4, 6)}
    for family in (4, 6):
        assert fetch(client, main[family], 80, timeout=OPEN_SECONDS), "port 80 must answer before the engine runs"

    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", f"1-{queues}" if queues > 1 else "1")
    # Replies leave the router through OUTPUT, requests enter it through INPUT; FORWARD sees both.
    rule = Rule(lab.router, hook, "-p", "tcp", *queue_target(1, queues))
    # The table security comes after filter, where the queue is, also within INPUT.
    counter = Rule(server, "INPUT", "-p", "tcp", "--dport", "80", table="security")
    answers, codes = at_once([
        partial(fetch_all, client, passed + blocked, BLOCKED_SECONDS),
        partial(at_once, [partial(curl, client, main[family], port, seconds) for family in (4, 6)
                          for port, seconds in ((8080, OPEN_SECONDS), (80, BLOCKED_SECONDS))])])
    if not all(answers[:len(passed)]):  # a loaded machine may be slow, but must get there
        again = [request for request, answer in zip(passed, answers) if not answer]
        assert all(fetch_all(client, again, OPEN_SECONDS)), f"port 8080 must answer: {again}"
    assert not any(answers[len(passed):]), "no request to port 80 may be answered"
    assert codes == [0, CURL_TIMED_OUT] * 2
    assert counter.packets() == 0, "a packet to port 80 passed the queue"

    rule.remove()
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in a queue")
    queued = sum(queue.last_id for queue in lab.router.queues().values())
    for family in (4, 6):
        assert fetch(client, main[family], 80, timeout=OPEN_SECONDS), "port 80 must answer without the rule"
    assert engine.stop() == 0
    final = engine.final()
    assert sorted(final) == list(range(1, queues + 1))
    assert all(counters["packets"] > 0 for counters in final.values()), f"a queue saw no packet: {final}"
    assert engine.total("packets") == queued, "the engine must have seen what the kernel queued"
    assert engine.total("dropped") >= len(blocked)
    assert engine.total("accepted") + engine.total("dropped") == engine.total("packets")
    for name in ("crash_verdicts", "invalid", "stale_verdicts", "verdict_errors", "malformed", "restarts"):
        assert engine.total(name) == 0, f"{name}: {final}"


@pytest.mark.parametrize("gso", ["on", "off"])
def test_a_large_page_arrives_unchanged(lab, start_engine, start_web_server, tmp_path, gso):
    """Bulk TCP, over IPv4 and IPv6: whole segmentation offload packets with --gso on, single segments without."""
    start_web_server(lab.server, 8080)
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1", "--gso", gso)
    Rule(lab.router, "FORWARD", "-p", "tcp", *queue_target(1))
    for family in (4, 6):
        page = tmp_path / f"page{family}"
        assert curl(lab.client, lab.server_main[family], 8080, 30, BULK_PATH, str(page)) == 0
        assert page.read_bytes() == BULK, f"the page that came over IPv{family} differs"
    assert engine.stop() == 0
    assert engine.total("packets") == engine.total("accepted")
    for name in ("crash_verdicts", "stale_verdicts", "truncated", "malformed", "receive_errors", "verdict_errors"):
        assert engine.total(name) == 0, f"{name}: {engine.final()}"
    # A segment carries at most 1,460 bytes; offload packets are some ten times as large.
    segments = 2 * len(BULK) // 1460
    assert engine.total("packets") < segments if gso == "on" else engine.total("packets") > segments


def test_other_protocols_to_port_80_pass(lab, start_engine, start_pump):
    """drop_tcp80 is about TCP: UDP passes the same queue untouched."""
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1")
    lab.queue_pump_traffic()
    report = start_pump(1000).report()
    assert report["lost"] == 0
    assert engine.stop() == 0
    assert engine.total("accepted") == 1000


def test_the_first_plugin_with_an_opinion_decides(lab, start_engine, start_pump):
    """Several --plugin make a plugin chain: drop_tcp80 does not decide UDP, drop_marked does, accept_all never sees it."""
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--plugin", plugin("drop_marked"),
                          "--plugin", plugin("accept_all"), "--queue", "1", "--default-verdict", "drop")
    lab.queue_pump_traffic()
    report = start_pump(10000, mark_every=100).report(lambda: lab.all_decided(10000))
    assert report["lost_marked"] == report["sent_marked"] == 100
    assert report["lost"] == 100
    assert engine.stop() == 0
    assert engine.total("dropped") == 100
    assert engine.total("crash_verdicts") == 0


@pytest.mark.parametrize("verdict, arrived", [("accept", 900), ("drop", 0)])
def test_the_default_verdict_decides_when_no_plugin_does(lab, start_engine, start_pump, verdict, arrived):
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1", "--default-verdict", verdict)
    lab.queue_pump_traffic()
    report = start_pump(900, window=900).report(lambda: lab.all_decided(900))
    assert report["received"] == arrived
    assert engine.stop() == 0
    assert engine.total("accepted") == arrived
    assert engine.total("dropped") == 900 - arrived
