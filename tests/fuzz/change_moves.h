/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input of fuzz_change.c, and of its seeds: a byte of enum change_flag, the packet's length as a 32-bit number, the
 * packet, then moves: each a byte of enum change_move, two 32-bit numbers, and for what is put in a third one and a byte
 * that chooses the bytes.
 */
#ifndef FUZZ_CHANGE_MOVES_H
#define FUZZ_CHANGE_MOVES_H

enum change_flag {
    CHANGE_TRUNCATED = 1,
    CHANGE_GSO = 2,
    CHANGE_PENDING = 4,
    CHANGE_BRIDGE = 8,
    CHANGE_RIGHT = 16, /* checksums are made right before */
};

enum change_move {
    CHANGE_WRITE, /* offset, length, and a byte */
    CHANGE_SPLICE,
    CHANGE_REPLACE, /* the length of the packet that is kept; how many are appended */
    CHANGE_CHECK,
    CHANGE_MOVES,
    CHANGE_INSIDE = 0x80, /* with one of them: the offset is in the packet, and no more than 2 KiB are put in */
};

#endif
