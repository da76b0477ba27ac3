# SPDX-License-Identifier: GPL-2.0-or-later
"""abi.gdb: with scripts/gdb/nfqe.py, gdb knows the symbols of a plugin that a process has mapped from a memory file.

    check_gdb.py PLUGIN TREE

A child of this test loads PLUGIN as the fork server does: a copy in a memory file, by the name /proc/self/fd/N. It says
where a symbol is; gdb, attached, must say the same, and again from a core of it. Always: the child ends with the test.
Exit code 0: nothing to say; 1: one line a finding; 77: `SKIPPED: reason`, or 1 with CI=true.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SYMBOL = "nfqe_plugin_v2"
GDB_SECONDS = 50
CHILD = f"""
import ctypes, os, sys
fd = os.memfd_create("nfqe-plugin")
os.write(fd, open(sys.argv[1], "rb").read())
plugin = ctypes.CDLL(f"/proc/self/fd/{{fd}}")
print(hex(ctypes.addressof(ctypes.c_char.in_dll(plugin, "{SYMBOL}"))), flush=True)
sys.stdin.read()
"""


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(1 if os.environ.get("CI") == "true" else 77)


def gdb(tree, *arguments):
    result = subprocess.run(["gdb", "-q", "-nx", "-batch", "-ix", f"{tree}/scripts/gdb/nfqe.py", *arguments],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=GDB_SECONDS, check=False)
    return result.stdout


def expect(said, address, what):
    """A finding unless gdb named the plugin and put the symbol at this address."""
    if not re.search(r"^nfqe: \S+ at 0x", said, re.MULTILINE) or not re.search(rf"{SYMBOL}.* {address}\b", said):
        yield f"gdb does not know {SYMBOL} at {address} {what}; it said:\n{said}"


def check(plugin, tree, scratch):
    core = os.path.join(scratch, "core")
    show = ["-ex", f"info address {SYMBOL}"]
    with subprocess.Popen([sys.executable, "-c", CHILD, plugin], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as child:
        try:
            address = child.stdout.readline().strip()
            said = gdb(tree, "-p", str(child.pid), "-ex", "nfqe-plugins", *show, "-ex", f"gcore {core}")
        finally:
            child.kill()
    if "ptrace: Operation not permitted" in said:
        skip("this process may not trace another one (ptrace)")
    yield from expect(said, address, "in a process")
    yield from expect(gdb(tree, sys.executable, core, "-ex", f"nfqe-plugins {plugin}", *show), address, "in a core")


if __name__ == "__main__":
    if shutil.which("gdb") is None:
        skip("gdb is not installed; scripts/bootstrap test installs it")
    with tempfile.TemporaryDirectory() as directory:
        findings = list(check(*sys.argv[1:], directory))
    print("\n".join(findings))
    sys.exit(1 if findings else 0)
