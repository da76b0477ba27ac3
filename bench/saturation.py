# SPDX-License-Identifier: GPL-2.0-or-later
"""A saturated queue, and the cost of a packet.

The load has one CPU, which also receives and queues the packets; the process that reads the queue has another. The load
sends many datagrams in one large packet, and the queue does not take such packets whole (--gso off), so the kernel splits
them when it queues them. If they were split earlier, the load would be slower than a good reader.

Reader: all processes of a subject. Those of the engine share the one CPU, and its CPU time is that of all of them.

Drop verdicts cost the reader so little that it is faster than the load. For these, every reader shares its CPU with
half_cpu, a real-time process that takes half of the time, so that the queue fills. It takes its half whatever the nice
values of the reader's processes are, and however many they are. A figure counts only if the reader got the other half.

The kernel counts the verdicts: used ids, minus packets that did not fit the reader's socket, minus waiting packets.
Accepted packets go to a UDP socket that is full, where the kernel counts them too. If a subject accepts another share of
the packets than its pattern says, the measurement fails.
"""

import contextlib
import socket
import time

from laboratory import LOAD_CPU, SERVE_CPU, SERVER, CannotMeasure
from subjects import ACCEPT, ALTERNATE, DROP
from support.processes import cpu_seconds

PORT = 7000
PAYLOAD = 36  # an IPv4 packet of 64 bytes
MATCH = ["-p", "udp", "--dport", str(PORT)]
PACED_RATE = 100000
READER_SHARE = "CPU share of what reads a saturated queue"
LOAD_FLOWS = 64  # of the load, where flows matter
SHARES = {ACCEPT: 1.0, DROP: 0.0, ALTERNATE: 0.5}
SHARE_TOLERANCE = 0.02
HALF_CPU, HALF_CPU_TOLERANCE = 0.5, 0.03


class Snapshot:
    """What the kernel has counted by now."""

    def __init__(self, lab, served):
        self.time = time.monotonic()
        self.queue = lab.server.queues().get(1)
        self.delivered = lab.server.udp_received()[1]
        self.cpu = cpu_seconds(served.tree())

    def verdicts_since(self, before):
        """None without a queue."""
        if self.queue is None or before.queue is None:
            return None

        def answered(queue):
            return queue.last_id - queue.user_dropped - queue.waiting

        return answered(self.queue) - answered(before.queue)

    def overflow_since(self, before):
        """Packets that found the queue or its socket full."""
        return (self.queue.queue_dropped + self.queue.user_dropped
                - before.queue.queue_dropped - before.queue.user_dropped)


@contextlib.contextmanager
def full_socket(lab):
    """A socket of the server that is never read."""
    with lab.server.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sink.bind((SERVER, PORT))
        yield


@contextlib.contextmanager
def half_the_cpu(bench):
    """The reader has only half of SERVE_CPU."""
    neighbour = bench.lab.server.start(bench.subjects.load("half_cpu"), cpu=SERVE_CPU)
    try:
        yield
        neighbour.check_running()
    finally:
        neighbour.stop()


def observe(bench, subject, pattern, rate, load_options=()):
    """Two snapshots, `seconds` apart, of a subject under load. load_options: further arguments of load_udp."""
    lab, seconds = bench.lab, bench.seconds
    with full_socket(lab), subject.serve(lab, MATCH, pattern=pattern, cpu=SERVE_CPU, whole=False) as served, \
            half_the_cpu(bench) if pattern == DROP else contextlib.nullcontext():
        load = lab.client.start(bench.subjects.load("load_udp"), SERVER, str(PORT), str(PAYLOAD),
                                str(seconds + 10), str(rate), *load_options, cpu=LOAD_CPU)
        try:
            time.sleep(bench.warm_up)
            before = Snapshot(lab, served)
            time.sleep(seconds)
            after = Snapshot(lab, served)
            load.check_running()
        finally:
            load.stop()
    return before, after


def check_share(pattern, delivered, verdicts):
    share = delivered / verdicts
    if abs(share - SHARES[pattern]) > SHARE_TOLERANCE:
        raise CannotMeasure(f"{share:.1%} of the packets passed, {SHARES[pattern]:.0%} should have")


def check_half(share):
    if abs(share - HALF_CPU) > HALF_CPU_TOLERANCE:
        raise CannotMeasure(f"the reader got {share:.0%} of the CPU that it shares, {HALF_CPU:.0%} are its part")


def measure_saturated(bench, subject, pattern, what=None, load_options=()):
    """what: in the names of the figures; the pattern, if it is not given."""
    what = what or pattern
    measure = f"saturated queue, {what}"
    before, after = observe(bench, subject, pattern, 0, load_options)
    seconds = after.time - before.time
    delivered = after.delivered - before.delivered
    verdicts = after.verdicts_since(before)
    if not subject.uses_queue:
        bench.figures.add(measure, "packets/s", subject.name, delivered / seconds)
        return
    if not verdicts or verdicts <= 0:
        raise CannotMeasure("no packet was answered")
    if after.overflow_since(before) == 0:
        raise CannotMeasure("the load did not fill the queue")
    check_share(pattern, delivered, verdicts)
    if pattern == DROP:
        check_half((after.cpu - before.cpu) / seconds)
    bench.figures.add(measure, "packets/s", subject.name, verdicts / seconds)
    bench.figures.add(f"CPU time, {what}", "ns/packet", subject.name, (after.cpu - before.cpu) / verdicts * 1e9)
    if pattern != DROP:
        bench.figures.add(READER_SHARE, "%", subject.name, (after.cpu - before.cpu) / seconds * 100)


def measure_paced(bench, subject):
    before, after = observe(bench, subject, ACCEPT, PACED_RATE)
    verdicts = after.verdicts_since(before)
    if not verdicts or verdicts <= 0:
        raise CannotMeasure("no packet was answered")
    bench.figures.add(f"CPU time at {PACED_RATE} packets/s", "ns/packet", subject.name,
                      (after.cpu - before.cpu) / verdicts * 1e9)


def steps(bench):
    """(measure, subject, function) of one round."""
    subjects = bench.subjects
    compared = [subjects.classic, subjects.tuned, subjects.engine]
    for subject in [subjects.none, subjects.accept_all, *compared]:
        yield "saturated queue, accept", subject, lambda s=subject: measure_saturated(bench, s, ACCEPT)
    for pattern in (DROP, ALTERNATE):
        for subject in compared:
            yield f"saturated queue, {pattern}", subject, lambda s=subject, p=pattern: measure_saturated(bench, s, p)
    for subject in compared:
        yield "CPU time at a fixed rate", subject, lambda s=subject: measure_paced(bench, s)
