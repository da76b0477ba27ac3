/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small functions for every layer: arithmetic, clocks, closing. None of them keeps state.
 */
#ifndef ENGINE_BASE_UTIL_H
#define ENGINE_BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* `value` rounded up to a multiple of `step`, a power of two. */
static inline size_t round_up(size_t value, size_t step)
{
    return (value + step - 1) & ~(step - 1);
}

static inline uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The time of the last timer tick: cheaper to read, and up to some milliseconds old. */
static inline uint64_t monotonic_coarse_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Closes *fd if it is open and marks it closed. */
static inline void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

#endif
