# SPDX-License-Identifier: GPL-2.0-or-later
"""What is compared: no queue, the two reference loops, and the engine with a chain of plugins; and the rules of a
bypass mark, with the engine and without the queue.

A subject knows how to start for a number of queues and a pattern of verdicts, and when it is ready. serve() is the only
way to run it: rules and processes exist inside of the `with`, and are removed after it.
"""

import contextlib
import os
import re

from laboratory import CannotMeasure
from support.commands import run, wait_for
from support.engine import READY

ACCEPT, DROP, ALTERNATE = "accept", "drop", "alternate"
BYPASS_MARK = "0x1/0x1"
START_SECONDS = 10
# The engine gives it to the processes that read its queues. The reference loops have it too: how often a reader gets
# the CPU before the application whose packets it decides is no merit of its code.
READER_NICE = -15
BUILD = "build/bench"  # where bench/run builds, in the source tree
QUEUED_SHARE_MAX = 0.05  # of packets, with a bypass mark: the first ones of each flow, until its mark is there


class Served:
    """A subject at work."""

    def __init__(self, processes, queues):
        self.processes = processes
        self.queues = queues

    def tree(self):
        return [pid for process in self.processes for pid in process.tree()]

    def check(self):
        for process in self.processes:
            process.check_running()


class Subject:
    """What all have in common. name: in tables; uses_queue: False for the one without."""

    uses_queue = True

    def __init__(self, name):
        self.name = name

    def start(self, namespace, queues, pattern, cpu, whole):
        """Starts what serves queues 1 to `queues`; returns the processes. whole: takes offloaded packets whole, if it
        can."""
        raise NotImplementedError

    @contextlib.contextmanager
    def serve(self, lab, match, queues=1, pattern=ACCEPT, cpu=None, whole=True):
        """match: what is queued. cpu: for what reads the queue; None: where the scheduler puts it. whole: see start()."""
        number = queues if self.uses_queue else 0
        processes = []
        try:
            if self.uses_queue:
                processes = self.start(lab.server, queues, pattern, cpu, whole)
            served = Served(processes, number)

            def is_ready():
                served.check()
                return self.is_ready(lab, served)

            wait_for(is_ready, f"{self.name} serves {number} queues", START_SECONDS)
            lab.count_traffic(match)
            self.lay_rules(lab, match, number)
            yield served
            served.check()
            self.check_work(lab)
        finally:
            lab.clear_rules()
            for process in processes:
                process.stop()

    def is_ready(self, lab, served):
        return len(lab.server.queues()) == served.queues

    def lay_rules(self, lab, match, queues):
        lab.queue_traffic(match, queues)

    def check_work(self, lab):
        """Raises CannotMeasure if it did not do what it should have done."""


class NoQueue(Subject):
    """The same traffic without the queue."""

    uses_queue = False


class Loop(Subject):
    """One of the reference loops, one process a queue."""

    def __init__(self, name, program):
        super().__init__(name)
        self.program = program

    def start(self, namespace, queues, pattern, cpu, whole):
        size = "whole" if whole else "segments"
        return [namespace.start(self.program, str(number), pattern, size, cpu=cpu, nice=READER_NICE)
                for number in range(1, queues + 1)]


def is_ready(process):
    """Whether an engine has said so."""
    process.check_running()
    return READY in process.output()


class Engine(Subject):
    """nfq-engine with these plugins. The pattern is laid on by its default verdict, or by one more plugin."""

    def __init__(self, name, program, plugins, alternate=None, options=()):
        super().__init__(name)
        self.program, self.plugins, self.alternate, self.options = program, plugins, alternate, list(options)

    def arguments(self, queues, pattern=ACCEPT, cpu=None, whole=True):
        plugins = self.plugins + ([self.alternate] if pattern == ALTERNATE else [])
        arguments = [self.program, "--queue", f"1-{queues}", *self.options]
        arguments += [word for plugin in plugins for word in ("--plugin", plugin)]
        arguments += ["--default-verdict", "drop"] if pattern == DROP else []
        arguments += [] if whole else ["--gso", "off"]
        return arguments + (["--cpu", str(cpu)] if cpu is not None else [])

    def start(self, namespace, queues, pattern, cpu, whole):
        return [namespace.start(*self.arguments(queues, pattern, cpu, whole))]

    def is_ready(self, lab, served):
        return super().is_ready(lab, served) and is_ready(served.processes[0])


def lay_bypass_rules(lab, program, queues, queue_packets):
    """The rules that the engine prints for its bypass mark, as it prints them; or without the one that queues. They are
    for all packets of the server, which has no other traffic than what is measured."""
    text = run(program, "--print-rules=iptables", "--queue", f"1-{queues}", "--bypass-mark", BYPASS_MARK)
    lines = text.splitlines()
    rules = [line for line in lines if "-j NFQUEUE" not in line]
    if len(lines) - len(rules) != 1:
        raise CannotMeasure(f"{len(lines) - len(rules)} of the rules that the engine prints queue packets, 1 should")
    lab.server.run("iptables-restore", "--wait", "--noflush", input="\n".join(lines if queue_packets else rules) + "\n")


