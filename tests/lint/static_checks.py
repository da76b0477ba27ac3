# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.static_checks: each check that compiles, and the check of the spelling, notices what it must notice.

Always: like lint.checks, on copies of the tree, each damaged in one place; the check must report something new about
that place. To save time, only that file is checked.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import checks
import static_build
import tree

CHECK_SECONDS = 100

FREED_TWICE = """
#include <stdlib.h>
void stranger(size_t len);
void stranger(size_t len)
{
    char *text = malloc(len);

    if (len > 3) {
        free(text);
    }
    free(text);
}
"""
BEYOND_THE_END = "int stranger(int i);\nint stranger(int i)\n{\n    int a[4] = {0};\n\n    return a[4] + i;\n}\n"
UNINITIALISED = """
int stranger(const char *text);
int stranger(const char *text)
{
    int value;

    if (text != 0) {
        value = text[0];
    }
    return value;
}
"""
# The compilers' own -Wall does not see it, lint.tidy does.
SUSPICIOUS = """
#include <string.h>
int stranger(const char *text);
int stranger(const char *text)
{
    return strcmp(text, "a") == 2;
}
"""
ENGINE = "engine/base/log.c"
PLUGIN = "plugins/accept_all/accept_all.c"
TEST = "tests/unit/support/burst_fixture.c"
HEADER = "plugin-api/include/nfqe/version.h"

# check, what is broken, the file
DAMAGES = [
    ("warnings", checks.append(ENGINE, "int stranger(void) { return 0; }\n"), ENGINE),
    ("warnings", checks.append(ENGINE, UNINITIALISED), ENGINE),
    ("warnings", checks.append(PLUGIN, "static int stranger;\n"), PLUGIN),
    ("warnings", checks.append(TEST, "extern char *stranger(const char *t);\n"
                               "char *stranger(const char *t) { return (char *)t; }\n"), TEST),
    ("warnings", checks.append(HEADER, "static inline int a(int n) { int b[n]; return (int)sizeof(b); }\n"), HEADER),
    ("warnings", checks.append(HEADER, "static inline int a(void) { return __extension__ 0b1 + ({ 1; }); }\n"), HEADER),
    ("warnings", checks.append("engine/base/arith.h", "static inline void a(FILE *file) { (void)file; }\n"), "engine/base/arith.h"),
    ("warnings", checks.write("tests/unit/stranger.c", "static int stranger;\n"), "tests/unit/stranger.c"),
    ("tidy", checks.append(ENGINE, SUSPICIOUS), ENGINE),
    ("tidy", checks.append(PLUGIN, FREED_TWICE), PLUGIN),
    ("tidy", checks.append(TEST, SUSPICIOUS), TEST),
    ("cppcheck", checks.append(ENGINE, BEYOND_THE_END), ENGINE),
    ("cppcheck", checks.append(TEST, FREED_TWICE), TEST),
    ("analyzer", checks.append(ENGINE, FREED_TWICE), ENGINE),
    ("analyzer", checks.append(PLUGIN, FREED_TWICE), PLUGIN),
    ("spelling", checks.append(ENGINE, "/* What is rec" "ieved here */\n"), ENGINE),
    ("spelling", checks.append("README.md", "It is sep" "erate.\n"), "README.md"),
    ("spelling", checks.append(".ci/run", "# occ" "ured\n"), ".ci/run"),
]


def run_check(name, directory, build, path):
    """What a check says; None if it cannot run here."""
    arguments = [directory] if name == "spelling" else [directory, build, path]
    result = subprocess.run([sys.executable, "-B", os.path.join(checks.HERE, f"static_{name}.py"), *arguments],
                            text=True, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            timeout=CHECK_SECONDS)
    if result.returncode == tree.EXIT_SKIPPED:
        return None
    assert result.returncode == (1 if result.stdout.strip() else 0), f"{name}: exit code {result.returncode}"
    return set(result.stdout.splitlines())


def copy(root, directory):
    shutil.copytree(root, directory, ignore=lambda directory, names: [
        entry for entry in names if os.path.isdir(os.path.join(directory, entry))
        and not tree.is_source_directory(directory, entry)])


def check(root, build, only):
    del only
    findings, before = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        directory = os.path.join(scratch, "tree")
        for number, (name, damage, path) in enumerate(DAMAGES):
            copy(root, directory)
            if (name, path) not in before:
                before[name, path] = run_check(name, directory, build, path)
            if before[name, path] is not None:
                damage(directory)
                said = run_check(name, directory, build, path) - before[name, path]
                if not any(line.startswith(path + ":") for line in said):
                    findings.append(f"lint.{name} does not notice damage {number}, in {path} it says {sorted(said)}")
            shutil.rmtree(directory)
    return findings


if __name__ == "__main__":
    static_build.main(check)
