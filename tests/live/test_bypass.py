# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: with the rules that --print-rules prints, the kernel passes the rest of an accepted flow without the engine.

The printed rules are loaded unchanged by iptables-restore or nft. After the packet on which a plugin decided, no
further packet of that connection is queued, in either direction, whatever it asks for (orders.py): the queue's last
id does not change. The connection's mark has the bits of --bypass-mark and keeps all others. Dropped flows, other
connections, and packets that pass while no engine runs are not affected.

test_bypass_leaks.py tests what must not bypass the queue.
"""

import contextlib
import re

import pytest

from bypass import BITS, MARK, MASK, Bypass, drop_multicast, printed, queued
from orders import ACCEPT, ACCEPT_FLOW, BULK, DROP, DROP_FLOW, Connection, Talk, Trace, traced, wait_decided
from support.commands import wait_for
from support.engine import ENGINE
from support.rules import QUEUE_STATEMENT, Rule, has_nft_queue, load_iptables, load_nft, load_nft_text, nft

OTHER_BITS = 0x128  # set before the packet is queued: 0x20 is of the mask and lost, the rest must be kept


def nft_counters(namespace):
    """Packets that nft's rules let pass by the connection's mark, that they dropped, and that came as far as the queue's
    rule."""
    listing = namespace.run("nft", "list", "chain", "inet", "nfq-engine", "to-queue")
    return tuple(int(number) for number in re.findall(r"counter packets (\d+)", listing))


def rules_of(listing):
    """The rules of an nft listing, each with the name of its chain; without chains that have none."""
    chain = None
    for line in listing.splitlines():
        if line.startswith("\tchain "):
            chain = line.split()[1]
        elif line.startswith("\t\t") and not line.startswith("\t\ttype "):
            yield chain, line.strip()


@pytest.fixture(autouse=True)
def no_multicast(lab):
    drop_multicast(lab)


@pytest.fixture(params=["iptables", "nft"])
def bypass(request, lab, start_engine, tmp_path):
    return Bypass(request.param, lab, start_engine, tmp_path)


@pytest.mark.parametrize("family, server, queues", [
    (4, "server", 1), (6, "server", 2), (4, "router", 2), (6, "router", 1)])
def test_a_decided_connection_is_queued_no_more(lab, bypass, listen, family, server, queues):
    """Through the router, and to it. The next connection goes to the queue again, also from the same port."""
    engine, trace = bypass(queues)
    namespace, addresses = {"server": (lab.server, lab.server_main), "router": (lab.router, lab.router_main)}[server]
    listener = listen(namespace, addresses[family])
    decided = 0
    for port in (7701, 7702, 7701):
        with contextlib.closing(Connection(lab, listener, port)) as connection:
            assert queued(lab) == decided + 3, "SYN, SYN with ACK, ACK"
            assert connection.exchange(ACCEPT_FLOW)
            assert queued(lab) == decided + 4, "the packet that was decided on was the last"
            for _ in range(3):
                assert connection.exchange(DROP, len(BULK))
        assert queued(lab) == decided + 4
        decided += 4
    if bypass.form == "nft":
        passed, dropped, came = nft_counters(lab.router)
        assert passed > 3 * 3 * 2 and dropped == 0 and came == decided, "nft's rules see the same packets"
    assert trace.asked() == decided
    assert engine.stop() == 0
    assert engine.total("packets") == engine.total("accepted") == decided
    assert engine.total("flows_added") == 3 and engine.total("flow_packets") == 0


@pytest.mark.parametrize("family", [4, 6])
def test_the_mark_is_set_under_its_mask_and_no_other_bit_is_touched(lab, bypass, talk, family):
    """Packets and connections carry other marks before the queue. The connection gets the bits; packets leave with
    their own mark, but for the mask's bits, also the one that was decided on."""
    match = ("-p", "udp", "-m", "connmark", "--mark", "0")
    marked_before = Rule(lab.router, "PREROUTING", *match, "-j", "CONNMARK", "--set-mark", hex(OTHER_BITS << 4 | 0x20),
                         table="mangle")
    Rule(lab.router, "PREROUTING", "-p", "udp", "-j", "MARK", "--set-mark", hex(OTHER_BITS), table="mangle")
    engine, trace = bypass()
    connection_mark = hex((OTHER_BITS << 4 | 0x20) & ~MASK | BITS)
    decided, others = (
        Rule(lab.router, "POSTROUTING", "-p", "udp", "-m", "mark", "--mark", hex(OTHER_BITS & ~MASK),
             "-m", "connmark", *negation, "--mark", connection_mark, table="mangle")
        for negation in ((), ("!",)))
    one, other = talk(0, family), talk(1, family)
    other.send(ACCEPT)
    wait_decided(lab.router, 1)
    one.send(ACCEPT_FLOW)
    wait_decided(lab.router, 2)
    one.send(DROP, 20)
    one.send(DROP, 20, back=True)
    other.send(ACCEPT)
    wait_for(lambda: (len(one.came()), len(one.came(back=True)), len(other.came())) == (21, 20, 2), "all arrive")
    wait_decided(lab.router, 3)
    assert (decided.packets(), others.packets()) == (41, 2)
    assert marked_before.packets() == 2, "the first packet of each connection"
    assert trace.asked() == 3
    assert engine.stop() == 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_dropped_flow_and_what_is_not_decided_stay_with_the_engine(lab, bypass, talk, family):
    engine, trace = bypass()
    dropped, undecided = talk(0, family), talk(1, family)
    dropped.send(DROP_FLOW)
    wait_decided(lab.router, 1)
    dropped.send(ACCEPT, 10)
    dropped.send(ACCEPT, 10, back=True)
    undecided.send(ACCEPT, 10)
    undecided.send(DROP, 10, back=True)
    wait_decided(lab.router, 41)
    wait_for(lambda: len(undecided.came()) == 10, "what is accepted arrives")
    assert undecided.came(back=True) == dropped.came() == dropped.came(back=True) == []
    assert trace.asked() == 21
    assert engine.stop() == 0
    assert engine.total("flow_packets") == 20 and engine.total("dropped") == 31


