# SPDX-License-Identifier: GPL-2.0-or-later
"""How much a test does, and how long it waits before it gives up, on a machine that is slow.

Always: promises are not scaled. A test that asserts a time, an order or a loss asserts the same everywhere; what
becomes smaller is how many packets, deaths and stops it sees, and what becomes longer is the limit of a wait.

Environment: NFQE_QUICK=1, smaller counts; NFQE_SLOWNESS=N, this machine is about N times as slow as the one that the
counts and limits are written for. tests/vm sets it, since an emulated processor is.
"""

import os

QUICK = os.environ.get("NFQE_QUICK", "") not in ("", "0")
SLOWNESS = int(os.environ.get("NFQE_SLOWNESS", "") or 1)


def scaled_count(count, quick_count=None, at_least=1):
    """So many, or as many as a slow machine does in the same time. quick_count: with NFQE_QUICK, so many instead."""
    if QUICK and quick_count is not None:
        count = quick_count
    return max(count // SLOWNESS, at_least)


def scaled_limit(seconds):
    """A time after which a test gives up."""
    return seconds * SLOWNESS
