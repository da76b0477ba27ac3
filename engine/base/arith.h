/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small calculations that C has no operator for. Process: any.
 */
#ifndef ENGINE_BASE_ARITH_H
#define ENGINE_BASE_ARITH_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* `value` rounded up to a multiple of `step`, a power of two. */
static inline size_t round_up(size_t value, size_t step)
{
    return (value + step - 1) & ~(step - 1);
}

#endif
