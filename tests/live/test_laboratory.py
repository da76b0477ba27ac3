# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: the helpers of the live tests notice what they must notice.

Without any engine: the path between client and server loses nothing by itself, a datagram that the firewall drops
is reported as lost, and one that it doubles as a duplicate. What an aborted run left is removed before the next one
starts, and what another running test uses is not.
"""

import os
import subprocess
import sys

import pytest

from support.commands import wait_for
from support.cpus import CLAIMED, packet_cpu
from support.lab import PUMP_PORT, Lab
from support.namespaces import NETNS_DIRECTORY, remove_stale
from support.rules import Rule

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COUNT = 20000
EVERY_HUNDREDTH = ("-m", "statistic", "--mode", "nth", "--every", "100", "--packet", "50")
TO_PUMP = ("-p", "udp", "--dport", str(PUMP_PORT))


def test_the_path_without_a_queue_loses_nothing(lab, start_pump):
    report = start_pump(COUNT).report()
    assert report["received"] == COUNT and report["ended"] == "complete", report
    assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report
    assert lab.server.udp_received() == (COUNT, 0)


def test_a_dropped_datagram_is_reported_as_lost(lab, start_pump):
    rule = Rule(lab.router, "FORWARD", *TO_PUMP, *EVERY_HUNDREDTH, "-j", "DROP")
    report = start_pump(COUNT).report()
    assert 0 < report["lost"] == rule.packets(), report
    assert report["received"] == COUNT - report["lost"]
    assert report["duplicates"] == report["out_of_order"] == 0, report


def test_a_doubled_datagram_is_reported_as_duplicate(lab, start_pump):
    options = ("-t", "mangle", "-A", "POSTROUTING", *TO_PUMP, *EVERY_HUNDREDTH, "-j", "TEE")
    lab.router.run("iptables", *options, "--gateway", lab.server_main[4])
    lab.router.run("ip6tables", *options, "--gateway", lab.server_main[6])
    report = start_pump(COUNT).report()
    assert report["duplicates"] > 0, report
    assert lab.server.udp_received() == (COUNT + report["duplicates"], 0)
    assert report["lost"] == 0, report


def test_what_an_aborted_run_left_behind_is_removed(lab):
    """A laboratory of a process that was killed is removed, with what runs in it; the own one stays."""
    code = ("import os, subprocess; from support.lab import Lab; lab = Lab()\n"
            "with lab.router.entered(): left = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL)\n"
            "print(os.getpid(), left.pid, flush=True); os.kill(os.getpid(), 9)")
    aborted = subprocess.run([sys.executable, "-c", code], cwd=TESTS, stdout=subprocess.PIPE, text=True,
                             timeout=20, check=False)
    run_pid, left_pid = (int(word) for word in aborted.stdout.split())
    stale = [f"{Lab.PREFIX}-{run_pid}-{role}" for role in Lab.ROLES]
    assert set(stale) <= set(os.listdir(NETNS_DIRECTORY)), "the aborted run must have left something"
    remove_stale(Lab.PREFIX)
    assert not set(stale) & set(os.listdir(NETNS_DIRECTORY))
    wait_for(lambda: not is_running(left_pid), "what ran in the removed namespace has ended")
    assert os.path.exists(lab.router.path)


def is_running(process_id):
    """A process that has ended but was not waited for counts as ended: its parent is not this test."""
    try:
        with open(f"/proc/{process_id}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_packets_of_another_test_have_another_cpu():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    code = "from support.cpus import packet_cpu; print(packet_cpu())"
    own = packet_cpu()
    others = {name: value for name, value in os.environ.items() if name != CLAIMED}
    for environment, same in ((os.environ, True), (others, False)):
        cpu = int(subprocess.check_output([sys.executable, "-c", code], cwd=TESTS, env=environment, text=True, timeout=20))
        assert (cpu == own) == same, (cpu, own)
