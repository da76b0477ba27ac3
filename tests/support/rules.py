# SPDX-License-Identifier: GPL-2.0-or-later
"""Firewall rules: single rules that queue or count, and loading the rules that the engine prints.

Always: the printed rules are loaded unchanged by iptables-restore or nft, except for lines that a test removes. A
kernel without nft's queue statement refuses the nft form at that statement, and only there. Then the rest of the file
is loaded, and iptables rules at the same hooks and priority queue the packets.
"""

import re
import subprocess

QUEUE_STATEMENT = re.compile(r" queue num [0-9-]+ bypass$", re.MULTILINE)
HOOKS = ("INPUT", "FORWARD", "OUTPUT")
PROGRAMS = {4: "iptables", 6: "ip6tables"}


class Rule:
    """One iptables rule of each family; what it counts is all of them together."""

    _count = 0

    def __init__(self, namespace, chain, *match, table="filter", families=(4, 6)):
        Rule._count += 1
        self.namespace, self.chain, self.table = namespace, chain, table
        self.match = match
        self.comment = f"nfqe-{Rule._count}"
        self._programs = [PROGRAMS[family] for family in families]
        self._change("-A")

    def _change(self, command):
        for program in self._programs:
            self.namespace.run(program, "-w", "-t", self.table, command, self.chain,
                               "-m", "comment", "--comment", self.comment, *self.match)

    def remove(self):
        self._change("-D")

    def counts(self):
        """Packets and bytes."""
        packets = size = 0
        for program in self._programs:
            listing = self.namespace.run(program, "-w", "-t", self.table, "-L", self.chain, "-v", "-x", "-n")
            for line in listing.splitlines():
                if f"/* {self.comment} */" in line:
                    fields = line.split()
                    packets, size = packets + int(fields[0]), size + int(fields[1])
        return packets, size

    def packets(self):
        return self.counts()[0]


def queue_target(first, count=1, bypass=False):
    """The NFQUEUE target of `count` queues from `first` on."""
    spread = ["--queue-num", str(first)] if count == 1 else ["--queue-balance", f"{first}:{first + count - 1}"]
    return ["-j", "NFQUEUE", *spread, *(["--queue-bypass"] if bypass else [])]


def nft(namespace, text, *options):
    """What nft complains about; nothing: it has taken the text."""
    with namespace.entered():
        result = subprocess.run(["nft", *options, "-f", "-"], input=text, stderr=subprocess.PIPE, text=True, timeout=20,
                                check=False)
    assert (result.returncode == 0) == (result.stderr == ""), result
    return result.stderr


def has_nft_queue(namespace):
    complaint = nft(namespace, "table inet probe {\nchain probe {\nqueue num 1 bypass\n}\n}\n", "-c")
    assert complaint == "" or "No such file or directory" in complaint, complaint
    return complaint == ""


def load_nft_text(namespace, text):
    """The text as it is; or, where the kernel has no `queue` for nft, all but that."""
    if not has_nft_queue(namespace):
        complaint = nft(namespace, text, "-c").splitlines()
        assert len(complaint) == 3 and "No such file or directory" in complaint[0], complaint
        assert complaint[1][complaint[2].index("^"):].startswith("queue num"), complaint
        text, statements = QUEUE_STATEMENT.subn("", text)
        assert statements == 1
    assert nft(namespace, text) == ""


def load_nft(namespace, text, mark, first=1, count=1):
    """The text; and where it cannot queue, rules of iptables that do. mark: the bypass mark that is in the text."""
    if not has_nft_queue(namespace):
        for hook in HOOKS:  # before the text: of two chains with the same priority, the kernel runs the newer one first
            Rule(namespace, hook, "-m", "connmark", "!", "--mark", mark, *queue_target(first, count, bypass=True),
                 table="mangle")
    load_nft_text(namespace, text)


def load_iptables(namespace, text):
    for program in ("iptables-restore", "ip6tables-restore"):
        namespace.run(program, "--noflush", input=text)
