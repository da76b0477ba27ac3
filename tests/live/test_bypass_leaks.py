# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a connection bypasses the queue only if a verdict for its flow set its mark.

Marks can come from elsewhere: with a packet from a tunnel or from other rules; with an ICMP error, which conntrack
assigns to the connection that it is about; and from a connection that announced this one, such as FTP's control
connection. The verdicts of the plugin (orders.py) show that it was asked.
"""

import contextlib
import socket

import pytest

from bypass import BITS, Bypass, drop_multicast, queued
from orders import (ACCEPT, ACCEPT_FLOW, DROP, FAMILIES, SILENCE_SECONDS, TALK_PORT, TCP_PORT, Connection, Talk, head,
                    wait_decided)
from support.commands import LabError, wait_for
from support.rules import Rule

CLEARING = {"iptables": "-j MARK --set-xmark 0x0/", "nft": "\tmeta mark set meta mark and"}  # marks brought along
DATA_PORT = 7601
TUNNEL_ADDRESSES = {"router": "10.91.0.1", "server": "10.91.0.2"}
TUNNEL_PORT = 4789
LIMIT_SECONDS = 5.0


@pytest.fixture(autouse=True)
def no_multicast(lab):
    drop_multicast(lab)


@pytest.fixture(params=["iptables", "nft"])
def bypass(request, lab, start_engine, tmp_path):
    return Bypass(request.param, lab, start_engine, tmp_path)


@pytest.fixture
def stack():
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def brought_along(lab, bypass, start_engine):
    """brought_along(by, protocol): every packet of the protocol has the bits. Only `by` clears them: the rules, while
    no engine runs, or the engine, with rules that do not. Returns the trace, and a function that ends this and
    returns the engine that must be asked from then on."""
    def start(by, protocol):
        engine, trace = bypass(cut=CLEARING if by == "engine" else None)
        marking = Rule(lab.router, "PREROUTING", "-p", protocol, "-j", "MARK", "--set-mark", hex(BITS), table="raw")
        if by == "rules":
            assert engine.stop() == 0

        def ask():
            marking.remove()
            return start_engine(*engine.arguments) if by == "rules" else engine
        return trace, ask
    return start


@pytest.mark.parametrize("by", ["rules", "engine"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_packet_that_brings_the_bits_along_does_not_mark_its_connection(lab, brought_along, talk, family, by):
    """A plugin that accepts it, accepts it alone."""
    trace, ask = brought_along(by, "udp")
    one = talk(0, family)
    one.send(ACCEPT, 2)
    wait_for(lambda: len(one.came()) == 2, "what is accepted arrives")
    asked = trace.asked()
    engine = ask()
    before = queued(lab)
    one.send(DROP)
    wait_decided(lab.router, before + 1)
    assert trace.asked() == asked + 1 and len(one.came()) == 2
    assert engine.stop() == 0


@pytest.mark.parametrize("by", ["rules", "engine"])
def test_an_icmp_error_that_brings_the_bits_along_does_not_mark_the_connection_it_is_about(lab, stack, brought_along,
                                                                                           by):
    trace, ask = brought_along(by, "icmp")
    with lab.client.entered():
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sender.settimeout(LIMIT_SECONDS)
    sender.connect((lab.server_main[4], TALK_PORT))
    sender.send(head(ACCEPT))
    with pytest.raises(ConnectionRefusedError):
        sender.recv(1)
    asked = trace.asked()
    engine = ask()
    before = queued(lab)
    sender.send(head(DROP))
    wait_decided(lab.router, before + 1)
    assert trace.asked() == asked + 1
    assert engine.stop() == 0


def make_tunnel(lab):
    """VXLAN between router and server, in which the server has a further address."""
    router, server = ("10.71.2.1", TUNNEL_ADDRESSES["router"], "02:00:00:00:09:01"), (
        lab.server_main[4], TUNNEL_ADDRESSES["server"], "02:00:00:00:09:02")
    for namespace, (local, inside, mac), (remote, other_inside, other_mac) in (
            (lab.router, router, server), (lab.server, server, router)):
        namespace.write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")  # so only the test's packets are in it
        for command in (
                f"link add tunnel address {mac} type vxlan id 7 local {local} remote {remote} dev link2 "
                f"dstport {TUNNEL_PORT} srcport {TUNNEL_PORT} {TUNNEL_PORT + 1}",  # one connection, whatever is in it
                "link set tunnel up",
                f"address add {inside}/24 dev tunnel",
                f"neighbour add {other_inside} lladdr {other_mac} nud permanent dev tunnel"):
            namespace.run("ip", *command.split())


@pytest.mark.parametrize("cut", [None, CLEARING], ids=["all rules", "engine"])
def test_an_accepted_flow_does_not_take_its_tunnel_along(lab, bypass, cut):
    """The kernel keeps the mark of the inner packet for the outer one, on which the plugin has no opinion."""
    make_tunnel(lab)
    engine, trace = bypass(cut=cut)
    addresses = (lab.client_addresses[4][0], TUNNEL_ADDRESSES["server"])
    with contextlib.closing(Talk(lab, addresses=addresses)) as inner:
        inner.send(ACCEPT_FLOW)
        wait_decided(lab.router, 2)  # the packet, and once more in the tunnel
        inner.send(DROP, 5)
        wait_decided(lab.router, 2 + 5)
        wait_for(lambda: len(inner.came()) == 6, "all arrive")
    assert trace.asked() == 2 + 5, "about the packet that was decided on, and all of the tunnel"
    assert engine.stop() == 0


@pytest.mark.parametrize("family, options", [(4, 0), (6, 0), (6, 8), (6, 80)], ids=[
    "ipv4", "ipv6", "8 bytes of options", "80 bytes of options"])
@pytest.mark.parametrize("resets", ["server", "client"])
def test_a_connection_with_the_ports_of_an_earlier_one_is_decided_on_its_own(lab, bypass, listen, family, options,
                                                                             resets):
    """After a reset by the server, the kernel takes it for the earlier one, which was bypassed; also if its SYN comes
    after an extension header."""
    engine, trace = bypass()
    listener = listen(lab.server, lab.server_main[family])
    with contextlib.closing(Connection(lab, listener)) as connection:
        assert connection.exchange(ACCEPT_FLOW) and connection.exchange(DROP)
        decided = queued(lab)
        assert decided == 4, "SYN, SYN with ACK, ACK, and what was decided on"
        if resets == "server":
            connection.reset_by_server()
    hidden = Rule(lab.router, "PREROUTING", "-p", "tcp", "--syn", "-m", "ipv6header", "--soft", "--header", "dst",
                  table="raw", families=(6,))
    with contextlib.closing(Connection(lab, listener, options=options)) as connection:
        assert hidden.packets() == (1 if options else 0)
        assert queued(lab) == decided + 3
        assert not connection.exchange(DROP, timeout=SILENCE_SECONDS)
    assert engine.stop() == 0
    assert trace.asked() == engine.total("packets") > decided + 3


def attach_ftp_helper(lab):
    """Or skips the test, if the kernel has none; nothing else is missing if it knows the target."""
    match = ("-p", "tcp", "--dport", str(TCP_PORT), "-j", "CT")
    Rule(lab.router, "PREROUTING", *match, "--zone", "0", table="raw").remove()
    try:
        Rule(lab.router, "PREROUTING", *match, "--helper", "ftp", table="raw")
    except LabError as error:
        if "No such file or directory" not in str(error):
            raise
        pytest.skip(f"needs the kernel's FTP helper, nf_conntrack_ftp: {error}")


def announce(control, family, address):
    """FTP's dialogue, by which the kernel expects a data connection to that address: from the client to the server with
    IPv4, the other way round with IPv6."""
    if family == 4:
        numbers = ",".join([*address.split("."), str(DATA_PORT >> 8), str(DATA_PORT & 0xff)])
        return control.say(f"227 Entering Passive Mode ({numbers}).\r\n".encode(), back=True)
    return control.say(f"EPRT |2|{address}|{DATA_PORT}|\r\n".encode())


@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_that_the_kernel_expected_is_decided_on_its_own(lab, bypass, listen, stack, family):
    """Although it inherits the mark of its control connection, which is bypassed."""
    attach_ftp_helper(lab)
    engine, trace = bypass()
    expected = Rule(lab.router, "POSTROUTING", "-p", "tcp", "--syn", "-m", "conntrack", "--ctstate", "RELATED",
                    "--ctstatus", "EXPECTED", table="mangle")
    ends = [(lab.client, lab.client_addresses[family][0]), (lab.server, lab.server_main[family])]
    (caller_in, caller_address), (answerer_in, address) = ends if family == 4 else reversed(ends)
    control = stack.enter_context(contextlib.closing(Connection(lab, listen(lab.server, lab.server_main[family]))))
    with answerer_in.entered():
        listener = stack.enter_context(socket.create_server((address, DATA_PORT), family=FAMILIES[family]))
    with caller_in.entered():
        caller = stack.enter_context(socket.socket(FAMILIES[family]))
    caller.bind((caller_address, 0))
    for opened in (listener, caller):
        opened.settimeout(LIMIT_SECONDS)

    assert control.say(head(ACCEPT_FLOW) + b"\r\n") and control.say(b"220 at your service\r\n", back=True)
    decided = queued(lab)
    assert control.say(head(DROP) + b"\r\n") and announce(control, family, address)
    assert queued(lab) == decided == trace.asked(), "the control connection is bypassed"

    caller.connect((address, DATA_PORT))
    answerer = stack.enter_context(listener.accept()[0])
    answerer.settimeout(LIMIT_SECONDS)
    assert expected.packets() == 1, "the kernel expected the data connection"
    caller.sendall(head(ACCEPT))
    assert answerer.recv(100) == head(ACCEPT)
    assert trace.asked() >= decided + 4, "about SYN, SYN with ACK, ACK, and what was sent"
    caller.sendall(head(DROP))
    answerer.settimeout(SILENCE_SECONDS)
    with pytest.raises(TimeoutError):
        answerer.recv(100)
    assert control.say(head(DROP) + b"\r\n"), "the control connection is bypassed still"
    assert engine.stop() == 0
