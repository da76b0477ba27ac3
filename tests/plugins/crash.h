/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash.h - a crash that is always the same: SIGSEGV from a write through NULL.
 *
 * Always: the address is read from a volatile, so that no compiler turns the access into a trap of another signal or
 * leaves it out; and no sanitizer instruments the function, since it would turn the signal into an exit.
 */
#ifndef NFQE_TEST_CRASH_H
#define NFQE_TEST_CRASH_H

#include <stddef.h>

static __attribute__((unused, noinline, no_sanitize("address", "undefined"))) void crash(void)
{
    static int *volatile nowhere = NULL;

    *nowhere = 1;
}

#endif
