# SPDX-License-Identifier: GPL-2.0-or-later
"""The hooks of .pre-commit-config.yaml are checks that ctest runs too, so they are neither lost nor different."""

import os
import re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def test_each_hook_is_a_lint_check_of_the_tree():
    with open(os.path.join(ROOT, ".pre-commit-config.yaml"), encoding="utf-8") as file:
        hooks = re.findall(r"- id: (\w+)\n +name: .*\(lint\.(\w+)\)\n +entry: (.*)\n", file.read())
    with open(os.path.join(ROOT, "tests", "lint", "CMakeLists.txt"), encoding="utf-8") as file:
        registered = re.findall(r"\w+", file.read())
    assert {identity for identity, _, _ in hooks} == {"format", "spelling", "includes"}
    for identity, name, entry in hooks:
        assert name == identity and name in registered
        command = re.fullmatch(rf"/usr/bin/python3 -B (tests/lint/(?:static_)?{name}\.py) \.", entry)
        assert command and os.path.isfile(os.path.join(ROOT, command.group(1)))
