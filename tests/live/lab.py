# SPDX-License-Identifier: GPL-2.0-or-later
"""The laboratory of the live tests: three network namespaces, client - router - server, and what the kernel says.

Always: every namespace is named nfqe-<pid>-<letter> after the test process that made it, and is removed when the
lab is closed; the labs of test processes that died without doing so are removed before a new one is built. Nothing
outside of these namespaces is changed. Neighbours are permanent entries and duplicate address detection is off, so
that the only packets on the links are those that a test sends, and the first burst is not lost to address
resolution. What a test asserts is read from the kernel: rule counters, /proc/net/netfilter/nfnetlink_queue,
/proc/net/snmp. Nothing sleeps for a guessed time: wait_for() waits for a condition, with a limit.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from collections import namedtuple

CLONE_NEWNET = 0x40000000
NETNS_FOLDER = "/run/netns"
NAME_PATTERN = re.compile(r"nfqe-(\d+)-[crs]$")
ADDRESSES = 32  # further addresses of client and server, so that queue-balance has something to spread
PUMP_PORT = 7000

_libc = ctypes.CDLL(None, use_errno=True)

KernelQueue = namedtuple(
    "KernelQueue", "port_id waiting copy_mode copy_range queue_dropped user_dropped last_id")


def run(*arguments, check=True, timeout=20, **options):
    """Runs a command to its end and returns what it printed."""
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            timeout=timeout, check=False, stdin=options.pop("stdin", subprocess.DEVNULL)
                            if "input" not in options else None, **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: exit code {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def wait_for(condition, what, timeout=5.0, interval=0.005):
    """Waits until condition() is true and returns what it returned; fails, saying what, after the time-out."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(interval)


