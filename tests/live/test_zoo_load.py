# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a plugin that uses the CPUs delays another queue's packets by a bounded time, and one whose worker cannot be
killed holds up nothing.

A lone packet at a time goes through queue 2, with and without eight threads that a plugin of queue 1 has left, in turn.
How long it takes is printed, and depends on the machine; what is asserted is that it arrives, and that the kernel runs
the queue process before the threads. The other worker writes to a file system that is frozen, so it is in
state D until the test thaws that.
"""

import ctypes
import os
import signal
import socket
import time

import pytest

from orders import ACCEPT, head
from support.commands import run, wait_for
from support.processes import process_status
from support.rules import Rule, queue_target
from support.scale import scaled_count
from zoo import Zoo, processes_named, starts_again

LONE_PORT = 7390
GAP_SECONDS = 0.002
ROUNDS = 3
MS = 1e-3
SLICE_NS = 100_000
SYS_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}[os.uname().machine]


# State D


@pytest.fixture
def frozen_file(tmp_path):
    """A file that all may write to, on a file system that is frozen until the end of the test, or thaw()."""
    image, mount = tmp_path / "image", tmp_path / "mounted"
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    mount.mkdir()
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", str(image))
    run("mount", "-o", "loop", str(image), str(mount))
    file = mount / "file"
    file.touch()
    file.chmod(0o666)
    run("fsfreeze", "-f", str(mount))
    frozen = [True]

    def thaw():
        if frozen:
            frozen.clear()
            run("fsfreeze", "-u", str(mount))

    file_and_thaw = (str(file), thaw)
    yield file_and_thaw
    thaw()
    wait_for(lambda: not run("fuser", "-m", str(mount), check=False).strip(), "the file system is not in use", 10.0)
    run("umount", str(mount))


def test_a_worker_that_cannot_be_killed_holds_up_nothing(lab, start_engine, start_pump, frozen_file):
    path, thaw = frozen_file
    animals = Zoo(lab, start_engine, start_pump, f"write,file={path}", "--handle-timeout", "300ms")
    victims = []
    for _ in range(2):
        victims += processes_named(animals.engine, "nfqe-w1")
        animals.attack()
    stuck = sorted(pid for pid in set(victims) if (process_status(pid) or "   ")[1] == "D")
    assert len(stuck) == 2, "the test means workers that cannot be killed"
    animals.assert_named("made no progress for 300 ms")
    start = time.monotonic()
    animals.stop()
    print(f"stopped after {time.monotonic() - start:.2f} s with the pump's end")
    assert [pid for pid in stuck if process_status(pid)] == stuck, "they are still there"
    animals.talk.close()
    starts_again(lab, start_engine)
    thaw()
    wait_for(lambda: not any(process_status(pid) for pid in stuck), "they end with the freeze")


# Threads that spin


class Lone:
    """Sends one packet at a time through queue 2, and takes its time until it has arrived."""

    def __init__(self, lab):
        Rule(lab.router, "FORWARD", "-p", "udp", "--dport", str(LONE_PORT), *queue_target(2))
        with lab.client.entered():
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with lab.server.entered():
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind((lab.server_main[4], LONE_PORT))
        self.receiver.settimeout(5)
        self.sender.connect(self.receiver.getsockname())

    def times(self, count):
        taken = []
        for number in range(count):
            start = time.perf_counter()
            self.sender.send(head(ACCEPT, number))
            self.receiver.recv(2048)
            taken.append(time.perf_counter() - start)
            time.sleep(GAP_SECONDS)
        return taken

    def close(self):
        self.sender.close()
        self.receiver.close()


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


@pytest.fixture
def real_time():
    """This process measures, so it must not wait for a CPU itself. What it starts is as it would be."""
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(50))
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def time_slice(process_id):
    """In nanoseconds, by sched_getattr(2); 0: none of its own, or a kernel before 6.12."""
    attributes = (ctypes.c_uint64 * 6)()  # size and policy, flags, nice and priority, the slice, two more
    assert ctypes.CDLL(None).syscall(SYS_SCHED_GETATTR, process_id, attributes, ctypes.sizeof(attributes), 0) == 0
    return attributes[3]


def assert_goes_first(engine, priority):
    """The queue process of queue 2 has its priority; workers have a short time slice at most."""
    owner = engine.queue_processes()[2]
    policies = [os.sched_getscheduler(process_id) & ~os.SCHED_RESET_ON_FORK
                for process_id in (owner, *sum(engine.workers().values(), []))]
    assert policies == [os.SCHED_RR if priority == "realtime" else os.SCHED_OTHER] + policies[1:]
    assert set(policies[1:]) == {os.SCHED_OTHER}
    assert priority == "realtime" or time_slice(owner) == SLICE_NS or os.getpriority(os.PRIO_PROCESS, owner) == -15
    for worker in sum(engine.workers().values(), []):
        assert os.getpriority(os.PRIO_PROCESS, worker) == 0
        assert time_slice(worker) in (0, SLICE_NS)


@pytest.mark.parametrize("priority", ["normal", "realtime"])
def test_threads_that_spin_do_not_go_before_the_packets_of_another_queue(lab, start_engine, start_pump, real_time,
                                                                        priority):
    del real_time
    animals = Zoo(lab, start_engine, start_pump, "spin:8", "--priority", priority, pump=False)
    assert_goes_first(animals.engine, priority)
    lone = Lone(lab)
    count = scaled_count(1200, 100)
    times = {"alone": [], "with threads": []}
    for number in range(ROUNDS):
        times["alone"] += lone.times(count)
        animals.attack()
        wait_for(lambda number=number: len(animals.engine.matches("threads spin")) == number + 1, "threads spin")
        times["with threads"] += lone.times(count)
        worker = processes_named(animals.engine, "nfqe-w1")
        for pid in worker:
            animals.engine.signal_child(pid, signal.SIGKILL)
        wait_for(lambda worker=worker: not set(worker) & set(processes_named(animals.engine, "nfqe-w1"))
                 and len(processes_named(animals.engine, "nfqe-w1")) == 2, "the workers have been replaced")
    for name, taken in times.items():
        print(f"{priority}, {name}: p50 {percentile(taken, 0.5) / MS:.3f} ms, p99 {percentile(taken, 0.99) / MS:.3f}, "
              f"p99.9 {percentile(taken, 0.999) / MS:.3f}, max {max(taken) / MS:.3f}")
    lone.close()
    animals.check_packets()
    assert animals.engine.stop() == 0
    animals.talk.close()
