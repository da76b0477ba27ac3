/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash_marked_batch - dereferences NULL when a burst contains a marked datagram.
 *
 * It crashes at the end of the burst, after it has written verdicts for all of it: neither the place
 * of the crash nor the verdicts so far say which packet was the reason. Only handle(), which crashes on
 * the marked datagram itself, lets the engine find out.
 */
#include "marked.h"
#include "misbehave.h"

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    if (is_marked(packet)) {
        crash();
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
        crash();
    }
}

NFQE_PLUGIN(.id = "crash_marked_batch", .version = "2.3.4", .needs = NFQE_NEED_HEADERS, .handle = handle,
            .handle_batch = handle_batch)
