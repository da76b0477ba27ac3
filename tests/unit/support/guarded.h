/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that ends where the data ends: bytes are put right in front of a page that cannot be touched, so
 * that the first byte read behind them kills the test.
 *
 * Data that must be aligned may leave a few bytes between its end and the page. With the address sanitizer
 * those are poisoned, so nothing is missed there either.
 */
#ifndef UNIT_GUARDED_H
#define UNIT_GUARDED_H

#include <stddef.h>
#include <stdint.h>

struct guarded {
    uint8_t *region;
    size_t region_size;
    size_t capacity;
};

/* Room for up to `capacity` bytes. Fails the running test if there is no memory. */
void guarded_init(struct guarded *guarded, size_t capacity);
void guarded_done(struct guarded *guarded);

/*
 * A place of `len` bytes at the end of the room, aligned to `alignment` (a power of two). With data it is a copy
 * of them. What an earlier call returned is gone.
 */
void *guarded_put(struct guarded *guarded, const void *data, size_t len, size_t alignment);

#endif
