# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.analyzer: gcc -fanalyzer finds no path through engine/ and plugins/ that goes wrong.

Always: only C, and not the tests of the plugins: cmocka ends a test by longjmp(), which the analyzer does not know.
"""

import os

import static_build
import tree

DIRECTORIES = ("engine/", "plugins/")
TEST = "test_"
# Optimised and not, since each sees paths that the other does not. Without the path to a finding, which is shown when
# gcc -fanalyzer is run by hand.
LEVELS = ("-O0", "-O2")
HOW = ["-fanalyzer", "-Werror", "-fdiagnostics-plain-output", "-fdiagnostics-path-format=none", "-c"]


def check(root, build, only):
    tool = tree.find_tool("gcc")
    commands = [[tool, level, *HOW, *arguments, os.path.join(root, path), "-o", "/dev/null"]
                for level in LEVELS for path, arguments in static_build.units(root, build)
                if path.startswith(DIRECTORIES) and not os.path.basename(path).startswith(TEST)
                and static_build.wanted(path, only)]
    return static_build.run_all(root, commands)


if __name__ == "__main__":
    static_build.main(check)
