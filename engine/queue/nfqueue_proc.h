/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says of its queues in /proc: who owns one, how many packets wait, and what was dropped.
 *
 * The file belongs to root and has mode 0440, and a /proc with subset=pid does not have it. So a figure may be unknown,
 * which is not 0. Functions return 0 or a negative errno. Process: [supervisor].
 */
#ifndef ENGINE_QUEUE_NFQUEUE_PROC_H
#define ENGINE_QUEUE_NFQUEUE_PROC_H

#include <stdbool.h>
#include <stdint.h>

#define NFQUEUE_PROC_FILE "/proc/self/net/netfilter/nfnetlink_queue"

/* One line of /proc/net/netfilter/nfnetlink_queue (nfnetlink_queue.c, seq_show()). */
struct nfqueue_status {
    uint32_t queue;
    uint32_t port_id;
    uint32_t waiting;       /* packets queued and not yet answered */
    uint32_t copy_mode;     /* 0 none, 1 metadata, 2 packet */
    uint32_t copy_range;    /* bytes */
    uint32_t queue_dropped; /* dropped since the queue was full */
    uint32_t user_dropped;  /* dropped since the socket's receive buffer was full */
    uint32_t last_id;       /* the last id given out */
};

/*
 * Whether it is the line of this queue, owned by the socket with this port id: another program may have bound a queue of
 * the same number since.
 */
static inline bool nfqueue_is_owned(const struct nfqueue_status *status, uint16_t queue, uint32_t port_id)
{
    return status->queue == queue && status->port_id == port_id;
}

/* The line of one queue; -ENODEV: it is not bound; another error: the file cannot be read. */
int nfqueue_read_status(uint16_t queue, struct nfqueue_status *status);

/*
 * Reads the file once and calls visit for each bound queue of this network namespace. An error: it cannot be read, or,
 * with -EIO, not to its end. With more lines than the kernel gives to one read(2), one can be missing all the same.
 */
typedef void nfqueue_visit_status(void *context, const struct nfqueue_status *status);
int nfqueue_each_status(nfqueue_visit_status *visit, void *context);

#endif
