# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: the engine refuses what it cannot do with one line, within a second, and with the right exit code.

It leaves no process and no bound queue, not even if the supervisor is killed with SIGKILL, which it cannot handle. The
line names what is wrong: the port id of the socket that owns a queue, the missing capability, the unknown option, the
missing file.
"""

import contextlib
import errno
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from support.commands import wait_for
from support.engine import ENGINE, PREFIX, Engine, plugin
from support.scale import scaled_limit

EXIT_RUN_TIME, EXIT_USAGE, EXIT_CONFIGURATION, EXIT_PLUGIN, EXIT_QUEUE = 1, 2, 3, 4, 5
REFUSAL_SECONDS = scaled_limit(1.0)
OWNER_MEMORY = 2 << 30  # takes longer to free than an engine to start
with open("/proc/self/comm", encoding="ascii") as comm:
    OWN_NAME = comm.read().strip()

NETLINK_NETFILTER = 12
NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, NFQA_CFG_CMD, NFQNL_CFG_CMD_BIND = 3, 2, 1, 1
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2


@contextlib.contextmanager
def owned_queue(namespace, number):
    """The test process binds a queue itself. Yields the port id of its socket."""
    with namespace.entered():
        owner = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    with owner:
        owner.bind((0, 0))
        owner.settimeout(5)
        command = struct.pack("=HHBxH", 8, NFQA_CFG_CMD, NFQNL_CFG_CMD_BIND, 0)
        body = struct.pack("=BB", socket.AF_UNSPEC, 0) + struct.pack("!H", number) + command
        owner.send(struct.pack("=IHHII", 16 + len(body), NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
                               NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
        answer = owner.recv(4096)
        assert struct.unpack_from("=H", answer, 4) == (NLMSG_ERROR,)
        assert struct.unpack_from("=i", answer, 16) == (0,), "the test could not bind the queue"
        yield owner.getsockname()[0]


def refused(lab, *arguments, launcher=()):
    """Runs an engine that must refuse. Its exit code and its one line."""
    start = time.monotonic()
    engine = Engine(lab.router, *arguments, launcher=launcher)
    try:
        code = engine.wait()
        elapsed = time.monotonic() - start
    finally:
        engine.close()
    assert elapsed < REFUSAL_SECONDS, f"refused only after {elapsed:.2f} s: {engine.lines}"
    assert len(engine.lines) == 1, f"a refusal is one line: {engine.lines}"
    assert engine.lines[0].startswith(PREFIX), engine.lines
    assert lab.router.process_ids() == [], "a refusal leaves no process"
    return code, engine.lines[0]


def test_a_queue_that_somebody_else_owns(lab):
    with owned_queue(lab.router, 7) as port_id:
        code, line = refused(lab, "--plugin", plugin("accept_all"), "--queue", "7")
        assert code == EXIT_QUEUE, line
        assert "queue 7" in line and str(port_id) in line, line
        assert f"process {os.getpid()} (" in line, "the process that holds the socket is named"
        assert {number: queue.port_id for number, queue in lab.router.queues().items()} == {7: port_id}


def test_a_range_of_which_one_queue_is_owned_leaves_no_other_bound(lab):
    with owned_queue(lab.router, 3) as port_id:
        code, line = refused(lab, "--plugin", plugin("accept_all"), "--queue", "1-4")
        assert code == EXIT_QUEUE, line
        assert "queue 3" in line and str(port_id) in line, line
        assert list(lab.router.queues()) == [3]


def test_a_queue_that_another_engine_owns_goes_on_there(lab, start_engine, start_pump):
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "1")
    lab.queue_pump_traffic()
    port_id = lab.router.queues()[1].port_id
    second = start_engine("--plugin", plugin("accept_all"), "--queue", "1", ready=False)
    assert second.wait() == EXIT_QUEUE
    assert len(second.lines) == 1 and str(port_id) in second.lines[0], second.lines
    assert start_pump(1000).report()["lost"] == 0
    assert engine.stop() == 0


def test_a_killed_engine_is_replaced_at_once(lab, start_engine):
    """Whatever is left of it when the next one starts."""
    arguments = ("--plugin", plugin("accept_all"), "--queue", "1-4")
    engine = start_engine(*arguments)
    for _ in range(5):
        engine.process.kill()
        engine = start_engine(*arguments)
    assert engine.stop() == 0


def test_a_killed_owner_is_waited_for(lab, start_engine):
    """The kernel frees the memory of a killed process first, and then closes its sockets."""
    told = os.pipe()
    with owned_queue(lab.router, 7):
        owner = os.fork()
        if owner == 0:
            memory = mmap.mmap(-1, OWNER_MEMORY, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
            os.write(told[1], b"x")
            signal.pause()
            os._exit(len(memory) & 1)
        assert os.read(told[0], 1) == b"x"
    os.kill(owner, signal.SIGKILL)
    engine = start_engine("--plugin", plugin("accept_all"), "--queue", "7")
    os.waitpid(owner, 0)
    assert engine.lines[0] == (f"{PREFIX}queue 7: process {owner} ({OWN_NAME}), which owns it, is ending; waiting up to "
                               "3000 ms for that")
    assert engine.stop() == 0


@contextlib.contextmanager
def memory_limit(mib, where="own"):
    """A launcher that puts the engine into a cgroup with so much memory, and the name of the file with that limit.
    where: the limit is that of the cgroup, of its parent, or, in a container, of what is mounted as the root of all."""
    for root, name, mount in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "-t cgroup -o memory"),
                              ("/sys/fs/cgroup", "memory.max", "-t cgroup2")):
        path = f"{root}/nfqe-{os.getpid()}"
        with contextlib.suppress(OSError), open(f"{root}/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write("+memory")  # version 2 alone, and only where version 1 has not taken it
        inner = f"{path}/inner" if where == "parent" else path
        try:
            os.makedirs(inner)
        except OSError:
            continue
        try:
            if os.path.exists(f"{path}/{name}"):
                with open(f"{path}/{name}", "w", encoding="ascii") as file:
                    file.write(str(mib << 20))
                enter, limit = f"echo $$ > {inner}/cgroup.procs && exec", f"{path}/{name}"
                if where == "container":
                    enter += f""" unshare --cgroup --mount sh -c 'umount {root} && mount {mount} none {root} && exec "$@"' sh"""
                    limit = f" {root}/{name}"
                yield ("sh", "-c", f'{enter} "$@"', "sh"), limit
                return
        finally:
            if inner != path:
                os.rmdir(inner)
            os.rmdir(path)
    pytest.skip("no cgroup with a limit on memory can be made here")


@pytest.mark.parametrize("where", ["own", "parent", "container"])
def test_flow_tables_beyond_the_memory_of_the_cgroup(lab, where):
    """The kernel would kill the engine without a word."""
    with memory_limit(200, where) as (launcher, limit):
        code, line = refused(lab, "--plugin", plugin("describe_flow"), "--queue", "1", "--flow-table", "4000000",
                             launcher=launcher)
        assert code == EXIT_CONFIGURATION, line
        assert f"{limit} has 1" in line and "MiB left; lower --flow-table, or raise that limit" in line, line


def test_queues_that_fit_the_memory_of_the_cgroup(lab, start_engine):
    """Whole packets take 17 MiB a queue. What is asked for is enough: no process is killed for want of memory."""
    with memory_limit(200) as (launcher, limit):
        code, line = refused(lab, "--plugin", plugin("describe_payload"), "--queue", "0-11", launcher=launcher)
        assert code == EXIT_CONFIGURATION, line
        assert limit in line and "(12 queues: " in line and "use fewer queues" in line, line
        engine = start_engine("--plugin", plugin("describe_payload"), "--queue", "0-9", launcher=launcher)
        for queue in range(10):
            engine.wait_workers(queue)
        assert engine.matches(f"warning: under load the queues take up to .*{limit}"), engine.lines
        assert engine.stop() == 0
        assert engine.total("restarts") == 0, engine.lines


def test_no_capability_to_administer_the_network(lab):
    code, line = refused(lab, "--plugin", plugin("accept_all"), "--queue", "1",
                         launcher=("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--"))
    assert code == EXIT_QUEUE, line
    assert "CAP_NET_ADMIN" in line, line


# What python runs in front of the engine: a seccomp filter that fails one call, as that of a container may.
DENY = """
import ctypes, os, struct, sys
number, error = int(sys.argv[1]), int(sys.argv[2])
code = struct.pack("=" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 0x06, 0, 0, 0x50000 | error, 0x06, 0, 0, 0x7fff0000)
kept = ctypes.create_string_buffer(code, len(code))
program = struct.pack("@HP", 4, ctypes.addressof(kept))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit("no seccomp filter: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[3], sys.argv[3:])
"""
CALLS = {"x86_64": {"recvmmsg": 299, "epoll_wait": 232}, "aarch64": {"recvmmsg": 243}}


@pytest.mark.parametrize("call, error", [("recvmmsg", errno.EPERM), ("recvmmsg", errno.ENOSYS), ("epoll_wait", errno.ENOSYS)])
def test_a_container_that_refuses_a_call_which_packets_need(lab, call, error):
    number = CALLS.get(os.uname().machine, {}).get(call)
    if number is None:
        pytest.skip(f"{call} is no system call of this machine, or its number is not known here")
    code, line = refused(lab, "--plugin", plugin("accept_all"), "--queue", "1",
                         launcher=(sys.executable, "-c", DENY, str(number), str(error)))
    assert code == EXIT_RUN_TIME, line
    assert f"{call}(2) is refused: {os.strerror(error)}" in line and "seccomp" in line, line


def test_an_unknown_option(lab):
    code, line = refused(lab, "--plugin", plugin("accept_all"), "--queue", "1", "--no-such-option")
    assert code == EXIT_USAGE, line
    assert "no-such-option" in line, line


def test_an_unknown_option_of_a_plugin(lab):
    code, line = refused(lab, "--plugin", plugin("accept_all") + ",no_such_option=1", "--queue", "1")
    assert code == EXIT_PLUGIN, line
    assert "no_such_option" in line and "accept_all" in line, line


def test_a_missing_plugin_file(lab, tmp_path):
    missing = str(tmp_path / "missing.so")
    code, line = refused(lab, "--plugin", missing, "--queue", "1")
    assert code == EXIT_PLUGIN, line
    assert missing in line, line


def test_a_missing_plugin_file_after_a_good_one(lab, tmp_path):
    missing = str(tmp_path / "missing.so")
    code, line = refused(lab, "--plugin", plugin("accept_all"), "--plugin", missing, "--queue", "1")
    assert code == EXIT_PLUGIN, line
    assert missing in line, line


def test_a_plugin_that_is_not_one(lab, tmp_path):
    text = tmp_path / "text.so"
    text.write_text("not an ELF file\n", encoding="ascii")
    text.chmod(0o644)
    code, line = refused(lab, "--plugin", str(text), "--queue", "1")
    assert code == EXIT_PLUGIN, line
    assert str(text) in line, line


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("--print-rules=iptables", "--queue", "1")])
def test_what_is_printed_to_a_full_device_is_an_error(arguments):
    with open("/dev/full", "w", encoding="ascii") as full:
        ended = subprocess.run([ENGINE, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=10, check=False)
    assert ended.returncode == EXIT_RUN_TIME
    assert ended.stderr == f"{PREFIX}standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("missing", ["--plugin", "--queue"])
def test_a_required_option_that_is_missing(lab, missing):
    given = ("--queue", "1") if missing == "--plugin" else ("--plugin", plugin("accept_all"))
    code, line = refused(lab, *given)
    assert code == EXIT_USAGE, line
    assert missing in line, line


@pytest.mark.parametrize("arguments", [
    ("--queue", "65536"), ("--queue", "one"), ("--queue", "5-1"), ("--queue", "1", "--max-len", "-1"),
    ("--queue", "1", "--on-crash", "explode"), ("--queue", "1", "--gso", "maybe"),
    ("--queue", "1", "--handle-timeout", "5parsecs"), ("--queue", "1", "--queue")])
def test_a_value_that_is_not_one(lab, arguments):
    code, line = refused(lab, "--plugin", plugin("accept_all"), *arguments)
    assert code == EXIT_USAGE, line
    assert arguments[-2 if len(arguments) % 2 == 0 else -1] in line, f"the line must name the option: {line}"


@pytest.mark.parametrize("state", ["idle", "under load", "in a hanging plugin", "with stopped processes"])
def test_a_killed_supervisor_leaves_nothing_behind(lab, start_engine, start_pump, state):
    name = "misbehave,do=hang" if state == "in a hanging plugin" else "accept_all"
    engine = start_engine("--plugin", plugin(name), "--queue", "1-2", "--handle-timeout", "60s")
    assert sorted(engine.queue_processes()) == sorted(engine.workers()) == [1, 2] and engine.fork_server() is not None
    if state == "with stopped processes":
        for process_id in (engine.queue_processes()[1], *engine.workers()[2], engine.fork_server()):
            assert engine.signal_child(process_id, signal.SIGSTOP)
    elif state != "idle":
        lab.queue_pump_traffic(1, 2)
        start_pump(50_000_000, mark_every=1000, window=500, time_limit=30)
        wait_for(lambda: sum(queue.last_id for queue in lab.router.queues().values()) > 1000, "there is load")
    if state == "in a hanging plugin":
        wait_for(lambda: lab.router.waiting() >= 200, "a worker hangs and its queue fills")
    engine.process.kill()
    start = time.monotonic()
    engine.process.wait()
    wait_for(lambda: not lab.router.process_ids(), "no process is left", timeout=1.0)
    wait_for(lambda: not lab.router.queues(), "no queue is bound", timeout=max(0.0, 1.0 - (time.monotonic() - start)))
