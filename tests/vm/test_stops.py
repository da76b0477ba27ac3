# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a stop with --on-stop accept loses no packet, as often as it is repeated under load.

An emulated processor is interrupted between two instructions far more often than a real one, so a packet meets windows
there that it hardly ever meets elsewhere: when the flag and the length of a stop were in one message, 2 of 50 stops lost
one. The traffic goes on all the time, past the engines by the rule's bypass, and through each of them.
"""

from support.commands import wait_for
from support.engine import plugin

STOPS = 50
ENDLESS = 50_000_000  # more datagrams than can be sent until the pump is told to stop
WINDOW = 900
MET = 20  # so many packets an engine has decided on before it stops


def test_no_stop_that_accepts_loses_a_packet(lab, start_engine, start_pump):
    lab.queue_pump_traffic(bypass=True)
    pump = start_pump(ENDLESS, window=WINDOW, time_limit=60, settle=1.0)
    packets = 0
    for stop in range(STOPS):
        engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1", "--on-stop", "accept")
        wait_for(lambda: sum(queue.last_id for queue in lab.router.queues().values()) > MET, "the engine is under load")
        assert engine.stop() == 0, stop
        assert engine.total("accepted") == engine.total("packets") > MET, f"stop {stop}: {engine.final()}"
        assert engine.total("kernel_queue_dropped") == engine.total("kernel_user_dropped") == 0, engine.final()
        packets += engine.total("packets")
    report = pump.stop_sending().report()
    # What is accepted unseen overtakes what is still queued, so the order is not asserted.
    assert report["lost"] == report["duplicates"] == 0, report
    assert report["received"] == report["sent"] > packets, report
