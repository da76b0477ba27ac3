# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: where the kernel loses packets of a bridge before the queue, the engine says so, with what cures it.

A broadcast that comes by a port is copied to the other ports and to the machine itself. If br_netfilter gives the copies
to iptables, connections are tracked, and a rule queues them, the kernel drops them and counts them nowhere.
"""

import contextlib
import socket

import pytest

from bridge import Bridge
from orders import ACCEPT
from support.commands import wait_for
from support.engine import PREFIX, plugin
from support.rules import Rule

NOTRACK = ("-m", "pkttype", "!", "--pkt-type", "unicast", "-j", "CT", "--notrack")  # as the engine's line has it
BROADCAST = ("10.73.0.255", 7300)


def mentioned(engine):
    return [line for line in engine.lines if line.startswith(PREFIX + "bridge bridge0: ")]


@contextlib.contextmanager
def broadcasts(lab):
    """A function that sends one from the client, and one that returns what has come to the server so far."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for namespace in (lab.client, lab.server):
            with namespace.entered():
                sockets.append(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        sender, receiver = sockets
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        receiver.bind(("", BROADCAST[1]))
        receiver.setblocking(False)
        came = []

        def take():
            with contextlib.suppress(BlockingIOError):
                while True:
                    came.append(receiver.recv(100))
            return came
        yield lambda data: sender.sendto(data, BROADCAST), take


@pytest.mark.parametrize("tracked", [False, True])
def test_copies_of_tracked_broadcasts_do_not_come_and_the_engine_says_why(lab, start_engine, tracked):
    """With the rule that it names, they come."""
    bridge = Bridge(lab)
    bridge.queue("br_netfilter")
    if tracked:
        Rule(lab.router, "FORWARD", "-m", "conntrack", "--ctstate", "NEW")
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1")
    line, = mentioned(engine)
    assert " ".join(NOTRACK) in line
    with broadcasts(lab) as (send, came), bridge.talk(4) as one:
        send(b"first")
        one.send(ACCEPT)
        wait_for(lambda: one.came() == [0], "what is sent to one arrives")
        if tracked:
            assert came() == [] and lab.router.queues()[1].last_id == 1
            assert lab.router.queues()[1].queue_dropped == lab.router.queues()[1].user_dropped == 0
            Rule(lab.router, "PREROUTING", *NOTRACK, table="raw")
        send(b"second")
        expected = [b"second"] if tracked else [b"first", b"second"]
        wait_for(lambda: came() == expected, "the copy arrives")
    assert engine.stop() == 0
    assert engine.total("accepted") == len(expected) + 1


def test_a_bridge_of_one_port_or_without_iptables_is_not_mentioned(lab, start_engine):
    bridge = Bridge(lab)
    for family in ("ip", "ip6"):
        lab.router.write(f"/proc/sys/net/bridge/bridge-nf-call-{family}tables", "0")
    arguments = ("--plugin", plugin("accept_all"), "--queue", "1")
    engine = start_engine(*arguments)
    assert engine.stop() == 0 and not mentioned(engine)
    bridge.queue("br_netfilter")
    engine = start_engine(*arguments)
    assert engine.stop() == 0 and len(mentioned(engine)) == 1
    lab.router.run("ip", "link", "set", "port2", "nomaster")
    engine = start_engine(*arguments)
    assert engine.stop() == 0 and not mentioned(engine)
