/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waking up another process, or an epoll loop of this one, by an eventfd. Process: any.
 */
#ifndef ENGINE_BASE_EVENTFD_H
#define ENGINE_BASE_EVENTFD_H

#include <stdint.h>
#include <unistd.h>

/* Makes it readable. */
static inline void eventfd_signal(int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) < 0) {
        return; /* its counter is full: it is readable already */
    }
}

#endif
