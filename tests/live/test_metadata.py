# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: what the kernel says of a packet beside its bytes reaches the plugin, each with a bit of its own.

The plugin `describe` logs it. Marks, interfaces, owner and time are in test_flags.py; VLAN and link-layer header, which
only nft's bridge family has, are in tests/vm/test_bridge.py.
"""

import os
import re
import socket
import struct
import subprocess
import sys

import pytest

from support.engine import plugin
from support.processes import tied_to_parent
from test_flags import CHECKSUM_PENDING, CHECKSUM_UNVERIFIED, PROTOCOL_KNOWN, described, through

HAS_PRIORITY, HAS_VLAN, HAS_LINK_HEADER, HAS_CGROUP_CLASS = 0x200, 0x1000, 0x2000, 0x4000  # as in nfqe/abi.h
SO_NO_CHECK = 11
UDP = 17
CLASS = 0x00107001
EXIT_NO_CLASSES = 77

# $0: a directory; the other arguments: a command, which runs in a cgroup of that class. The mount ends with the shell's
# namespace, and the hierarchy with its last mount and cgroup.
IN_CGROUP = f"""
mount -t cgroup -o net_cls none "$0" 2>/dev/null || exit {EXIT_NO_CLASSES}
mkdir "$0/nfqe-test-$$" && echo {CLASS:#x} >"$0/nfqe-test-$$/net_cls.classid" && echo $$ >"$0/nfqe-test-$$/cgroup.procs"
"$@"
code=$?
echo $$ >"$0/cgroup.procs"
rmdir "$0/nfqe-test-$$"
exit $code
"""


def kernel_version():
    return tuple(int(number) for number in re.match(r"(\d+)\.(\d+)", os.uname().release).groups())


@pytest.mark.parametrize("hook", ["INPUT", "FORWARD"])
def test_a_checksum_that_is_computed_later_is_told_from_one_that_is_not_verified(start_engine, through, hook):
    """The first datagram has one of the first kind. The second has none, which the kernel has not looked at so far."""
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1", "--gso", "on")
    datagrams = through(hook=hook)
    datagrams.send()
    described(engine, 1)
    datagrams.sender.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    datagrams.send()
    flags = [packet["flags"] for packet in described(engine, 2)]
    kinds = CHECKSUM_PENDING | CHECKSUM_UNVERIFIED
    assert [each & kinds for each in flags] == [CHECKSUM_PENDING, CHECKSUM_UNVERIFIED], flags
    assert engine.stop() == 0


@pytest.mark.parametrize("hook", ["OUTPUT", "POSTROUTING"])
def test_a_checksum_of_this_machine_is_never_unverified(start_engine, through, hook):
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1", "--gso", "on")
    datagrams = through(hook=hook)
    datagrams.sender.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    datagrams.send()
    assert described(engine, 1)[0]["flags"] & (CHECKSUM_PENDING | CHECKSUM_UNVERIFIED) == 0
    assert engine.stop() == 0


@pytest.mark.parametrize("family", [4, 6])
def test_the_priority_is_that_of_the_socket(start_engine, through, family):
    """The kernel sends none that is 0, and Linux before 5.18 none."""
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1")
    datagrams = through(hook="OUTPUT", family=family)
    datagrams.send()
    described(engine, 1)
    datagrams.sender.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 5)
    datagrams.send()
    packets = described(engine, 2)
    wanted = 5 if kernel_version() >= (5, 18) else 0
    assert [packet["priority"] for packet in packets] == [0, wanted]
    assert [packet["present"] & HAS_PRIORITY for packet in packets] == [0, HAS_PRIORITY if wanted else 0]
    assert engine.stop() == 0


def send_in_cgroup(datagrams, directory):
    """A datagram from a socket of a process in a cgroup of class CLASS. Skips the test if the kernel has no classes."""
    program = ("import socket, sys; socket.socket(int(sys.argv[1]), socket.SOCK_DGRAM)"
               ".sendto(bytes.fromhex(sys.argv[2]), (sys.argv[3], int(sys.argv[4])))")
    payload = struct.pack("!4sIQB", b"nfqp", 0, 0, 1)
    with datagrams.source.entered():
        code = subprocess.run(
            ["unshare", "--mount", "sh", "-c", IN_CGROUP, str(directory), sys.executable, "-c", program,
             str(int(datagrams.socket_family)), payload.hex(), datagrams.address[0], str(datagrams.address[1])],
            stdin=subprocess.DEVNULL, timeout=20, preexec_fn=tied_to_parent, check=False).returncode
    if code == EXIT_NO_CLASSES:
        pytest.skip("the kernel has no cgroups with network classes (net_cls)")
    assert code == 0


@pytest.mark.parametrize("family", [4, 6])
def test_the_class_is_that_of_the_cgroup_of_the_socket(start_engine, through, tmp_path, family):
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1")
    datagrams = through(hook="OUTPUT", family=family)
    datagrams.send()
    described(engine, 1)
    send_in_cgroup(datagrams, tmp_path)
    packets = described(engine, 2)
    wanted = CLASS if kernel_version() >= (6, 4) else 0
    assert [packet["cgroup_class"] for packet in packets] == [0, wanted]
    assert [packet["present"] & HAS_CGROUP_CLASS for packet in packets] == [0, HAS_CGROUP_CLASS if wanted else 0]
    assert engine.stop() == 0


def test_what_only_bridges_have_is_absent_elsewhere(start_engine, through):
    engine = start_engine("--plugin", plugin("describe_headers"), "--queue", "1")
    through().send()
    packet = described(engine, 1)[0]
    assert packet["present"] & (HAS_VLAN | HAS_LINK_HEADER) == packet["link_header_len"] == 0
    assert (packet["vlan"], packet["link_header"]) == ("0x0000:0x0000", "0x")
    assert packet["protocol"] == UDP and packet["flags"] & PROTOCOL_KNOWN
    assert engine.stop() == 0
