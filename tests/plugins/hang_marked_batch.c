/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hang_marked_batch - loops for ever when a burst contains a marked datagram.
 *
 * It hangs at the end of the burst, after it has written verdicts for all of it, so only handle(), which hangs on the
 * marked datagram itself, lets the engine find out which packet was the reason.
 */
#include "marked.h"
#include "misbehave.h"

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    if (is_marked(packet)) {
        hang();
    }
    return NFQE_ACCEPT;
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    bool any = false;

    (void)self;
    for (size_t i = 0; i < n; i++) {
        any = any || is_marked(packets[i]);
        out[i] = NFQE_ACCEPT;
    }
    if (any) {
        hang();
    }
}

NFQE_PLUGIN(.id = "hang_marked_batch", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle,
            .handle_batch = handle_batch)
