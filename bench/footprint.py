# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's idle load and memory, its start time, and the cost of its own code for a packet."""

import json
import socket
import time

from laboratory import CLIENT, LOAD_CPU, SERVER, CannotMeasure
from support.processes import pss_bytes, status_field

PORT = 7002
MATCH = ["-p", "udp", "--dport", str(PORT)]
IDLE_SECONDS = 5
PROBES_PER_SECOND = 10000
PROBE_SECONDS = 10
BURST = 64
CHAIN_LENGTHS = (1, 4, 16)
START = "start to first verdict"


ROLES = {"nfqe-q": "queue process", "nfqe-w": "workers"}  # by the name that the engine gives the process


def role_of(process, pid):
    if pid == process.pid:
        return "supervisor"
    return ROLES.get(status_field(pid, "Name")[:len("nfqe-q")], "fork server")


def measure_idle(bench, subject):
    """Voluntary context switches of each process while no packet comes."""
    with subject.serve(bench.lab, MATCH) as served:
        process = served.processes[0]
        time.sleep(bench.settle)
        before = {pid: int(status_field(pid, "voluntary_ctxt_switches")) for pid in served.tree()}
        time.sleep(IDLE_SECONDS)
        switches = {}
        for pid, count in before.items():
            role = role_of(process, pid)
            switches[role] = switches.get(role, 0) + int(status_field(pid, "voluntary_ctxt_switches")) - count
    for role, count in switches.items():
        bench.figures.add(f"idle wake-ups, {role}", "1/s", subject.name, count / IDLE_SECONDS)


def measure_memory(bench, subject, queues):
    """After some traffic, so that all that a burst touches is there."""
    lab = bench.lab
    with subject.serve(lab, MATCH, queues=queues) as served:
        for address in [SERVER, *lab.server_addresses]:
            load = lab.client.start(bench.subjects.load("load_udp"), address, str(PORT), "36", "0.02", "0")
            load.finish(5)
        time.sleep(bench.settle)
        total = sum(pss_bytes(pid) for pid in served.tree())
    bench.figures.add(f"memory, {queues} queue{'s' if queues > 1 else ''}", "MiB", subject.name, total / 2**20)


def measure_start(bench, subject):
    """From starting the program to the first packet that it accepted. Probes are sent all the time; the kernel drops
    them until the queue is bound."""
    lab = bench.lab
    process = None
    with lab.server.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((SERVER, PORT))
        receiver.settimeout(PROBE_SECONDS)
        lab.queue_traffic(MATCH, 1)
        probes = lab.client.start(bench.subjects.load("load_udp"), SERVER, str(PORT), "36", str(PROBE_SECONDS),
                                  str(PROBES_PER_SECOND), cpu=LOAD_CPU)
        try:
            time.sleep(0.1)
            start = time.monotonic()
            process = lab.server.start(*subject.arguments(1))
            receiver.recv(64)
            elapsed = time.monotonic() - start
        except socket.timeout:
            raise CannotMeasure("no packet was accepted") from None
        finally:
            probes.stop()
            lab.clear_rules()
            if process is not None:
                process.stop()
    bench.figures.add(START, "ms", subject.name, elapsed * 1000)


def send_connections(lab):
    """As many datagrams as connection requests, alternating, each of a socket of its own."""
    with lab.client.entered():
        sockets = []
        for number in range(BURST):
            tcp = number % 2 == 1
            sender = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
            sender.setblocking(False)
            sender.bind((CLIENT, 0))
            if tcp:
                sender.connect_ex((SERVER, PORT))
            else:
                sender.sendto(bytes(36), (SERVER, PORT))
            sockets.append(sender)
        for sender in sockets:
            sender.close()


def record_burst(bench, send):
    """Returns the file. The burst comes from a queue of the laboratory, so it is what this kernel writes."""
    lab, path = bench.lab, f"{bench.directory}/burst"
    recorder = lab.server.start(bench.subjects.tool("record_burst"), "1", path)
    try:
        deadline = time.monotonic() + 5
        while not lab.server.queues() and recorder.running() and time.monotonic() < deadline:
            time.sleep(0.01)
        lab.queue_traffic(["-p", "udp", "--dport", str(PORT)], 1)
        lab.queue_traffic(["-p", "tcp", "--dport", str(PORT)], 1)
        send(lab)
        recorder.finish(10)
    finally:
        recorder.stop()
        lab.clear_rules()
    return path


def run_chains(bench, send, chains):
    """chains: name -> plugins. Returns for each name its nanoseconds a packet, one value a round."""
    path = record_burst(bench, send)
    tool = bench.lab.client.start(bench.subjects.tool("chain_cost"), path,
                                  *[f"{name}={','.join(plugins)}" for name, plugins in chains.items()])
    return json.loads(tool.finish(60))


def measure_chain(bench, subject):
    plugins = [bench.subjects.drop_tcp80, *bench.subjects.port_plugins]
    costs = run_chains(bench, send_connections, {str(length): plugins[:length] for length in CHAIN_LENGTHS})
    for length, values in costs.items():
        for value in values:
            bench.figures.add(f"decode, chain of {length}, encode", "ns/packet", subject.name, value)


def once_steps(bench):
    """(measure, subject, function), once a run: what does not vary with the machine's load."""
    engine = bench.subjects.engine
    yield "idle wake-ups", engine, lambda: measure_idle(bench, engine)
    yield "chain cost", engine, lambda: measure_chain(bench, engine)


def steps(bench):
    """(measure, subject, function) of one round."""
    engine = bench.subjects.engine
    for queues in (1, 2):
        yield f"memory, {queues} queue{'s' if queues > 1 else ''}", engine, lambda q=queues: measure_memory(bench, engine, q)
    yield "start", engine, lambda: measure_start(bench, engine)
