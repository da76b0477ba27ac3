# SPDX-License-Identifier: GPL-2.0-or-later
"""Where everything is measured: a client and a server, each a network namespace, joined by one link.

Always: the namespaces are named nfqe-bench-<pid>-<role> after the process that made them and are removed when it ends;
those of processes that were killed are removed by the next one. Every process that is started here ends with this one.
Nothing outside of the namespaces is changed. Packets are queued in the server's INPUT hook. The receiving side of the
link works on the CPU of the sender, so that LOAD_CPU has the load and SERVE_CPU has what reads the queue.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import namedtuple

CLONE_NEWNET = 0x40000000
NETNS_FOLDER = "/run/netns"
NAME_PATTERN = re.compile(r"nfqe-bench-(\d+)-(client|server)$")
SERVER = "10.78.0.1"
CLIENT = "10.78.0.2"
PAIRS = 16  # further addresses at both ends; each pair is one place of queue-balance
DEVICE = "eth0"
COMMAND_SECONDS = 20
STOP_SECONDS = 10

CPUS = sorted(os.sched_getaffinity(0))
LOAD_CPU, SERVE_CPU = CPUS[0], CPUS[-1]
CLOCK_TICK = os.sysconf("SC_CLK_TCK")

_libc = ctypes.CDLL(None, use_errno=True)

KernelQueue = namedtuple("KernelQueue", "port_id waiting copy_mode copy_range queue_dropped user_dropped last_id")


class CannotMeasure(Exception):
    """A figure could not be taken; says why."""


def run(*arguments, check=True, timeout=COMMAND_SECONDS, **options):
    """Runs a command to its end and returns what it printed."""
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                            check=False, **options)
    if check and result.returncode != 0:
        raise CannotMeasure(f"{' '.join(arguments)}: exit code {result.returncode}: "
                            f"{(result.stderr or result.stdout).strip()[-400:]}")
    return result.stdout


def wait_for(condition, what, timeout=10.0, interval=0.005):
    """Waits until condition() is true and returns what it returned."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise CannotMeasure(f"not within {timeout} s: {what}")
        time.sleep(interval)


class Process:
    """A process in a namespace, with what it prints in a file."""

    def __init__(self, namespace, arguments, cpu=None):
        prefix = ["setpriv", "--pdeathsig", "KILL", "--"]
        if cpu is not None:
            prefix += ["taskset", "--cpu-list", str(cpu)]
        self.name = os.path.basename(arguments[0])
        # It is closed by itself when nobody refers to it any more, like the file of any Process.
        self.log = tempfile.TemporaryFile()  # pylint: disable=consider-using-with
        with namespace.entered():
            self.popen = subprocess.Popen([*prefix, *arguments], stdin=subprocess.DEVNULL, stdout=self.log,
                                          stderr=subprocess.STDOUT)
        self.pid = self.popen.pid

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def finish(self, timeout):
        """Waits for its end, which must be a good one, and returns what it printed."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise CannotMeasure(f"{self.name} did not end within {timeout} s") from None
        if code != 0:
            raise CannotMeasure(f"{self.name}: exit code {code}: {self.output().strip()[-400:]}")
        return self.output()

    def stop(self):
        if self.running():
            self.popen.terminate()
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()

    def tree(self):
        """Its process id and those of all its descendants."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                        parent = int(file.read().rpartition(")")[2].split()[1])
                    children.setdefault(parent, []).append(int(entry))
        found = [self.pid]
        for pid in found:
            found.extend(children.get(pid, []))
        return found