@pytest.mark.parametrize("own_mark", [0, 0x400])
@pytest.mark.parametrize("family", [4, 6])
def test_a_verdict_does_not_change_the_route_of_what_the_machine_sends(lab, bypass, talk, family, own_mark):
    """The kernel chooses the route again if the mark of local output changes. Here there is none with another mark, as
    with the rules of wg-quick there is none for its own packets. The first answer makes the connection bypass."""
    engine, trace = bypass()
    addresses = {4: "10.71.2.1", 6: "fd71:2::1"}[family], lab.server_main[family]
    one = talk(0, family, client=lab.router, addresses=addresses)
    one.mark(own_mark)
    lab.router.run("ip", f"-{family}", "rule", "add", "not", "fwmark", f"{own_mark:#x}/0xffffffff", "prohibit")
    one.send(ACCEPT_FLOW)
    wait_for(lambda: one.came() == [0], "what is decided on arrives")
    one.send(DROP, 5)
    wait_for(lambda: len(one.came()) == 6, "and so does the rest of the flow")
    assert queued(lab) == 6
    one.send(DROP, back=True)
    wait_for(lambda: one.came(back=True) == [0], "the answer arrives")
    assert queued(lab) == 7
    one.send(DROP, 5)
    one.send(DROP, 5, back=True)
    wait_for(lambda: (len(one.came()), len(one.came(back=True))) == (11, 6), "all arrive")
    assert queued(lab) == 7 and trace.asked() == 1
    assert engine.stop() == 0


@pytest.mark.parametrize("family", [4, 6])
def test_everything_passes_while_nobody_owns_the_queue(lab, bypass, talk, listen, start_engine, family):
    """And what was decided before does so, too. An engine that comes later decides about the rest."""
    engine, _ = bypass()
    decided, dropped = talk(0, family), talk(1, family)
    decided.send(ACCEPT_FLOW)
    dropped.send(DROP_FLOW)
    wait_decided(lab.router, 2)
    assert engine.stop() == 0
    decided.send(DROP, 5)
    dropped.send(DROP, 5)
    wait_for(lambda: (len(decided.came()), len(dropped.came())) == (6, 5), "all arrive")
    with contextlib.closing(Connection(lab, listen(lab.server, lab.server_main[family]))) as connection:
        assert connection.exchange(DROP, len(BULK))
    again = start_engine(*engine.arguments)
    decided.send(DROP, 5)
    dropped.send(DROP, 5)
    wait_decided(lab.router, 5)
    wait_for(lambda: len(decided.came()) == 11, "the kernel still lets the decided connection pass")
    assert len(dropped.came()) == 5
    assert again.stop() == 0


# The text itself


