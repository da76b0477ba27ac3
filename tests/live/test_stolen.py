# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a queue that another program changes with the engine's own socket is set again, or the engine says so and ends.

Only root can take a socket from another process, and only its own socket can change a queue: the port id that the kernel
compares cannot be forged. A queue that is not the engine's any more gives it no packet and takes no verdict from it, so
without this it would run on for nothing.
"""

import contextlib
import ctypes
import os
import socket
import time

import netlink
import pytest

from support.commands import wait_for
from support.engine import PREFIX, plugin
from test_hostile import MISBEHAVE, NONE, Orders, stop_in_order

SYS_PIDFD_GETFD = 438  # on every architecture
EXIT_QUEUE = 5
LOST = rf"^{PREFIX}queue 1: another program has unbound it with the engine's own socket; the engine stops$"


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


@contextlib.contextmanager
def stolen_socket(engine, queue):
    """A descriptor of the netlink socket of the queue."""
    process = engine.queue_processes()[queue]
    numbers = [int(name) for name in os.listdir(f"/proc/{process}/fd")
               if os.readlink(f"/proc/{process}/fd/{name}").startswith("socket:")]
    pidfd = os.pidfd_open(process)
    libc = ctypes.CDLL(None, use_errno=True)
    copies = [libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0) for number in numbers]
    os.close(pidfd)
    assert min(copies) >= 0, os.strerror(ctypes.get_errno())
    opened = [socket.socket(fileno=copy) for copy in copies]
    try:
        yield next(each for each in opened if each.family == socket.AF_NETLINK)
    finally:
        for each in opened:
            each.close()


def change(engine, queue, *attributes):
    with stolen_socket(engine, queue) as stolen:
        stolen.send(netlink.message(netlink.CONFIG, queue, *attributes))


def test_settings_that_were_changed_are_set_again(lab, start_engine, through):
    """Those of three engines, each in another way, so that all are seen at the next look, a second later at most."""
    ways = {1: (netlink.COPY_NONE, 0), 2: (netlink.COPY_META, 0), 3: (netlink.COPY_PACKET, 20)}
    engines = {queue: start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", str(queue)) for queue in ways}
    orders = {queue: through(queue) for queue in ways}
    for each in orders.values():
        numbers = each.send(NONE)
        assert each.delivered() == numbers
    before = lab.router.queues()
    for queue, (mode, size) in ways.items():
        change(engines[queue], queue, netlink.copy(mode, size))
    for queue, (mode, size) in ways.items():
        engines[queue].wait_line(rf"^{PREFIX}queue {queue}: another program has changed its settings in the kernel, to copy "
                                 rf"mode {mode} with {size} bytes; they are set again$")
        old, now = before[queue], lab.router.queues()[queue]
        assert (now.copy_mode, now.copy_range) == (old.copy_mode, old.copy_range) and old.copy_range > size
        numbers = orders[queue].send(NONE, MISBEHAVE, NONE)
        assert orders[queue].delivered() == [numbers[0], numbers[2]], "the plugin sees the packets"
        assert stop_in_order(lab, engines[queue], orders[queue])["crash_verdicts"] == 1


@pytest.mark.parametrize("bound_again", [False, True])
def test_a_queue_that_was_unbound_ends_the_engine(lab, start_engine, through, bound_again):
    """Without packets, too, and if another program has it now; the packets of the other queue are answered."""
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:500"), "--queue", "1-2")
    other = through(2)
    numbers = other.send(MISBEHAVE, NONE)
    with contextlib.closing(netlink.Client(lab.router)) as client:
        change(engine, 1, netlink.command(netlink.UNBIND))
        if bound_again:
            client.bind(1)
        start = time.monotonic()
        assert engine.wait() == EXIT_QUEUE, engine.lines
        assert time.monotonic() - start < 3.0
        assert len(engine.matches(LOST)) == 1, engine.lines
        assert engine.final()[2]["accepted"] == len(numbers), engine.final()
        assert list(lab.router.queues()) == [1] * bound_again


def test_a_verdict_that_the_kernel_refuses_ends_its_queue_process_and_then_the_engine(lab, start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=sleep:200"), "--queue", "1")
    orders = through(1)
    change(engine, 1, netlink.copy(netlink.COPY_META, 0))
    engine.wait_line("they are set again")  # the next look is a second later
    orders.send(MISBEHAVE)
    wait_for(lambda: lab.router.queues()[1].waiting == 1, "it is with the plugin")
    change(engine, 1, netlink.command(netlink.UNBIND))
    assert engine.wait() == EXIT_QUEUE, engine.lines
    assert engine.matches(LOST), engine.lines
    engine.wait_line(rf"^{PREFIX}queue 1: queue process \d+: the kernel takes no verdict of its socket: No such device")
