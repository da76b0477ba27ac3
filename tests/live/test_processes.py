# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: ps says what each process is, and the title takes nothing from the program or its plugins.

A title is written over the place where the kernel put arguments and environment. What a plugin finds in its environment
is the same in the fork server, in a worker, and in the one after a crash; the engine knows its own arguments to the end.

And: a process has nothing of a queue that is not its own. The fork server, which runs the code of plugins for all
queues, and workers have no netlink socket and no memory of any queue; a worker has its ring, which no other worker has; a
queue process has one socket and one memory, and no plugin.
"""

import contextlib
import os
import re
import signal
import subprocess

import pytest

from support.commands import wait_for
from support.engine import plugin

VARIABLE = "NFQE_TEST_VARIABLE"
VALUE = "a value with blanks, longer than any title of a process of this engine"
QUEUES = (3, 65535)
TITLES = sorted(["nfq-engine: supervisor", "nfq-engine: fork server", *(f"nfq-engine: queue {queue}" for queue in QUEUES),
                 *(f"nfq-engine: worker queue {queue}.{slot}" for queue in QUEUES for slot in (0, 1))])
SHORT_NAMES = sorted(["nfq-engine", "nfqe-forkserver", *(f"nfqe-q{queue}" for queue in QUEUES),
                      *(f"nfqe-w{queue}" for queue in QUEUES for slot in (0, 1))])


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
    wait_for(lambda: sorted(ps(processes(engine), "args")) == TITLES, "the spares are there")
    assert sorted(ps(processes(engine), "comm")) == SHORT_NAMES
    assert engine.stop() == 0


def test_processes_after_a_crash_have_their_titles_again(start_engine, variable):
    engine = start(start_engine)
    for queue in QUEUES:
        engine.wait_workers(queue)
    before = engine.workers()[3]
    assert engine.kill_workers(3) == before
    engine.wait_workers(3, without=before)
    before = engine.workers()[65535]
    assert engine.signal_child(engine.queue_processes()[65535], signal.SIGKILL)
    engine.wait_workers(65535, without=before)
    wait_for(lambda: sorted(ps(processes(engine), "args")) == TITLES, "they have their titles")
    assert engine.stop() == 0


def test_environment_is_what_the_engine_was_started_with(start_engine, variable):
    engine = start(start_engine)
    engine.wait_line(f"plugin environment: load: getenv {VALUE}, environ {VALUE}$")
    opened = f"plugin environment: open: getenv {VALUE}, environ {VALUE}$"
    wait_for(lambda: len(engine.matches(opened)) == 4, "workers and spares have said so")
    assert engine.signal_child(engine.wait_workers(3)[0], signal.SIGKILL)
    wait_for(lambda: len(engine.matches(opened)) == 5, "the one after a crash has, too")
    assert engine.stop() == 0


def test_empty_environment_leaves_room_for_a_title(start_engine):
    engine = start_engine("--plugin", plugin(f"environment,name={VARIABLE}"), "--queue", "65535",
                          launcher=("/usr/bin/env", "-i"))
    engine.wait_line(r"plugin environment: load: getenv \(none\), environ \(none\)$")
    titles = ps(processes(engine), "args")
    assert "nfq-engine: supervisor" in titles and "nfq-engine: worker queue 65535.0" in titles
    assert engine.stop() == 0


def test_arguments_are_known_to_the_end(start_engine, variable):
    engine = start(start_engine)
    engine.wait_line(f"plugin environment 1.0.0 .{plugin('environment')}.")
    assert engine.signal_child(engine.fork_server(), signal.SIGKILL)  # the next one has the arguments, too
    wait_for(lambda: len(engine.matches("plugin environment: load: ")) == 2, "the next fork server has loaded it")
    assert engine.stop() == 0


# A file that only root may read


def test_a_file_of_the_user_reaches_the_plugin_that_may_not_open_it(start_engine, tmp_path):
    """As a descriptor, in each process that runs the plugin, and in those after a death; the path is not read again."""
    secret = tmp_path / "secret,1"
    secret.write_text("the first text\n")
    secret.chmod(0o600)
    option = str(secret).replace(",", ",,")
    engine = start_engine("--plugin", plugin(f"read_file,file={option},path={option}"), "--queue", "3")
    engine.wait_line("plugin read_file: load: given the first text, own refused$")
    opened = "plugin read_file: open: given the first text, own refused$"
    wait_for(lambda: len(engine.matches(opened)) == 2, "worker and spare have it")
    secret.unlink()
    assert engine.signal_child(engine.wait_workers(3)[0], signal.SIGKILL)
    wait_for(lambda: len(engine.matches(opened)) == 3, "the worker after a death has it")
    assert engine.signal_child(engine.fork_server(), signal.SIGKILL)
    wait_for(lambda: len(engine.matches("plugin read_file: load: given the first text")) == 2, "the next fork server, too")
    assert engine.stop() == 0


# What a process has


QUEUE_MEMORY = "/memfd:nfqe-queue (deleted)"
RING_MEMORIES = ("/memfd:nfqe-packets (deleted)", "/memfd:nfqe-answers (deleted)")
SHARED_MEMORY = "/dev/zero (deleted)"  # MAP_SHARED | MAP_ANONYMOUS
PLUGIN_COPY = "/memfd:nfqe-plugin"


def descriptors(process_id):
    """What each descriptor of a process above the standard ones is, as the kernel names it."""
    directory = f"/proc/{process_id}/fd"
    found = []
    for name in sorted(os.listdir(directory), key=int):
        with contextlib.suppress(FileNotFoundError):  # it has been closed since
            found += [os.readlink(f"{directory}/{name}")] if int(name) > 2 else []
    return found


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
        wait_for(lambda process_id=fork_server: kinds(process_id) == [PLUGIN_COPY, "socket"],
                 f"it makes no worker, and has no more: {descriptors(fork_server)}")
        assert netlink_sockets(fork_server) == []
        assert memory_of_queues(fork_server) == set()
        assert engine.signal_child(fork_server, signal.SIGKILL)
        wait_for(lambda before=fork_server: engine.fork_server() not in (None, before), "there is a new fork server")
    assert engine.stop() == 0


def test_worker_has_its_own_ring_and_nothing_of_a_queue(start_engine):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-3")
    before = engine.wait_workers(2)
    assert engine.kill_workers(2) == before
    rings = []
    for queue in (1, 2, 3):
        for worker in engine.wait_workers(queue, without=before):
            wait_for(lambda process_id=worker: kinds(process_id) == sorted([PLUGIN_COPY, "anon_inode:[eventfd]"]),
                     f"it has opened its plugins, and has no more: {kinds(worker)}")
            assert netlink_sockets(worker) == [] and memory_of_queues(worker) == set()
            mapped = {name: inode for name, inode in mappings(worker) if name.startswith("/memfd:nfqe-")}
            assert SHARED_MEMORY not in {name for name, _ in mappings(worker)}, "that is the fork server's"
            assert set(mapped) == {*RING_MEMORIES, f"{PLUGIN_COPY} (deleted)"}
            rings += [mapped[name] for name in RING_MEMORIES]
    assert len(set(rings)) == len(rings) == 3 * 2 * 2, "each has its own"
    assert engine.stop() == 0


def test_queue_process_has_its_own_queue_and_no_plugin(start_engine):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1-3")
    before = engine.queue_processes()[2]
    assert engine.signal_child(before, signal.SIGKILL)
    wait_for(lambda: engine.queue_processes().get(2) not in (None, before), "queue 2 has another process")
    sockets, memories = set(), set()
    for queue, process in engine.queue_processes().items():
        engine.wait_workers(queue)
        wait_for(lambda process_id=process: memory_of_queues(process_id), "it has mapped its memory")
        assert not any(name.startswith(PLUGIN_COPY) for name in [*kinds(process), *dict(mappings(process))])
        assert len(memory_of_queues(process)) == len(netlink_sockets(process)) == 1
        sockets.update(netlink_sockets(process))
        memories.update(memory_of_queues(process))
    assert len(sockets) == len(memories) == 3, "each has its own"
    assert engine.stop() == 0
