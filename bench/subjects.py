# SPDX-License-Identifier: GPL-2.0-or-later
"""What is compared: no queue, the two reference loops, and the engine with a chain of plugins.

A subject knows how it is started for some queues and for a pattern of verdicts, and when it serves them. serve() is
the one way to run it: rules and processes are there inside of the `with`, and gone behind it.
"""

import contextlib
import os

from laboratory import CannotMeasure, wait_for

ACCEPT, DROP, ALTERNATE = "accept", "drop", "alternate"


class Served:
    """A subject at work."""

    def __init__(self, processes, queues):
        self.processes = processes
        self.queues = queues

    def tree(self):
        return [pid for process in self.processes for pid in process.tree()]

    def check(self):
        for process in self.processes:
            if not process.running():
                raise CannotMeasure(f"{process.name} ended: {process.output().strip()[-400:]}")


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

            wait_for(is_ready, f"{self.name} serves {number} queues")
            lab.count_traffic(match)
            lab.queue_traffic(match, number)
            yield served
            served.check()
        finally:
            lab.clear_rules()
            for process in processes:
                process.stop()

    def is_ready(self, lab, served):
        return len(lab.server.queues()) == served.queues


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
        return [namespace.start(self.program, str(number), pattern, size, cpu=cpu) for number in range(1, queues + 1)]


class Engine(Subject):
    """nfq-engine with these plugins. The pattern is laid on by its default verdict, or by one more plugin."""

    def __init__(self, name, program, plugins, alternate):
        super().__init__(name)
        self.program, self.plugins, self.alternate = program, plugins, alternate

    def arguments(self, queues, pattern=ACCEPT, cpu=None, whole=True):
        plugins = self.plugins + ([self.alternate] if pattern == ALTERNATE else [])
        arguments = [self.program, "--queue", f"1-{queues}"]
        arguments += [word for plugin in plugins for word in ("--plugin", plugin)]
        arguments += ["--default-verdict", "drop"] if pattern == DROP else []
        arguments += [] if whole else ["--gso", "off"]
        return arguments + (["--cpu", str(cpu)] if cpu is not None else [])

    def start(self, namespace, queues, pattern, cpu, whole):
        return [namespace.start(*self.arguments(queues, pattern, cpu, whole))]

    def is_ready(self, lab, served):
        return super().is_ready(lab, served) and "nfq-engine: ready" in served.processes[0].output()


class Subjects:
    """All of them, from one build folder."""

    def __init__(self, build):
        tools = f"{build}/bench"

        def plugin(name, folder=f"{build}/plugins"):
            path = f"{folder}/{name}.so"
            if not os.path.exists(path):
                raise CannotMeasure(f"{path} is not there")
            return path

        self.tools = tools
        self.engine_program = f"{build}/engine/nfq-engine"
        alternate = plugin("alternate", f"{tools}/plugins")
        self.drop_tcp80 = plugin("drop_tcp80")
        self.port_plugins = [plugin(f"ports_{number}", f"{tools}/plugins") for number in range(1, 17)]
        self.none = NoQueue("no queue")
        self.classic = Loop("reference_classic", f"{tools}/reference_classic")
        self.tuned = Loop("reference_tuned", f"{tools}/reference_tuned")
        self.engine = Engine("engine drop_tcp80", self.engine_program, [self.drop_tcp80], alternate)
        self.accept_all = Engine("engine accept_all", self.engine_program, [plugin("accept_all")], alternate)

    def tool(self, name):
        return f"{self.tools}/{name}"
