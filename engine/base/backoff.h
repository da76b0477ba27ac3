/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backoff: how long to wait before something that failed is tried again. The first wait is BACKOFF_MIN_MS, each further
 * one twice as long, up to BACKOFF_MAX_MS. Process: any.
 */
#ifndef ENGINE_BASE_BACKOFF_H
#define ENGINE_BASE_BACKOFF_H

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000 /* a service that comes back is found again within a second */

/* The wait after the one of wait_ms; 0: it is the first. */
static inline unsigned backoff_next_ms(unsigned wait_ms)
{
    if (wait_ms == 0) {
        return BACKOFF_MIN_MS;
    }
    return wait_ms > BACKOFF_MAX_MS / 2 ? BACKOFF_MAX_MS : wait_ms * 2;
}

#endif
