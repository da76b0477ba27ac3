/* SPDX-License-Identifier: MIT */
/*
 * accept_all - accepts every packet without looking at it.
 *
 * It needs no bytes of packets, so the kernel copies none. That makes it the cheapest plugin, with which the cost
 * of the queue itself can be measured.
 */
#include <nfqe/plugin.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "accept_all", .version = "1.0.0", .needs = NFQE_NEED_METADATA, .handle = handle,
            .summary = "accepts every packet", .license = "MIT")
