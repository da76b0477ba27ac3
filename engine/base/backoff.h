/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backoff: how long to wait before something that failed is tried again.
 *
 * The first wait is min_ms, each further one twice as long, up to max_ms; after a success the next is the first again.
 * Only the length of the wait is kept here; the owner measures it. Process: any.
 */
#ifndef ENGINE_BASE_BACKOFF_H
#define ENGINE_BASE_BACKOFF_H

struct backoff {
    unsigned min_ms; /* not 0 */
    unsigned max_ms; /* at least min_ms */
    unsigned wait_ms; /* the last one; 0: there was none since the last success */
};

/* After a failure: how long to wait now. */
static inline unsigned backoff_next(struct backoff *backoff)
{
    if (backoff->wait_ms == 0) {
        backoff->wait_ms = backoff->min_ms;
    } else if (backoff->wait_ms > backoff->max_ms / 2) {
        backoff->wait_ms = backoff->max_ms;
    } else {
        backoff->wait_ms *= 2;
    }
    return backoff->wait_ms;
}

/* After a success. */
static inline void backoff_reset(struct backoff *backoff)
{
    backoff->wait_ms = 0;
}

#endif