def test_the_rules_are_printed_without_a_plugin_in_the_forms_that_the_kernel_takes(lab):
    """Both forms are one text for nft. Where nft cannot queue, the text is for iptables alone, and says so."""
    arguments = ("--queue", "3-5", "--bypass-mark", MARK)
    both = printed(lab, "--print-rules", *arguments)
    only_nft = printed(lab, "--print-rules=nft", *arguments)
    only_iptables = printed(lab, "--print-rules=iptables", *arguments)
    load_iptables(lab.router, only_iptables)
    remark = "# This kernel has no queue statement for nft (CONFIG_NFT_QUEUE)"
    assert only_nft.startswith(remark) != has_nft_queue(lab.router) and remark not in only_iptables
    load_nft(lab.router, only_nft, MARK, 3, 3)
    if not has_nft_queue(lab.router):
        assert both == f"{remark}, so the rules are for iptables alone.\n{only_iptables}"
        return
    listing = lab.router.run("nft", "list", "table", "inet", "nfq-engine")
    lab.router.run("nft", "delete", "table", "inet", "nfq-engine")
    load_nft(lab.router, both, MARK, 3, 3)
    assert lab.router.run("nft", "list", "table", "inet", "nfq-engine") == listing
    commented = [line[2:] for line in both.splitlines() if line.startswith("# ")]
    rules = [line for line in only_iptables.splitlines() if not line.startswith("#")]
    assert commented[-len(rules):] == rules


def test_asking_the_kernel_for_its_nft_statements_changes_no_rule(lab):
    """Without the right to do so, it is not asked."""
    ruleset = ("nft", "--stateless", "list", "ruleset")
    before = lab.router.run(*ruleset)
    text = printed(lab, "--print-rules", "--queue", "1")
    assert lab.router.run(*ruleset) == before
    unprivileged = lab.router.run("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--", ENGINE,
                                  "--print-rules", "--queue", "1")
    assert "table inet nfq-engine" in unprivileged
    assert (text == unprivileged) == has_nft_queue(lab.router)


@pytest.mark.parametrize("queues", ["7", "7-9"])
def test_without_a_mark_the_rules_only_queue(lab, start_engine, tmp_path, queues):
    """All is given to the queues, all the time: the flow verdict is then the engine's."""
    trace = Trace(tmp_path, "obey")
    engine = start_engine("--plugin", traced("obey", trace), "--queue", queues)
    load_iptables(lab.router, printed(lab, "--print-rules=iptables", "--queue", queues))
    text = printed(lab, "--print-rules=nft", "--queue", queues)
    assert "mark" not in text and nft(lab.router, QUEUE_STATEMENT.sub("", text)) == ""
    with contextlib.closing(Talk(lab)) as one:
        one.send(ACCEPT_FLOW)
        wait_decided(lab.router, 1)
        one.send(DROP, 10)
        wait_decided(lab.router, 11)
        wait_for(lambda: len(one.came()) == 11, "all arrive")
    assert trace.asked() == 1
    assert engine.stop() == 0


@pytest.mark.parametrize("queues, mark", [("4", "0x2/0x3"), ("4-6", None)])
def test_loading_the_nft_text_again_replaces_the_rules(lab, queues, mark):
    """Only the second settings are in force, as if the first had never been: also those without a mark."""
    table = ("list", "table", "inet", "nfq-engine")
    second = printed(lab, "--print-rules=nft", "--queue", queues, *(("--bypass-mark", mark) if mark else ()))
    load_nft_text(lab.router, second)
    alone = lab.router.run("nft", *table)
    lab.router.run("nft", "delete", "table", "inet", "nfq-engine")
    for _ in range(2):
        load_nft_text(lab.router, printed(lab, "--print-rules=nft", "--queue", "3", "--bypass-mark", MARK))
        first = lab.router.run("nft", *table)
        assert f"{BITS:#010x}" in first
        load_nft_text(lab.router, second)
        listing = lab.router.run("nft", *table)
        assert f"{BITS:#010x}" not in listing
        assert sorted(rules_of(listing)) == sorted(rules_of(alone))


@pytest.mark.parametrize("arguments", [("--bypass-mark", MARK), ()])
def test_the_printed_commands_remove_all_rules_of_iptables(lab, arguments):
    """As the comment above the rules has them, once for each of iptables and ip6tables."""
    text = printed(lab, "--print-rules=iptables", "--queue", "1-2", *arguments)
    commands = re.findall(r"^#   (.*iptables .*)$", text, re.MULTILINE)
    assert commands
    load_iptables(lab.router, text)
    for program in ("iptables", "ip6tables"):
        before = lab.router.run(f"{program}-save")
        assert before.count("-j nfqe-") == (5 if arguments else 3)
        for command in commands:
            lab.router.run("sh", "-e", "-c", command.replace("iptables", program))
        assert "nfqe" not in re.sub("--comment nfqe-[0-9]+", "", lab.router.run(f"{program}-save"))
