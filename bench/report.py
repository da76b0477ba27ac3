# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the results: a table for people, JSON with all values, and pictures."""

import json
import os
import platform
import re
import statistics
import subprocess
import textwrap

import pictures
import saturation
import targets

TEXT_WIDTH = 110
BUSY_PERCENT = 95  # below this share of its CPU, something else was running there


def first_match(path, pattern):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            match = re.search(pattern, file.read(), re.MULTILINE)
    except OSError:
        return None
    return match.group(1) if match else None


def describe_machine(engine):
    version = subprocess.run([engine, "--version"], stdout=subprocess.PIPE, text=True, check=False, timeout=10).stdout
    memory = first_match("/proc/meminfo", r"^MemTotal:\s*(\d+)")
    return {
        "processor": first_match("/proc/cpuinfo", r"^model name\s*: (.*)$") or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory) / 2**20, 1) if memory else None,
        "hypervisor": "yes" if first_match("/proc/cpuinfo", r"^flags.*\b(hypervisor)\b") else "no",
        "kernel": f"{platform.system()} {platform.release()}",
        "tcp_congestion_control": first_match("/proc/sys/net/ipv4/tcp_congestion_control", r"^(\w+)"),
        "engine": " ".join(version.split()),
        "load_before": os.getloadavg()[0],
    }


def number(value, unit):
    if unit == "x":
        return f"{value:.2f} x"
    if abs(value) >= 10000:
        return f"{value / 1000:.0f}k {unit}"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:.{digits}f} {unit}"


def table(rows):
    """Rows of words as lines with aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows]


def notes_of(verdicts):
    """The notes of the targets, each once."""
    return list(dict.fromkeys(target.note for target, _, _ in verdicts if target.note is not None))


def target_rows(verdicts):
    notes = notes_of(verdicts)
    rows = [["measure", "target", "measured", "met"]]
    for target, value, met in verdicts:
        measure = target.measure if target.note is None else f"{target.measure} [{notes.index(target.note) + 1}]"
        limit = f"{target.compare} {target.limit:g} {target.unit}"
        rows.append([measure, limit, "-" if value is None else number(value, target.unit), met])
    return rows


def note_lines(verdicts):
    lines = []
    for index, note in enumerate(notes_of(verdicts)):
        lines += textwrap.wrap(note, TEXT_WIDTH, initial_indent=f"[{index + 1}] ", subsequent_indent="    ")
    return lines


def figure_rows(figures):
    rows = [["measure", "subject", "median", "lowest", "highest", "values"]]
    for measure, subjects in figures.values.items():
        unit = figures.units[measure]
        for subject, values in subjects.items():
            rows.append([measure, subject, number(statistics.median(values), unit), number(min(values), unit),
                         number(max(values), unit), str(len(values))])
    return rows


def queue_rows(packets_per_queue):
    rows = [["queues", "subject", "packets of each queue, last round"]]
    for queues, subjects in sorted(packets_per_queue.items()):
        for subject, packets in subjects.items():
            rows.append([str(queues), subject, " ".join(str(count) for count in packets)])
    return rows


def busy_lines(figures):
    """A warning if what reads a saturated queue did not have its CPU for itself."""
    shares = [share for values in figures.values.get(saturation.READER_SHARE, {}).values() for share in values]
    if not shares or min(shares) >= BUSY_PERCENT:
        return []
    return ["", f"The machine was busy with something else: what read a saturated queue got {min(shares):.0f} % of its "
            f"CPU at worst, {statistics.median(shares):.0f} %", "in the middle. Rates suffer from that most, CPU times "
            "less. Run it again on an idle machine."]


def text(about, verdicts, figures, packets_per_queue):
    lines = [f"nfq-engine benchmark, {about['date']}", "",
             f"machine  {about['cpus']} CPUs, {about['processor']}, {about['memory_gib']} GiB"
             f"{', virtual' if about['hypervisor'] == 'yes' else ''}",
             f"kernel   {about['kernel']}, TCP congestion control {about['tcp_congestion_control']}",
             f"engine   {about['engine']}",
             f"run      {about['rounds']} rounds, {about['seconds_a_figure']:g} s a figure, {about['minutes']} minutes",
             "", "Targets. A ratio is the median of the rounds' ratios.", "", *table(target_rows(verdicts)),
             "", *note_lines(verdicts), "", "Figures", "", *table(figure_rows(figures))]
    lines += busy_lines(figures)
    if packets_per_queue:
        lines += ["", "How queue-balance spread the requests of 16 client addresses", "",
                  *table(queue_rows(packets_per_queue))]
    if figures.failures:
        lines += ["", "Could not be measured", "", *figures.failures]
    return "\n".join(lines) + "\n"


def write(directory, date, about, figures, packets_per_queue):
    """Returns the paths written, the table first."""
    verdicts = targets.judge(figures)
    base = os.path.join(directory, date)
    picture_paths = pictures.draw(base, figures)
    with open(base + ".txt", "w", encoding="utf-8") as file:
        file.write(text(about, verdicts, figures, packets_per_queue))
    content = {
        "about": about,
        "targets": [{"measure": target.measure, "compare": target.compare, "limit": target.limit, "unit": target.unit,
                     "value": value, "met": met} for target, value, met in verdicts],
        "figures": {measure: {"unit": figures.units[measure], "values": values}
                    for measure, values in figures.values.items()},
        "packets_per_queue": packets_per_queue,
        "failures": figures.failures,
    }
    with open(base + ".json", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    return [base + ".txt", base + ".json", *picture_paths]
