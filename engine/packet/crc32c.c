/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC32c, a byte at a time.
 *
 * The remainder of a byte is the exclusive or of those of its two halves, so two tables of 16 words do. That takes about
 * 6 cycles a byte; only SCTP packets that a plugin changed get here. Process: [worker].
 */
#include "packet/crc32c.h"

/* Remainders by the reversed polynomial 0x82f63b78. */
static const uint32_t low_half[16] = {
    0x00000000, 0xf26b8303, 0xe13b70f7, 0x1350f3f4, 0xc79a971f, 0x35f1141c, 0x26a1e7e8, 0xd4ca64eb,
    0x8ad958cf, 0x78b2dbcc, 0x6be22838, 0x9989ab3b, 0x4d43cfd0, 0xbf284cd3, 0xac78bf27, 0x5e133c24,
};

static const uint32_t high_half[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c_add(uint32_t crc, const uint8_t *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        uint32_t byte = (crc ^ bytes[i]) & 0xff;

        crc = (crc >> 8) ^ low_half[byte & 15] ^ high_half[byte >> 4];
    }
    return crc;
}
