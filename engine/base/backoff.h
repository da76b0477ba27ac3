/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backoff: how long to wait before retrying something that failed. The first wait is BACKOFF_MIN_MS; each later one is
 * twice as long as the one before, up to BACKOFF_MAX_MS. Process: any.
 */
#ifndef ENGINE_BASE_BACKOFF_H
#define ENGINE_BASE_BACKOFF_H

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000 /* so a service that works again is used within a second */

/* The wait that follows one of wait_ms. wait_ms 0: there was none, so this is the first. */
static inline unsigned backoff_next_ms(unsigned wait_ms)
{
    if (wait_ms == 0) {
        return BACKOFF_MIN_MS;
    }
    return wait_ms > BACKOFF_MAX_MS / 2 ? BACKOFF_MAX_MS : wait_ms * 2;
}

#endif
