# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.licences: every source, script and CMake file names its licence in one of its first lines.

Always: plugin-api/ and plugins/ are MIT, so that anyone may start a plugin from them; everything else is
GPL-2.0-or-later.
"""

import os
import re

import tree

ENDINGS = (".c", ".h", ".cpp", ".hpp", ".py", ".sh", ".cmake", ".cmake.in", ".pc.in", ".map", ".suppr", ".service",
           ".yaml")
NAMES = ("CMakeLists.txt", ".clang-format", ".clang-tidy")
MIT_DIRECTORIES = ("plugin-api/", "plugins/")
FIRST_LINES = 3
IDENTIFIER = re.compile(r"SPDX-License-Identifier:\s*(.*?)\s*(\*/)?$")


def check(root):
    def carries_licence(path):
        return path.endswith(ENDINGS) or os.path.basename(path) in NAMES or tree.is_script(root, path)

    findings = []
    for path in tree.files(root, carries_licence):
        expected = "MIT" if path.startswith(MIT_DIRECTORIES) else "GPL-2.0-or-later"
        found = [match.group(1) for match in map(IDENTIFIER.search, tree.lines(root, path)[:FIRST_LINES]) if match]
        if not found:
            findings.append(f"{path}:1: no line `SPDX-License-Identifier: {expected}`")
        elif found != [expected]:
            findings.append(f"{path}:1: the licence is {' and '.join(found)}; here it must be {expected}")
    return findings


if __name__ == "__main__":
    tree.main(check)
