# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.tidy: clang-tidy, with the checks of .clang-tidy, has nothing to say about any C or C++ source or its headers.

Always: the analyzer's checks are not used for the tests, which crash on purpose, and which cmocka ends by longjmp();
the tests run with sanitizers instead. A source that is compiled several times with different definitions is checked
once. To keep a line as it is: `// NOLINT(check): reason`. .clang-tidy has a reason for each check that is off.
"""

import os
import re
import tempfile

import static_build
import tree

TESTS = re.compile(r"tests/|.*/test_[^/]*$")
NOT_FOR_TESTS = "--checks=-clang-analyzer-*"


def check(root, build, only):
    tool = tree.find_tool("clang-tidy")
    units = {}
    for path, arguments in static_build.units(root, build):
        if static_build.wanted(path, only):
            units.setdefault(path, arguments)
    with tempfile.TemporaryDirectory() as scratch:
        static_build.write_commands(root, scratch, units.items())
        return static_build.run_all(root, [
            [tool, "--quiet", f"--config-file={root}/.clang-tidy", "-p", scratch,
             *([NOT_FOR_TESTS] if TESTS.match(path) else []), os.path.join(root, path)]
            for path in units])


if __name__ == "__main__":
    static_build.main(check)
