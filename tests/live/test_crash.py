# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: if a plugin crashes or hangs on a packet, only that packet is lost, and the log names it.

400 of 200,000 datagrams are marked, and the test plugin dereferences NULL (or loops for ever) on those. Exactly the
marked ones get the crash verdict; all others arrive once and in order, although a worker dies each time. The same
holds if the plugin processes whole bursts, and only its handle() can show which packet is the cause. The log names
plugin, version and packet; if lines are suppressed, it has their number.
"""

import re

import pytest

from support.commands import wait_for
from support.engine import PREFIX, plugin
from support.scale import scaled_count

PACKET_CRASH = re.compile(
    rf"^{PREFIX}queue (\d+): plugin (\S+) (\S+) crashed \((\w+)\) on packet (\d+); verdict (\w+); worker (\d+) replaced$")
BURST_CRASH = re.compile(rf"^{PREFIX}queue (\d+): plugin (\S+) (\S+) crashed \((\w+)\) in handle_batch\(\)")
NOT_SHOWN = re.compile(r"(\d+) more crashes? not shown")


def sizes(count=200000, quick_count=20000):
    """How many datagrams, of which every how-many-eth is marked, and how many are."""
    count = scaled_count(count, quick_count, 500) // 500 * 500
    return count, 500, count // 500


def run_marked(lab, start_engine, start_pump, name, count, every, *options, queues=1):
    """Traffic with marks through the test plugin. The engine, ended, and the pump's report."""
    engine = start_engine("--plugin", plugin(name), "--queue", f"1-{queues}" if queues > 1 else "1", "--crash-limit",
                          "off", *options)
    lab.queue_pump_traffic(1, queues)
    report = start_pump(count, mark_every=every).report(lambda: lab.all_decided(count))
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in a queue")
    kernel = lab.router.queues()
    assert all(queue.queue_dropped == queue.user_dropped == 0 for queue in kernel.values()), kernel
    assert sum(queue.last_id for queue in kernel.values()) == count, "every datagram was queued once"
    assert engine.stop() == 0
    assert report["duplicates"] == 0 and report["out_of_order"] == 0, report
    return engine, report


def assert_log_tells(engine, name, version, verdict, every):
    """The crashes that are shown name the right plugin and packets; with those not shown they are all."""
    bursts = [match for match in map(BURST_CRASH.match, list(engine.lines)) if match]
    packets = [match for match in map(PACKET_CRASH.match, list(engine.lines)) if match]
    hidden = sum(int(match.group(1)) for match in engine.matches(NOT_SHOWN))
    assert packets, f"no crash is in the log: {engine.lines}"
    assert hidden > 0, "the log must be rate-limited"
    assert len(packets) + len(bursts) + hidden == engine.total("restarts"), "every crash is shown or counted"
    for match in bursts:
        assert match.group(2, 3, 4) == (name, version, "SIGSEGV"), match.group(0)
    for match in packets:
        assert match.group(2, 3, 4, 6) == (name, version, "SIGSEGV", verdict), match.group(0)
        # One queue and one sender: the kernel numbers the datagrams from 1 in the order of sending.
        assert (int(match.group(5)) - 1) % every == every // 2, f"not a marked packet: {match.group(0)}"
    identifiers = [match.group(5) for match in packets]
    assert len(set(identifiers)) == len(identifiers), "a packet was held guilty twice"


@pytest.mark.parametrize("on_crash", ["drop", "accept"])
@pytest.mark.parametrize("name, version", [("misbehave", "1.2.3"), ("misbehave_batch", "2.3.4")])
def test_only_the_guilty_packets_get_the_crash_verdict(lab, start_engine, start_pump, name, version, on_crash):
    count, every, marked = sizes()
    engine, report = run_marked(lab, start_engine, start_pump, f"{name},do=crash", count, every, "--on-crash", on_crash)
    assert report["sent_marked"] == marked
    assert report["lost"] == report["lost_marked"] == (marked if on_crash == "drop" else 0), report
    assert engine.total("packets") == count
    assert engine.total("crash_verdicts") == marked
    assert engine.total("dropped") == report["lost"]
    assert engine.total("accepted") == report["received"]
    assert engine.total("stale_verdicts") == 0
    # A crash in a burst is followed by one or more in handle(), each with a worker of its own.
    assert engine.total("restarts") >= marked if name.endswith("batch") else engine.total("restarts") == marked
    assert_log_tells(engine, name, version, on_crash, every)


