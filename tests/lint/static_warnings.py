# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.warnings: gcc and clang compile everything without a warning, with the flags of the house style.

Always: every source in engine/, plugins/, plugin-api/ and tests/; a source that no CMakeLists.txt names is a finding.
gcc optimises, since it finds some mistakes only then.
The public headers compile on their own, also twice in one file, in each standard that they are promised for, with
-Wpedantic; so do those of the engine, in its own standard.
"""

import os
import tempfile

import static_build
import tree

# plugin.h promises these; the engine's headers are for the engine.
PUBLIC = "plugin-api/include/"
PUBLIC_STANDARDS = (("c", "c99"), ("c", "c11"), ("c", "c17"), ("c++", "c++17"), ("c++", "c++20"))
ENGINE_STANDARDS = (("c", "gnu11"),)
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wcast-qual", "-Wvla", "-Wformat=2", "-Werror"]
C_WARNINGS = ["-Wmissing-prototypes", "-Wstrict-prototypes"]
CXX_WARNINGS = ["-Wold-style-cast"]
PEDANTIC = ["-Wpedantic"]
COMPILERS = {"c": ("gcc", "clang"), "c++": ("g++", "clang++")}
HOW = {"gcc": ["-O2", "-c"], "g++": ["-O2", "-c"], "clang": ["-fsyntax-only"], "clang++": ["-fsyntax-only"]}
NOT_EMPTY = "extern int nothing;\n"  # -Wpedantic wants a declaration, and a header may have none


def language_of(path):
    return "c++" if path.endswith((".cpp", ".hpp")) else "c"


def command(tools, compiler, language, arguments, more):
    return [tools[compiler], *HOW[compiler], *arguments, *WARNINGS,
            *(C_WARNINGS if language == "c" else CXX_WARNINGS), *more, "-o", "/dev/null"]


def header_commands(root, tools, only, empty):
    """Each header twice, forced into a file of nothing, so that it finds only what it includes itself."""
    includes = [f"-I{root}/engine", f"-I{root}/{PUBLIC}"]
    headers = tree.files(root, lambda path: path.endswith(".h") and path.startswith(("engine/", PUBLIC)))
    for path in headers:
        if not static_build.wanted(path, only):
            continue
        header = ["-include", os.path.join(root, path)] * 2
        for language, standard in PUBLIC_STANDARDS if path.startswith(PUBLIC) else ENGINE_STANDARDS:
            gnu = [] if path.startswith(PUBLIC) else ["-D_GNU_SOURCE"]
            for compiler in COMPILERS[language]:
                yield command(tools, compiler, language, [f"-std={standard}", *gnu, *includes],
                              [*PEDANTIC, *header, "-x", language, empty])


def check(root, build, only):
    tools = {name: tree.find_tool(name) for names in COMPILERS.values() for name in names}
    units = static_build.units(root, build)
    compiled = {path for path, _ in units}
    sources = tree.files(root, lambda path: path.startswith(static_build.DIRECTORIES)
                         and path.endswith(static_build.ENDINGS) and static_build.wanted(path, only))
    findings = [f"{path}:1: the build does not compile it" for path in sources if path not in compiled]
    with tempfile.NamedTemporaryFile("w", suffix=".c") as empty:
        empty.write(NOT_EMPTY)
        empty.flush()
        commands = list(header_commands(root, tools, only, empty.name))
        for path, arguments in units:
            language = language_of(path)
            commands += [command(tools, compiler, language, arguments, [os.path.join(root, path)])
                         for compiler in COMPILERS[language] if static_build.wanted(path, only)]
        return findings + static_build.run_all(root, commands)


if __name__ == "__main__":
    static_build.main(check)
