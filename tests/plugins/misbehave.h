/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * misbehave.h - the ways in which the test plugins go wrong, each in one place.
 *
 * Always: crash() really dereferences NULL (SIGSEGV), however clever the compiler is: the address is
 * read from a volatile, so that no compiler may turn the access into a trap of another signal or
 * leave it out. hang() burns its CPU for ever, as a plugin with an endless loop does, and does not
 * sleep: a sleeping plugin would be the kinder case.
 */
#ifndef NFQE_TEST_MISBEHAVE_H
#define NFQE_TEST_MISBEHAVE_H

#include <stddef.h>

static inline void crash(void)
{
    static int *volatile nowhere = NULL;

    *nowhere = 1;
}

static inline void hang(void)
{
    static volatile int for_ever = 1;

    while (for_ever) {
    }
}

#endif