@pytest.mark.parametrize("name", ["misbehave", "misbehave_batch"])
def test_workers_of_other_queues_are_not_disturbed(lab, start_engine, start_pump, name):
    count, every, marked = sizes(100000)
    engine, report = run_marked(lab, start_engine, start_pump, f"{name},do=crash", count, every, queues=4)
    assert report["lost"] == report["lost_marked"] == marked, report
    assert engine.total("crash_verdicts") == marked


def test_a_crash_in_a_burst_that_handle_does_not_repeat_has_no_guilty_packet(lab, start_engine, start_pump):
    count, every, _ = sizes(20000, 5000)
    engine, report = run_marked(lab, start_engine, start_pump, "misbehave_batch,do=crash,in=handle_batch", count,
                                every)
    assert report["lost"] == 0, report
    assert engine.total("crash_verdicts") == 0
    assert engine.total("accepted") == count
    assert engine.total("restarts") > 0, "the plugin has crashed, so workers were replaced"


def test_the_log_names_the_plugin_of_the_chain_that_crashed(lab, start_engine, start_pump):
    engine = start_engine("--plugin", plugin("drop_tcp80"), "--plugin", plugin("misbehave,do=crash"), "--queue", "1")
    lab.queue_pump_traffic()
    report = start_pump(1000, mark_every=1000).report()
    assert report["lost"] == report["lost_marked"] == 1
    engine.wait_line(r"plugin misbehave 1\.2\.3 crashed \(SIGSEGV\) on packet 501; verdict drop")
    assert engine.stop() == 0


def test_a_plugin_that_crashes_on_every_packet_is_survived(lab, start_engine, start_pump):
    count = scaled_count(500, 100)
    engine, report = run_marked(lab, start_engine, start_pump, "misbehave,do=crash", count, 1)
    assert report["lost"] == report["sent_marked"] == count, report
    assert engine.total("crash_verdicts") == engine.total("restarts") == engine.total("dropped") == count


@pytest.mark.parametrize("spares", ["0", "1", "4"])
def test_deaths_that_follow_each_other_cost_the_guilty_packets_only(lab, start_engine, start_pump, spares):
    """Every third packet is deadly: as many deaths a second as workers can be made."""
    count = scaled_count(14000, 900)
    engine, report = run_marked(lab, start_engine, start_pump, "misbehave,do=crash", count, 3, "--spares", spares)
    assert report["lost"] == report["lost_marked"] == report["sent_marked"], report
    assert engine.total("crash_verdicts") == engine.total("restarts") == report["sent_marked"]


@pytest.mark.parametrize("on_crash", ["drop", "accept"])
@pytest.mark.parametrize("name, hangs_each", [("misbehave", 1), ("misbehave_batch", 2)])
def test_a_hang_costs_the_guilty_packet_only(lab, start_engine, start_pump, name, hangs_each, on_crash):
    """Marked datagrams: each blocks its worker until the engine ends it; later packets wait, and pass. A hang in a burst
    takes a second one, in handle(), to find the packet."""
    hangs = scaled_count(3, 1)
    engine, report = run_marked(lab, start_engine, start_pump, f"{name},do=hang", hangs * 1000, 1000,
                                "--handle-timeout", "300ms", "--on-crash", on_crash)
    assert report["sent_marked"] == hangs
    assert report["lost"] == report["lost_marked"] == (hangs if on_crash == "drop" else 0), report
    # Between two hangs over a burst, the packets before the guilty one pass; and those pass up to 5 ms after it began.
    assert report["longest_pause_ms"] >= 290, "no packet may be held guilty before the time-out"
    assert report["longest_pause_ms"] < 1500, "a hang must be noticed soon after the time-out"
    assert engine.total("crash_verdicts") == hangs
    assert engine.total("restarts") == hangs * hangs_each
    assert engine.total("stale_verdicts") == 0
    engine.wait_line(rf"plugin {name} \d\.\d\.\d .*packet 501\b", 1)
