# SPDX-License-Identifier: GPL-2.0-or-later
"""Foreign load: how many CPUs the rest of the machine used or wanted while something was measured.

The sum of three, for the time between two snapshots:
- CPU time of processes that are not of this run, by two methods: /proc/stat, minus the time of this process and its
  descendants; and /proc/<pid>/stat of all others, with children that they have waited for. The first misses what the
  kernel accounts as interrupts, the second processes of other containers. The larger value counts.
- The time that those processes were ready to run and waited for a CPU (/proc/<pid>/schedstat). If the measurement uses
  all CPUs, a foreign process gets only a part of the time that it wants.
- Time that the hypervisor gave to other machines (steal).

Always: the run itself does not count, and neither do kernel threads.
"""

import contextlib
import os
import time
from collections import namedtuple

from support.processes import all_processes, stat_fields

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
PF_KTHREAD = 0x200000
NS_PER_SECOND = 1e9

# parent: process id; kernel: True for a kernel thread; used, waited: seconds since its start, used with its children's
Usage = namedtuple("Usage", "parent kernel used waited")
# busy, steal: seconds since the machine's start; usages: process id -> Usage
Snapshot = namedtuple("Snapshot", "time busy steal usages")


def waited_seconds(process_id, threads):
    """How long its threads, those that still run, have waited for a CPU."""
    numbers = os.listdir(f"/proc/{process_id}/task") if threads > 1 else [process_id]
    total = 0
    for number in numbers:
        with contextlib.suppress(OSError, IndexError):
            with open(f"/proc/{process_id}/task/{number}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[1])
    return total / NS_PER_SECOND


def read_usage(process_id):
    fields = stat_fields(process_id)
    if fields is None:
        return None
    try:
        waited = waited_seconds(process_id, int(fields[18]))
    except OSError:
        waited = 0.0
    used = sum(map(int, fields[12:16])) * TICK_SECONDS
    return Usage(int(fields[2]), bool(int(fields[7]) & PF_KTHREAD), used, waited)


def take_snapshot():
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, _, _, steal = [int(word) * TICK_SECONDS for word in file.readline().split()[1:9]]
    usages = {process_id: read_usage(process_id) for process_id in all_processes()}
    return Snapshot(time.monotonic(), user + nice + system, steal,
                    {process_id: usage for process_id, usage in usages.items() if usage is not None})


def own_processes(usages, root):
    """root and its descendants."""
    children = {}
    for process_id, usage in usages.items():
        children.setdefault(usage.parent, []).append(process_id)
    found = [root] if root in usages else []
    for process_id in found:
        found.extend(children.get(process_id, []))
    return set(found)


def foreign_load(before, after, root):
    """In CPUs; 1.5 is one process and a half that always wants to run. root: the process whose descendants are the run."""
    seconds = after.time - before.time
    own = {0: 0.0, 1: 0.0}
    others = {0: 0.0, 1: 0.0}
    for index, snapshot in enumerate((before, after)):
        mine = own_processes(snapshot.usages, root)
        for process_id, usage in snapshot.usages.items():
            if process_id in mine:
                own[index] += usage.used
            elif not usage.kernel:
                others[index] += usage.used
    used = max(after.busy - before.busy - (own[1] - own[0]), others[1] - others[0], 0.0)
    mine = own_processes(after.usages, root)
    waited = 0.0
    for process_id, usage in after.usages.items():
        if process_id not in mine and not usage.kernel:
            earlier = before.usages.get(process_id)
            waited += max(usage.waited - (earlier.waited if earlier is not None else 0.0), 0.0)
    return (used + waited + after.steal - before.steal) / seconds
