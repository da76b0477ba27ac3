# SPDX-License-Identifier: GPL-2.0-or-later
"""abi.bindings_lua and abi.bindings_rust: programs that read C declarations get all of nfqe/abi.h, as C has it.

    check_bindings.py lua TREE     LuaJIT's ffi.cdef reads the preprocessed header
    check_bindings.py rust TREE    bindgen reads the header

What they have to find is in abi_layout.h: sizes, offsets of members, values of enumerators. bindgen also lists what there
is, so a member or enumerator that is not in abi_layout.h is a finding.

Always: reads only. Exit code 0: nothing to say; 1: one line a finding; 77: `SKIPPED: reason`.
"""

import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

HEADER = "plugin-api/include/nfqe/abi.h"
LAYOUT = "tests/abi/abi_layout.h"
TOOL_SECONDS = 50
AT = re.compile(r"^NFQE_AT\((\w+), (\w+), (\d+)\);", re.MULTILINE)
SIZE = re.compile(r"^NFQE_SIZE\((?:struct )?(\w+), (\d+)\);", re.MULTILINE)
IS = re.compile(r"^NFQE_IS\((\w+), (\w+), \d\);", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)

# What bindgen writes, with every white space one blank. A member with the name of a Rust keyword gets a _ at its end.
RUST_SIZE = re.compile(r'(\d+)usize, concat!\( ?"Size of: ", stringify!\((\w+)\)')
RUST_OFFSET = re.compile(r'(\d+)usize, concat!\( ?"Offset of field: ", stringify!\((\w+)\), "::", stringify!\((\w+?)_?\)')
RUST_CONSTANT = re.compile(r"pub const nfqe_\w+?_(NFQE_\w+): \w+ = (\d+);")
RUST_NUMBER = re.compile(r"pub type (\w+) = u(\d+);")


class Layout(NamedTuple):
    sizes: dict    # type -> bytes
    offsets: dict  # (struct, member) -> bytes
    values: dict   # enumerator -> number


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def find_tool(name):
    if shutil.which(name) is None:
        skip(f"{name} is not installed; scripts/bootstrap test installs it")
    return name


def run(command, text=None):
    result = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            timeout=TOOL_SECONDS, check=False)
    if result.returncode != 0:
        print(f"{command[0]} cannot read {HEADER}:\n{result.stderr}")
        sys.exit(1)
    return result.stdout


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def asserted(tree):
    """What abi_layout.h says of the types and enumerators of abi.h; its macros are not part of that."""
    header, layout = COMMENT.sub("", read(tree, HEADER)), read(tree, LAYOUT)
    return Layout({name: int(size) for name, size in SIZE.findall(layout)},
                  {(struct, member): int(offset) for struct, member, offset in AT.findall(layout)},
                  {name: int(value, 0) for name, value in IS.findall(layout) if re.search(rf"\b{name}\b", header)})


def rust(tree, _):
    command = [find_tool("bindgen"), os.path.join(tree, HEADER), "--allowlist-type", "nfqe_.*"]
    text = " ".join(run(command).split())
    sizes = {name: int(size) for size, name in RUST_SIZE.findall(text)}
    sizes.update({name: int(bits) // 8 for name, bits in RUST_NUMBER.findall(text) if name == "nfqe_verdict"})
    return Layout(sizes, {(struct, member): int(offset) for offset, struct, member in RUST_OFFSET.findall(text)
                          if not struct.endswith("_t")},
                  {name: int(value) for name, value in RUST_CONSTANT.findall(text)})


def lua(tree, expected):
    tool = find_tool("luajit")
    own = "".join(line for line in read(tree, HEADER).splitlines(True) if not line.startswith("#include"))
    declarations = run(["cc", "-E", "-P", "-x", "c", "-"], own)
    structs = {struct for struct, _ in expected.offsets}
    types = {name: f"struct {name}" if name in structs else name for name in expected.sizes}
    program = ["local ffi = require('ffi')", f"ffi.cdef[==[{declarations}]==]"]
    program += [f"print('size', '{name}', ffi.sizeof('{type}'))" for name, type in types.items()]
    program += [f"print('at', '{struct}.{member}', ffi.offsetof('struct {struct}', '{member}'))"
                for struct, member in expected.offsets]
    program += [f"print('value', '{name}', tonumber(ffi.C.{name}))" for name in expected.values]
    found = Layout({}, {}, {})
    for kind, name, value in (line.split("\t") for line in run([tool, "-"], "\n".join(program)).splitlines()):
        if kind == "at":
            found.offsets[tuple(name.split("."))] = int(value)
        else:
            (found.sizes if kind == "size" else found.values)[name] = int(value)
    return found


def compare(expected, found):
    for kind, wanted, seen in zip(Layout._fields, expected, found):
        for name in sorted(wanted.keys() | seen.keys()):
            if wanted.get(name) != seen.get(name):
                shown = name if isinstance(name, str) else ".".join(name)
                yield f"{kind}: {shown} is {wanted.get(name)} in {LAYOUT}, and read as {seen.get(name)}"


def main():
    reader = {"lua": lua, "rust": rust}.get(sys.argv[1]) if len(sys.argv) == 3 else None
    if reader is None:
        sys.exit(__doc__)
    expected = asserted(sys.argv[2])
    findings = list(compare(expected, reader(sys.argv[2], expected)))
    if min(map(len, expected)) < 10:
        findings.append(f"{LAYOUT}: few sizes, offsets or values; this check no longer reads them")
    print("\n".join(findings))
    sys.exit(1 if findings else 0)


main()
