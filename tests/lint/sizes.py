# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.sizes: a source file or script holds one idea, so it has at most 500 lines.

Always: a longer one says why, in a line of its own: `/* Longer than 500 lines: reason */`, or with # in Python.
"""

import re

import tree

LINES_MAX = 500
ENDINGS = (".c", ".h", ".cpp", ".hpp", ".py")
REASON = re.compile(r"^\s*(/\*|\*|//|#)\s*Longer than 500 lines: \w")


def check(root):
    findings = []
    for path in tree.files(root, lambda path: path.endswith(ENDINGS) or tree.is_script(root, path)):
        lines = tree.lines(root, path)
        if len(lines) > LINES_MAX and not any(map(REASON.match, lines)):
            findings.append(f"{path}:{LINES_MAX + 1}: {len(lines)} lines; divide it, or say in a line"
                            " `/* Longer than 500 lines: reason */` why it is one")
    return findings


if __name__ == "__main__":
    tree.main(check)
