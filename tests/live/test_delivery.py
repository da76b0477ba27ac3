# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: of 200,000 packets none is lost, none arrives twice, and the order within each flow is kept.

With one queue and with four, IPv4 and IPv6 mixed, 64 flows from as many addresses. The counts come from the kernel: the
firewall's counters before and after the queue, and the receiver's UDP statistics. The engine's own counters must agree.
"""

import re

import pytest

from support.commands import wait_for
from support.engine import plugin
from support.scale import scaled_count


@pytest.mark.parametrize("queues", [1, 4])
@pytest.mark.parametrize("name", ["accept_all", "drop_tcp80"])
def test_every_packet_arrives_once_and_in_order(lab, start_engine, start_pump, queues, name):
    count = scaled_count(200000, 20000)
    engine = start_engine("--plugin", plugin(name), "--queue", f"1-{queues}" if queues > 1 else "1")
    rule = lab.queue_pump_traffic(1, queues)
    after = lab.count_pump_traffic(lab.router, "POSTROUTING")
    arrived = lab.count_pump_traffic(lab.server, "INPUT")

    report = start_pump(count).report()

    assert report["ended"] == "complete", report
    assert report["sent"] == count
    assert report["duplicates"] == 0 and report["out_of_order"] == 0 and report["lost"] == 0, report
    assert rule.packets() == count, "the rule before the queue"
    assert after.packets() == count, "the counter after the queue"
    assert arrived.packets() == count, "the counter at the receiver"
    assert lab.server.udp_received() == (count, 0), "datagrams received, and lost in the receiver's buffer"
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in a queue")
    bound = lab.router.queues()
    assert sorted(bound) == list(range(1, queues + 1))
    assert sum(queue.last_id for queue in bound.values()) == count
    assert all(queue.last_id > 0 for queue in bound.values()), f"a queue saw no packet: {bound}"
    assert all(queue.queue_dropped == queue.user_dropped == 0 for queue in bound.values()), bound

    assert engine.stop() == 0
    assert engine.total("packets") == engine.total("accepted") == count
    for counter in ("dropped", "crash_verdicts", "invalid", "verdicts_resent", "stale_verdicts", "verdict_errors", "receive_errors", "truncated",
                    "malformed", "recovered_ids", "restarts", "kernel_queue_dropped", "kernel_user_dropped"):
        assert engine.total(counter) == 0, f"{counter}: {engine.final()}"


def test_effective_values_are_printed_and_are_the_kernels(lab, start_engine):
    """The engine's startup line about a queue has the kernel's values, not those that were requested."""
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--queue", "1", "--queue", "5-6", "--max-len", "4000",
                          "--gso", "on", "--fail-open")
    lines = engine.matches(
        r"^nfq-engine: queue (\d+): max-len (\d+), copy packet (\d+) bytes, receive buffer (\d+) bytes, flags (.*)$")
    assert sorted(int(line.group(1)) for line in lines) == [1, 5, 6] == sorted(lab.router.queues())
    for line in lines:
        kernel = lab.router.queues()[int(line.group(1))]
        assert int(line.group(2)) == 4000
        assert int(line.group(3)) == kernel.copy_range == 512
        assert int(line.group(4)) > 0
        assert set(re.split(r",\s*", line.group(5))) == {"gso", "fail-open"}
    assert engine.stop() == 0
