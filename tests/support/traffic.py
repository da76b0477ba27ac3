# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic for the live tests: numbered UDP datagrams in large numbers (Pump) and real HTTP (WebServer, fetch).

Always: a Pump is one process (pump.c) that ends by itself within its time limit, and dies with the test. Its report
has what happened to every datagram. A WebServer runs in threads of the test process, with a socket in the namespace
that it serves. It listens for IPv4 and IPv6 and answers every request with its port, so that a client knows that it
reached the right one; BULK_PATH is a page of many megabytes.
"""

import concurrent.futures
import contextlib
import functools
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import threading

from support.commands import LabError, wait_for
from support.cpus import packet_cpu
from support.lab import PUMP_PORT
from support.processes import tied_to_parent
from support.scale import QUICK, scaled_limit

WINDOW_MAX = 900  # the kernel's backlog of a CPU takes 1,000 packets by default, and drops what is beyond
RELEASE_SECONDS = 3.0  # a window without any arrival for so long counts as lost, and the next one is sent
SETTLE_SECONDS = 2.0   # the end, after so long without an arrival: longer than the engine needs to replace a worker
BULK_PATH = "/bulk"
BULK = bytes(range(256)) * 4096 * (8 if QUICK else 32)  # so many MiB
BITS = [bytes(byte >> bit & 1 for bit in range(8)) for byte in range(256)]  # of each byte, the lowest first
TIME_LIMIT_MAX = 600.0  # that pump.c takes
SPARE_SECONDS = 20  # beyond the pump's own limit: only a pump that is stuck gets there


def pump_program():
    return os.path.join(os.environ.get("NFQE_TOOLS", ""), "pump")


def backlog_dropped():
    """How many packets the kernel has dropped on this machine because a CPU's backlog was full."""
    with open("/proc/net/softnet_stat", encoding="ascii") as file:
        return sum(int(line.split()[1], 16) for line in file)


class Pump:
    """One run of the traffic generator from client to server. Sources: every further address of the client.

    marks: the mark of every datagram, one byte each; then `arrived` has a byte for each after the report, 1: it came.
    """

    def __init__(self, lab, count, window=512, flows=64, mark_every=0, time_limit=60.0, settle=SETTLE_SECONDS,
                 release=RELEASE_SECONDS, marks=None):
        assert window <= WINDOW_MAX, "a larger window can lose packets without any fault of the engine"
        self.count = count
        self._backlog_dropped = backlog_dropped()
        time_limit = min(scaled_limit(time_limit), TIME_LIMIT_MAX)
        arguments = [pump_program(), "--send-namespace", lab.client.path, "--receive-namespace", lab.server.path,
                     "--port", str(PUMP_PORT), "--count", str(count), "--window", str(window),
                     "--flows", str(flows), "--mark-every", str(mark_every), "--cpu", str(packet_cpu()),
                     "--settle-ms", str(int(settle * 1000)),
                     "--release-ms", str(int(release * 1000)), "--time-limit-ms", str(int(time_limit * 1000))]
        for family in (4, 6):
            arguments += ["--destination", lab.server_main[family]]
            for address in lab.client_addresses[family]:
                arguments += ["--source", address]
        self._limit = time_limit + SPARE_SECONDS
        self._arrivals = self.arrived = None
        files = []
        if marks is not None:
            assert len(marks) == count
            files = [open(os.memfd_create(name), "w+b") for name in ("marks", "arrivals")]
            self._arrivals = files[1]
            files[0].write(marks)
            files[0].flush()
            arguments += ["--marks", f"/dev/fd/{files[0].fileno()}", "--arrivals", f"/dev/fd/{files[1].fileno()}"]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=tied_to_parent,
                                        pass_fds=[file.fileno() for file in files])
        if marks is not None:
            files[0].close()

    def running(self):
        return self.process.poll() is None

    def _signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def pause(self):
        """It neither sends nor receives; a full window of datagrams fits its socket."""
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def stop_sending(self):
        """No more datagrams; those on their way may still arrive."""
        self._signal(signal.SIGTERM)
        return self

    def report(self, decided=None):
        """Waits for the end; what became of the datagrams, as a dictionary. decided(): whether everything that was sent
        has arrived or is lost, so that the pump need not wait for a long silence to know that."""
        if decided is not None:
            wait_for(lambda: not self.running() or decided(), "the pump has ended", self._limit)
            self._signal(signal.SIGUSR1)
        try:
            output, errors = self.process.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired as expired:
            raise LabError(f"the pump has not ended within {self._limit} s") from expired
        assert self.process.returncode == 0, f"the pump failed: {errors}"
        report = json.loads(output)
        # Of the whole machine, so not asserted; but it explains a loss.
        report["backlog_dropped"] = backlog_dropped() - self._backlog_dropped
        if self._arrivals is not None:
            bits = self._arrivals.read()
            self.arrived = b"".join(BITS[byte] for byte in bits)[:self.count]
        assert report["send_errors"] == 0, f"the pump could not send: {report}"
        assert report["foreign"] == 0, f"the pump received what it did not send: {report}"
        return report

    def close(self):
        if self.running():
            self.process.kill()
        with contextlib.suppress(ValueError):  # its pipes are closed already
            self.process.communicate()
        if self._arrivals is not None:
            self._arrivals.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        body = BULK if self.path == BULK_PATH else f"port {self.server.server_address[1]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 256

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()


class WebServer:
    """HTTP on one or more ports of a namespace, IPv4 and IPv6."""

    def __init__(self, namespace, *ports):
        self._servers = []
        with namespace.entered():
            for port in ports:
                self._servers.append(_Server(("::", port), _Handler))
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()


def fetch(namespace, address, port, source=None, timeout=5.0):
    """One HTTP request out of a namespace. True: answered, and by that port. False: no answer in time."""
    with namespace.entered():
        connection = http.client.HTTPConnection(
            address, port, timeout=timeout, source_address=(source, 0) if source else None)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read() == f"port {port}\n".encode()
        except TimeoutError:
            return False
        finally:
            connection.close()


def at_once(calls):
    """Runs many functions at the same time; their results come in the same order."""
    with concurrent.futures.ThreadPoolExecutor(max(1, len(calls))) as pool:
        futures = [pool.submit(call) for call in calls]
        return [future.result() for future in futures]


def fetch_all(namespace, requests, timeout):
    """Many fetch() at the same time. requests: (address, port, source); the answers come in the same order."""
    return at_once([functools.partial(fetch, namespace, *request, timeout) for request in requests])


def curl(namespace, address, port, timeout, path="/", output="/dev/null"):
    """The exit code of a real curl: 0 if the page came, 28 if it ran into the time-out."""
    host = f"[{address}]" if ":" in address else address
    with namespace.entered():
        return subprocess.run(
            ["curl", "--silent", "--output", output, "--noproxy", "*", "--max-time", str(timeout),
             f"http://{host}:{port}{path}"], stdin=subprocess.DEVNULL, timeout=timeout + 10, check=False).returncode
