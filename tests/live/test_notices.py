# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: what an operator has to know is in the log when it happens, with its cause and what to do, and only then.

The kernel drops packets since a queue or a socket is full; no packet ever comes; plugins answer nothing any more. What
the lines say of packets is compared with the kernel's figures.
"""

import contextlib
import signal
import socket
import struct
import time

import pytest

from support.commands import wait_for
from support.engine import PREFIX, SLOW, plugin
from support.rules import Rule, queue_target
from test_hostile import MISBEHAVE, NONE, Orders

LOSS_SECONDS = 0.3
SAID_SECONDS = 3.0     # the figures are looked at once a second
PERIOD_SECONDS = 10.0
SO_SNDBUFFORCE = 32
FULL = (rf"^{PREFIX}queue 5: the kernel dropped (\d+) packets, since 16 waited already: plugins are slower than the "
        "traffic, or a worker was missing; more --workers, more queues, a larger --max-len, or --fail-open$")
BUFFER = (rf"^{PREFIX}queue 6: the kernel dropped (\d+) packets, since those that wait filled the receive buffer of 8192 "
          "bytes; raise --receive-buffer$")
SILENCE = rf"^{PREFIX}no packet has come to queue 4 within 10 s; .*iptables-save \| grep NFQUEUE;.*nft list ruleset"
UNANSWERED = (rf"^{PREFIX}queue 1: no plugin answers any more: in the last 10 s, each of (\d+) packets got the --on-crash "
              "verdict, since a plugin crashed or hung on it$")


@pytest.fixture
def through(lab):
    """through(queue): datagrams with orders through that queue."""
    with contextlib.ExitStack() as stack:
        yield lambda queue: stack.enter_context(contextlib.closing(Orders(lab, queue)))


def test_a_queue_of_the_largest_packets_fits_its_receive_buffer(lab, start_engine):
    """Packets whose bytes lie in one piece, as a raw socket makes them, take twice their size in the buffer. With the
    default --max-len the buffer is limited, which is said."""
    count, size = 300, 65500
    limited = start_engine("--plugin", plugin("describe_payload"), "--queue", "2")
    assert limited.matches(rf"^{PREFIX}queue 2: the receive buffer is limited to 268435456 bytes, enough for 2044 packets of "
                           "65531 bytes, less than --max-len 8192; see --receive-buffer$"), limited.lines
    assert limited.stop() == 0
    engine = start_engine("--plugin", plugin("describe_payload"), "--queue", "1", "--max-len", str(count))
    assert not engine.matches("receive buffer is limited"), engine.lines
    Rule(lab.router, "OUTPUT", "-p", "udp", "--dport", "9", *queue_target(1))
    process = engine.queue_processes()[1]
    assert engine.signal_child(process, signal.SIGSTOP)
    with lab.router.entered(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        packet = struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, size, 0, 0, 64, socket.IPPROTO_UDP, 0, bytes([127, 0, 0, 1]),
                             bytes([127, 0, 0, 1]), 9, 9, size - 20, 0).ljust(size, b".")
        sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 29)  # all of them are its own while they wait
        for _ in range(count):
            sender.sendto(packet, ("127.0.0.1", 0))
    wait_for(lambda: lab.router.queues()[1].last_id == count, "all have an id")
    kernel = lab.router.queues()[1]
    assert (kernel.waiting, kernel.queue_dropped, kernel.user_dropped) == (count, 0, 0), kernel
    assert engine.signal_child(process, signal.SIGCONT)
    wait_for(lambda: lab.router.queues()[1].waiting == 0, "all are answered")
    assert engine.stop() == 0
    assert engine.total("packets") == engine.total("accepted") == count


def assert_losses_are_said_at_once(lab, start_engine, start_pump, queue, option, value, field, line):
    engine = start_engine("--plugin", plugin(SLOW), "--queue", str(queue), option, value)
    assert not engine.matches("the kernel dropped")
    rule = lab.queue_pump_traffic(queue)
    pump = start_pump(50_000_000, window=900, release=LOSS_SECONDS, settle=LOSS_SECONDS, time_limit=30)
    wait_for(lambda: getattr(lab.router.queues()[queue], field) > 0, "the kernel drops packets")
    match = engine.wait_line(line, SAID_SECONDS)
    dropped = getattr(lab.router.queues()[queue], field)
    assert 0 < int(match.group(1)) <= dropped
    time.sleep(2.5)  # two more looks, while more is dropped: the line is limited
    assert getattr(lab.router.queues()[queue], field) > dropped, "the test drops no more"
    assert len(engine.matches("the kernel dropped")) == 1, engine.lines
    pump.stop_sending().report()
    assert engine.stop() == 0
    rule.remove()


def test_what_the_kernel_drops_and_what_never_comes_and_what_is_never_answered(lab, start_engine, start_pump, through):
    """Three engines at once, for their periods of ten seconds: one gets nothing, one a single packet through one of its
    queues, one crashes on whatever it gets, with a crash limit that is off. Meanwhile the kernel drops packets of two
    others, one after the other, which is said at once."""
    idle = start_engine("--plugin", plugin("accept_all"), "--queue", "4")
    began = time.monotonic()
    used = start_engine("--plugin", plugin("accept_all"), "--queue", "2-3")
    crashing = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1", "--crash-limit", "off")
    orders, crashes = through(3), through(1)
    assert orders.delivered() == []
    for _ in range(3):
        crashes.send(*[MISBEHAVE] * 10)
    wait_for(lambda: crashes.lab.router.queues()[1].waiting == 0, "all are answered", 8)
    for queue, option, value, field, line in ((5, "--max-len", "16", "queue_dropped", FULL),
                                              (6, "--receive-buffer", "8192", "user_dropped", BUFFER)):
        assert_losses_are_said_at_once(lab, start_engine, start_pump, queue, option, value, field, line)
    line = idle.wait_line(SILENCE, PERIOD_SECONDS + SAID_SECONDS)
    assert time.monotonic() - began > PERIOD_SECONDS - 0.5, line
    match = crashing.wait_line(UNANSWERED, PERIOD_SECONDS)
    assert int(match.group(1)) == 30
    assert not used.matches("no packet has come") and not crashing.matches("no packet has come"), used.lines
    assert not used.matches("no plugin answers"), used.lines
    assert len(idle.matches("no packet has come")) == 1
    numbers = crashes.send(NONE)
    assert crashes.delivered() == numbers
    assert [engine.stop() for engine in (idle, used, crashing)] == [0, 0, 0]


def test_a_plugin_that_crashes_on_every_packet_has_its_outage_said(start_engine, through):
    engine = start_engine("--plugin", plugin("misbehave,do=crash"), "--queue", "1", "--crash-limit", "3/1m")
    orders = through(1)
    orders.send(*[MISBEHAVE] * 10)
    engine.wait_line(rf"^{PREFIX}queue 1: plugin misbehave has crashed, hung or failed to open 3 times within 60000 ms, the "
                     "--crash-limit; the queue has an outage$")
    engine.wait_line(rf"^{PREFIX}queue 1: outage, packets get verdict drop; a worker is tried again in 10000 ms$")
    assert engine.stop() == 0
