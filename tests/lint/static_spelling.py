# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.spelling: codespell finds no spelling error in texts, comments and messages.

Always: all text files except the licences.
"""

import os

import tree

WORDS = {
    # what codespell takes for a mistake, in small letters: why it is none
    "statics": "a plugin's static variables",
    "nd": "a part of a regular expression or of an address",
}
NOT_OURS = ("LICENSE",)
TEXT = (".c", ".h", ".cpp", ".hpp", ".py", ".sh", ".md", ".txt", ".cmake", ".in", ".json", ".suppr", ".service", ".map",
        ".yaml")


def check(root):
    tool = tree.find_tool("codespell")

    def is_prose(path):
        name = os.path.basename(path)
        return name not in NOT_OURS and (name.endswith(TEXT) or "." not in name.lstrip("."))

    paths = tree.files(root, is_prose)
    # Hidden files too: .ci/run and .clang-tidy have comments.
    output = tree.run_tool(root, [tool, "--check-hidden", "--quiet-level=2", f"--ignore-words-list={','.join(WORDS)}",
                                  *paths])
    return [line.removeprefix("./") for line in output]


if __name__ == "__main__":
    tree.main(check)
