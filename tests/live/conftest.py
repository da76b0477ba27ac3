# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the live tests: a new laboratory, and functions that start processes in it, which end with the test.

Always: a test that cannot run on this machine does not pass silently. The first missing requirement ends the run with
`SKIPPED: <reason>` and exit code 77, which ctest shows as skipped; with CI=true in the environment it is a failure. All
that a test started is ended, and its namespaces are removed, also if the test fails.

Environment: NFQE_ENGINE (the program), NFQE_PLUGINS, NFQE_TEST_PLUGINS, NFQE_TOOLS (directories of the build),
NFQE_QUICK and NFQE_SLOWNESS (support/scale.py), NFQE_SEED (support/seeds.py).
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # of the package `support`

from orders import FAMILIES, TCP_PORT, Talk
from support.commands import LabError, wait_for
from support.engine import ENGINE, Engine
from support.lab import Lab
from support.processes import tied_to_parent
from support.rules import Rule, queue_target
from support.traffic import Pump, WebServer, pump_program

EXIT_SKIPPED = 77
EXIT_FAILED = 1
LOG_LINES_SHOWN = 50


def missing_requirement():
    """Why the live tests cannot run here, or None."""
    if os.geteuid() != 0:
        return "needs root: network namespaces, firewall rules and netfilter queues"
    for program in ("ip", "iptables", "ip6tables", "nft", "curl", "setpriv"):
        if shutil.which(program) is None:
            return f"needs the program {program}, which is not installed"
    try:
        with Lab() as lab:
            Rule(lab.router, "FORWARD", *queue_target(1))
            lab.router.queues()
    except (LabError, OSError) as error:
        return f"no network namespaces or no NFQUEUE target here: {error}"
    return None


def missing_file():
    """What the build should have made but did not, or None."""
    for variable in ("NFQE_ENGINE", "NFQE_PLUGINS", "NFQE_TEST_PLUGINS", "NFQE_TOOLS"):
        if not os.path.exists(os.environ.get(variable, "")):
            return f"environment variable {variable} must name something that exists; run these tests with ctest"
    if not os.access(ENGINE, os.X_OK) or not os.access(pump_program(), os.X_OK):
        return "the engine or the pump is not an executable file"
    return None


def pytest_sessionstart(session):
    del session
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("SIGTERM", EXIT_FAILED))  # so that everything is removed
    reason = missing_file()
    if reason:
        pytest.exit(f"FAILED: {reason}", EXIT_FAILED)
    reason = missing_requirement()
    if reason:
        print(f"SKIPPED: {reason}", flush=True)
        pytest.exit(f"SKIPPED: {reason}", EXIT_FAILED if os.environ.get("CI") == "true" else EXIT_SKIPPED)


@pytest.fixture(name="tmp_path")
def tmp_path_for_all_users():
    """In place of pytest's own, which other users cannot enter: plugins run as other users."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield pathlib.Path(directory)


@pytest.fixture
def lab():
    with Lab() as fresh:
        yield fresh


@pytest.fixture(autouse=True)
def nothing_left_behind(lab):
    """After a test ended its engines, no process and no bound queue is left in the router's namespace."""
    yield
    wait_for(lambda: not lab.router.process_ids(), "no process is left in the router's namespace", 2)
    assert lab.router.queues() == {}


@pytest.fixture
def start_engine(lab, nothing_left_behind):
    """start_engine(arguments...) in the router, waits until it is ready."""
    del nothing_left_behind
    engines = []

    def start(*arguments, launcher=(), ready=True, own_pids=False):
        engine = Engine(lab.router, *arguments, launcher=launcher, own_pids=own_pids)
        engines.append(engine)
        return engine.wait_ready() if ready else engine

    yield start
    for engine in engines:
        engine.close()
        # pytest shows this with a test that failed, and only then.
        print("arguments:", *engine.arguments, "\nlog of the engine:", *engine.lines[-LOG_LINES_SHOWN:], sep="\n  ")


@pytest.fixture
def start_pump(lab):
    """start_pump(count, ...) from client to server."""
    pumps = []

    def start(count, **options):
        pump = Pump(lab, count, **options)
        pumps.append(pump)
        return pump

    yield start
    for pump in pumps:
        pump.close()


@pytest.fixture
def start_web_server():
    servers = []

    def start(namespace, *ports):
        server = WebServer(namespace, *ports)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def talk(lab):
    """talk(number, ...): a new UDP flow between client and server."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(contextlib.closing(Talk(lab, *arguments, **options)))


@pytest.fixture
def listen():
    """listen(namespace, address): a TCP socket for a Connection to connect to."""
    with contextlib.ExitStack() as stack:
        def start(namespace, address):
            with namespace.entered():
                family = FAMILIES[6 if ":" in address else 4]
                return stack.enter_context(socket.create_server((address, TCP_PORT), family=family))
        yield start


@pytest.fixture
def start_busy():
    """start_busy() keeps every CPU busy, so that the processes under test are interrupted anywhere."""
    busy = []

    def start():
        for _ in range(os.cpu_count()):
            busy.append(subprocess.Popen(["sh", "-c", "while :; do :; done"], preexec_fn=tied_to_parent))

    yield start
    for process in busy:
        process.kill()
        process.wait()
