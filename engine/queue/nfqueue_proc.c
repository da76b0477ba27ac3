/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading /proc/self/net/netfilter/nfnetlink_queue: one line a bound queue, nine numbers, the last one always 1.
 *
 * The file is that of this process's network namespace. Each call reads the whole file: it has few lines, and is never
 * read on the packet path. Process: [supervisor].
 */
#include "queue/nfqueue_proc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

int nfqueue_each_status(nfqueue_visit_status *visit, void *context)
{
    FILE *file = fopen(NFQUEUE_PROC_FILE, "re");
    struct nfqueue_status status;

    if (file == NULL) {
        return -errno;
    }
    while (fscanf(file, "%u %u %u %u %u %u %u %u %*u", &status.queue, &status.port_id, &status.waiting,
                  &status.copy_mode, &status.copy_range, &status.queue_dropped, &status.user_dropped,
                  &status.last_id) == 8) {
        visit(context, &status);
    }
    fclose(file);
    return 0;
}

struct wanted_status {
    uint16_t queue;
    bool found;
    struct nfqueue_status status;
};

static void keep_wanted(void *context, const struct nfqueue_status *status)
{
    struct wanted_status *wanted = context;

    if (status->queue == wanted->queue) {
        wanted->status = *status;
        wanted->found = true;
    }
}

int nfqueue_read_status(uint16_t queue, struct nfqueue_status *status)
{
    struct wanted_status wanted = {.queue = queue};
    int error = nfqueue_each_status(keep_wanted, &wanted);

    if (error < 0) {
        return error;
    }
    if (!wanted.found) {
        return -ENODEV;
    }
    *status = wanted.status;
    return 0;
}
