/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every unit test includes: cmocka, and before it the headers that it needs.
 *
 * Also a random number generator: its seed is fixed, so a test with random cases has the same ones in every run and on
 * every machine, and a failure can be repeated. With NFQE_QUICK=1 in the environment it has only the first of them.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* xorshift64: state is never 0. */
static inline uint64_t unit_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A number from 0 to limit - 1. */
static inline uint32_t unit_random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)((unit_random(state) >> 16) % limit);
}

/* How many random cases: count, or with NFQE_QUICK=1 quick_count. */
static inline unsigned unit_cases(unsigned count, unsigned quick_count)
{
    const char *quick = getenv("NFQE_QUICK");

    return quick != NULL && strcmp(quick, "1") == 0 ? quick_count : count;
}

#endif
