/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waking up another process, or an epoll loop of this one, by an eventfd. Process: any.
 */
#ifndef ENGINE_BASE_EVENTFD_H
#define ENGINE_BASE_EVENTFD_H

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

/* Makes it readable, and does not wait. Returns 0 or a negative errno. */
static inline int eventfd_signal(int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN) { /* its counter is full: it is readable already */
        return -errno;
    }
    return 0;
}

#endif
