/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading /proc/self/net/netfilter/nfnetlink_queue: one line a bound queue, nine numbers, the last one always 1.
 *
 * The file is that of this process's network namespace. Each call reads the whole file: it has few lines, and is never
 * read on the packet path. The kernel takes its lock for each read(2) and goes on by position: a line is skipped if a
 * queue that was listed before is unbound between two. So one read(2) asks for all lines; the kernel gives up to a page,
 * about 75 of them. Process: [supervisor].
 */
#include "queue/nfqueue_proc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#define BUFFER_SIZE 16384 /* for QUEUES_MAX lines of 55 bytes */

int nfqueue_each_status(nfqueue_visit_status *visit, void *context)
{
    char buffer[BUFFER_SIZE];
    FILE *file = fopen(NFQUEUE_PROC_FILE, "re");
    struct nfqueue_status status;
    int code;

    if (file == NULL) {
        return -errno;
    }
    setvbuf(file, buffer, _IOFBF, sizeof(buffer));
    while (fscanf(file, "%u %u %u %u %u %u %u %u %*u", &status.queue, &status.port_id, &status.waiting,
                  &status.copy_mode, &status.copy_range, &status.queue_dropped, &status.user_dropped,
                  &status.last_id) == 8) {
        visit(context, &status);
    }
    code = ferror(file) ? -EIO : 0;
    fclose(file);
    return code;
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
