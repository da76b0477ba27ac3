/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * close_descriptors - on a marked datagram, closes every descriptor but the standard ones; accepts everything.
 *
 * Among them are the socket of the queue and all by which the worker is told something: what it does next must
 * fail. Code that was written to become a daemon does this.
 */
#include "marked.h"

#include <limits.h>
#include <unistd.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    if (is_marked(packet)) {
        close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    }
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "close_descriptors", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
