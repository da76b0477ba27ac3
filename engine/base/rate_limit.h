/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A limit on how often something happens: at most `burst` times in each period, the rest is counted.
 *
 * A period begins with the first event after the one before has ended, so a quiet time costs nothing. For log lines
 * about what a plugin, a packet or the kernel can cause at any rate. Process: any, each has its own.
 */
#ifndef ENGINE_BASE_RATE_LIMIT_H
#define ENGINE_BASE_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* The owner fills in the first two fields and zeroes the others. */
struct rate_limit {
    unsigned burst;
    uint64_t period_ns;
    uint64_t period_start_ns; /* 0: no period has begun */
    unsigned passed;          /* in this period, */
    unsigned suppressed;      /* and what did not */
};

/*
 * Whether one more may happen now. When a new period begins after some were suppressed, their number is put into
 * *missed once, for the caller to say; otherwise *missed gets 0.
 */
bool rate_limit_pass(struct rate_limit *limit, uint64_t now_ns, unsigned *missed);

/*
 * How many were suppressed in a period that is over, or in any if `now` is true; each is reported once. For a caller
 * that says so without waiting for the next event.
 */
unsigned rate_limit_flush(struct rate_limit *limit, uint64_t now_ns, bool now);

#endif
