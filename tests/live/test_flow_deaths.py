# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a decided flow is not forgotten when a process dies, at any instruction.

SIGKILL hits queue processes, workers and spares at random moments under load, while flows are looked up, decided and put into order; or a plugin
crashes on packets of some flows while others continue. A flow that was decided once gets that verdict for every later
packet, each of which asks for the opposite, so a single packet of 200,000 that a plugin was asked about would
show: it would be missing at the receiver, or arrive there. So would one that lost the mark of accepted flows. What a
death may cost is the one packet that was being decided.
The random numbers come from a seed that a failure prints (support/seeds.py).

Few of those kills hit the instructions that change the table's index. So one test leaves an index as after such a kill,
and worse: it writes to the memory of the queue, which root can open in /proc.
"""

import os
import random
import signal
import time
from collections import Counter

import pytest

from orders import ACCEPT, ACCEPT_FLOW, CRASH, DROP, DROP_FLOW, Trace, traced, wait_decided
from support.commands import wait_for
from support.rules import Rule, queue_target
from support.scale import scaled_count
from support.seeds import Kills, new_seed, pick
from test_kill import QUEUE_PROCESSES, WORKERS, processes

FLOWS = 1024
DROPPED_EVERY = 8     # one flow in so many is dropped: few, since the pump cannot see that their packets are done
DECIDING = 3          # packets in a row ask for the flow's verdict, as the first may be the one that a death costs
PAUSE_SECONDS = 0.02  # the longest pause between two kills
RELEASE_SECONDS = 0.05
SETTLE_SECONDS = 1.5  # longer than the engine pauses when workers die again and again before they do anything

PAGE = 4096
TABLE_FLOWS = 65536   # the default; with it, buckets and entries fill pages, and the head is less than one
BUCKETS_SIZE, ENTRIES_SIZE = TABLE_FLOWS * 2 * 4, TABLE_FLOWS * 64


def is_dropped(flow):
    return flow % DROPPED_EVERY == DROPPED_EVERY // 2


def plan(count, generator):
    """The order of each datagram, and of each flow the sequence number of its first deciding one: somewhere in the
    first two thirds, so that flows are decided nearly all the time."""
    marks = bytearray(count)
    decisions = []
    for flow in range(FLOWS):
        length = len(range(flow, count, FLOWS))
        decision = generator.randrange(1, length * 2 // 3)
        before, during, after = (DROP, DROP_FLOW, ACCEPT) if is_dropped(flow) else (ACCEPT, ACCEPT_FLOW, DROP)
        marks[flow::FLOWS] = bytes([before] * decision + [during] * DECIDING + [after] * (length - decision - DECIDING))
        decisions.append(decision)
    return bytes(marks), decisions


@pytest.mark.parametrize("name, queues, busy", [("obey", 1, False), ("obey", 2, True), ("obey_batch", 1, False)])
def test_no_decided_flow_is_forgotten_when_processes_are_killed(
        lab, start_engine, start_pump, start_busy, tmp_path, name, queues, busy):
    count, kills_min = scaled_count(200000, 30000), scaled_count(48, 14)
    seed = new_seed()
    generator = random.Random(seed)
    marks, decisions = plan(count, generator)
    trace = Trace(tmp_path, name, count)
    engine = start_engine("--plugin", traced(name, trace, FLOWS), "--queue", f"1-{queues}" if queues > 1 else "1",
                          "--max-len", "65536", "--handle-timeout", "10s", "--crash-limit", "off", "--bypass-mark",
                          "0x10/0x30")
    lab.queue_pump_traffic(1, queues)
    marked = Rule(lab.router, "POSTROUTING", "-m", "mark", "--mark", "0x10", table="mangle")
    pump = start_pump(count, marks=marks, flows=FLOWS, window=900, release=RELEASE_SECONDS, settle=SETTLE_SECONDS)
    if busy:
        start_busy()
    killed, alive, kills_drawn = {}, {}, Kills(seed)
    drawn = kills_drawn.draw()
    while (passed := sum(queue.last_id for queue in lab.router.queues().values())) < count:
        assert pump.running() and engine.process.poll() is None, f"seed {seed}: {engine.lines[-5:]}"
        pump.resume()
        time.sleep(drawn[0] * PAUSE_SECONDS)  # the random moment, not a wait for something
        if alive:
            process_id = pick(sorted(alive), drawn[2])
            if engine.signal_child(process_id, signal.SIGKILL):
                killed[process_id] = alive[process_id]
        if len(killed) * count < kills_min * passed:
            pump.pause()  # on a busy machine it is faster than this loop
        drawn = kills_drawn.draw()
        found = processes(engine, pick(((QUEUE_PROCESSES,), (WORKERS,)), drawn[1]))
        alive = {process_id: kind for process_id, kind in found.items() if process_id not in killed}
    pump.resume()
    report = pump.report(lambda: lab.all_decided(count))
    for queue in range(1, queues + 1):
        engine.wait_workers(queue)
    assert engine.stop() == 0

    of_workers = list(killed.values()).count(WORKERS)
    context = f"seed {seed}, {len(killed)} kills, {of_workers} of workers, {report}, {engine.final()}"
    asked = trace.datagrams()
    wrong = Counter()
    lost = of_flows = 0
    for index in range(count):
        sequence, flow = divmod(index, FLOWS)
        decided = sequence >= decisions[flow] + DECIDING
        if pump.arrived[index] == is_dropped(flow):  # lost, or passed although it was not accepted
            wrong["passed" if pump.arrived[index] else "forgotten" if decided else "deciding"] += 1
        wrong["asked about a decided flow"] += decided and asked[index] > 0
        lost += not pump.arrived[index]
        of_flows += pump.arrived[index] and sequence >= decisions[flow]
    assert len(killed) >= kills_min, f"too few kills: {context}"
    assert wrong["forgotten"] == wrong["passed"] == wrong["asked about a decided flow"] == 0, f"{wrong}, {context}"
    assert wrong["deciding"] <= engine.total("crash_verdicts"), f"a death costs what was being decided: {wrong}, {context}"
    assert marked.packets() == of_flows, f"the packets of accepted flows, and no others, are marked: {context}"
    assert report["duplicates"] == report["out_of_order"] == 0, context
    assert engine.total("packets") == report["sent"] == count, context
    assert engine.total("dropped") == lost == report["lost"], context
    assert engine.total("kernel_queue_dropped") == engine.total("kernel_user_dropped") == 0, context
    assert engine.total("crash_verdicts") <= of_workers, context
    assert len(killed) - of_workers <= engine.total("restarts") <= len(killed), context
    for counter in ("flows_replaced", "flows_expired", "flow_not_stored", "stale_verdicts", "invalid"):
        assert engine.total(counter) == 0, f"{counter}: {context}"
    assert FLOWS - of_workers <= engine.total("flows_added") <= FLOWS, context
    if name == "obey":  # each packet was asked about, or got the verdict of its flow, or a death came in between
        assert 0 <= count - sum(map(bool, asked)) - engine.total("flow_packets") <= engine.total("crash_verdicts"), context


@pytest.mark.parametrize("name", ["obey", "obey_batch"])
def test_no_decided_flow_is_forgotten_when_a_plugin_crashes_on_others(
        lab, start_engine, start_pump, tmp_path, name):
    """Exactly the packets it crashed on are lost."""
    count, flows, crashes = scaled_count(60000, 15000), 64, scaled_count(200, 30)
    generator = random.Random(1)
    marks = bytearray([ACCEPT_FLOW] * flows + [DROP] * (count - flows))
    crashing = list(range(1, count, 2 * flows))  # all of flow 1: every second one asks to pass, or for a crash
    marks[1::flows] = bytes([ACCEPT]) * len(marks[1::flows])
    for index in generator.sample(crashing, crashes):
        marks[index] = CRASH
    trace = Trace(tmp_path, name, count)
    engine = start_engine("--plugin", traced(name, trace, flows), "--queue", "1", "--crash-limit", "off")
    lab.queue_pump_traffic()
    pump = start_pump(count, marks=bytes(marks), flows=flows)
    report = pump.report(lambda: lab.all_decided(count))
    assert engine.stop() == 0
    context = f"{report}, {engine.final()}"
    assert pump.arrived == bytes(order != CRASH for order in marks), context
    assert report["duplicates"] == report["out_of_order"] == 0, context
    assert engine.total("packets") == count and engine.total("stale_verdicts") == 0, context
    assert engine.total("crash_verdicts") == engine.total("dropped") == crashes, context
    if name == "obey":
        assert engine.total("restarts") == crashes, context
        asked = len(marks[1::flows]) + flows - 1
        assert sum(trace.datagrams()) == asked, "asked once about what is not decided"
        assert engine.total("flow_packets") == count - asked and engine.total("flows_added") == flows - 1, context


def spoil_index(engine):
    """The table says that it is being changed, nothing in its head is right, and the chains lead anywhere."""
    directory = f"/proc/{engine.process.pid}/fd"
    memory, = (f"{directory}/{number}" for number in os.listdir(directory)
              if "nfqe-queue" in os.readlink(f"{directory}/{number}"))
    with open(memory, "r+b", buffering=0) as file:
        size = os.stat(memory).st_size
        table = size - BUCKETS_SIZE - ENTRIES_SIZE - PAGE
        file.seek(table)
        assert file.read(4) == bytes(4), "the queue process is not changing it"
        file.seek(table)
        file.write(b"\1\0\0\0" + random.randbytes(52))  # changing; how many were used, and the ends of each list
        file.seek(table + PAGE)
        file.write(random.randbytes(BUCKETS_SIZE - PAGE))


def test_a_queue_process_that_dies_while_it_changes_the_table_leaves_every_flow(lab, start_engine, talk, tmp_path):
    flows = 50
    trace = Trace(tmp_path, "obey")
    engine = start_engine("--plugin", traced("obey", trace), "--queue", "1", "--handle-timeout", "60s")
    Rule(lab.router, "FORWARD", *queue_target(1))
    talks = [talk(number, family) for family in (4, 6) for number in range(flows)]
    for number, one in enumerate(talks):
        one.send(DROP_FLOW if is_dropped(number) else ACCEPT_FLOW)
    wait_decided(lab.router, 2 * flows)
    process = engine.queue_processes()[1]
    spoil_index(engine)  # the queue process waits for packets and does not use it
    assert engine.signal_child(process, signal.SIGKILL)
    engine.wait_line(rf"queue 1: the flow table was left half changed; {2 * flows} flows in it are whole and kept")
    for number, one in enumerate(talks):
        one.send(ACCEPT if is_dropped(number) else DROP, 2)
    wait_decided(lab.router, 6 * flows)
    for number, one in enumerate(talks):
        expected = [] if is_dropped(number) else [0, 1, 2]
        wait_for(lambda one=one, count=len(expected): len(one.came()) >= count, "what was decided arrives")
        assert one.came() == expected
    assert trace.asked() == 2 * flows
    assert engine.stop() == 0
    assert engine.total("flow_packets") == 4 * flows and engine.total("flows_added") == 2 * flows
    assert engine.total("restarts") == 1 and engine.total("crash_verdicts") == 0
