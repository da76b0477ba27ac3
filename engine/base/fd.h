/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File descriptors that are -1 while they are closed. Process: any.
 */
#ifndef ENGINE_BASE_FD_H
#define ENGINE_BASE_FD_H

#include <unistd.h>

/* Closes *fd if it is open and marks it closed. */
static inline void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

#endif
