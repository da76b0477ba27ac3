# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.includes: the modules of the engine include only what lies below them.

The order is the table of floors in docs/architecture.md, whose header row is `| floor | files in engine/ | idea |`. A
module is a source and its header; the header stands in the table only if it has no source. Always: each file in
engine/ is on exactly one floor; it includes, of the engine, its own header and headers of lower floors alone; on the
lower floors and in the chain nothing includes a netlink header; plugin-api/ and plugins/ include nothing of the engine,
their tests excepted.
"""

import os
import re

import tree

TABLE = "docs/architecture.md"
HEADER_ROW = ["floor", "files in engine/", "idea"]
INCLUDE = re.compile(r"^\s*#\s*include\b\s*(.*)$")
NAMED = re.compile(r"[\"<]([^\">]+)[\">]")
NETLINK = re.compile(r"linux/(netfilter|netlink|rtnetlink)|libmnl/|libnetfilter_|libnfnetlink/")
NETLINK_FREE_FLOORS = 2          # and everything below
NETLINK_FREE_MODULES = ("chain",)
SHARED_HEADERS = {"nfqueue_setup": "nfqueue", "plugin_check": "plugin"}  # a module in two sources has one header
PUBLIC = "nfqe/"                 # how the headers of plugin-api/ are included
TEST = "test_"                   # how the tests of a plugin are named


def module_of(name):
    stem = os.path.splitext(name)[0]
    return SHARED_HEADERS.get(stem, stem)


def read_floors(root, findings):
    """File name -> floor, for each file that the table names."""
    floors, inside = {}, False
    for number, line in enumerate(tree.lines(root, TABLE), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells == HEADER_ROW:
            inside = True
        elif not cells:
            inside = False
        elif inside and cells[0].isdigit() and len(cells) == len(HEADER_ROW):
            for name in cells[1].replace("`", "").split():
                if name in floors:
                    findings.append(f"{TABLE}:{number}: {name} stands in the table twice")
                if not os.path.isfile(os.path.join(root, "engine", name)):
                    findings.append(f"{TABLE}:{number}: there is no engine/{name}")
                floors[name] = int(cells[0])
        elif inside and not set(cells[0]) <= set(":-"):
            findings.append(f"{TABLE}:{number}: not a row of the table of floors: {line}")
    if not floors:
        findings.append(f"{TABLE}:1: no table with the header row | {' | '.join(HEADER_ROW)} |")
    return floors


def includes(root, path):
    """Line number and name of each included file; the name is None if it is not written out."""
    for number, line in enumerate(tree.lines(root, path), 1):
        match = INCLUDE.match(line)
        if match:
            named = NAMED.match(match.group(1))
            yield number, named.group(1) if named else None


def is_engine_header(root, name):
    return not name.startswith(PUBLIC) and os.path.isfile(os.path.join(root, "engine", os.path.basename(name)))


def check_file(root, path, floor, floor_of_module):
    own = module_of(os.path.basename(path))
    netlink_free = floor <= NETLINK_FREE_FLOORS or own in NETLINK_FREE_MODULES
    for number, name in includes(root, path):
        where = f"{path}:{number}"
        if name is None:
            yield f"{where}: the name of an included file must be written out"
            continue
        module = os.path.splitext(os.path.basename(name))[0]
        if is_engine_header(root, name) and module != own and floor_of_module.get(module, floor) >= floor:
            yield f"{where}: floor {floor} includes {name} of floor {floor_of_module.get(module, '?')}"
        if netlink_free and NETLINK.match(name):
            yield f"{where}: this file must know nothing of netlink, but includes {name}"


def check(root):
    findings = []
    floors = read_floors(root, findings)
    floor_of_module = {os.path.splitext(name)[0]: floor for name, floor in floors.items()}
    for path in tree.files(root, lambda path: path.endswith((".c", ".h"))):
        name = os.path.basename(path)
        if path.startswith("engine/"):
            stem = os.path.splitext(name)[0]
            floor = floors.get(name, floor_of_module.get(stem) if name.endswith(".h") else None)
            if floor is None:
                findings.append(f"{path}:1: stands in no row of the table of floors in {TABLE}")
            else:
                findings += check_file(root, path, floor, floor_of_module)
        elif path.startswith(("plugin-api/", "plugins/")) and not name.startswith(TEST):
            for number, included in includes(root, path):
                if included and is_engine_header(root, included):
                    findings.append(f"{path}:{number}: includes {included}, which belongs to the engine")
    return findings


if __name__ == "__main__":
    tree.main(check)
