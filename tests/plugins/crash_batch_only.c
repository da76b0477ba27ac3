/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash_batch_only - handle_batch() dereferences NULL on a marked datagram, handle() never does.
 *
 * After such a crash the engine gives the burst to handle(), one packet at a time. Since no packet makes
 * handle() crash, none is guilty and all of them must pass.
 */
#include "marked.h"
#include "misbehave.h"

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    (void)self;
    for (size_t i = 0; i < n; i++) {
        if (is_marked(packets[i])) {
            crash();
        }
        out[i] = NFQE_ACCEPT;
    }
}

NFQE_PLUGIN(.id = "crash_batch_only", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle,
            .handle_batch = handle_batch)
