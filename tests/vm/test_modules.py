# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: the engine starts on a kernel that has loaded nothing for it yet.

Debian's kernel has its queue in the module nfnetlink_queue. It is loaded when a program asks for a queue, and until
then /proc has no list of queues. A guest has just started, so the first engine of this file is that program.
"""

import pytest

from support.engine import plugin
from test_flags import through

MODULE = "nfnetlink_queue"


def loaded():
    with open("/proc/modules", encoding="ascii") as file:
        return {line.split()[0] for line in file}


@pytest.mark.parametrize("first", [True, False])
def test_an_engine_starts_whether_or_not_the_module_is_loaded(lab, start_engine, through, first):
    assert (MODULE not in loaded()) == first
    engine = start_engine("--plugin", plugin("describe"), "--queue", "1-2", "--on-stop", "accept")
    assert MODULE in loaded() and sorted(lab.router.queues()) == [1, 2]
    datagrams = through()
    datagrams.send()
    datagrams.wait_arrived(1)
    assert engine.stop() == 0
    assert engine.total("packets") == engine.total("accepted") == 1
