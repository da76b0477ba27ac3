# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: the memory that a plugin declares outlives what the table in nfqe/abi.h says that it outlives, and nothing else.

One test for each column of that table. The plugin `keep` has an area of each kind, counts each packet in them before it
does anything else, and says in open() what is there. Each queue has one worker and no spare, so the worker that opens
after another one has its index.
"""

import contextlib
import signal

import pytest

from support.commands import wait_for
from support.engine import PREFIX, Engine, plugin
from test_hostile import MISBEHAVE, NONE, Orders

OPENED = (rf"^{PREFIX}queue (\d+): plugin keep: open (\d+): table (\w+), made writable (\d+), declared (\d+), "
          r"worker (\d+) (\d+), queue (\d+) (\d+), shared (\d+) (\d+)$")
EXIT_PLUGIN = 4
CRASHED = r"(crashed \(SIGSEGV\)|exited with status 1)"  # with a sanitizer, whose handler exits
EPERM, EACCES, ENOENT, EEXIST, EINVAL = 1, 13, 2, 17, 22
FRESH, KEPT = 1, 0
PACKETS = 5


class Keep:
    """An engine with the plugin `keep`, and orders for its queues."""

    def __init__(self, lab, start_engine, deed="none", queues=1, *options):
        self.engine = start_engine("--plugin", plugin(f"keep,do={deed}"), "--queue", f"1-{queues}", "--spares", "0",
                                   "--crash-limit", "off", *options)
        self.orders = [Orders(lab, queue) for queue in range(1, queues + 1)]
        self.counted = [0] * queues

    def count(self, queue=1, marked=0):
        """Sends packets, of which the last may be marked, and waits until the others are decided."""
        orders = self.orders[queue - 1]
        orders.send(*[NONE] * PACKETS, *[MISBEHAVE] * marked)
        orders.delivered()  # sends one more
        self.counted[queue - 1] += PACKETS + marked + 1

    def opened(self, queue=1):
        """What each worker of the queue has found: (worker, queue, shared), each with whether it was fresh and the count.
        """
        found = [match for match in self.engine.matches(OPENED) if int(match.group(1)) == queue]
        for match in found:
            assert match.group(2, 3, 4, 5) == ("0", "right", str(EACCES), str(EPERM)), match.group(0)
        return [tuple((int(match.group(i)), int(match.group(i + 1))) for i in (6, 8, 10)) for match in found]

    def wait_opened(self, times, queue=1):
        wait_for(lambda: len(self.opened(queue)) >= times, f"worker {times} has opened")
        return self.opened(queue)[times - 1]

    def close(self):
        for orders in self.orders:
            orders.close()


@pytest.fixture
def keep(lab, start_engine):
    with contextlib.ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(contextlib.closing(Keep(lab, start_engine, *arguments)))


def test_each_worker_begins_with_empty_areas(keep):
    kept = keep("none", 2)
    for queue in (1, 2):
        worker, of_queue, _ = kept.wait_opened(1, queue)
        assert worker == of_queue == (FRESH, 0)
    assert sorted(kept.opened(queue)[0][2] for queue in (1, 2)) == [(KEPT, 0), (FRESH, 0)], "one of them is the first"
    kept.engine.wait_line(rf"^{PREFIX}plugin keep: load: again {EEXIST}, nameless {EINVAL}, no kind {EINVAL}, "
                          rf"no length {EINVAL}, other process's {ENOENT}$")
    assert kept.engine.stop() == 0


def test_all_areas_outlive_a_crash(keep):
    kept = keep("crash", 2)
    kept.count(queue=2)
    kept.count(queue=1, marked=1)
    until_the_crash = PACKETS + 1  # without the one that was sent after it
    worker, of_queue, shared = kept.wait_opened(2)
    assert worker == of_queue == (KEPT, until_the_crash)
    assert shared == (KEPT, until_the_crash + kept.counted[1])
    assert len(kept.opened(queue=2)) == 1
    assert kept.engine.stop() == 0
    assert kept.engine.total("restarts") == kept.engine.total("crash_verdicts") == 1


def test_a_write_to_the_table_is_a_crash_that_changes_nothing(keep):
    kept = keep("write")
    for times in (1, 2):
        kept.count(marked=1)
        kept.wait_opened(times + 1)  # and the table is right
    kept.engine.wait_line(rf"^{PREFIX}queue 1: plugin keep 1\.0\.0 {CRASHED} on packet")
    assert kept.engine.stop() == 0


def test_a_worker_that_is_given_up_takes_its_own_area_with_it(keep):
    """It may still write there."""
    kept = keep("hang", 1, "--handle-timeout", "200ms")
    kept.count(marked=1)
    worker, of_queue, shared = kept.wait_opened(2)
    assert worker == (FRESH, 0)
    assert of_queue == shared == (KEPT, PACKETS + 1)
    assert kept.engine.stop() == 0


def test_all_areas_outlive_the_fork_server(keep):
    """The table is built again."""
    kept = keep()
    kept.count()
    engine, fork_server = kept.engine, kept.engine.fork_server()
    assert engine.signal_child(fork_server, signal.SIGKILL)
    wait_for(lambda: len(engine.matches("plugin keep: load: ")) == 2, "the next fork server has loaded it")
    kept.count()
    wait_for(lambda: engine.fork_server() not in (None, fork_server), "it is there")
    engine.kill_workers(1)
    assert kept.wait_opened(2) == ((KEPT, kept.counted[0]),) * 3
    kept.count()
    assert engine.stop() == 0


def test_a_queue_process_takes_the_areas_of_its_workers_with_it(keep):
    """They are killed then, and may still write."""
    kept = keep()
    kept.count()
    assert kept.engine.signal_child(kept.engine.queue_processes()[1], signal.SIGKILL)
    worker, of_queue, shared = kept.wait_opened(2)
    assert worker == (FRESH, 0)
    assert of_queue == shared == (KEPT, kept.counted[0])
    kept.count()
    assert kept.engine.stop() == 0


def test_no_area_outlives_the_engine(keep):
    for _ in range(2):
        kept = keep()
        assert kept.wait_opened(1) == ((FRESH, 0),) * 3
        kept.count()
        assert kept.engine.stop() == 0
        kept.close()


def test_areas_beyond_the_limit_are_refused_at_start(lab):
    """The table has 800,000 bytes, in whole pages 196; each of the other areas has one page, and the engine two queues."""
    pages = 196 + 2 + 2 + 1 + 8

    def start(limit):
        engine = Engine(lab.router, "--plugin", plugin("keep,large=32k"), "--queue", "1-2", "--spares", "0",
                        "--plugin-memory", str(limit))
        return contextlib.closing(engine)

    with start(pages * 4096 - 1) as engine:
        assert engine.wait() == EXIT_PLUGIN
        engine.wait_line(rf"^{PREFIX}plugin keep: area large of 32768 bytes is refused: .*--plugin-memory")
        engine.wait_line(r"keep\.so: load\(\) failed: an area is refused \(28\)$")
    with start(pages * 4096) as engine:
        engine.wait_ready()
        assert engine.stop() == 0