class Bypass(Engine):
    """The engine with flow verdicts and a bypass mark, and the rules for it."""

    def lay_rules(self, lab, match, queues):
        lay_bypass_rules(lab, self.program, queues, True)

    def check_work(self, lab):
        queued, passed = lab.server.queues()[1].last_id, lab.passed.packets()
        if not 0 < queued <= passed * QUEUED_SHARE_MAX:
            raise CannotMeasure(f"{queued} packets were queued, {passed} passed: the mark is not what let them pass")


class BypassRules(Subject):
    """The same rules without the one that queues, and no engine."""

    uses_queue = False

    def __init__(self, name, program):
        super().__init__(name)
        self.program = program

    def lay_rules(self, lab, match, queues):
        lay_bypass_rules(lab, self.program, 1, False)


def find_build(directory):
    """The build directory that `directory` is, or that bench/run has made in it if it is a source tree."""
    for build in (directory, os.path.join(directory, BUILD)):
        if os.path.exists(f"{build}/engine/nfq-engine") and os.path.exists(f"{build}/bench/chain_cost"):
            return os.path.abspath(build)
    raise CannotMeasure(
        f"there is no build with engine/nfq-engine, plugins/ and bench/ in {directory} or in its {BUILD}; make one, in its "
        f"source tree: cmake -G Ninja -S . -B {BUILD} -DCMAKE_BUILD_TYPE=Release -DNFQE_TESTS=OFF -DNFQE_BENCH=ON && "
        f"cmake --build {BUILD}")


def build_settings(build):
    """What the compiler was told, as CMakeCache.txt has it; {} without that file."""
    try:
        with open(f"{build}/CMakeCache.txt", encoding="utf-8", errors="replace") as file:
            matches = [re.match(r"(CMAKE_BUILD_TYPE|CMAKE_C_FLAGS\w*|CMAKE_C_COMPILER|NFQE_SANITIZE|NFQE_COVERAGE):\w+=(.*)",
                                line) for line in file]
    except OSError:
        return {}
    return {match.group(1): match.group(2) for match in matches if match}


def check_alike(build, other):
    """Raises CannotMeasure if the two were built with different settings: then those are what would be compared."""
    ours, theirs = build_settings(build), build_settings(other)
    different = [f"{name} is {ours[name]!r} here and {theirs[name]!r} there" for name in ours
                 if name in theirs and ours[name] != theirs[name]]
    if different:
        raise CannotMeasure(f"{other} was built with other settings: {'; '.join(different)}")


class Subjects:
    """All of them, from one build directory. load_build: where the programs that make the load come from."""

    def __init__(self, build, load_build=None):
        tools = f"{build}/bench"

        def plugin(name, directory=f"{build}/plugins"):
            path = f"{directory}/{name}.so"
            if not os.path.exists(path):
                raise CannotMeasure(f"{path} is not there")
            return path

        self.tools, self.load_tools = tools, f"{load_build or build}/bench"
        self.engine_program = f"{build}/engine/nfq-engine"
        alternate = plugin("alternate", f"{tools}/plugins")
        self.drop_tcp80 = plugin("drop_tcp80")
        self.port_plugins = [plugin(f"ports_{number}", f"{tools}/plugins") for number in range(1, 17)]
        self.none = NoQueue("no queue")
        self.classic = Loop("reference_classic", f"{tools}/reference_classic")
        self.tuned = Loop("reference_tuned", f"{tools}/reference_tuned")
        self.engine = Engine("engine drop_tcp80", self.engine_program, [self.drop_tcp80], alternate)
        self.bypass_rules = BypassRules("bypass rules, no queue", self.engine_program)
        self.flow_accept = plugin("flow_accept", f"{tools}/plugins")
        self.plain_accept = plugin("plain_accept", f"{tools}/plugins")
        self.bypass = Bypass("engine, bypass mark", self.engine_program, [self.flow_accept],
                             options=["--bypass-mark", BYPASS_MARK])
        self.accept_all = Engine("engine accept_all", self.engine_program, [plugin("accept_all")], alternate)

    def chain(self, length, last):
        """A chain of `length` plugins: drop_tcp80, port plugins, and `last`, which decides."""
        return [self.drop_tcp80, *self.port_plugins][:length - 1] + [last]

    def tool(self, name):
        """A program that has the engine's own code in it."""
        return f"{self.tools}/{name}"

    def load(self, name):
        """A program that makes the load, and has no code of the engine in it."""
        return f"{self.load_tools}/{name}"
