# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes: starting them so that none outlives its test, and reading /proc about them.

Always: a process that is started with tied_to_parent() is killed when its parent ends for any reason, and leaves
no core file. Functions that search for processes leave out those that end meanwhile; functions that read a value of
one process fail with OSError if there is no such process.
"""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import time

from support.commands import LabError

PR_SET_PDEATHSIG = 1
PTRACE_SEIZE = 0x4206
CLONE_NEWPID = 0x20000000
STOP_SECONDS = 10
START_TIME = 20  # in stat_fields()
OUTPUT_SHOWN = 400  # characters of what a process printed, in an error
CPUCLOCK_SCHED = 2  # the kernel's name for the clock of all CPU time of a process; see clock_getcpuclockid()

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def new_pid_namespace():
    """The first process that is started inside is the first of a pid namespace of its own; start no other one there. It
    is to be started with the launcher that this gives, which mounts its /proc."""
    before = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(CLONE_NEWPID) != 0:
            raise OSError(ctypes.get_errno(), "unshare of the pid namespace")
        yield ("unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t proc proc /proc && exec "$@"', "sh")
    finally:
        _libc.setns(before, CLONE_NEWPID)
        os.close(before)


@contextlib.contextmanager
def held(process_id):
    """Traces a process that ends inside: its parent cannot reap it before, as if it were in a call that does not return."""
    if _libc.ptrace(PTRACE_SEIZE, process_id, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace of process {process_id}")
    yield
    os.waitpid(process_id, 0)


def tied_to_parent():
    """Between fork and exec. The parent is the thread that forks, so that must be one that lives on."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # a launcher may raise it


def process_status(process_id):
    """Name, state and parent of a process, or None if there is none."""
    fields = stat_fields(process_id)
    return None if fields is None else (fields[0], fields[1], int(fields[2]))


def run_delay(*process_ids):
    """For how many seconds these processes' first threads were ready to run and had no CPU."""
    delay = 0
    for process_id in process_ids:
        with contextlib.suppress(OSError), open(f"/proc/{process_id}/schedstat", encoding="ascii") as file:
            delay += int(file.read().split()[1])
    return delay / 1e9


def waits_in(process_id):
    """The function of the kernel in which the process's first thread sleeps."""
    with open(f"/proc/{process_id}/wchan", encoding="ascii") as file:
        return file.read()


def stat_fields(process_id):
    """/proc/<pid>/stat from the second field on: name, state, parent, ...; None if there is no such process."""
    try:
        with open(f"/proc/{process_id}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    end = text.rindex(")")
    return [text[text.index("(") + 1:end], *text[end + 2:].split()]


def start_time(process_id):
    """When it was started, in ticks of the kernel's clock; 0 if there is no such process."""
    fields = stat_fields(process_id)
    return 0 if fields is None else int(fields[START_TIME])


def process_title(process_id):
    """What ps shows of a process in place of its arguments; "" if there is no such process."""
    try:
        with open(f"/proc/{process_id}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\0").replace("\0", " ")
    except OSError:
        return ""


def all_processes():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def process_tree(process_id):
    """The process id itself, which need not exist any more, and those of all its descendants."""
    children = {}
    for entry in all_processes():
        status = process_status(entry)
        if status is not None:
            children.setdefault(status[2], []).append(entry)
    found = [process_id]
    for each in found:
        found.extend(children.get(each, []))
    return found


def cpu_seconds(process_ids):
    """User and system time of these processes together, to the nanosecond (/proc/<pid>/stat has it to 10 ms)."""
    return sum(time.clock_gettime((~process_id << 3) | CPUCLOCK_SCHED) for process_id in process_ids)


def status_field(process_id, name):
    with open(f"/proc/{process_id}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(name + ":"):
                return line.split()[1]
    raise LabError(f"/proc/{process_id}/status has no {name}")


def pss_bytes(process_id):
    """Its memory, with what it shares with n processes counted as one n-th."""
    with open(f"/proc/{process_id}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise LabError(f"/proc/{process_id}/smaps_rollup has no Pss")


def take_nice_value(nice):
    """In a session of its own, as the scheduler may divide the CPU between sessions first (autogroup)."""
    os.setsid()
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    with contextlib.suppress(FileNotFoundError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write(str(nice))


class Process:
    """A process in a namespace, with what it prints in a file, so that no thread has to read it meanwhile."""

    def __init__(self, namespace, arguments, cpu=None, nice=None):
        """nice: its nice value, among all processes of the machine; None: that of this process."""
        def prepare():
            tied_to_parent()
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            if nice is not None:
                take_nice_value(nice)

        self.name = os.path.basename(arguments[0])
        # It is closed by itself when nothing refers to it any more, like the file of any Process.
        self.log = tempfile.TemporaryFile()  # pylint: disable=consider-using-with
        with namespace.entered():
            self.popen = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.log,
                                          stderr=subprocess.STDOUT, preexec_fn=prepare)
        self.pid = self.popen.pid

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def check_running(self):
        if not self.running():
            raise LabError(f"{self.name} ended: {self.output().strip()[-OUTPUT_SHOWN:]}")

    def finish(self, timeout):
        """Waits for its end, which must be a good one, and returns what it printed."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise LabError(f"{self.name} did not end within {timeout} s") from None
        if code != 0:
            raise LabError(f"{self.name}: exit code {code}: {self.output().strip()[-OUTPUT_SHOWN:]}")
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
        return process_tree(self.pid)
