# SPDX-License-Identifier: GPL-2.0-or-later
"""The firewall rules that --print-rules prints, loaded into the router for a test of them.

Always: the printed text goes into iptables-restore or nft as it is, but for lines that a test itself cuts out. A kernel
without `queue` for nft refuses the nft form at that statement, and only there. Then all of the text but that statement
is loaded, and a rule of iptables at the same hooks and priority queues what the text would have queued.
"""

import re
import subprocess

from engine import ENGINE
from lab import Rule, queue_target
from orders import Trace, traced

BITS, MASK = 0x10, 0x30
MARK = f"{BITS:#x}/{MASK:#x}"
QUEUE_STATEMENT = re.compile(r" queue num [0-9-]+ bypass$", re.MULTILINE)
HOOKS = ("INPUT", "FORWARD", "OUTPUT")


def printed(lab, *arguments):
    return lab.router.run(ENGINE, *arguments)


def without(pattern, text):
    """The text without the one line that the pattern is found in."""
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not re.search(pattern, line)]
    assert len(kept) == len(lines) - 1, f"one line has {pattern!r} in it: {text}"
    return "".join(kept)


def nft(namespace, text, *options):
    """What nft complains about; nothing: it has taken the text."""
    with namespace.entered():
        result = subprocess.run(["nft", *options, "-f", "-"], input=text, stderr=subprocess.PIPE, text=True, timeout=20,
                                check=False)
    assert (result.returncode == 0) == (result.stderr == ""), result
    return result.stderr


def has_nft_queue(namespace):
    return nft(namespace, "table inet probe { chain probe { queue num 1 bypass\n } }", "-c") == ""


def load_nft_text(namespace, text):
    """The text as it is; or, where the kernel has no `queue` for nft, all but that."""
    if not has_nft_queue(namespace):
        complaint = nft(namespace, text, "-c").splitlines()
        assert len(complaint) == 3 and "No such file or directory" in complaint[0], complaint
        assert complaint[1][complaint[2].index("^"):].startswith("queue num"), complaint
        text, statements = QUEUE_STATEMENT.subn("", text)
        assert statements == 1
    assert nft(namespace, text) == ""


def load_nft(namespace, text, first=1, count=1):
    """The text; and where it cannot queue, rules of iptables that do."""
    if not has_nft_queue(namespace):
        for hook in HOOKS:  # before the text: of two chains with the same priority, the kernel runs the newer one first
            Rule(namespace, hook, "-m", "connmark", "!", "--mark", MARK, *queue_target(first, count, bypass=True),
                 table="mangle")
    load_nft_text(namespace, text)


def load_iptables(namespace, text):
    for program in ("iptables-restore", "ip6tables-restore"):
        namespace.run(program, "--noflush", input=text)


def drop_multicast(lab):
    """The rules queue all that the router itself sends, so what it says about multicast groups would be counted."""
    for chain in ("PREROUTING", "OUTPUT"):
        Rule(lab.router, chain, "-p", "icmpv6", "-j", "DROP", table="raw")


class Bypass:
    """bypass(queues): an engine with obey and the printed rules of this form in the router. Engine and trace."""

    def __init__(self, form, lab, start_engine, folder):
        self.form = form
        self._lab, self._start_engine, self._folder = lab, start_engine, folder

    def __call__(self, queues=1, cut=None):
        """cut: a pattern for each form, of the line that is not loaded."""
        numbers = f"1-{queues}" if queues > 1 else "1"
        text = printed(self._lab, f"--print-rules={self.form}", "--queue", numbers, "--bypass-mark", MARK)
        trace = Trace(self._folder, "obey")
        engine = self._start_engine("--plugin", traced("obey", trace), "--queue", numbers, "--bypass-mark", MARK)
        if cut:
            text = without(cut[self.form], text)
        if self.form == "iptables":
            load_iptables(self._lab.router, text)
        else:
            load_nft(self._lab.router, text, 1, queues)
        return engine, trace


def queued(lab):
    """How many packets the kernel has given to all queues together."""
    return sum(queue.last_id for queue in lab.router.queues().values())