class Namespace:
    """One network namespace, made by name, with its interfaces still to come."""

    def __init__(self, name):
        self.name = name
        self.path = f"{NETNS_FOLDER}/{name}"
        run("ip", "netns", "add", name)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread, and every process it starts, is in the namespace. Its sockets stay there."""
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

    def read(self, path):
        """A file of /proc/sys/net or /proc/thread-self/net, as this namespace has it."""
        with self.entered(), open(path, encoding="ascii") as file:
            return file.read()

    def write(self, path, text):
        with self.entered(), open(path, "w", encoding="ascii") as file:
            file.write(text)

    def process_ids(self):
        """Every process in the namespace, whoever started it. Zombies, which have none any more, are not in it."""
        inode = os.stat(self.path).st_ino
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    if os.stat(f"/proc/{entry}/ns/net").st_ino == inode:
                        found.append(int(entry))
        return found

    def queues(self):
        """Every bound queue of the namespace: number -> KernelQueue."""
        queues = {}
        for line in self.read("/proc/thread-self/net/netfilter/nfnetlink_queue").splitlines():
            number, *rest = [int(field) for field in line.split()]
            queues[number] = KernelQueue(*rest[:7])
        return queues

    def waiting(self):
        """How many packets wait in all queues of the namespace together."""
        return sum(queue.waiting for queue in self.queues().values())

    def udp_received(self):
        """How many UDP datagrams the sockets of this namespace have received, and how many overran a buffer."""
        lines = [line.split() for line in self.read("/proc/thread-self/net/snmp").splitlines()
                 if line.startswith("Udp:")]
        ipv4 = dict(zip(lines[0][1:], (int(field) for field in lines[1][1:])))
        ipv6 = dict(line.split() for line in self.read("/proc/thread-self/net/snmp6").splitlines())
        return (ipv4["InDatagrams"] + int(ipv6["Udp6InDatagrams"]),
                ipv4["RcvbufErrors"] + int(ipv6["Udp6RcvbufErrors"]))

    def remove(self):
        """Removes the namespace and ends what still runs in it: a test started that, nobody else knows its name."""
        if os.path.exists(self.path):
            with contextlib.suppress(OSError):
                for process_id in self.process_ids():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process_id, signal.SIGKILL)
        run("ip", "netns", "delete", self.name, check=False)


class Rule:
    """One iptables rule, for IPv4 and IPv6 alike; what it counts is both together."""

    _count = 0

    def __init__(self, namespace, chain, *match, table="filter"):
        Rule._count += 1
        self.namespace, self.chain, self.table = namespace, chain, table
        self.match = match
        self.comment = f"nfqe-{Rule._count}"
        self._change("-A")

    def _change(self, command):
        for program in ("iptables", "ip6tables"):
            self.namespace.run(program, "-w", "-t", self.table, command, self.chain,
                               "-m", "comment", "--comment", self.comment, *self.match)

    def remove(self):
        self._change("-D")

    def packets(self):
        total = 0
        for program in ("iptables", "ip6tables"):
            listing = self.namespace.run(program, "-w", "-t", self.table, "-L", self.chain, "-v", "-x", "-n")
            for line in listing.splitlines():
                if f"/* {self.comment} */" in line:
                    total += int(line.split()[0])
        return total


def queue_target(first, count=1, bypass=False):
    """The NFQUEUE target of `count` queues from `first` on."""
    spread = ["--queue-num", str(first)] if count == 1 else ["--queue-balance", f"{first}:{first + count - 1}"]
    return ["-j", "NFQUEUE", *spread, *(["--queue-bypass"] if bypass else [])]


class Lab:
    """client (10.71.1.2, fd71:1::2) - router - server (10.71.2.2, fd71:2::2), and further addresses on both ends."""

    def __init__(self):
        remove_stale()
        self.client = self.router = self.server = None
        try:
            self.client = Namespace(f"nfqe-{os.getpid()}-c")
            self.router = Namespace(f"nfqe-{os.getpid()}-r")
            self.server = Namespace(f"nfqe-{os.getpid()}-s")
            self._configure()
        except BaseException:
            self.close()
            raise

    def close(self):
        for namespace in (self.client, self.router, self.server):
            if namespace is not None:
                namespace.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    client_addresses = {4: [f"10.81.0.{n}" for n in range(1, ADDRESSES + 1)],
                        6: [f"fd81::{n:x}" for n in range(1, ADDRESSES + 1)]}
    server_addresses = {4: [f"10.82.0.{n}" for n in range(1, ADDRESSES + 1)],
                        6: [f"fd82::{n:x}" for n in range(1, ADDRESSES + 1)]}
    server_main = {4: "10.71.2.2", 6: "fd71:2::2"}
    router_main = {4: "10.71.1.1", 6: "fd71:1::1"}

    def _configure(self):
        for namespace in (self.client, self.router, self.server):
            for setting in ("ipv6/conf/all/accept_dad", "ipv6/conf/default/accept_dad",
                            "ipv6/conf/all/accept_ra", "ipv6/conf/default/accept_ra"):
                namespace.write(f"/proc/sys/net/{setting}", "0")
            namespace.run("ip", "link", "set", "lo", "up")
        self.router.write("/proc/sys/net/ipv4/ip_forward", "1")
        self.router.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        self._link(self.client, 1, "10.81.0.0/24", "fd81::/64", self.client_addresses)
        self._link(self.server, 2, "10.82.0.0/24", "fd82::/64", self.server_addresses)
        # One CPU takes what comes in by each link. Otherwise a sender that the scheduler moves leaves packets in
        # the backlog of one CPU and puts the next ones in that of another, where they overtake: nothing to do with
        # the engine, but it would look like it.
        for namespace, device in ((self.router, "link1"), (self.router, "link2"), (self.server, "link2")):
            run("ip", "netns", "exec", namespace.name, "sh", "-c",
                f"echo 1 > /sys/class/net/{device}/queues/rx-0/rps_cpus")

    def _link(self, end, number, ipv4_extra, ipv6_extra, addresses):
        """The link between the router (address .1) and one end (address .2)."""
        device, router_mac, end_mac = f"link{number}", f"02:00:00:00:0{number}:01", f"02:00:00:00:0{number}:02"
        router_ipv4, end_ipv4 = f"10.71.{number}.1", f"10.71.{number}.2"
        router_ipv6, end_ipv6 = f"fd71:{number}::1", f"fd71:{number}::2"
        run("ip", "link", "add", device, "address", router_mac, "netns", self.router.name,
            "type", "veth", "peer", "name", device, "address", end_mac, "netns", end.name)
        self._batch(self.router, [
            f"link set {device} up",
            f"address add {router_ipv4}/24 dev {device}",
            f"address add {router_ipv6}/64 dev {device} nodad",
            f"neighbour add {end_ipv4} lladdr {end_mac} nud permanent dev {device}",
            f"neighbour add {end_ipv6} lladdr {end_mac} nud permanent dev {device}",
            f"route add {ipv4_extra} via {end_ipv4}",
            f"route add {ipv6_extra} via {end_ipv6}"])
        self._batch(end, [
            f"link set {device} up",
            f"address add {end_ipv4}/24 dev {device}",
            f"address add {end_ipv6}/64 dev {device} nodad",
            f"neighbour add {router_ipv4} lladdr {router_mac} nud permanent dev {device}",
            f"neighbour add {router_ipv6} lladdr {router_mac} nud permanent dev {device}",
            f"route add default via {router_ipv4}",
            f"route add default via {router_ipv6}",
            *(f"address add {address}/32 dev {device}" for address in addresses[4]),
            *(f"address add {address}/128 dev {device} nodad" for address in addresses[6])])

    @staticmethod
    def _batch(namespace, commands):
        namespace.run("ip", "-batch", "-", input="\n".join(commands) + "\n")

    def queue_pump_traffic(self, first=1, count=1, bypass=False):
        """Sends what the pump sends through queues in the router. Returns the rule, whose counter is the number
        of packets that met it."""
        return Rule(self.router, "FORWARD", "-p", "udp", "--dport", str(PUMP_PORT),
                    *queue_target(first, count, bypass))

    def count_pump_traffic(self, namespace, chain, table="mangle"):
        """A rule without a target, which counts what the pump sent as it passes there."""
        return Rule(namespace, chain, "-p", "udp", "--dport", str(PUMP_PORT), table=table)


def is_test_process(process_id):
    """True if the process runs and is a Python: a number that has been given to something else does not count."""
    try:
        with open(f"/proc/{process_id}/cmdline", "rb") as file:
            return b"python" in file.read()
    except OSError:
        return False


def remove_stale():
    """Removes what test processes that are no more have left behind."""
    if not os.path.isdir(NETNS_FOLDER):
        return
    for name in os.listdir(NETNS_FOLDER):
        match = NAME_PATTERN.match(name)
        if match and not is_test_process(int(match.group(1))):
            stale = Namespace.__new__(Namespace)
            stale.name, stale.path = name, f"{NETNS_FOLDER}/{name}"
            stale.remove()
