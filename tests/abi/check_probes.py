# SPDX-License-Identifier: GPL-2.0-or-later
"""abi.probes and abi.traces: the engine has the static probes that docs/debugging.md lists, and scripts/trace use them.

    check_probes.py probes ENGINE TREE    the ELF notes of ENGINE against the table; each script's probes are in it
    check_probes.py traces ENGINE TREE    bpftrace parses each script and finds its probes in ENGINE; needs root

Always: reads only; nothing is traced. Exit code 0: nothing to say; 1: one line a finding; 77: `SKIPPED: reason`, or 1
with CI=true.
"""

import glob
import os
import re
import subprocess
import sys

TABLE = "docs/debugging.md"
PROVIDER = "nfq_engine"
SCRIPTS = "scripts/trace/*.bt"
SCRIPT_ARGUMENTS = ["1", "251"]  # queue and packet id, for the script that takes them
ROW = re.compile(r"^\| `(\w+)\(([^)]*)\)` \|", re.MULTILINE)
NOTE = re.compile(r"Provider: (\S+)\s+Name: (\S+)\s+Location: .*\s+Arguments: ?(.*)")
USED = re.compile(r"^usdt:\$1:(\w+):(\w+)$", re.MULTILINE)
TOOL_SECONDS = 50


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=TOOL_SECONDS, check=False)


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(1 if os.environ.get("CI") == "true" else 77)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def documented(tree):
    """Name -> number of arguments."""
    return {name: len(arguments.split(",")) for name, arguments in ROW.findall(read(tree, TABLE))}


def check_probes(engine, tree):
    table = documented(tree)
    sites = [(name, len(arguments.split())) for provider, name, arguments in NOTE.findall(run("readelf", "-nW", engine).stdout)
             if provider == PROVIDER]
    built = {name for name, _ in sites}
    yield from (f"{TABLE}: no probe {name}() in {engine}" for name in table if name not in built)
    yield from (f"{TABLE}: no row for the probe {name}()" for name in sorted(built - set(table)))
    yield from (f"{TABLE}: {name}() has {count} arguments in {engine}" for name, count in sites
                if name in table and table[name] != count)
    for path in sorted(glob.glob(os.path.join(tree, SCRIPTS))):
        used = USED.findall(read(path))
        if not used:
            yield f"{path}: uses no probe"
        yield from (f"{path}: {provider}:{name} is no probe of {TABLE}" for provider, name in used
                    if provider != PROVIDER or name not in table)


def check_traces(engine, tree):
    if os.geteuid() != 0:
        skip("bpftrace needs root")
    scripts = sorted(glob.glob(os.path.join(tree, SCRIPTS)))
    try:
        found = run("bpftrace", "-l", f"usdt:{engine}:*").stdout
        results = [(path, run("bpftrace", "-d", path, engine, *SCRIPT_ARGUMENTS)) for path in scripts]
    except FileNotFoundError:
        skip("bpftrace is not installed; scripts/bootstrap test installs it")
    yield from (f"bpftrace does not list {PROVIDER}:{name}" for name in documented(tree)
                if f":{PROVIDER}:{name}\n" not in found)
    yield from (f"{path}: {result.stderr.strip()}" for path, result in results if result.returncode != 0)


if __name__ == "__main__":
    findings = list({"probes": check_probes, "traces": check_traces}[sys.argv[1]](*sys.argv[2:]))
    print("\n".join(findings))
    sys.exit(1 if findings else 0)
