# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: the nft form of --print-rules works as it is printed, for as long as it is loaded, and is gone once removed.

Nothing is cut out here, since this kernel knows `queue` for nft. What passes, and what is queued no more, with the rules
in force is shown by live.bypass, which runs here too; this file is about how they come and go.
"""

import re

import pytest

from bypass import drop_multicast
from orders import ACCEPT, DROP, Trace, traced, wait_decided
from support.commands import wait_for
from support.engine import ENGINE, plugin
from support.rules import has_nft_queue, nft
from support.scale import scaled_count

MARK = "0x10/0x30"
REMOVE = re.compile(r"^# To remove, once the engine has stopped: (nft .*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def no_multicast(lab):
    drop_multicast(lab)


def ruleset(lab):
    return lab.router.run("nft", "--stateless", "list", "ruleset")


def printed(lab, *arguments):
    return lab.router.run(ENGINE, "--print-rules=nft", *arguments)


def remove(lab, text):
    """Runs the command that the text names."""
    command, = REMOVE.findall(text)
    lab.router.run(*command.split())


def test_the_rules_queue_bypass_and_are_removed(lab, start_engine, talk, tmp_path):
    """The kernel takes the printed text whole. With an engine, the plugin decides; after it, all passes, first by the
    rule's bypass and then because no rule is left; the next engine finds the rules in force once they are loaded."""
    assert has_nft_queue(lab.router), "on this kernel, nothing is left out of the text"
    text = printed(lab, "--queue", "1", "--bypass-mark", MARK)
    without = ruleset(lab)
    for start in range(2):
        trace = Trace(tmp_path, "obey")
        engine = start_engine("--plugin", traced("obey", trace), "--queue", "1", "--bypass-mark", MARK)
        assert nft(lab.router, text) == ""
        one = talk(start)
        one.send(ACCEPT, 5)
        one.send(DROP, 5)
        wait_decided(lab.router, 10)
        assert trace.asked() == 10
        assert engine.stop() == 0
        assert engine.total("accepted") == engine.total("dropped") == 5
        one.send(DROP, 5)
        wait_for(lambda one=one: len(one.came()) == 10, "all arrive by the bypass")
        remove(lab, text)
        assert ruleset(lab) == without
        one.send(DROP, 5)
        wait_for(lambda one=one: len(one.came()) == 15, "all arrive without rules")


def test_a_range_of_queues_keeps_each_flow_in_one(lab, start_engine, talk):
    """As queue-balance of iptables does: 32 flows meet more than one queue, and both directions the same one."""
    flows = 32
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-4")
    assert nft(lab.router, printed(lab, "--queue", "1-4")) == ""
    used = set()
    for number in range(flows):
        before = lab.router.queues()
        one = talk(number)
        one.send(ACCEPT, 2)
        wait_for(lambda one=one: len(one.came()) == 2, "both arrive")
        one.send(ACCEPT, back=True)
        wait_for(lambda one=one: len(one.came(back=True)) == 1, "the answer arrives")
        grown = {queue: state.last_id - before[queue].last_id for queue, state in lab.router.queues().items()}
        assert sorted(grown.values()) == [0, 0, 0, 3], grown
        used.add(max(grown, key=grown.get))
    assert len(used) > 1
    assert engine.stop() == 0
    assert engine.total("accepted") == engine.total("packets") == 3 * flows


def test_loading_the_rules_again_under_load_loses_nothing(lab, start_engine, start_pump):
    """No base chain is deleted in between, which would empty the queue (docs/kernel-notes.md, 7)."""
    text = printed(lab, "--queue", "1")
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1")
    assert nft(lab.router, text) == ""
    pump = start_pump(scaled_count(1000000))
    wait_for(lambda: lab.router.queues()[1].last_id > 100, "there is load")
    reloads = 0
    while pump.running():
        assert nft(lab.router, text) == ""
        reloads += 1
    report = pump.report()
    assert reloads >= 3, "the text was loaded again under load"
    assert report["lost"] == report["duplicates"] == report["out_of_order"] == 0, report
    assert engine.stop() == 0
    assert engine.total("stale_verdicts") == engine.total("dropped") == 0, engine.final()
