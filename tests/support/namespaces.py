# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces: making, connecting, entering, reading and removing them.

Always: a namespace of a NamespaceGroup is named <prefix>-<pid>-<role> after the process that made it and is removed
when the group is closed, with every process that still runs in it. Namespaces of a killed process are
removed before the next group with the same prefix is made. Nothing outside of these namespaces is changed. Tests assert
what the kernel says: /proc/net/netfilter/nfnetlink_queue, /proc/net/snmp, and the counters of rules.
"""

import concurrent.futures
import contextlib
import ctypes
import functools
import json
import os
import re
import signal
from collections import namedtuple

from support.commands import run, wait_for
from support.processes import Process, all_processes

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_REC, MS_SLAVE = 0x4000, 0x80000
NETNS_DIRECTORY = "/run/netns"

_libc = ctypes.CDLL(None, use_errno=True)

KernelQueue = namedtuple("KernelQueue", "port_id waiting copy_mode copy_range queue_dropped user_dropped last_id")


class Namespace:
    """One network namespace, by its name."""

    def __init__(self, name):
        self.name = name
        self.path = f"{NETNS_DIRECTORY}/{name}"

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

    def start(self, *arguments, cpu=None, nice=None):
        """A Process. cpu: the only one that it may use; None: all. nice: see Process."""
        return Process(self, arguments, cpu, nice)

    def ip_batch(self, commands):
        with self.entered():
            ip_batch(commands)

    def read(self, path):
        """A file of /proc/sys/net or /proc/thread-self/net, as this namespace has it."""
        with self.entered(), open(path, encoding="ascii") as file:
            return file.read()

    def write(self, path, text):
        with self.entered(), open(path, "w", encoding="ascii") as file:
            file.write(text)

    def process_ids(self):
        """Every process in the namespace, whatever started it. Zombies, which have none any more, are not in it."""
        inode = os.stat(self.path).st_ino
        found = []
        for process_id in all_processes():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{process_id}/ns/net").st_ino == inode:
                    found.append(process_id)
        return found

    def queues(self):
        """Every bound queue of the namespace: number -> KernelQueue. Where the kernel's nfnetlink_queue is a module, it
        is loaded, and the file is there, once something has asked for a queue."""
        queues = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self.read("/proc/thread-self/net/netfilter/nfnetlink_queue").splitlines():
                number, *rest = [int(field) for field in line.split()]
                queues[number] = KernelQueue(*rest[:7])
        return queues

    def waiting(self):
        """How many packets wait in all queues of the namespace together."""
        return sum(queue.waiting for queue in self.queues().values())

    def udp_received(self):
        """How many UDP datagrams the sockets of this namespace have received, and how many overran a buffer."""
        names, values = [line.split()[1:] for line in self.read("/proc/thread-self/net/snmp").splitlines()
                         if line.startswith("Udp:")]
        ipv4 = dict(zip(names, map(int, values)))
        ipv6 = dict(line.split() for line in self.read("/proc/thread-self/net/snmp6").splitlines())
        return (ipv4["InDatagrams"] + int(ipv6["Udp6InDatagrams"]),
                ipv4["RcvbufErrors"] + int(ipv6["Udp6RcvbufErrors"]))

    def kill_processes(self):
        """Kills what still runs in it: only the group that made it knows its name."""
        with contextlib.suppress(OSError):
            for process_id in self.process_ids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)


def ip_batch(commands, *options, **how):
    """Commands of ip in one process of it: starting a process is what takes time."""
    run("ip", *options, "-batch", "-", input="\n".join(commands) + "\n", **how)


def remove(namespaces):
    for namespace in namespaces:
        namespace.kill_processes()
    ip_batch([f"netns delete {namespace.name}" for namespace in namespaces], "-force", check=False)


def link_command(device, first, first_mac, second, second_mac):
    """The command of ip for a link between two namespaces; at both ends the interface has the same name."""
    return (f"link add {device} address {first_mac} netns {first.name} "
            f"type veth peer name {device} address {second_mac} netns {second.name}")


def _checked(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def _write_device_files(file, text, devices):
    _checked(_libc.unshare(CLONE_NEWNS), "unshare")
    _checked(_libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None), "mount /")
    for namespace, names in devices.items():
        with namespace.entered():
            _checked(_libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None), "mount /sys")
            for name in names:
                with open(f"/sys/class/net/{name}/{file}", "w", encoding="ascii") as opened:
                    opened.write(text)


def write_device_files(file, text, devices):
    """Writes this file of the named devices of each namespace, in /sys/class/net. /sys has the devices of the namespace
    that mounted it, so a thread mounts it; its mounts are seen by no other thread and end with it."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(_write_device_files, file, text, devices).result()


def _can_send(namespace, names):
    links = {link["ifname"]: link for link in json.loads(namespace.run("ip", "-j", "link", "show"))}
    return all(links[name]["operstate"] == "UP" and links[name]["qdisc"] != "noop" for name in names)


def wait_links(devices):
    """Waits until the named devices of each namespace can send. A link gets a queue for what it sends some time after both
    ends are up, by a work item of the kernel; until then, all that is sent is dropped."""
    for namespace, names in devices.items():
        wait_for(functools.partial(_can_send, namespace, names), f"{names} of {namespace.name} can send")


def is_python(process_id):
    """True if the process runs and is a Python: a number that has been given to something else does not count."""
    try:
        with open(f"/proc/{process_id}/cmdline", "rb") as file:
            return b"python" in file.read()
    except OSError:
        return False


def remove_stale(prefix):
    """Removes the groups with this prefix whose process has ended without closing them."""
    if not os.path.isdir(NETNS_DIRECTORY):
        return
    stale = []
    for name in os.listdir(NETNS_DIRECTORY):
        match = re.fullmatch(rf"{prefix}-(\d+)-[a-z]+", name)
        if match and not is_python(match.group(1)):
            stale.append(Namespace(name))
    if stale:
        remove(stale)


class NamespaceGroup:
    """Namespaces that are made and removed together, each an attribute named by its role. A subclass has PREFIX and
    ROLES and joins them in configure()."""

    PREFIX = None
    ROLES = ()

    def __init__(self):
        remove_stale(self.PREFIX)
        self.namespaces = [Namespace(f"{self.PREFIX}-{os.getpid()}-{role}") for role in self.ROLES]
        for role, namespace in zip(self.ROLES, self.namespaces):
            setattr(self, role, namespace)
        try:
            ip_batch(f"netns add {namespace.name}" for namespace in self.namespaces)
            self.configure()
        except BaseException:
            self.close()
            raise

    def configure(self):
        raise NotImplementedError

    def close(self):
        remove(self.namespaces)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
