# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine as a test sees it: a process that is started in a namespace, watched, and always ended.

Always: every process started here dies with the test process (PR_SET_PDEATHSIG), leaves no core file, and has its
standard error read by a thread, line by line. Workers and fork server are found in /proc as children of the
supervisor, by their names, and a signal goes to one of them through a pidfd that was checked after it was opened:
no signal can reach a process that merely got the same number. What a test learns about the engine's own
opinion is its log; what happened to the packets it asks the kernel (lab.py).
"""

import ctypes
import os
import re
import resource
import signal
import subprocess
import threading

from lab import wait_for

PR_SET_PDEATHSIG = 1
PREFIX = "nfq-engine: "
START_LIMIT = 10.0  # seconds until `ready`: generous, since a loaded machine is not what is tested

_libc = ctypes.CDLL(None, use_errno=True)

ENGINE = os.environ.get("NFQE_ENGINE", "")


SLOW = "misbehave,do=work:50,on=every"  # at most 20,000 packets a second: the kernel's queue is deep under load


def plugin(text):
    """The argument of --plugin for "NAME" or "NAME,KEY=VALUE,...": the engine's own plugin or a test plugin."""
    name, comma, values = text.partition(",")
    for folder in (os.environ.get("NFQE_PLUGINS", ""), os.environ.get("NFQE_TEST_PLUGINS", "")):
        file = os.path.join(folder, f"{name}.so")
        if folder and os.path.exists(file):
            return file + comma + values
    raise AssertionError(f"no plugin {name}.so in the folders NFQE_PLUGINS and NFQE_TEST_PLUGINS")


def tied_to_test():
    """Between fork and exec: the process ends when the test does, however that ends, and dumps no core."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def process_status(process_id):
    """Name, state and parent of a process, or None if there is none."""
    try:
        with open(f"/proc/{process_id}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    name = text[text.index("(") + 1:text.rindex(")")]
    state, parent = text[text.rindex(")") + 2:].split()[:2]
    return name, state, int(parent)


class Engine:
    """A running (or already ended) engine. `arguments` are what stands behind the program's name."""

    def __init__(self, namespace, *arguments, launcher=()):
        self.lines = []
        self.arguments = arguments
        self.namespace = namespace
        with namespace.entered():
            # Not in a thread: PR_SET_PDEATHSIG is about the thread that started the process.
            assert threading.current_thread() is threading.main_thread()
            self.process = subprocess.Popen(
                [*launcher, ENGINE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, preexec_fn=tied_to_test)
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
                raise AssertionError(f"exit code {self.process.returncode} instead of ready: {self.lines}")
            return PREFIX + "ready" in self.lines
        wait_for(condition, f"the engine is ready; the log is: {self.lines}", START_LIMIT)
        return self

    def final(self):
        """The final counters: of each queue a dictionary, by the queue's number."""
        counters = {}
        for match in self.matches(rf"^{PREFIX}queue (\d+): final: (.*)$"):
            pairs = (pair.split("=") for pair in match.group(2).split())
            counters[int(match.group(1))] = {name: int(value) for name, value in pairs}
        return counters

    def total(self, name):
        """One final counter, summed over all queues."""
        counters = self.final()
        assert counters, f"no final counters in the log: {self.lines}"
        return sum(queue[name] for queue in counters.values())

    # What it consists of

    def _children(self):
        """Process id, name and state of every process whose parent is the supervisor."""
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                status = process_status(entry)
                if status and status[2] == self.process.pid:
                    yield int(entry), status[0], status[1]

    def children(self):
        """Process id -> name of every running child of the supervisor."""
        return {process_id: name for process_id, name, state in self._children() if state not in "ZX"}

    def zombies(self):
        """Children of the supervisor that have ended and that it has not waited for."""
        return [process_id for process_id, _, state in self._children() if state in "ZX"]

    def descriptors(self):
        """How many file descriptors the supervisor has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def workers(self):
        """Queue number -> process id of its worker."""
        return {int(name[len("nfqe-q"):]): process_id for process_id, name in self.children().items()
                if re.fullmatch(r"nfqe-q\d+", name)}

    def fork_server(self):
        """The fork server's process id, or None while there is none."""
        return next((process_id for process_id, name in self.children().items() if name == "nfqe-forkserver"), None)

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
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired as expired:
            raise AssertionError(f"the engine has not ended within {timeout} s: {self.lines[-5:]}") from expired
        # The log ends when the last process that holds it ends: a worker left behind would keep it open.
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
