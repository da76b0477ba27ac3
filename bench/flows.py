# SPDX-License-Identifier: GPL-2.0-or-later
"""The effect of flow verdicts, and the memory of the flow table.

With a bypass mark, the kernel passes the rest of an accepted flow without queueing it. This is compared with the same
rules without the one that queues, in two ways: bulk TCP, and datagrams of a few flows. The latter are sent one by
one, so that the rules see each of them, where a bulk packet has dozens of segments. They are counted at a socket that
is full.

Without a bypass mark, the engine applies the flow verdict and calls no plugin. This is compared with a plugin chain
that differs only in the verdict of its last plugin: drop_tcp80, 14 plugins that read ports, and one that accepts the
flow or the packet alone. The cost of a packet without system calls is the precise result; a saturated queue shows the
part of it in a whole worker. Both use many flows, since a single one would use only one entry of the table.
"""

import json
import os
import re
import socket
import time

import footprint
import saturation
import traffic
from laboratory import CLIENT, LOAD_CPU, PAIRS, SERVE_CPU, SERVER, CannotMeasure
from subjects import ACCEPT, Engine
from support.commands import wait_for
from support.processes import pss_bytes

CHAIN = 16
SATURATED = f"chain of {CHAIN}, {saturation.LOAD_FLOWS} flows"
FLOW, PLAIN = "engine, flow verdict", "engine, the same without"
BYPASS_BULK, BYPASS_UDP = "bulk TCP, bypass rules", "datagrams one by one, bypass rules"
BURST_FLOWS = 16  # of a recorded burst of 64 packets
BYPASS_FLOWS = 8
SHORT = "--short"  # of flow_cost: the smallest and the largest table, two seconds
TABLE_FLOWS = 1000000
TABLE_SIZES = (1000, 10000, 100000, 1000000)
WAITING_MAX = 2048  # packets, a quarter of the queue's length: nothing is lost while the table is filled
LOOK_EVERY = 512    # packets
TABLE_SECONDS = 60
MEMORY_KEPT, MEMORY_PSS = "memory kept for 1 M flows", "memory (PSS), 1 M flows in the table"


def look_up(size, clock="moving"):
    return f"flow look-up, {size} flows" + (", constant clock" if clock == "standing" else "")


def chain_cost(length):
    return f"decode, chain of {length}, encode, {BURST_FLOWS} flows"


def measure_bypass_udp(bench, subject):
    lab, seconds = bench.lab, bench.seconds
    with saturation.full_socket(lab), subject.serve(lab, saturation.MATCH, cpu=SERVE_CPU):
        load = lab.client.start(bench.subjects.load("load_udp"), SERVER, str(saturation.PORT),
                                str(saturation.PAYLOAD), str(seconds + 10), "0", str(BYPASS_FLOWS), "1", cpu=LOAD_CPU)
        try:
            time.sleep(bench.warm_up)
            start, before = time.monotonic(), lab.server.udp_received()[1]
            time.sleep(seconds)
            end, after = time.monotonic(), lab.server.udp_received()[1]
            load.check_running()
        finally:
            load.stop()
    if after <= before:
        raise CannotMeasure("no datagram arrived")
    bench.figures.add(BYPASS_UDP, "packets/s", subject.name, (after - before) / (end - start))


def send_established(lab):
    """Datagrams of a few flows in turn, as existing connections send them."""
    with lab.client.entered():
        sockets = []
        for _ in range(BURST_FLOWS):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind((CLIENT, 0))
            sockets.append(sender)
        for number in range(footprint.BURST):
            sockets[number % BURST_FLOWS].sendto(bytes(36), (SERVER, footprint.PORT))
        for sender in sockets:
            sender.close()


def measure_chains(bench):
    """Chains of 1 and of 16, in one run of chain_cost and so interleaved."""
    subjects = bench.subjects
    lasts = {FLOW: subjects.flow_accept, PLAIN: subjects.plain_accept}
    chains = {f"{length} {name}": subjects.chain(length, last) for length in (1, CHAIN) for name, last in lasts.items()}
    for key, values in footprint.run_chains(bench, send_established, chains).items():
        length, name = key.split(" ", 1)
        for value in values:
            bench.figures.add(chain_cost(length), "ns/packet", name, value)


