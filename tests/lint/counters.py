# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.counters: docs/counters.md has each counter of the engine's final line, in its order, and no other.

The names are read from the format of the line in engine/ that says `final: `: from there to the end of the statement,
each `name=` of a string. The table is the one whose first column is headed `counter`; every cell except the last one
must have a text. README.md has a smaller table of counters: its names must be among these.
"""

import re

import tree

PAGE = "docs/counters.md"
README = "README.md"
STATEMENT = re.compile(r'"[^"\n]*: final: .*?;\n', re.DOTALL)
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
NAME = re.compile(r"(\w+)=")


def source_names(root, findings):
    """The file that logs the final line, and the names in it."""
    found = []
    for path in tree.files(root, lambda path: path.startswith("engine/") and path.endswith(".c")):
        for statement in STATEMENT.findall("\n".join(tree.lines(root, path)) + "\n"):
            found.append((path, NAME.findall("".join(STRING.findall(statement)))))
    if len(found) != 1 or not found[0][1]:
        findings.append(f"engine/:1: the final line is logged in {len(found)} places; there must be one, with names")
        return None, []
    return found[0]


def table_rows(root, path, findings):
    """(line number, cells) of each row of the tables whose header row begins with `counter`."""
    inside = False
    for number, line in enumerate(tree.lines(root, path), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" |")] if line.startswith("|") else []
        if cells and cells[0] == "counter":
            inside = True
            columns = len(cells)
        elif not cells:
            inside = False
        elif inside and not set(cells[0]) <= set("-|"):
            if len(cells) != columns:
                findings.append(f"{path}:{number}: this row has {len(cells)} cells, not {columns}")
            yield number, cells


def check(root):
    findings = []
    source, names = source_names(root, findings)
    if source is None:
        return findings
    rows = [(number, cells[0].strip("`"), cells) for number, cells in table_rows(root, PAGE, findings)]
    documented = [name for _, name, _ in rows]
    for number, name, cells in rows:
        if name not in names:
            findings.append(f"{PAGE}:{number}: {name} is no counter of the final line in {source}")
        if not all(cells[:-1]):
            findings.append(f"{PAGE}:{number}: {name}: only the last cell may be empty")
    findings += [f"{PAGE}:1: no row for {name}, which {source} logs" for name in names if name not in documented]
    if not findings and documented != names:
        findings.append(f"{PAGE}:1: the rows must have the order of the final line: {' '.join(names)}")
    for number, cells in table_rows(root, README, findings):
        findings += [f"{README}:{number}: {name} is no counter of the final line in {source}"
                     for name in re.findall(r"\w+", cells[0]) if name not in names]
    return findings


if __name__ == "__main__":
    tree.main(check)
