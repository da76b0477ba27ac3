# SPDX-License-Identifier: GPL-2.0-or-later
"""bench/run --compare: this build of the engine against another one, measure by measure, in interleaved pairs.

A pair is a measurement of both builds, one directly after the other, in alternating order. A round has one pair of
each measure, so the pairs of a measure are spread over the whole run. Measurements are those of bench/run, but
shorter. Each build uses its own engine, plugins, record_burst, chain_cost and flow_cost; the load comes from this
build's programs. Nothing depends on the names of processes, counters or log lines except `ready`, so builds of
different age can be compared.

Always: a pair with more than FOREIGN_LOAD_MAX of foreign load (foreign.py), or one that could not be measured, is
void and is measured again. A measure that is found worse is measured again with as many new pairs, and counts as
worse only if both results say so: among fifty measures of two equal builds, one is found worse by chance now and
then, but not twice.
"""

import os
import subprocess
import time
from collections import namedtuple

import flows
import footprint
import paired
import saturation
import session
import traffic
from figures import Figures
from foreign import foreign_load, take_snapshot
from subjects import Engine, is_ready
from support.commands import LabError, wait_for
from support.processes import process_tree, status_field

PAIRS = 15
TRIES_PER_PAIR = 2  # of a measure, on average: so often are void pairs and failures repeated
FAILURES_MAX = 3    # before the first pair: then it is no accident
FOREIGN_LOAD_MAX = 1.5
QUIET_SECONDS = 20  # that it waits after a void pair for the foreign load to go away
PACE = session.Pace(seconds=0.6, warm_up=0.2, settle=0.3)
TABLE_FLOWS = 50000
MEMORY_KEPT, MEMORY_PSS = "memory kept for 50 k flows", "memory (PSS), 50 k flows in the table"
IDLE, IDLE_WINDOW_SECONDS, IDLE_SETTLE_SECONDS = "idle wake-ups", 2.0, 1.0
IGNORED = {saturation.READER_SHARE}
HIGHER_IS_BETTER = {"packets/s", "Gbit/s", "requests/s"}  # of all other units, less is better
READY_SECONDS = 10

ERRORS = (LabError, OSError, ValueError, subprocess.SubprocessError)
THIS, OTHER = 0, 1  # the place of a build in a pair, and in Comparison.benches

Step = namedtuple("Step", "name functions")  # functions: one for each build
Void = namedtuple("Void", "step reason foreign")


class Measure:
    """What one step measures may be several of these. pairs: (this, other); judged: once or, if that was worse, twice."""

    def __init__(self, name, unit):
        self.name, self.unit = name, unit
        self.pairs = []
        self.judged = []

    def judge(self, pairs):
        self.judged.append(paired.judge(pairs, self.unit in HIGHER_IS_BETTER))

    @property
    def worse(self):
        return len(self.judged) == 2 and all(judgement.worse for judgement in self.judged)


def steps_of(bench):
    """(name, subject, function): each measure of the engine that a whole run has."""
    subjects = bench.subjects
    everything = [*saturation.steps(bench), *traffic.steps(bench), *flows.steps(bench), *footprint.steps(bench)]
    for name, subject, function in everything:
        if isinstance(subject, Engine) and subject is not subjects.accept_all:
            yield name, subject, function
    flow = flows.make_engine(subjects, flows.FLOW, [subjects.flow_accept])
    table = flows.make_engine(subjects, flows.FLOW, [subjects.flow_accept], "--flow-table", str(TABLE_FLOWS))
    yield "chain cost", subjects.engine, lambda: footprint.measure_chain(bench, subjects.engine)
    yield "flow verdict, chain cost", flow, lambda: flows.measure_chains(bench)
    yield "flow look-up", flow, lambda: flows.measure_look_up(bench, flow, flows.SHORT)
    yield "flow table, memory", table, lambda: flows.measure_table(bench, table, TABLE_FLOWS, MEMORY_KEPT, MEMORY_PSS)


def name_of(measure, subject, bench):
    """With the subject, where it is not the engine with its usual plugin."""
    return measure if subject == bench.subjects.engine.name else f"{measure}: {subject}"


