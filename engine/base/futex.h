/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting until a word in shared memory changes, and waking who waits: futex(2). The word may be of memory that the
 * waiting process can only read. Process: any.
 */
#ifndef ENGINE_BASE_FUTEX_H
#define ENGINE_BASE_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Waits while the word has this value. Returns 0, also if it was woken for nothing, or a negative errno. */
static inline int futex_wait(const _Atomic uint32_t *word, uint32_t value)
{
    if (syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0) == 0 || errno == EAGAIN || errno == EINTR) {
        return 0;
    }
    return -errno;
}

/* Wakes one that waits, after the word was changed. It waits for nothing. */
static inline void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

#endif
