# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.cppcheck: cppcheck finds nothing in any C or C++ source.

Always: a suppression is in SUPPRESSED with its reason, or, for one line, in a comment above the line:
`// cppcheck-suppress id; reason`. Its Python add-ons are not used.
"""

import tempfile

import static_build
import tree

HOW = ["--quiet", "--enable=warning,performance,portability", "--inline-suppr", f"-j{static_build.JOBS}",
       "--template={file}:{line}: {message} [{id}]", "--template-location=", "--error-exitcode=1"]
# It cannot parse an attribute after a member that is a pointer to a function, and leaves out such a file.
WITHOUT_ATTRIBUTES = "-D__attribute__(attributes)="
SUPPRESSED = {
    # what is not to be reported, in which files: why
    "nullPointer:tests/*plugins/*": "a plugin that crashes is what these are for",
}


def check(root, build, only):
    tool = tree.find_tool("cppcheck")
    with tempfile.TemporaryDirectory() as scratch:
        project = static_build.write_commands(root, scratch, [
            (path, [WITHOUT_ATTRIBUTES, *arguments])
            for path, arguments in static_build.units(root, build) if static_build.wanted(path, only)])
        suppressions = [f"--suppress={name.replace(':', ':' + root + '/')}" for name in SUPPRESSED]
        return static_build.run_all(root, [[tool, *HOW, *suppressions, f"--project={project}"]])


if __name__ == "__main__":
    static_build.main(check)
