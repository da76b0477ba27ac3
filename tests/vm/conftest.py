# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixtures of the live tests, for tests that need what Debian's kernel has.

Always: these tests run in the guest of scripts/vm. Elsewhere they are skipped as a whole, with that reason: what they
assert about the kernel is not asserted of every kernel.
"""

import os
import sys

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "live")]

pytest_plugins = ["live.conftest"]

SHARE = "/run/vm"  # what scripts/vm shares with its guest
EXIT_SKIPPED = 77


def pytest_sessionstart(session):
    del session
    if not os.path.exists(SHARE):
        print("SKIPPED: this is not the guest of scripts/vm", flush=True)
        pytest.exit("SKIPPED: this is not the guest of scripts/vm", EXIT_SKIPPED)
