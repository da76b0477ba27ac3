# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.format: every C and C++ file is laid out as clang-format does it with .clang-format.

Always: with the version that .clang-format names, since versions differ.
"""

import tree

TOOL = "clang-format-16"
ENDINGS = (".c", ".h", ".cpp", ".hpp")
CHANGE = "[-Wclang-format-violations]"
PLACES_MAX = 200


def check(root):
    tool = tree.find_tool(TOOL)
    paths = tree.files(root, lambda path: path.endswith(ENDINGS))
    output = tree.run_tool(root, [tool, "--style=file", "--dry-run", "-Werror", *paths])
    if not output:
        return []
    places = list(dict.fromkeys(":".join(line.split(":")[:2]) for line in output if CHANGE in line))
    if not places:
        return output
    changed = list(dict.fromkeys(place.split(":")[0] for place in places))
    return [*(f"{place}: {TOOL} lays this out differently" for place in places[:PLACES_MAX]),
            *([f"... and {len(places) - PLACES_MAX} more"] if len(places) > PLACES_MAX else []),
            f"to lay them out: {TOOL} -i {' '.join(changed)}"]


if __name__ == "__main__":
    tree.main(check)
