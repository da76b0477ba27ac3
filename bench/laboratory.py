# SPDX-License-Identifier: GPL-2.0-or-later
"""The network of all measurements: a client and a server, each a network namespace, connected by one link.

Always: packets are queued in the server's INPUT hook. The receiving side of the link runs on the sender's CPU, so
LOAD_CPU has the load, and SERVE_CPU has the process that reads the queue. tests/support/namespaces.py makes and removes
the namespaces.
"""

import os

from support.commands import LabError
from support.namespaces import NamespaceGroup, ip_batch, link_command, wait_links
from support.rules import Rule, queue_target

SERVER = "10.78.0.1"
CLIENT = "10.78.0.2"
PAIRS = 16  # further addresses at both ends; each pair is one place of queue-balance
DEVICE = "eth0"

CPUS = sorted(os.sched_getaffinity(0))
LOAD_CPU, SERVE_CPU = CPUS[0], CPUS[-1]


class CannotMeasure(LabError):
    """A figure could not be taken; says why."""


class Laboratory(NamespaceGroup):
    """The client (10.78.0.2, 10.78.2.1 and up) and the server (10.78.0.1, 10.78.1.1 and up)."""

    PREFIX = "nfqe-bench"
    ROLES = ("client", "server")

    server_addresses = [f"10.78.1.{n}" for n in range(1, PAIRS + 1)]
    passed = None  # the rule that counts what has come through the queue

    def configure(self):
        server_mac, client_mac = "02:00:00:00:00:01", "02:00:00:00:00:02"
        ip_batch([link_command(DEVICE, self.server, server_mac, self.client, client_mac)])
        both = ["link set lo up", f"link set {DEVICE} up"]
        server, client = list(both), list(both)
        server += [f"address add {SERVER}/24 dev {DEVICE}",
                   f"neighbour add {CLIENT} lladdr {client_mac} nud permanent dev {DEVICE}",
                   f"route add 10.78.2.0/24 via {CLIENT}"]
        client += [f"address add {CLIENT}/24 dev {DEVICE}",
                   f"neighbour add {SERVER} lladdr {server_mac} nud permanent dev {DEVICE}"]
        for number in range(1, PAIRS + 1):
            server.append(f"address add 10.78.1.{number}/32 dev {DEVICE}")
            client.append(f"address add 10.78.2.{number}/32 dev {DEVICE}")
            client.append(f"route add 10.78.1.{number}/32 via {SERVER} src 10.78.2.{number}")
        self.server.ip_batch(server)
        self.client.ip_batch(client)
        wait_links({self.server: (DEVICE,), self.client: (DEVICE,)})

    def queue_traffic(self, match, queues):
        """Sends what matches into `queues` queues from 1 on (0: into none)."""
        if queues > 0:
            Rule(self.server, "INPUT", *match, *queue_target(1, queues), table="mangle", families=(4,))

    def count_traffic(self, match):
        """Counts, after the queue, what matches: counts() of `passed`."""
        self.passed = Rule(self.server, "INPUT", *match, families=(4,))

    def clear_rules(self):
        for table in ("mangle", "filter"):
            self.server.run("iptables", "-w", "-t", table, "-F")
            self.server.run("iptables", "-w", "-t", table, "-X")
