# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a stop with --on-stop accept loses no packet, as often as it is repeated under load.

An emulated processor takes longer between two instructions than a real one, so a packet hits windows here that it
hardly ever hits elsewhere. The traffic passes through each engine and, by the rule's bypass, past its end. It rests only
while the next engine starts: the kernel itself can drop a packet then (docs/kernel-notes.md, 4).
"""

import signal

from support.commands import wait_for
from support.engine import plugin
from support.processes import process_status

STOPS = 50
ENDLESS = 50_000_000  # more datagrams than can be sent until the pump is told to stop
WINDOW = 900
MET = 20  # so many packets an engine has decided on before it stops


def pause(pump):
    pump.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: process_status(pump.process.pid)[1] == "T", "the pump rests")


def test_no_stop_that_accepts_loses_a_packet(lab, start_engine, start_pump):
    lab.queue_pump_traffic(bypass=True)
    pump = start_pump(ENDLESS, window=WINDOW, time_limit=60, settle=1.0)
    packets = 0
    for stop in range(STOPS):
        passed = lab.server.udp_received()[0]
        wait_for(lambda passed=passed: lab.server.udp_received()[0] > passed, "traffic goes on without an engine")
        pause(pump)
        engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1", "--on-stop", "accept")
        pump.process.send_signal(signal.SIGCONT)
        wait_for(lambda: lab.router.queues()[1].last_id > MET, "the engine is under load")
        assert engine.stop() == 0, stop
        assert engine.total("accepted") == engine.total("packets") > MET, f"stop {stop}: {engine.final()}"
        assert engine.total("kernel_queue_dropped") == engine.total("kernel_user_dropped") == 0, engine.final()
        packets += engine.total("packets")
    report = pump.stop_sending().report()
    # What is accepted unseen overtakes what is still queued, so the order is not asserted.
    assert report["lost"] == report["duplicates"] == 0, report
    assert report["received"] == report["sent"] > packets, report
