/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that ends where the data ends: the bytes are copied to the end of a mapping, before a page that cannot be
 * accessed, so that a read beyond them ends the test.
 *
 * If the data must be aligned, a few bytes can lie between its end and the page. With the address sanitizer they are
 * poisoned.
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
 * Returns `len` bytes at the end of the memory, aligned to `alignment` (a power of two), with a copy of data unless
 * that is NULL. Invalidates what an earlier call returned.
 */
void *guarded_put(struct guarded *guarded, const void *data, size_t len, size_t alignment);

#endif
