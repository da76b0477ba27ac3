# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine with a bypass mark, and the rules that it prints for it, in the router.

Always: the rules are loaded as they are printed, except for lines that a test removes.
"""

import re

from orders import Trace, traced
from support.engine import ENGINE
from support.rules import Rule, load_iptables, load_nft

BITS, MASK = 0x10, 0x30
MARK = f"{BITS:#x}/{MASK:#x}"


def printed(lab, *arguments):
    return lab.router.run(ENGINE, *arguments)


def without(pattern, text):
    """The text without the lines that match the pattern."""
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not re.search(pattern, line)]
    assert len(kept) < len(lines), f"a line has {pattern!r} in it: {text}"
    return "".join(kept)


def drop_multicast(lab):
    """The rules also queue what the router sends, so its multicast messages would be counted."""
    for chain in ("PREROUTING", "OUTPUT"):
        Rule(lab.router, chain, "-p", "icmpv6", "-j", "DROP", table="raw", families=(6,))


class Bypass:
    """bypass(queues): an engine with obey and the printed rules of this form in the router. Engine and trace."""

    def __init__(self, form, lab, start_engine, directory):
        self.form = form
        self._lab, self._start_engine, self._directory = lab, start_engine, directory

    def __call__(self, queues=1, cut=None):
        """cut: for each form, a pattern of the lines that are not loaded."""
        numbers = f"1-{queues}" if queues > 1 else "1"
        text = printed(self._lab, f"--print-rules={self.form}", "--queue", numbers, "--bypass-mark", MARK)
        trace = Trace(self._directory, "obey")
        engine = self._start_engine("--plugin", traced("obey", trace), "--queue", numbers, "--bypass-mark", MARK)
        if cut:
            text = without(cut[self.form], text)
        if self.form == "iptables":
            load_iptables(self._lab.router, text)
        else:
            load_nft(self._lab.router, text, MARK, 1, queues)
        return engine, trace


def queued(lab):
    """How many packets the kernel has given to all queues together."""
    return sum(queue.last_id for queue in lab.router.queues().values())
