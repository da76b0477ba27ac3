# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: ps says what each process is, and the title takes nothing from the program or its plugins.

A title is written over the place where the kernel put arguments and environment. What a plugin finds in its environment
is the same in the fork server, in a worker, and in the one after a crash; the engine knows its own arguments to the end.

And: a process has nothing of a queue that is not its own. The fork server, which runs the code of plugins for all
queues, has no netlink socket and no memory of any queue; a worker has one socket and one memory, and no other worker
has the same.
"""

import os
import re
import signal
import subprocess

import pytest

from support.commands import wait_for
from support.engine import plugin

VARIABLE = "NFQE_TEST_VARIABLE"
VALUE = "a value with blanks, longer than any title of a process of this engine"
TITLES = ["nfq-engine: supervisor", "nfq-engine: fork server", "nfq-engine: worker queue 3",
          "nfq-engine: worker queue 65535"]
SHORT_NAMES = ["nfq-engine", "nfqe-forkserver", "nfqe-q3", "nfqe-q65535"]


def ps(process_ids, column):
    """What ps shows of these processes in this column, in the order of their start."""
    listed = subprocess.run(["ps", "--sort", "pid", "-o", f"{column}=", "-p", ",".join(map(str, process_ids))],
                            capture_output=True, text=True, timeout=10, check=True)
    return [line.rstrip() for line in listed.stdout.splitlines()]


@pytest.fixture
def variable(monkeypatch):
    monkeypatch.setenv(VARIABLE, VALUE)


def start(start_engine, *arguments):
    return start_engine("--plugin", plugin(f"environment,name={VARIABLE}"), "--queue", "3", "--queue", "65535",
                        *arguments)


def processes(engine):
    return [engine.process.pid, *engine.children()]


def test_titles_and_short_names(start_engine, variable):
    engine = start(start_engine)
    assert sorted(ps(processes(engine), "args")) == sorted(TITLES)
    assert sorted(ps(processes(engine), "comm")) == sorted(SHORT_NAMES)
    assert engine.stop() == 0


def test_worker_after_a_crash_has_its_title_again(start_engine, variable):
    engine = start(start_engine)
    worker = engine.workers()[3]
    assert engine.signal_child(worker, signal.SIGKILL)
    wait_for(lambda: engine.workers().get(3, worker) != worker, "queue 3 has another worker")
    wait_for(lambda: sorted(ps(processes(engine), "args")) == sorted(TITLES), "it has its title")
    assert engine.stop() == 0


def test_environment_is_what_the_engine_was_started_with(start_engine, variable):
    engine = start(start_engine)
    engine.wait_line(f"plugin environment: load: getenv {VALUE}, environ {VALUE}$")
    opened = f"plugin environment: open: getenv {VALUE}, environ {VALUE}$"
    wait_for(lambda: len(engine.matches(opened)) == 2, "both workers have said so")
    assert engine.signal_child(engine.workers()[3], signal.SIGKILL)
    wait_for(lambda: len(engine.matches(opened)) == 3, "the one after a crash has, too")
    assert engine.stop() == 0


def test_empty_environment_leaves_room_for_a_title(start_engine):
    engine = start_engine("--plugin", plugin(f"environment,name={VARIABLE}"), "--queue", "65535",
                          launcher=("/usr/bin/env", "-i"))
    engine.wait_line(r"plugin environment: load: getenv \(none\), environ \(none\)$")
    titles = ps(processes(engine), "args")
    assert "nfq-engine: supervisor" in titles and "nfq-engine: worker queue 65535" in titles
    assert engine.stop() == 0


def test_arguments_are_known_to_the_end(start_engine, variable):
    engine = start(start_engine)
    engine.wait_line(f"plugin environment 1.0.0 .{plugin('environment')}.")
    assert engine.signal_child(engine.fork_server(), signal.SIGKILL)  # the next one has the arguments, too
    wait_for(lambda: len(engine.matches("plugin environment: load: ")) == 2, "the next fork server has loaded it")
    assert engine.stop() == 0


# What a process has


QUEUE_MEMORY = "/memfd:nfqe-queue (deleted)"
SHARED_MEMORY = "/dev/zero (deleted)"  # MAP_SHARED | MAP_ANONYMOUS
PLUGIN_COPY = "/memfd:nfqe-plugin"


def descriptors(process_id):
    """What each descriptor of a process above the standard ones is, as the kernel names it."""
    directory = f"/proc/{process_id}/fd"
    return [os.readlink(f"{directory}/{name}") for name in sorted(os.listdir(directory), key=int) if int(name) > 2]


def mappings(process_id):
    """Name and inode of each mapping of a file, once."""
    with open(f"/proc/{process_id}/maps", encoding="ascii") as file:
        fields = [line.split(maxsplit=5) for line in file]
    return {(field[5].strip(), int(field[4])) for field in fields if len(field) == 6 and int(field[4]) != 0}


def netlink_sockets(process_id):
    """The inodes of the process's netlink sockets."""
    with open(f"/proc/{process_id}/net/netlink", encoding="ascii") as file:
        known = {line.split()[-1] for line in list(file)[1:]}
    names = [re.fullmatch(r"socket:\[(\d+)\]", name) for name in descriptors(process_id)]
    return [match.group(1) for match in names if match and match.group(1) in known]


def memory_of_queues(process_id):
    return {inode for name, inode in mappings(process_id) if name == QUEUE_MEMORY}


def kinds(process_id):
    """Its descriptors by what they are: a socket's inode and a plugin's name do not matter."""
    return sorted(re.sub(r"socket:.*", "socket", re.sub(rf"^{PLUGIN_COPY}.*", PLUGIN_COPY, name))
                  for name in descriptors(process_id))


def test_fork_server_has_nothing_of_a_queue(start_engine):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-3")
    for _ in range(2):  # the second one was forked while the supervisor had workers
        fork_server = engine.fork_server()
        assert kinds(fork_server) == [PLUGIN_COPY, "socket"], descriptors(fork_server)
        assert netlink_sockets(fork_server) == []
        assert memory_of_queues(fork_server) == set()
        assert engine.signal_child(fork_server, signal.SIGKILL)
        wait_for(lambda before=fork_server: engine.fork_server() not in (None, before), "there is a new fork server")
    assert engine.stop() == 0


def test_worker_has_what_is_its_own_queues(start_engine):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-3")
    before = engine.workers()
    assert engine.signal_child(before[2], signal.SIGKILL)
    wait_for(lambda: engine.workers().get(2) not in (None, before[2]), "queue 2 has another worker")
    engine.wait_line("queue 2: worker .* it is replaced")
    sockets, memories = set(), set()
    for worker in engine.workers().values():
        wait_for(lambda process_id=worker: memory_of_queues(process_id), "it has mapped its memory")
        assert kinds(worker) == sorted([PLUGIN_COPY, QUEUE_MEMORY, "anon_inode:[eventpoll]", "socket", "socket"])
        assert SHARED_MEMORY not in {name for name, _ in mappings(worker)}, "that is the fork server's"
        sockets.update(netlink_sockets(worker))
        memories.update(memory_of_queues(worker))
        assert len(memory_of_queues(worker)) == len(netlink_sockets(worker)) == 1
    assert len(sockets) == len(memories) == 3, "each has its own"
    assert engine.stop() == 0
