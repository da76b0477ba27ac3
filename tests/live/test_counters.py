# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: what a plugin counts is not lost, whichever process dies, and no plugin counts for another one.

The plugin `count` counts each packet before it does anything else. Its counters are shown by name with the final ones:
the sum of all workers of the queue, also of dead ones. What a plugin writes past its own counters ends its worker and
changes no other counter; what it claims changes its own alone.
"""

import signal

import pytest

from support.commands import wait_for
from support.engine import PREFIX, plugin
from support.scale import scaled_count

CRASHED = r"(crashed \(SIGSEGV\)|exited with status 1)"  # with a sanitizer, whose handler exits
IPV4_HEADER, UDP_HEADER = 20, 8  # bytes


def counters_of(engine, name, queue=1):
    """The final counters of a plugin, by name."""
    found = engine.matches(rf"^{PREFIX}queue {queue}: plugin {name}: counters: (.*)$")
    assert len(found) == 1, engine.lines
    return {name: int(value) for name, value in (pair.split("=") for pair in found[0].group(1).split())}


def run_marked(lab, start_engine, start_pump, count, every, *plugins):
    """Traffic with marks. The engine, ended."""
    engine = start_engine(*(word for name in plugins for word in ("--plugin", plugin(name))), "--queue", "1",
                          "--crash-limit", "off")
    lab.queue_pump_traffic()
    report = start_pump(count, mark_every=every).report(lambda: lab.all_decided(count))
    assert engine.stop() == 0
    assert report["sent_marked"] == count // every
    return engine


@pytest.mark.parametrize("deed", ["none", "crash"])
def test_each_packet_is_counted_once_also_if_the_worker_dies_of_it(lab, start_engine, start_pump, deed):
    count, every = scaled_count(50000, 5000, 500) // 500 * 500, 500
    engine = run_marked(lab, start_engine, start_pump, count, every, f"count,do={deed}")
    found = counters_of(engine, "count")
    assert found == {"packets": count, "bytes": found["bytes"], "marked": count // every, "never": 0}
    assert found["bytes"] > count * (IPV4_HEADER + UDP_HEADER), found
    assert engine.total("restarts") == (count // every if deed == "crash" else 0)


def test_a_plugin_that_writes_past_its_counters_ends_its_worker_and_changes_no_other(lab, start_engine, start_pump):
    count, every = 2000, 500
    engine = run_marked(lab, start_engine, start_pump, count, every, "count,do=past", "count_second")
    assert counters_of(engine, "count") == counters_of(engine, "count_second") | {
        "packets": count, "marked": count // every, "bytes": counters_of(engine, "count")["bytes"]}
    second = counters_of(engine, "count_second")
    assert (second["packets"], second["marked"], second["never"]) == (count - count // every, 0, 0), second
    assert engine.total("restarts") == engine.total("crash_verdicts") == count // every
    engine.wait_line(rf"^{PREFIX}queue 1: plugin count 1\.0\.0 {CRASHED} on packet")


def test_a_plugin_that_lies_about_its_counters_changes_its_own_alone(lab, start_engine, start_pump):
    count, every = 2000, 500
    engine = run_marked(lab, start_engine, start_pump, count, every, "count,do=lie", "count_second")
    first, second = counters_of(engine, "count"), counters_of(engine, "count_second")
    assert first["never"] == 2**64 - 1, first
    assert second == first | {"never": 0}, (first, second)
    assert engine.total("restarts") == 0


def test_counters_outlive_fork_server_workers_and_queue_process(lab, start_engine, start_pump):
    """A packet that a killed process had may not be counted, or be counted twice: it is given to another worker."""
    count = scaled_count(5000, 1000)
    engine = start_engine("--plugin", plugin("count"), "--queue", "1-2", "--crash-limit", "off")
    lab.queue_pump_traffic()
    sent = 0

    def pump():
        nonlocal sent
        sent += count
        report = start_pump(count).report(lambda: lab.all_decided(sent))
        assert report["lost"] == 0, report

    pump()
    fork_server = engine.fork_server()
    assert engine.signal_child(fork_server, signal.SIGKILL)
    wait_for(lambda: engine.fork_server() not in (None, fork_server), "there is a new fork server")
    pump()
    workers = engine.kill_workers(1)
    engine.wait_workers(1, without=workers)
    pump()
    queue_process = engine.queue_processes()[1]
    workers = engine.workers()[1]
    assert engine.signal_child(queue_process, signal.SIGKILL)
    engine.wait_workers(1, without=workers)
    pump()
    assert engine.stop() == 0
    assert counters_of(engine, "count")["packets"] == sent
    assert counters_of(engine, "count", queue=2)["packets"] == 0