def has_short_look_up(subjects):
    """Whether the build's flow_cost has an option for a short run."""
    with open(subjects.tool("flow_cost"), "rb") as file:
        return SHORT.encode() in file.read()


def measure_look_up(bench, subject, *options):
    tool = bench.lab.server.start(bench.subjects.tool("flow_cost"), *options)
    try:
        result = json.loads(tool.finish(TABLE_SECONDS))
    finally:
        tool.stop()
    for clock, sizes in result.items():
        for size, values in sizes.items():
            for value in values:
                bench.figures.add(look_up(size, clock), "ns/packet", subject.name, value)


def shared_memory_bytes(pid):
    """What the engine's shared memory takes, whether a process has it mapped or not: the blocks of its files. The
    copies of plugins are such files, too, but do not count."""
    directory = f"/proc/{pid}/fd"
    found = {}
    for name in os.listdir(directory):
        path = f"{directory}/{name}"
        if re.match("/memfd:nfqe-(?!plugin)", os.readlink(path)):
            status = os.stat(path)
            found[status.st_ino] = status.st_blocks * 512
    if not found:
        raise CannotMeasure("the engine has no shared memory")
    return sum(found.values())


def send_flows(lab, flows):
    """A datagram for each of so many flows, no faster than they are answered."""
    def has_room():
        return lab.server.queues()[1].waiting < WAITING_MAX

    with lab.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((CLIENT, 0))
        for number in range(flows):
            if number % LOOK_EVERY == 0:
                wait_for(has_room, "the queue has room", interval=0.0005)
            sender.sendto(b"", (lab.server_addresses[number % PAIRS], 1 + number // PAIRS))


def measure_table(bench, subject, flows=TABLE_FLOWS, kept_name=MEMORY_KEPT, pss_name=MEMORY_PSS):
    """With every flow in the table, which the engine's own count at the end must confirm."""
    lab = bench.lab
    with subject.serve(lab, ["-p", "udp"]) as served:
        process = served.processes[0]
        send_flows(lab, flows)
        wait_for(lambda: lab.server.queues()[1].waiting == 0, "all packets are answered")
        time.sleep(bench.settle)
        kept = shared_memory_bytes(process.pid)
        pss = sum(pss_bytes(pid) for pid in served.tree())
    output = process.output()
    counts = {name: int(value) for name, value in re.findall(r"(flows_\w+)=(\d+)", output)}
    if counts.get("flows_added") != flows or counts.get("flows_replaced") != 0:
        raise CannotMeasure(f"the table was to hold {flows} flows; the engine counted {counts}")
    bench.figures.add(kept_name, "MiB", subject.name, kept / 2**20)
    bench.figures.add(pss_name, "MiB", subject.name, pss / 2**20)


def make_engine(subjects, name, plugins, *options):
    return Engine(name, subjects.engine_program, plugins, options=options)


def once_steps(bench):
    """(measure, subject, function), once a run."""
    subjects = bench.subjects
    flow = make_engine(subjects, FLOW, [subjects.flow_accept])
    table = make_engine(subjects, FLOW, [subjects.flow_accept], "--flow-table", str(TABLE_FLOWS))
    yield "flow verdict, chain cost", flow, lambda: measure_chains(bench)
    yield "flow look-up", flow, lambda: measure_look_up(bench, flow)
    yield "flow table, memory", table, lambda: measure_table(bench, table)


def steps(bench):
    """(measure, subject, function) of one round."""
    subjects = bench.subjects
    for subject in (subjects.bypass_rules, subjects.bypass):
        yield "flow bypass, bulk TCP", subject, lambda s=subject: traffic.measure_bulk(bench, s, BYPASS_BULK)
    for subject in (subjects.bypass_rules, subjects.bypass):
        yield "flow bypass, datagrams", subject, lambda s=subject: measure_bypass_udp(bench, s)
    for name, last in ((PLAIN, subjects.plain_accept), (FLOW, subjects.flow_accept)):
        engine = make_engine(subjects, name, subjects.chain(CHAIN, last))
        yield "flow verdict, saturated queue", engine, lambda s=engine: saturation.measure_saturated(
            bench, s, ACCEPT, SATURATED, [str(saturation.LOAD_FLOWS)])
