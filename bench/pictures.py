# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of the figures, drawn by gnuplot. A picture without figures is left out."""

import statistics
import subprocess

import flows
from footprint import CHAIN_LENGTHS

GNUPLOT_SECONDS = 30
TABLE_EDGES = (flows.TABLE_SIZES[0] / 2, flows.TABLE_SIZES[-1] * 2)

HEAD = """set terminal svg size 800,450 font "sans-serif,13" background rgb "white"
set output "{path}"
set title "{title}"
set ylabel "{unit}"
set yrange [0:*]
set grid ytics linecolor rgb "#dddddd"
set border 3
set xtics nomirror
set ytics nomirror
"""

BARS = """set style data histogram
set style histogram errorbars gap 1 linewidth 1
set style fill solid 0.8 border -1
set key outside below
plot {plots}
"""


def bars(figures, groups, subjects):
    """A group of bars for each measure, with the lowest and highest of the rounds. groups: measure -> caption."""
    blocks, plots = [], []
    for subject in subjects:
        if not any(figures.rounds(measure, subject) for measure in groups):
            continue
        name = f"$data{len(blocks)}"
        rows = []
        for measure, caption in groups.items():
            values = figures.rounds(measure, subject)
            row = f"{statistics.median(values)} {min(values)} {max(values)}" if values else "NaN NaN NaN"
            rows.append(f'"{caption}" {row}')
        blocks.append("\n".join([f"{name} << END", *rows, "END"]))
        plots.append(f'{name} using 2:3:4:xtic(1) title "{subject}" noenhanced')
    return "\n".join(blocks) + "\n" + BARS.format(plots=", ".join(plots)) if plots else None


def chain_growth(figures, subject):
    rows = []
    for length in CHAIN_LENGTHS:
        values = figures.rounds(f"decode, chain of {length}, encode", subject)
        if values:
            rows.append(f"{length} {statistics.median(values)} {min(values)} {max(values)}")
    if not rows:
        return None
    return "\n".join(["$data << END", *rows, "END", 'set xlabel "plugins in the chain"', "set key left top",
                      f"set xrange [0:{max(CHAIN_LENGTHS) + 1}]",
                      'plot $data using 1:2:3:4 with yerrorbars linewidth 2 title "lowest to highest", '
                      '$data using 1:2 with linespoints linewidth 2 pointtype 7 title "median", '
                      '60 with lines dashtype 2 linecolor rgb "#888888" title "target for one plugin"']) + "\n"


def look_up_growth(figures):
    blocks, plots = [], []
    for clock, title in (("moving", "500,000 packets a second"), ("standing", "the look-up alone")):
        rows = []
        for size in flows.TABLE_SIZES:
            values = figures.rounds(flows.look_up(size, clock), flows.FLOW)
            if values:
                rows.append(f"{size} {statistics.median(values)} {min(values)} {max(values)}")
        if rows:
            blocks += [f"${clock} << END", *rows, "END"]
            plots.append(f'${clock} using 1:2:3:4 with yerrorlines linewidth 2 pointtype 7 title "{title}"')
    if not plots:
        return None
    least = figures.median(flows.look_up(flows.TABLE_SIZES[0]), flows.FLOW)
    if least is not None:
        plots.append(f'{2 * least} with lines dashtype 2 linecolor rgb "#888888" '
                     'title "target: twice that of 1 k flows"')
    return "\n".join([*blocks, 'set xlabel "flows in the table"', "set logscale x", 'set format x "%.0f"',
                      f"set xrange [{TABLE_EDGES[0]}:{TABLE_EDGES[1]}]", "set key left top",
                      "plot " + ", ".join(plots)]) + "\n"


def draw(base, figures):
    """Returns the paths of the pictures."""
    everyone = ["no queue", "reference_classic", "reference_tuned", "engine drop_tcp80", "engine accept_all"]
    queued = everyone[1:]
    pages = [
        ("saturated", "One saturated queue, packets of 64 bytes", "packets/s",
         bars(figures, {f"saturated queue, {p}": p for p in ("accept", "drop", "alternate")}, queued)),
        ("cpu", "CPU time of one packet", "ns",
         bars(figures, {f"CPU time, {p}": p for p in ("accept", "drop", "alternate")}, queued)),
        ("bulk", "Bulk TCP, one connection", "Gbit/s", bars(figures, {"bulk TCP": ""}, everyone)),
        ("latency", "One request and its answer, idle machine", "us",
         bars(figures, {"latency p50": "p50", "latency p99": "p99"}, everyone)),
        ("requests", "Requests to a web server, 16 client addresses", "requests/s",
         bars(figures, {"requests, 1 queue": "1 queue", "requests, 2 queues": "2 queues",
                        "requests, 4 queues": "4 queues"}, everyone)),
        ("chain", "Decode, chain and encode, no system calls", "ns/packet",
         chain_growth(figures, "engine drop_tcp80")),
        ("flows", "Look-up of a flow, 64 packets of random flows", "ns/packet", look_up_growth(figures)),
    ]
    paths = []
    for name, title, unit, body in pages:
        if body is not None:
            path = f"{base}-{name}.svg"
            script = HEAD.format(path=path, title=title, unit=unit) + body
            try:
                subprocess.run(["gnuplot"], input=script, text=True, check=True, timeout=GNUPLOT_SECONDS)
                paths.append(path)
            except (OSError, subprocess.SubprocessError) as error:
                figures.fail("picture", name, str(error))
    return paths
