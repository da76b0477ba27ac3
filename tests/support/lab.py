# SPDX-License-Identifier: GPL-2.0-or-later
"""The laboratory of the live tests: three network namespaces, client - router - server.

Always: neighbours are permanent entries and duplicate address detection is off, so that the only packets on the links
are those that a test sends, and the first burst is not lost to address resolution.
"""

from support.cpus import packet_cpu
from support.namespaces import NamespaceGroup, ip_batch, link_command, wait_links, write_device_files
from support.rules import Rule, queue_target

ADDRESSES = 32  # further addresses of client and server, so that queue-balance has something to spread
PUMP_PORT = 7000


class Lab(NamespaceGroup):
    """client (10.71.1.2, fd71:1::2) - router - server (10.71.2.2, fd71:2::2), and further addresses on both ends."""

    PREFIX = "nfqe"
    ROLES = ("client", "router", "server")

    client_addresses = {4: [f"10.81.0.{n}" for n in range(1, ADDRESSES + 1)],
                        6: [f"fd81::{n:x}" for n in range(1, ADDRESSES + 1)]}
    server_addresses = {4: [f"10.82.0.{n}" for n in range(1, ADDRESSES + 1)],
                        6: [f"fd82::{n:x}" for n in range(1, ADDRESSES + 1)]}
    server_main = {4: "10.71.2.2", 6: "fd71:2::2"}
    router_main = {4: "10.71.1.1", 6: "fd71:1::1"}

    def configure(self):
        for namespace in self.namespaces:
            for setting in ("ipv6/conf/all/accept_dad", "ipv6/conf/default/accept_dad",
                            "ipv6/conf/all/accept_ra", "ipv6/conf/default/accept_ra"):
                namespace.write(f"/proc/sys/net/{setting}", "0")
        self.router.write("/proc/sys/net/ipv4/ip_forward", "1")
        self.router.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        to_client = self._link(self.client, 1, "10.81.0.0/24", "fd81::/64", self.client_addresses)
        to_server = self._link(self.server, 2, "10.82.0.0/24", "fd82::/64", self.server_addresses)
        ip_batch([to_client[0], to_server[0]])
        self.router.ip_batch(["link set lo up", *to_client[1], *to_server[1]])
        self.client.ip_batch(["link set lo up", *to_client[2]])
        self.server.ip_batch(["link set lo up", *to_server[2]])
        devices = {self.client: ("link1",), self.router: ("link1", "link2"), self.server: ("link2",)}
        wait_links(devices)
        # One CPU receives the packets of each link. Otherwise, if the scheduler moves the sender, packets in the
        # backlog of another CPU can overtake earlier ones, which would look like a fault of the engine.
        write_device_files("queues/rx-0/rps_cpus", f"{1 << packet_cpu():x}", devices)

    def _link(self, end, number, ipv4_extra, ipv6_extra, addresses):
        """The link between the router (address .1) and one end (address .2): the command of ip that makes it,
        and the commands for the router and for the end."""
        device, router_mac, end_mac = f"link{number}", f"02:00:00:00:0{number}:01", f"02:00:00:00:0{number}:02"
        router_ipv4, end_ipv4 = f"10.71.{number}.1", f"10.71.{number}.2"
        router_ipv6, end_ipv6 = f"fd71:{number}::1", f"fd71:{number}::2"
        return link_command(device, self.router, router_mac, end, end_mac), [
            f"link set {device} up",
            f"address add {router_ipv4}/24 dev {device}",
            f"address add {router_ipv6}/64 dev {device} nodad",
            f"neighbour add {end_ipv4} lladdr {end_mac} nud permanent dev {device}",
            f"neighbour add {end_ipv6} lladdr {end_mac} nud permanent dev {device}",
            f"route add {ipv4_extra} via {end_ipv4}",
            f"route add {ipv6_extra} via {end_ipv6}"], [
            f"link set {device} up",
            f"address add {end_ipv4}/24 dev {device}",
            f"address add {end_ipv6}/64 dev {device} nodad",
            f"neighbour add {router_ipv4} lladdr {router_mac} nud permanent dev {device}",
            f"neighbour add {router_ipv6} lladdr {router_mac} nud permanent dev {device}",
            f"route add default via {router_ipv4}",
            f"route add default via {router_ipv6}",
            *(f"address add {address}/32 dev {device}" for address in addresses[4]),
            *(f"address add {address}/128 dev {device} nodad" for address in addresses[6])]

    def queue_pump_traffic(self, first=1, count=1, bypass=False):
        """Sends what the pump sends through queues in the router. Returns the rule, whose counter is the number
        of packets that met it."""
        return Rule(self.router, "FORWARD", "-p", "udp", "--dport", str(PUMP_PORT),
                    *queue_target(first, count, bypass))

    def all_decided(self, count):
        """Of so many datagrams, the queues in the router have taken or dropped every one, and none waits in them."""
        queues = self.router.queues().values()
        return (sum(queue.last_id + queue.queue_dropped for queue in queues) == count
                and not any(queue.waiting for queue in queues))

    def count_pump_traffic(self, namespace, chain, table="mangle"):
        """A rule without a target, which counts what the pump sent as it passes there."""
        return Rule(namespace, chain, "-p", "udp", "--dport", str(PUMP_PORT), table=table)
