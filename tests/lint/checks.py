# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.checks: each check of the sources notices what it must notice.

Always: works on copies of the tree in a temporary directory. A check runs on an unchanged copy, then on one that is
damaged in one place. Its second output must have a new line that names the place. So the tree itself need not be clean.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import tree

CHECK_SECONDS = 60
HERE = os.path.dirname(os.path.abspath(__file__))


def append(path, text):
    def damage(directory):
        with open(os.path.join(directory, path), "a", encoding="utf-8") as file:
            file.write(text)
    return damage


def write(path, text):
    def damage(directory):
        with open(os.path.join(directory, path), "w", encoding="utf-8") as file:
            file.write(text)
    return damage


def replace(path, old, new):
    def damage(directory):
        with open(os.path.join(directory, path), "r+", encoding="utf-8") as file:
            text = file.read()
            assert old in text, f"{path} has no {old!r} any more"
            file.seek(0)
            file.truncate()
            file.write(text.replace(old, new))
    return damage


GPL = "SPDX-License-Identifier: GPL-2.0-or-later"
LAYERS = "docs/architecture.md"

# check, what is broken, where the check must point
DAMAGES = [
    ("includes", append("engine/base/log.c", '#include "config/options.h"\n'), "engine/base/log.c:"),
    ("includes", append("engine/burst/decide.c", '#include "queue/nfqueue_proc.h"\n'), "engine/burst/decide.c:"),
    ("includes", append("engine/burst/decide.h", '# include  <process/worker.h>\n'), "engine/burst/decide.h:"),
    ("includes", append("engine/burst/decide.c", '#include <libmnl/libmnl.h>\n'), "engine/burst/decide.c:"),
    ("includes", append("engine/burst/burst.h", '#include <linux/netfilter.h>\n'), "engine/burst/burst.h:"),
    ("includes", append("engine/config/options.c", '#include <linux/netlink.h>\n'), "engine/config/options.c:"),
    ("includes", append("engine/process/worker.c", '#include SOME_HEADER\n'), "engine/process/worker.c:"),
    ("includes", append("engine/process/worker.c", '#include "log.h"\n'), "engine/process/worker.c:"),
    ("includes", append("engine/process/worker.c", '#include "process/children.h"\n'), "engine/process/worker.c:"),
    ("includes", append("engine/process/worker_frames.h", '#include "process/supervisor.h"\n'),
     "engine/process/worker_frames.h:"),
    ("includes", append("engine/process/forkserver.c", '#include "process/worker_frames.h"\n'),
     "engine/process/forkserver.c:"),
    ("includes", write("engine/stranger.c", f"/* {GPL} */\n"), "engine/stranger.c:"),
    ("includes", write("engine/base/stranger.h", f'/* {GPL} */\n#include "config/options.h"\n'),
     "engine/base/stranger.h:"),
    ("includes", replace(LAYERS, "| process | begins in", "| process | starts in"), LAYERS),
    ("includes", replace(LAYERS, "process/worker.c |", "process/stranger.c |"), LAYERS),
    ("includes", replace(LAYERS, "process/worker_frames ", "process/stranger "), LAYERS),
    ("includes", replace(LAYERS, "may include |", "includes |"), LAYERS),
    ("includes", append("plugins/drop_tcp80/drop_tcp80.c", '#include "burst/burst.h"\n'),
     "plugins/drop_tcp80/drop_tcp80.c:"),
    ("licences", write("engine/stranger.c", "int stranger;\n"), "engine/stranger.c:"),
    ("licences", write("engine/stranger.c", "/* SPDX-License-Identifier: MIT */\n"), "engine/stranger.c:"),
    ("licences", write("plugin-api/stranger.h", f"/* {GPL} */\n"), "plugin-api/stranger.h:"),
    ("licences", write("scripts/stranger", "#!/bin/bash\n"), "scripts/stranger:"),
    ("licences", write("scripts/stranger", "#!/usr/bin/python3\n"), "scripts/stranger:"),
    ("licences", write(".pre-commit-config.yaml", "repos: []\n"), ".pre-commit-config.yaml:"),
    ("licences", write("tests/CMakeLists.txt", "\n"), "tests/CMakeLists.txt:"),
    ("sizes", write("engine/stranger.c", "int x;\n" * 501), "engine/stranger.c:"),
    ("sizes", write("tests/stranger.py", "x = 1\n" * 501), "tests/stranger.py:"),
    ("sizes", write("scripts/stranger", "#!/usr/bin/python3\n" + "x = 1\n" * 500), "scripts/stranger:"),
    ("counters", replace("docs/counters.md", "| `truncated` |", "| `stranger` |"), "docs/counters.md:"),
    ("counters", replace("docs/counters.md", "| `restarts` | processes |", "| `restarts` | |"), "docs/counters.md:"),
    ("counters", replace("docs/counters.md", "| `restarts` |", "| `restarts` | more |"), "docs/counters.md:"),
    ("counters", append("README.md", "\n| counter | meaning |\n|---|---|\n| stranger | none |\n"), "README.md:"),
    ("options", replace("docs/options.md", "`--spares N`", "`--stranger N`"), "docs/options.md:"),
    ("options", replace("docs/options.md", "| `--spares N` | 1 |", "| `--spares N` | 2 |"), "docs/options.md:"),
    ("options", replace("engine/config/options.c", '{"spares", "N"', '{"stranger", "N"'), "docs/options.md:"),
    ("format", append("engine/base/log.c", "int  stranger ;\n"), "engine/base/log.c:"),
    ("format", append("tests/plugins/misbehave.c", "int *\nstranger;\n"), "tests/plugins/misbehave.c:"),
    ("shell", write("scripts/stranger", "#!/bin/bash\necho $1\n"), "scripts/stranger:"),
    ("shell", append(".ci/run", "cd $1\n"), ".ci/run:"),
]


def run_check(name, directory):
    """The lines of a check that found something; None if it cannot run here."""
    result = subprocess.run([sys.executable, "-B", os.path.join(HERE, f"{name}.py"), directory], text=True, check=False,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=CHECK_SECONDS)
    if result.returncode == tree.EXIT_SKIPPED:
        return None
    assert result.returncode == (1 if result.stdout.strip() else 0), f"{name}: exit code {result.returncode}"
    return set(result.stdout.splitlines())


def check(root):
    findings = []
    before = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, damage, place) in enumerate(DAMAGES):
            directory = os.path.join(scratch, "tree")
            shutil.copytree(root, directory, ignore=lambda directory, names: [
                entry for entry in names if os.path.isdir(os.path.join(directory, entry))
                and not tree.is_source_directory(directory, entry)])
            if name not in before:
                before[name] = run_check(name, directory)
            if before[name] is not None:
                damage(directory)
                said = run_check(name, directory) - before[name]
                if not any(line.startswith(place) for line in said):
                    findings.append(f"lint.{name} does not notice damage {number}, in {place} it says {sorted(said)}")
            shutil.rmtree(directory)
    return findings


if __name__ == "__main__":
    tree.main(check)
