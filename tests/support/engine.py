# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine in a test: a process that is started in a namespace, observed, and always ended.

Always: the engine is killed with the test process and leaves no core file, and its standard error is read by a thread,
line by line. Queue processes, workers and fork server are found in /proc as children of the supervisor, by their titles.
A signal is sent through a pidfd that is checked after it was opened, so it cannot reach another process with the same
number. The log shows what the engine did; the kernel's counters show what happened to the packets (namespaces.py).

The engines of a test process have uids of their own for workers: with those of another engine of the machine, they would
warn about it, and plugins that go wrong could end its workers.

Environment: NFQE_ENGINE, NFQE_PLUGINS, NFQE_TEST_PLUGINS: the program and the directories with plugins.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading

from support.commands import LabError, wait_for
from support.processes import (
    all_processes, new_pid_namespace, process_status, process_title, start_time, tied_to_parent, waits_in)
from support.scale import scaled_limit

PREFIX = "nfq-engine: "
READY = PREFIX + "ready"
START_LIMIT = 10.0  # seconds until `ready`: generous, since a loaded machine is not what is tested

ENGINE = os.environ.get("NFQE_ENGINE", "")
UIDS = 25_000  # as many as the engine has by default
FIRST_UID = 10_000_000 + os.getpid() % 10_000 * UIDS
WORKER_UIDS = range(FIRST_UID, FIRST_UID + UIDS)
SLOW = "misbehave,do=work:50,on=every"  # at most 20,000 packets a second: the kernel's queue is deep under load


def plugin(text):
    """The argument of --plugin for "NAME" or "NAME,KEY=VALUE,...": the engine's own plugin or a test plugin."""
    name, comma, values = text.partition(",")
    for directory in (os.environ.get("NFQE_PLUGINS", ""), os.environ.get("NFQE_TEST_PLUGINS", "")):
        file = os.path.join(directory, f"{name}.so")
        if directory and os.path.exists(file):
            return file + comma + values
    raise LabError(f"no plugin {name}.so in the directories NFQE_PLUGINS and NFQE_TEST_PLUGINS")