def cpu_seconds(pids):
    """User and system time of these processes together."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / CLOCK_TICK


def status_field(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(name + ":"):
                return line.split()[1]
    raise CannotMeasure(f"/proc/{pid}/status has no {name}")


def pss_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise CannotMeasure(f"/proc/{pid}/smaps_rollup has no Pss")


class Namespace:
    """One network namespace, by its name."""

    def __init__(self, name):
        self.name = name
        self.path = f"{NETNS_FOLDER}/{self.name}"

    def make(self):
        run("ip", "netns", "add", self.name)

    @contextlib.contextmanager
    def entered(self):
        """This thread, and every process it starts, is in the namespace. Its sockets stay there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._set(self.path)
            try:
                yield
            finally:
                self._set(f"/proc/self/fd/{before}")
        finally:
            os.close(before)

    @staticmethod
    def _set(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns to {path}")
        finally:
            os.close(fd)

    def run(self, *arguments, **options):
        with self.entered():
            return run(*arguments, **options)

    def start(self, *arguments, cpu=None):
        return Process(self, arguments, cpu)

    def read(self, path):
        with self.entered(), open(path, encoding="ascii") as file:
            return file.read()

    def queues(self):
        """Every bound queue: number -> KernelQueue."""
        queues = {}
        for line in self.read("/proc/thread-self/net/netfilter/nfnetlink_queue").splitlines():
            number, *rest = [int(field) for field in line.split()]
            queues[number] = KernelQueue(*rest[:7])
        return queues

    def udp_overruns(self):
        """How many UDP datagrams came to a socket that was full."""
        names, values = [line.split() for line in self.read("/proc/thread-self/net/snmp").splitlines()
                         if line.startswith("Udp:")]
        return int(values[names.index("RcvbufErrors")])

    def count_behind_queue(self):
        """Packets and bytes that the counting rule has seen."""
        for line in self.run("iptables", "-w", "-L", "INPUT", "-v", "-x", "-n").splitlines():
            if "/* count */" in line:
                return int(line.split()[0]), int(line.split()[1])
        raise CannotMeasure("there is no counting rule")

    def remove(self):
        """Removes the namespace and ends what still runs in it."""
        with contextlib.suppress(OSError):
            inode = os.stat(self.path).st_ino
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    with contextlib.suppress(OSError):
                        if os.stat(f"/proc/{entry}/ns/net").st_ino == inode:
                            os.kill(int(entry), signal.SIGKILL)
        run("ip", "netns", "delete", self.name, check=False)


def remove_stale():
    """Removes what processes that are no more have left behind."""
    if not os.path.isdir(NETNS_FOLDER):
        return
    for name in os.listdir(NETNS_FOLDER):
        match = NAME_PATTERN.match(name)
        if match and not os.path.exists(f"/proc/{match.group(1)}"):
            Namespace(name).remove()


class Laboratory:
    """The client (10.78.0.2, 10.78.2.1 and up) and the server (10.78.0.1, 10.78.1.1 and up)."""

    def __init__(self):
        remove_stale()
        self.client, self.server = [Namespace(f"nfqe-bench-{os.getpid()}-{role}") for role in ("client", "server")]
        try:
            self.client.make()
            self.server.make()
            self._configure()
        except BaseException:
            self.close()
            raise

    def close(self):
        for namespace in (self.client, self.server):
            namespace.remove()

    server_addresses = [f"10.78.1.{n}" for n in range(1, PAIRS + 1)]

    def _configure(self):
        run("ip", "link", "add", DEVICE, "address", "02:00:00:00:00:01", "netns", self.server.name,
            "type", "veth", "peer", "name", DEVICE, "address", "02:00:00:00:00:02", "netns", self.client.name)
        both = ["link set lo up", f"link set {DEVICE} up"]
        server, client = list(both), list(both)
        server += [f"address add {SERVER}/24 dev {DEVICE}",
                   f"neighbour add {CLIENT} lladdr 02:00:00:00:00:02 nud permanent dev {DEVICE}",
                   f"route add 10.78.2.0/24 via {CLIENT}"]
        client += [f"address add {CLIENT}/24 dev {DEVICE}",
                   f"neighbour add {SERVER} lladdr 02:00:00:00:00:01 nud permanent dev {DEVICE}"]
        for number in range(1, PAIRS + 1):
            server.append(f"address add 10.78.1.{number}/32 dev {DEVICE}")
            client.append(f"address add 10.78.2.{number}/32 dev {DEVICE}")
            client.append(f"route add 10.78.1.{number}/32 via {SERVER} src 10.78.2.{number}")
        for namespace, commands in ((self.server, server), (self.client, client)):
            namespace.run("ip", "-batch", "-", input="\n".join(commands) + "\n")

    def queue_traffic(self, match, queues):
        """Sends what matches into `queues` queues from 1 on (0: into none), and counts it behind them."""
        target = ["--queue-num", "1"] if queues == 1 else ["--queue-balance", f"1:{queues}"]
        if queues > 0:
            self.server.run("iptables", "-w", "-t", "mangle", "-A", "INPUT", *match, "-j", "NFQUEUE", *target)

    def count_traffic(self, match):
        self.server.run("iptables", "-w", "-A", "INPUT", *match, "-m", "comment", "--comment", "count")

    def clear_rules(self):
        for table in ("mangle", "filter"):
            self.server.run("iptables", "-w", "-t", table, "-F")
            self.server.run("iptables", "-w", "-t", table, "-X")
