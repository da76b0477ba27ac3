# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: the needs of the plugins alone decide what the kernel copies, and in which form.

The largest need counts: only metadata if no plugin needs more, the largest number of header bytes, the whole packet
if one plugin needs it; and single segments if one plugin needs those. The tests read /proc for the settings in force,
and the log of a plugin in the worker (tests/plugins/describe.c) for what arrives.
"""

import pytest

from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule, queue_target
from support.traffic import BULK, BULK_PATH, curl
from test_flags import DECLARED_BYTES, HEADER_BYTES, MTU, described, described_total, through
from test_refusals import refused

EXIT_CONFIGURATION = 3
METADATA, PACKET = 1, 2  # copy modes, as in /proc
WHOLE = 65531
MANY_HEADERS = 600  # of the plugin describe_many_headers


def chain(*names):
    return [argument for name in names for argument in ("--plugin", plugin(name))]


@pytest.mark.parametrize("names, copied", [
    (("describe", "accept_all"), None),
    (("describe", "drop_marked"), HEADER_BYTES),
    (("describe_unsaid", "accept_all"), HEADER_BYTES),
    (("describe_many_headers", "drop_marked"), MANY_HEADERS),
    (("drop_marked", "describe_many_headers"), MANY_HEADERS),
    (("describe_flow", "accept_all"), HEADER_BYTES),  # the engine itself needs them, to know flows
    (("describe_flow", "describe_many_headers"), MANY_HEADERS),
    (("describe_segments", "accept_all"), None),      # a form, not a size
    (("drop_marked", "describe_payload"), WHOLE),
    (("describe_payload", "describe_flow", "describe_many_headers"), WHOLE),
])
def test_the_kernel_copies_what_the_chain_needs(lab, start_engine, through, names, copied):
    """On every queue, and as much arrives; also after the queue process was replaced."""
    engine = start_engine(*chain(*names), "--queue", "1-2")
    expected = (METADATA, 0) if copied is None else (PACKET, copied)
    line = "metadata only" if copied is None else f"packet {copied} bytes"
    assert len(engine.matches(rf"queue \d: max-len 8192, copy {line}, ")) == 2, engine.lines
    assert [queue[2:4] for queue in lab.router.queues().values()] == [expected, expected]
    before = engine.queue_processes()[1]
    assert engine.signal_child(before, 9)
    wait_for(lambda: engine.queue_processes().get(1) not in (None, before), "the killed queue process has been replaced")
    # With a packet mark, it is described; with the mark of the payload, drop_marked would drop it in front.
    through(packet_mark=1).send(packet_size=MTU, mark=0)
    for packet in described(engine, sum(name.startswith("describe") for name in names)):
        assert (packet["len"], packet["wire_len"]) == ((0, 0) if copied is None else (min(copied, MTU), MTU)), packet
    assert [queue[2:4] for queue in lab.router.queues().values()] == [expected, expected]
    assert engine.stop() == 0


@pytest.mark.parametrize("names, copy_range", [
    (("describe",), 1), (("describe",), WHOLE), (("describe_headers",), DECLARED_BYTES), (("describe_headers",), 1000),
    (("describe_flow",), DECLARED_BYTES), (("describe_payload",), WHOLE)])
def test_a_copy_range_decides_what_is_copied_if_it_is_enough(lab, start_engine, names, copy_range):
    engine = start_engine(*chain(*names), "--queue", "1", "--copy-range", str(copy_range))
    assert lab.router.queues()[1][2:4] == (PACKET, copy_range)
    assert engine.stop() == 0


def test_a_copy_range_below_what_flows_need_is_refused(lab):
    code, line = refused(lab, *chain("describe_flow"), "--queue", "1", "--copy-range", str(DECLARED_BYTES - 1))
    assert code == EXIT_CONFIGURATION and "--copy-range 127" in line and "describe_flow" in line, line


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("names, options, whole", [
    (("describe_headers",), (), True),
    (("describe_headers", "describe_segments"), (), False),
    (("describe_segments", "describe_headers"), ("--gso", "off"), False)])
def test_segments_come_one_by_one_where_a_plugin_needs_them(
        lab, start_engine, start_web_server, tmp_path, names, options, whole, family):
    """All plugins of the chain see the same: packets above the MTU, or none. The page arrives unchanged either way."""
    start_web_server(lab.server, 8080)
    engine = start_engine(*chain(*names), "--queue", "1", *options)
    assert bool(engine.matches(r"queue 1: .* flags (.*,)?gso(,|$)")) == whole, engine.lines
    Rule(lab.router, "FORWARD", "-p", "tcp", "--sport", "8080", *queue_target(1))
    page = tmp_path / "page"
    assert curl(lab.client, lab.server_main[family], 8080, 30, BULK_PATH, str(page)) == 0
    assert page.read_bytes() == BULK
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in the queue")
    assert engine.stop() == 0
    total = described_total(engine)
    assert total["packets"] == engine.total("packets") == engine.total("accepted")
    if whole:
        assert 0 < total["gso"] and total["packets"] < len(BULK) // MTU, total
    else:
        assert total["gso"] == total["pending"] == 0 and total["packets"] > len(BULK) // MTU, total


def test_gso_on_is_refused_where_a_plugin_needs_segments(lab):
    code, line = refused(lab, *chain("accept_all", "describe_segments"), "--queue", "1", "--gso", "on")
    assert code == EXIT_CONFIGURATION and "--gso on" in line and "describe_segments" in line, line


@pytest.mark.parametrize("option", [("--flow-table", "100"), ("--bypass-mark", "1/1")])
def test_options_about_flows_are_refused_where_no_plugin_decides_for_flows(lab, option):
    code, line = refused(lab, *chain("accept_all", "describe_headers"), "--queue", "1", *option)
    assert code == EXIT_CONFIGURATION and option[0] in line and "NFQE_NEED_FLOW" in line, line
