# SPDX-License-Identifier: GPL-2.0-or-later
"""The CPU that receives the packets of a test process.

Always: no two test processes have the same one at a time. What arrives waits in the backlog of a CPU, which all namespaces
share and which takes 1,000 packets by default: two tests that fill it lose packets without any fault of the engine. A CPU
is claimed by the name of a socket, which the kernel frees when the process ends. Processes that the test starts have its
CPU, too: it is in their environment.
"""

import contextlib
import os
import socket

from support.commands import wait_for

CLAIM_SECONDS = 120.0  # longer than any test file takes, but for a stuck one
CPUS_MAX = 32  # that one word of a mask has
CLAIMED = "NFQE_PACKET_CPU"

_claims = []  # the socket, to keep it


def packet_cpu():
    """Claims a CPU, the first time; waits while other tests have all of them. Not to be called in a namespace of a test."""
    if CLAIMED not in os.environ:
        name, cpu = wait_for(_claim, "a CPU whose packets are those of no other test", CLAIM_SECONDS, interval=0.1)
        _claims.append(name)
        os.environ[CLAIMED] = str(cpu)
    return int(os.environ[CLAIMED])


def _claim():
    for cpu in sorted(os.sched_getaffinity(0)):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            if cpu < CPUS_MAX:
                name.bind(f"\0nfqe-test-packets-{cpu}")
                return name, cpu
        name.close()
    return None
