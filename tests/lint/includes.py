# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.includes: each layer of the engine includes only what it may, and each process reaches only what it may.

Both lists are tables in docs/architecture.md. `| layer | may include | idea |` has a row for each directory of engine/
and for main.c. `| process | begins in | may reach |` has a row for each kind of process: from the file in which it
begins, all `#include` lines are followed; an included header also leads to the source file of the same name.

Always: the engine's headers are included by their path below engine/. A file may include the headers of its own
directory. The layers of the pipeline include no netlink header. plugin-api/ and plugins/ include nothing
of the engine, except in their tests.
"""

import os
import re

import tree

TABLE = "docs/architecture.md"
LAYER_ROW = ["layer", "may include", "idea"]
PROCESS_ROW = ["process", "begins in", "may reach"]
INCLUDE = re.compile(r"^\s*#\s*include\b\s*(.*)$")
NAMED = re.compile(r"[\"<]([^\">]+)[\">]")
NETLINK = re.compile(r"linux/(netfilter|netlink|rtnetlink)|libmnl/|libnetfilter_|libnfnetlink/")
NETLINK_LAYERS = ("main.c", "process/", "queue/")
SYSTEM = ("limits.h", "linux/futex.h", "sys/eventfd.h")  # the C library has headers of the same name
PUBLIC = "nfqe/"                 # how the headers of plugin-api/ are included
TEST = "test_"                   # how the tests of a plugin are named


def read_table(root, header, findings):
    """First cell -> second cell, in words, of the table with this header row."""
    rows, inside = {}, False
    for number, line in enumerate(tree.lines(root, TABLE), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells == header:
            inside = True
        elif not cells:
            inside = False
        elif inside and len(cells) != len(header):
            findings.append(f"{TABLE}:{number}: this row of the table has {len(cells)} cells, not {len(header)}")
        elif inside and not set(cells[0]) <= set(":-"):
            words = [cell.replace("`", "").split() for cell in cells[1:]]
            rows[cells[0].replace("`", "")] = (number, words)
    if not rows:
        findings.append(f"{TABLE}:1: no table with the header row | {' | '.join(header)} |")
    return rows


def includes(root, path):
    """Line number and name of each included file; the name is None if it is not written out."""
    for number, line in enumerate(tree.lines(root, path), 1):
        match = INCLUDE.match(line)
        if match:
            named = NAMED.match(match.group(1))
            yield number, named.group(1) if named else None


def layer_of(name):
    """The layer of a file, by its path below engine/: its directory, or its own name."""
    return name.split("/")[0] + "/" if "/" in name else name


class Engine:
    """The sources of the engine, by their paths below engine/."""

    def __init__(self, root):
        self.root = root
        self.names = {path[len("engine/"):] for path in tree.files(root, lambda path: path.startswith("engine/")
                                                                   and path.endswith((".c", ".h")))}

    def included(self, name):
        """The headers of the engine that a file includes."""
        return [header for _, header in includes(self.root, f"engine/{name}") if header in self.names]

    def reached(self, start):
        """Every file that is reached from `start`, with the file that includes it."""
        found, waiting = {start: None}, [start]
        while waiting:
            name = waiting.pop()
            for header in self.included(name):
                for reached in (header, header[:-2] + ".c"):
                    if reached in self.names and reached not in found:
                        found[reached] = name
                        waiting.append(reached)
        return found


def check_file(engine, name, layers):
    layer = layer_of(name)
    allowed = layers[layer][1][0]
    headers = {os.path.basename(header) for header in engine.names if header.endswith(".h")}
    for number, header in includes(engine.root, f"engine/{name}"):
        where = f"engine/{name}:{number}"
        if header is None:
            yield f"{where}: the name of an included file must be written out"
        elif header in engine.names:
            if layer_of(header) != layer and layer_of(header) not in allowed:
                yield f"{where}: {layer} includes {header}; it may include {' '.join(allowed) or 'no other layer'}"
        elif os.path.basename(header) in headers and header not in SYSTEM and not header.startswith(PUBLIC):
            yield f"{where}: include {header} by its path below engine/"
        elif NETLINK.match(header) and layer not in NETLINK_LAYERS:
            yield f"{where}: this layer must know nothing of netlink, but includes {header}"


def check_process(engine, process, row):
    number, (starts, allowed) = row
    if len(starts) != 1 or starts[0] not in engine.names:
        yield f"{TABLE}:{number}: {process} begins in {' '.join(starts)}, which is no file of engine/"
        return
    for name in allowed:
        if not name.endswith("/") and f"{name}.c" not in engine.names and f"{name}.h" not in engine.names:
            yield f"{TABLE}:{number}: {process} may reach {name}, which is no file of engine/"
    for name, by in sorted(engine.reached(starts[0]).items()):
        if by is not None and layer_of(name) not in allowed and os.path.splitext(name)[0] not in allowed:
            yield f"engine/{by}:1: with this file the {process} reaches {name}, which {TABLE} does not allow it"


def check(root):
    findings = []
    engine = Engine(root)
    layers = read_table(root, LAYER_ROW, findings)
    processes = read_table(root, PROCESS_ROW, findings)
    for layer, (number, _) in layers.items():
        if not any(layer_of(name) == layer for name in engine.names):
            findings.append(f"{TABLE}:{number}: there is no engine/{layer}")
    for name in sorted(engine.names):
        if layer_of(name) in layers:
            findings += check_file(engine, name, layers)
        else:
            findings.append(f"engine/{name}:1: its layer has no row in the table of layers in {TABLE}")
    for process, row in processes.items():
        findings += check_process(engine, process, row)
    for path in tree.files(root, lambda path: path.startswith(("plugin-api/", "plugins/"))
                           and path.endswith((".c", ".h"))):
        if os.path.basename(path).startswith(TEST):
            continue
        for number, included in includes(root, path):
            if included and included in engine.names:
                findings.append(f"{path}:{number}: includes {included}, which belongs to the engine")
    return findings


if __name__ == "__main__":
    tree.main(check)
