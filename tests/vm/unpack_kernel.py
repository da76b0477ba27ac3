#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unpacks a kernel for x86: unpack_kernel.py VMLINUZ VMLINUX, the ELF file that is compressed in it.

What qemu can start by itself, by the kernel's PVH entry. Where the compressed part is says the head of the file
(Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length). Always: either a whole ELF file is
written, or an error says what is not as expected.
"""

import lzma
import struct
import sys

SECTOR = 512
SETUP_SECTORS, MAGIC, PAYLOAD = 0x1f1, 0x202, 0x248
XZ, ELF = b"\xfd7zXZ\0", b"\x7fELF"


def unpack(image):
    if image[MAGIC:MAGIC + 4] != b"HdrS":
        sys.exit("unpack_kernel: not a kernel for x86")
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    start = ((image[SETUP_SECTORS] or 4) + 1) * SECTOR + offset
    payload = image[start:start + length]
    if not payload.startswith(XZ):
        sys.exit(f"unpack_kernel: the kernel is not compressed with xz, but begins with {payload[:6].hex()}")
    kernel = lzma.LZMADecompressor().decompress(payload)  # the size of the kernel follows it
    if not kernel.startswith(ELF):
        sys.exit("unpack_kernel: what is compressed is no ELF file")
    return kernel


def main():
    with open(sys.argv[1], "rb") as file:
        kernel = unpack(file.read())
    with open(sys.argv[2], "wb") as file:
        file.write(kernel)


if __name__ == "__main__":
    main()
