/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing the gaps between the descriptors that are kept, with close_range(2).
 *
 * The next one to keep is searched from the last one on, so the list needs no order and is not changed; it is short.
 * Kernels before 5.9 have no close_range(); there each number below the limit is closed by itself. Process: any.
 */
#include "base/close_fds.h"

#include <limits.h>
#include <unistd.h>

static void close_between(unsigned first, unsigned last)
{
    long limit = sysconf(_SC_OPEN_MAX);

    if (first > last || close_range(first, last, 0) == 0) {
        return;
    }
    for (unsigned fd = first; fd <= last && (long)fd < limit; fd++) {
        close((int)fd);
    }
}

void close_fds_but(const int *kept, unsigned count)
{
    unsigned first = STDERR_FILENO + 1;

    for (;;) {
        unsigned next = UINT_MAX;

        for (unsigned i = 0; i < count; i++) {
            if (kept[i] >= 0 && (unsigned)kept[i] >= first && (unsigned)kept[i] < next) {
                next = (unsigned)kept[i];
            }
        }
        if (next == UINT_MAX) {
            break;
        }
        if (next > first) {
            close_between(first, next - 1);
        }
        first = next + 1;
    }
    close_between(first, UINT_MAX);
}
