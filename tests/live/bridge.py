# SPDX-License-Identifier: GPL-2.0-or-later
"""A bridge in the router that joins client and server, and two ways from it into the queue.

Always: all that is made is in the namespaces of the laboratory, and ends with it.
"""

import contextlib
import os

from orders import Talk
from support.commands import run
from support.namespaces import ip_batch, link_command, wait_links
from support.rules import Rule, nft, queue_target

MACS = {"client": "02:00:00:00:0b:01", "server": "02:00:00:00:0b:02"}
VLAN = 7
CALL_IPTABLES = "/proc/sys/net/bridge/bridge-nf-call-iptables"  # is there if br_netfilter is


def address(end, family, vlan=0):
    number = {"client": 1, "server": 2}[end]
    return f"10.{73 + vlan}.0.{number}" if family == 4 else f"fd73:{vlan}::{number}"


class Bridge:
    """bridge0 in the router, with the ports port1 to the client and port2 to the server; vlan: also with a tag."""

    def __init__(self, lab, vlan=False):
        self.lab = lab
        ip_batch(link_command(port, lab.router, MACS[end][:-2] + f"f{port[-1]}", getattr(lab, end), MACS[end])
                 for port, end in (("port1", "client"), ("port2", "server")))
        lab.router.ip_batch([
            "link add bridge0 type bridge forward_delay 0 mcast_snooping 0", "link set bridge0 up",
            "link set port1 master bridge0 up", "link set port2 master bridge0 up"])
        waited = {lab.router: ("bridge0", "port1", "port2")}
        for port, end, other in (("port1", "client", "server"), ("port2", "server", "client")):
            commands, devices = [f"link set {port} up"], [(port, 0)]
            if vlan:
                commands += [f"link add tagged link {port} type vlan id {VLAN}", "link set tagged up"]
                devices.append(("tagged", VLAN))
            for device, tag in devices:
                commands += [
                    f"address add {address(end, 4, tag)}/24 dev {device}",
                    f"address add {address(end, 6, tag)}/64 dev {device} nodad",
                    *(f"neighbour add {address(other, family, tag)} lladdr {MACS[other]} nud permanent dev {device}"
                      for family in (4, 6))]
            getattr(lab, end).ip_batch(commands)
            waited[getattr(lab, end)] = [device for device, _ in devices]
        wait_links(waited)

    def index(self, device):
        return int(self.lab.router.run("ip", "-o", "link", "show", device).split(":")[0])

    def talk(self, family, vlan=0):
        return contextlib.closing(Talk(self.lab, addresses=(address("client", family, vlan),
                                                            address("server", family, vlan)), family=family))

    def queue(self, way):
        """What comes from the client by UDP is queued, in this way."""
        if way == "nft":
            assert nft(self.lab.router, "table bridge test {\nchain forward {\n"
                       "type filter hook forward priority filter; policy accept;\n"
                       "iifname port1 meta l4proto udp queue num 1 bypass\n}\n}\n") == ""
        else:
            if not os.path.exists(CALL_IPTABLES):
                run("modprobe", "br_netfilter")
            for family in ("ip", "ip6"):
                self.lab.router.write(f"/proc/sys/net/bridge/bridge-nf-call-{family}tables", "1")
            Rule(self.lab.router, "FORWARD", "-m", "physdev", "--physdev-in", "port1", "-p", "udp",
                 *queue_target(1, bypass=True))
