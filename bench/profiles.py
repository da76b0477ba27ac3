# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time of a saturated queue goes, by function of the kernel and of the program (bench/run --profile).

By perf's clock and not its cycle counter, which a virtual machine may not have.
"""

import shutil
import subprocess
import time

import saturation
from laboratory import LOAD_CPU, SERVE_CPU, SERVER, CannotMeasure, run
from subjects import ACCEPT, ALTERNATE, DROP

LINES_MAX = 60
SECONDS = 3


def profile(bench, subject, pattern):
    """The report of perf on what reads the queue."""
    lab, path = bench.lab, f"{bench.folder}/perf.data"
    with saturation.full_socket(lab), \
            subject.serve(lab, saturation.MATCH, pattern=pattern, cpu=SERVE_CPU, whole=False) as served:
        load = lab.client.start(bench.subjects.tool("load_udp"), SERVER, str(saturation.PORT),
                                str(saturation.PAYLOAD), str(SECONDS + 10), "0", cpu=LOAD_CPU)
        try:
            time.sleep(saturation.WARM_UP_SECONDS)
            pids = ",".join(str(pid) for pid in served.tree())
            run("perf", "record", "--quiet", "--event", "cpu-clock", "--freq", "4000", "--output", path, "--pid", pids,
                "--", "sleep", str(SECONDS), timeout=SECONDS + 20)
        finally:
            load.stop()
    report = run("perf", "report", "--stdio", "--input", path, "--sort", "dso,symbol", timeout=60)
    lines = [" ".join(line.split()[:4]) for line in report.splitlines() if line.strip() and not line.startswith("#")]
    kernel = sum(float(line.split("%")[0]) for line in lines if "[k]" in line)
    return [f"{kernel:.1f}% in the kernel", *lines[:LINES_MAX]]


def write(bench, base):
    """Returns the path of the file; nothing if there is no perf."""
    if shutil.which("perf") is None:
        print("no profile: there is no perf; install linux-perf")
        return []
    lines = []
    for subject in (bench.subjects.tuned, bench.subjects.engine):
        for pattern in (ACCEPT, DROP, ALTERNATE):
            print(f"  profile, {pattern}: {subject.name} ...", flush=True)
            try:
                found = profile(bench, subject, pattern)
            except (CannotMeasure, OSError, ValueError, subprocess.SubprocessError) as error:
                found = [f"cannot be measured: {error}"]
                bench.figures.fail(f"profile, {pattern}", subject.name, str(error))
            lines += [f"{subject.name}, saturated queue, {pattern}", *found, ""]
    with open(base + "-profile.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return [base + "-profile.txt"]
