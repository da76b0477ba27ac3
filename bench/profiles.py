# SPDX-License-Identifier: GPL-2.0-or-later
"""The CPU time by function of the kernel and of the program (bench/run --profile).

With a saturated queue: of the process that reads it. With bulk TCP: of the whole machine, since sender, receiver and
reader share the CPUs. perf uses its clock, since a virtual machine may have no cycle counter. So time with interrupts
off is attributed to the function that enables them again (`..._unlock_irqrestore`, `handle_softirqs`), in particular
the waking of another CPU.
"""

import shutil
import subprocess
import time

import saturation
import traffic
from laboratory import LOAD_CPU, SERVE_CPU, SERVER
from subjects import ACCEPT, ALTERNATE, DROP
from support.commands import LabError, run

LINES_MAX = 60
SECONDS = 3
# Queueing, on the sender's CPU; the three system calls of a worker; receiving; waking a process.
BULK_FUNCTIONS = ("nf_queue", "do_epoll_wait", "__sys_recvmmsg", "__sys_sendto", "nfnetlink_rcv", "tcp_v4_rcv",
                  "try_to_wake_up", "sock_def_readable", "__schedule")


def record(bench, path, *options):
    run("perf", "record", "--quiet", "--event", "cpu-clock", "--freq", "4000", "--output", path, *options,
        "--", "sleep", str(SECONDS), timeout=SECONDS + 20)


def report(path, *options):
    """Percentage and the rest, for each line."""
    text = run("perf", "report", "--stdio", "--input", path, "--call-graph", "none", *options, timeout=60)
    rows = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(float(percent.rstrip("%")), " ".join(word for word in rest.split() if word != "-"))
            for percent, rest in rows]


def profile(bench, subject, pattern):
    """What reads a saturated queue."""
    lab, path = bench.lab, f"{bench.directory}/perf.data"
    with saturation.full_socket(lab), \
            subject.serve(lab, saturation.MATCH, pattern=pattern, cpu=SERVE_CPU, whole=False) as served:
        load = lab.client.start(bench.subjects.load("load_udp"), SERVER, str(saturation.PORT),
                                str(saturation.PAYLOAD), str(SECONDS + 10), "0", cpu=LOAD_CPU)
        try:
            time.sleep(bench.warm_up)
            record(bench, path, "--pid", ",".join(str(pid) for pid in served.tree()))
        finally:
            load.stop()
    rows = report(path, "--sort", "dso,symbol")
    kernel = sum(percent for percent, what in rows if "[k]" in what)
    return [f"{kernel:.1f}% in the kernel", *(f"{percent:.2f}% {what}" for percent, what in rows[:LINES_MAX])]


def profile_bulk(bench, subject):
    """All processes, while iperf3 runs."""
    path = f"{bench.directory}/perf.data"
    with traffic.bulk_load(bench, subject, SECONDS):
        record(bench, path, "--all-cpus", "-g")
    alone = report(path, "--no-children", "--sort", "comm,symbol")
    with_callees = report(path, "--children", "--sort", "symbol")
    own = sum(percent for percent, what in alone if "[.]" in what and not what.startswith("iperf3"))
    rows = [(None, "by process"), *report(path, "--no-children", "--sort", "comm")[:6],
            (own, "user space of all but iperf3: the code of what reads the queue"),
            (None, "functions, with all that they call"),
            *(row for row in with_callees if any(name in row[1].split() for name in BULK_FUNCTIONS)),
            (None, "functions alone"), *alone[:LINES_MAX]]
    return [what if percent is None else f"{percent:.2f}% {what}" for percent, what in rows]


def write(bench, base):
    """Returns the path of the file; nothing if there is no perf."""
    if shutil.which("perf") is None:
        print("no profile: there is no perf; install linux-perf")
        return []
    subjects = bench.subjects
    jobs = [(subject, f"saturated queue, {pattern}", lambda s=subject, p=pattern: profile(bench, s, p))
            for subject in (subjects.tuned, subjects.engine) for pattern in (ACCEPT, DROP, ALTERNATE)]
    jobs += [(subject, "bulk TCP", lambda s=subject: profile_bulk(bench, s))
             for subject in (subjects.none, subjects.tuned, subjects.engine)]
    lines = []
    for subject, measure, job in jobs:
        print(f"  profile, {measure}: {subject.name} ...", flush=True)
        try:
            found = job()
        except (LabError, OSError, ValueError, subprocess.SubprocessError) as error:
            found = [f"cannot be measured: {error}"]
            bench.figures.fail(f"profile, {measure}", subject.name, str(error))
        lines += [f"{subject.name}, {measure}", *found, ""]
    with open(base + "-profile.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return [base + "-profile.txt"]