class Comparison:
    """One run. benches: this build's and the other one's."""

    def __init__(self, benches, only, pairs):
        self.benches, self.only, self.pairs = benches, only, pairs
        self.measures = {}   # name -> Measure
        self.step_of = {}    # name of a measure -> name of its step
        self.voids = []
        self.failures = {}   # name of a step -> why it has too few pairs
        self.left_out = {}   # name of a step -> why it was not tried
        self.tries = 0
        self._was_void = False

    def steps(self):
        found = []
        for one, other in zip(*(list(steps_of(bench)) for bench in self.benches)):
            name = one[0] if one[1].name == self.benches[THIS].subjects.engine.name else f"{one[0]}: {one[1].name}"
            if self.wants(name):
                found.append(Step(name, (one[2], other[2])))
        if any(step.name.startswith("flow look-up") for step in found):
            if not all(flows.has_short_look_up(bench.subjects) for bench in self.benches):
                found = [step for step in found if not step.name.startswith("flow look-up")]
                self.left_out["flow look-up"] = f"one of the builds has a flow_cost that does not know {flows.SHORT}"
        return found

    def wants(self, name):
        return self.only is None or any(part.lower() in name.lower() for part in self.only)

    # One pair

    def take_side(self, step, side):
        """name of the measure -> unit, value"""
        bench = self.benches[side]
        bench.figures = Figures()
        step.functions[side]()
        return {name_of(measure, subject, bench): (bench.figures.units[measure], bench.figures.median(measure, subject))
                for measure, subjects in bench.figures.values.items() if measure not in IGNORED for subject in subjects}

    def take_pair(self, step, number):
        """Both values of each measure of the step; None, and a Void more, if the pair does not count. number: of valid
        pairs so far."""
        self.tries += 1
        self.wait_until_quiet()
        sides, reason = {}, None
        before = take_snapshot()
        for side in (THIS, OTHER) if number % 2 == 0 else (OTHER, THIS):
            try:
                sides[side] = self.take_side(step, side)
            except ERRORS as error:
                reason = f"{('this build', 'the other build')[side]}: {error}"
                break
        load = foreign_load(before, take_snapshot(), os.getpid())
        if reason is None and load <= FOREIGN_LOAD_MAX:
            return {name: (unit, sides[THIS][name][1], sides[OTHER][name][1])
                    for name, (unit, _) in sides[THIS].items() if name in sides[OTHER]}
        self.note_void(step.name, reason, load)
        return None

    def note_void(self, step_name, reason, load):
        self._was_void = load > FOREIGN_LOAD_MAX
        if reason is None or self._was_void:
            reason = f"foreign load {load:.1f}" + (f"; {reason}" if reason else "")
        self.voids.append(Void(step_name, reason, self._was_void))
        print(f"  void: {step_name}: {reason}", flush=True)

    def wait_until_quiet(self):
        """After a void pair: until the foreign load has gone, or for QUIET_SECONDS."""
        end = time.monotonic() + QUIET_SECONDS
        while self._was_void and time.monotonic() < end:
            before = take_snapshot()
            time.sleep(1)
            self._was_void = foreign_load(before, take_snapshot(), os.getpid()) > FOREIGN_LOAD_MAX
        self._was_void = False

    # Many

    def take_pairs(self, steps, title):
        """As many pairs of every step, in rounds. Returns name of the measure -> pairs, of those that have got them."""
        taken = {step.name: [] for step in steps}
        failed_at_first = {step.name: 0 for step in steps}
        started = time.monotonic()
        for number in range(TRIES_PER_PAIR * self.pairs):
            missing = [step for step in steps if len(taken[step.name]) < self.pairs and step.name not in self.failures]
            if not missing:
                break
            minutes = (time.monotonic() - started) / 60
            print(f"{title}, round {number + 1} of {self.pairs}: {len(missing)} pairs, after {minutes:.1f} minutes",
                  flush=True)
            for step in missing:
                pair = self.take_pair(step, len(taken[step.name]))
                if pair is not None:
                    taken[step.name].append(pair)
                elif not taken[step.name] and not self.voids[-1].foreign:
                    failed_at_first[step.name] += 1
                    if failed_at_first[step.name] == FAILURES_MAX:
                        self.failures[step.name] = self.voids[-1].reason
        return {name: pairs for step in steps for name, pairs in self.collect(step, taken[step.name]).items()}

    def collect(self, step, pairs):
        if len(pairs) < self.pairs:
            self.failures.setdefault(step.name, f"{len(pairs)} of {self.pairs} pairs are valid")
            return {}
        found = {}
        for name, (unit, _, _) in pairs[0].items():
            self.measures.setdefault(name, Measure(name, unit))
            self.step_of[name] = step.name
            found[name] = [pair[name][1:] for pair in pairs]
        return found

    def take_idle(self, title):
        """Both engines at rest at the same time, each in a namespace of its own; a pair is the wake-ups of a window."""
        lab = self.benches[THIS].lab
        print(f"{title}: {IDLE}, {self.pairs * IDLE_WINDOW_SECONDS:.0f} s", flush=True)
        processes = []
        try:
            for bench, namespace in zip(self.benches, (lab.server, lab.client)):
                processes.append(namespace.start(*bench.subjects.engine.arguments(1)))
            for process in processes:
                wait_for(lambda started=process: is_ready(started), "the engine is ready", READY_SECONDS)
            time.sleep(IDLE_SETTLE_SECONDS)
            trees = [process_tree(process.pid) for process in processes]
            windows = []
            for _ in range(TRIES_PER_PAIR * self.pairs):
                if len(windows) == self.pairs:
                    break
                self.tries += 1
                before, counts = take_snapshot(), [switches(tree) for tree in trees]
                time.sleep(IDLE_WINDOW_SECONDS)
                after = [switches(tree) for tree in trees]
                load = foreign_load(before, take_snapshot(), os.getpid())
                if load > FOREIGN_LOAD_MAX:
                    self.note_void(IDLE, None, load)
                    continue
                windows.append([[late - early for early, late in zip(*both)] for both in zip(counts, after)])
        except ERRORS as error:
            self.failures[IDLE] = str(error)
            return {}
        finally:
            for process in processes:
                process.stop()
        pairs = [{f"{IDLE}, {role}": ("1/s", *(side[place] / IDLE_WINDOW_SECONDS for side in window))
                  for place, role in enumerate(("supervisor", "its descendants"))} for window in windows]
        return self.collect(Step(IDLE, None), pairs)

    def take_all(self, names, title):
        """The steps of these names, None: all that are wanted."""
        steps = [step for step in self.steps() if names is None or step.name in names]
        found = self.take_idle(title) if (self.wants(IDLE) if names is None else IDLE in names) else {}
        found.update(self.take_pairs(steps, title))
        return found

    def check_wanted(self):
        """A name that fits no measure must not look like a comparison that found nothing worse."""
        if self.steps() or self.left_out or self.wants(IDLE):
            return
        names = sorted({name for bench in self.benches for name, _, _ in steps_of(bench)} | {IDLE})
        raise LabError(f"--only {' '.join(self.only)}: no measure has such a name; there are: {', '.join(names)}")

    def run(self):
        self.check_wanted()
        for name, pairs in self.take_all(None, "compare").items():
            self.measures[name].pairs = pairs
            self.measures[name].judge(pairs)
        doubted = {measure.name for measure in self.measures.values() if measure.judged[0].worse}
        if doubted:
            print("found worse, measured again: " + "; ".join(sorted(doubted)), flush=True)
            again = self.take_all({self.step_of[name] for name in doubted}, "again")
            for name in doubted & again.keys():
                self.measures[name].judge(again[name])
                self.measures[name].pairs = self.measures[name].pairs + again[name]

    def worse(self):
        return [measure for measure in self.measures.values() if measure.worse]


def switches(tree):
    """Voluntary context switches of the first process of a tree, and of all others together."""
    counts = [int(status_field(process_id, "voluntary_ctxt_switches")) for process_id in tree]
    return counts[0], sum(counts[1:])
