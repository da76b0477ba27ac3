# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.options: docs/options.md has each option of the engine in one table row, and no other.

The names are read from options_table in engine/config/options.c. In the page, those count that a row names in its first
cell. What --help says of a default (`Default: VALUE.`) is the row's second cell, if it is a plain value.
"""

import re

import tree

SOURCE = "engine/config/options.c"
PAGE = "docs/options.md"
ENTRY = re.compile(r'\{"([a-z-]+)", (?:NULL|"[^"]*"), option_parse_.*?\},\n', re.DOTALL)
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
DEFAULT = re.compile(r"Default: ([a-z0-9/-]+)\.")
NAME = re.compile(r"`--([a-z][a-z-]*)")
DESCRIBED_ELSEWHERE = ("help", "version")


def source_options(root):
    """Name -> its default by --help, or None."""
    text = "\n".join(tree.lines(root, SOURCE)) + "\n"
    found = {}
    for match in ENTRY.finditer(text):
        said = DEFAULT.search("".join(STRING.findall(match.group(0))).replace("\\n", " "))
        found[match.group(1)] = said.group(1) if said else None
    return found


def rows(root):
    """(line number, names, default) of each row whose first cell names options."""
    for number, line in enumerate(tree.lines(root, PAGE), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        names = NAME.findall(cells[0]) if cells else []
        if names:
            yield number, names, cells[1] if len(cells) > 1 else ""


def check(root):
    findings = []
    options = source_options(root)
    documented = []
    for number, names, default in rows(root):
        documented += names
        for name in names:
            if name not in options:
                findings.append(f"{PAGE}:{number}: {SOURCE} has no --{name}")
            elif options[name] is not None and options[name] != default:
                findings.append(f"{PAGE}:{number}: --help says that the default of --{name} is {options[name]}")
    findings += [f"{PAGE}:1: --{name} is in {documented.count(name)} rows" for name in options
                 if documented.count(name) != 1 and name not in DESCRIBED_ELSEWHERE]
    if len(options) < 20:
        findings.append(f"{SOURCE}:1: only {len(options)} options were found; is the table written otherwise now?")
    return findings


if __name__ == "__main__":
    tree.main(check)
