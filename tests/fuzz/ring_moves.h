/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input of fuzz_ring.c, and of its seeds: moves, each a byte and what belongs to it.
 */
#ifndef FUZZ_RING_MOVES_H
#define FUZZ_RING_MOVES_H

enum ring_move {
    /* the queue process */
    MOVE_SUBMIT,  /* u8: packets, below 64, plus 1 */
    MOVE_FILL,    /* the same, but the frame is left unfinished until the next submit */
    MOVE_TAKE,    /* u8: answers at most */
    MOVE_SLEEP,   /* sleeps, and wakes at once */
    MOVE_RETIRE,  /* gives the oldest frame up */
    MOVE_ASK,     /* what the worker says of itself */
    MOVE_LEAVE,   /* asks the worker to leave */
    /* the worker */
    MOVE_ANSWER,  /* u8: answers of the oldest packets without one, at most, as they should be */
    MOVE_RECORD,  /* struct ring_verdict, at the end of what is written, and published */
    MOVE_PUBLISH, /* u32: the count */
    MOVE_WRITE,   /* u16: offset in the answers, times 2; u8: len; bytes */
    MOVE_GUARD,   /* writes the guards */
    MOVE_SEAL,    /* seals the answers */
    MOVE_RING,    /* u64: added to the eventfd, if it has room */
    MOVE_NOD,     /* u32: says that it sleeps */
    MOVE_HANG_UP, /* what was made for the worker alone is closed */
    MOVES,
};

#endif
