# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.shell: shellcheck has nothing to say about any shell script.

Always: a script is a file that ends in .sh or whose first line names bash or sh.
"""

import tree


def check(root):
    tool = tree.find_tool("shellcheck")
    paths = tree.files(root, lambda path: tree.is_shell_script(root, path))
    if not paths:
        return ["no shell script found: this check looks in the wrong place"]
    return tree.run_tool(root, [tool, "--format=gcc", *paths])


if __name__ == "__main__":
    tree.main(check)