class Engine:
    """A running (or already ended) engine. `arguments` follow the program's name."""

    def __init__(self, namespace, *arguments, launcher=(), own_pids=False):
        """own_pids: in a pid namespace of its own, so that it sees and reaches no process but its own."""
        self.lines = []
        self.arguments = arguments
        self.namespace = namespace
        with namespace.entered(), new_pid_namespace() if own_pids else contextlib.nullcontext(()) as mount_proc:
            # Not in a thread: PR_SET_PDEATHSIG is about the thread that started the process.
            assert threading.current_thread() is threading.main_thread()
            self.process = subprocess.Popen(
                [*mount_proc, *launcher, ENGINE, "--worker-uids", f"{WORKER_UIDS[0]}-{WORKER_UIDS[-1]}", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=tied_to_parent)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    # What it says

    def matches(self, pattern):
        """Every match of a regular expression in the log so far, one a line at most."""
        found = (re.search(pattern, line) for line in list(self.lines))
        return [match for match in found if match]

    def wait_line(self, pattern, timeout=5.0):
        def condition():
            return self.matches(pattern)
        return wait_for(condition, f"a log line like {pattern!r}; the log is: {self.lines}", timeout)[0]

    def wait_ready(self):
        def condition():
            if self.process.poll() is not None:
                self._reader.join(2)
                raise LabError(f"exit code {self.process.returncode} instead of ready: {self.lines}")
            return READY in self.lines
        wait_for(condition, f"the engine is ready; the log is: {self.lines}", START_LIMIT)
        return self

    def final(self):
        """The final counters: queue number -> dictionary. None: the engine does not know it."""
        counters = {}
        for match in self.matches(rf"^{PREFIX}queue (\d+): final: (.*)$"):
            pairs = (pair.split("=") for pair in match.group(2).split())
            counters[int(match.group(1))] = {name: None if value == "unknown" else int(value) for name, value in pairs}
        return counters

    def total(self, name):
        """One final counter, summed over all queues."""
        counters = self.final()
        assert counters, f"no final counters in the log: {self.lines}"
        return sum(queue[name] for queue in counters.values())

    # What it consists of

    def _children(self):
        """Process id, name and state of every process whose parent is the supervisor."""
        for process_id in all_processes():
            status = process_status(process_id)
            if status and status[2] == self.process.pid:
                yield process_id, status[0], status[1]

    def children(self):
        """Process id -> name of every running child of the supervisor."""
        return {process_id: name for process_id, name, state in self._children() if state not in "ZX"}

    def zombies(self):
        """Children of the supervisor that have ended and that it has not waited for."""
        return [process_id for process_id, _, state in self._children() if state in "ZX"]

    def descriptors(self):
        """How many file descriptors the supervisor has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def _titled(self, pattern):
        """The match of each running child's title with the pattern, and its process id."""
        for process_id, name in self.children().items():
            match = re.fullmatch(PREFIX + pattern, process_title(process_id))
            if match and name != "nfqe-forkserver":  # a worker has the fork server's title before it has its own
                yield match, process_id

    def queue_processes(self):
        """Queue number -> process id of the process that owns it."""
        return {int(match.group(1)): process_id for match, process_id in self._titled(r"queue (\d+)")}

    def workers(self):
        """Queue number -> process ids of its workers, those that have packets and spares, by their slots."""
        found = sorted((int(match.group(1)), int(match.group(2)), process_id)
                       for match, process_id in self._titled(r"worker queue (\d+)\.(\d+)"))
        return {queue: [each[2] for each in found if each[0] == queue] for queue, _, _ in found}

    def wait_workers(self, queue, count=2, without=()):
        """Waits until the queue has so many workers and spares, none of them one of those; returns them. count: with
        the defaults a queue has one of each."""
        def condition():
            found = self.workers().get(queue, [])
            return found if len(found) == count and not set(found) & set(without) else None
        return wait_for(condition, f"queue {queue} has {count} workers without {without}; the log is: {self.lines}")

    def wait_opened(self, queue, count=2):
        """The same, before any packet has come, and all have opened their plugins: they wait in a futex for packets."""
        workers = self.wait_workers(queue, count)
        for each in workers:
            wait_for(lambda process_id=each: waits_in(process_id).startswith("futex"), f"worker {each} waits for packets")
        return workers

    def kill_workers(self, queue):
        """Kills all workers and spares that a queue has; returns those that were killed by it."""
        return [each for each in self.workers().get(queue, []) if self.signal_child(each, signal.SIGKILL)]

    def fork_server(self):
        """The fork server's process id, or None while there is none."""
        # A worker has its name, too, until it has its own; the fork server is older than that.
        found = [process_id for process_id, name in self.children().items() if name == "nfqe-forkserver"]
        return min(found, key=lambda process_id: (start_time(process_id), process_id), default=None)

    def signal_child(self, process_id, number):
        """Sends a signal to a child of the supervisor; False if it has ended already."""
        try:
            pidfd = os.pidfd_open(process_id)
        except ProcessLookupError:
            return False
        try:
            status = process_status(process_id)
            if status is None or status[2] != self.process.pid or status[1] in "ZX":
                return False
            signal.pidfd_send_signal(pidfd, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)

    # How it ends

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=15.0):
        """Waits for the end of the supervisor and of its log; returns the exit code."""
        try:
            code = self.process.wait(scaled_limit(timeout))
        except subprocess.TimeoutExpired as expired:
            raise LabError(f"the engine has not ended within {timeout} s: {self.lines[-5:]}") from expired
        # The log ends when the last process that holds it ends: a worker that is left would keep it open.
        self._reader.join(5)
        assert not self._reader.is_alive(), "the engine has ended, but something still holds its standard error"
        return code

    def stop(self, timeout=15.0):
        """An orderly stop; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def close(self):
        """Ends the supervisor, in whatever state it is. Its children must end with it: see nothing_left_behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        if not self._reader.is_alive():
            self.process.stdout.close()
