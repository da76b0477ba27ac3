# SPDX-License-Identifier: GPL-2.0-or-later
"""For gdb: loads the symbols of the plugins that an engine's process has mapped.

    gdb -ix scripts/gdb/nfqe.py -p PID -ex nfqe-plugins
    gdb -ix scripts/gdb/nfqe.py PROGRAM CORE -ex 'nfqe-plugins ./one.so ./other.so'

The engine loads a sealed copy of each plugin's file, /memfd:nfqe-plugin, as /proc/self/fd/N. gdb takes that name for
one of its own descriptors: it finds nothing there, or waits for ever. So this file has to be read before there is a
process (-ix): it gives gdb a root directory without /proc. Then nfqe-plugins finds the copies by their mappings and
gives gdb the same bytes at the same address. Of a process they come from its descriptors, so the plugin's file may
have been replaced since; of a core, from the files that are named, in any order.

Always: the process is only read. A plugin whose file is not found is named, and the others are loaded.
Runs inside gdb; what it writes is in a temporary directory, which is removed when gdb ends.
"""

import atexit
import glob
import os
import re
import shutil
import tempfile

import gdb

MAPPING = re.compile(r"^\s*0x([0-9a-f]+)\s+0x[0-9a-f]+\s+0x[0-9a-f]+\s+0x0\s.*memfd:nfqe-plugin", re.MULTILINE)
COPY = "/memfd:nfqe-plugin"
COMPARED = 4096         # bytes from the start of a plugin: ELF headers, and the build id, which no other build has
MAGIC = b"nfqe-so\0"    # begins the head of a plugin; see nfqe/plugin.h
ID_OFFSET = 40
ID_SIZE = 48


def plugin_id(data):
    start = data.find(MAGIC)
    if start < 0:
        return "plugin"
    return data[start + ID_OFFSET:start + ID_OFFSET + ID_SIZE].split(b"\0")[0].decode("ascii", "replace")


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def copies_of(pid):
    """The bytes of each copy that the process has open."""
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            if os.readlink(path).startswith(COPY):
                yield read_file(path)
        except FileNotFoundError:
            pass  # closed meanwhile


def make_root(directory):
    """A root directory with all that / has but /proc."""
    os.mkdir(directory)
    for name in os.listdir("/"):
        if name != "proc":
            os.symlink(os.path.join("/", name), os.path.join(directory, name))
    gdb.execute(f"set sysroot {directory}")


class Plugins(gdb.Command):
    """nfqe-plugins [FILE...]: load the symbols of the plugins of an nfq-engine process, or of its core."""

    def __init__(self, directory):
        super().__init__("nfqe-plugins", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)
        self.directory = directory
        self.loaded = {}

    def save(self, data, base):
        """A file with these bytes; gdb reads it whenever it likes."""
        path = os.path.join(self.directory, f"{plugin_id(data)}-{base:x}.so")
        with open(path, "wb") as file:
            file.write(data)
        return path

    def load(self, base, candidates):
        memory = bytes(gdb.selected_inferior().read_memory(base, COMPARED))
        for data in candidates:
            if data[:COMPARED] == memory[:len(data)]:
                if self.loaded.get(base) != memory:
                    gdb.execute(f"add-symbol-file {self.save(data, base)} -o {base:#x}", to_string=True)
                    self.loaded[base] = memory
                print(f"nfqe: {plugin_id(data)} at {base:#x}")
                return
        print(f"nfqe: the plugin at {base:#x} is none of the files; name its file: nfqe-plugins FILE...")

    def invoke(self, argument, _from_tty):
        if gdb.selected_inferior().pid == 0:
            raise gdb.GdbError("nfqe: there is no process and no core; attach to a worker or to the fork server")
        files = [read_file(os.path.expanduser(path)) for path in gdb.string_to_argv(argument)]
        candidates = files + list(copies_of(gdb.selected_inferior().pid))
        bases = [int(base, 16) for base in MAPPING.findall(gdb.execute("info proc mappings", to_string=True))]
        if not bases:
            print("nfqe: no plugin is mapped; the supervisor has none, fork server and workers have")
        for base in bases:
            self.load(base, candidates)


if gdb.selected_inferior().pid != 0:
    raise gdb.GdbError("nfqe.py has to be read before the process: gdb -ix scripts/gdb/nfqe.py -p PID -ex nfqe-plugins")
scratch = tempfile.mkdtemp(prefix="nfqe-gdb-")
atexit.register(shutil.rmtree, scratch, ignore_errors=True)
make_root(os.path.join(scratch, "root"))
Plugins(scratch)
