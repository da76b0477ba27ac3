/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow_accept and plain_accept - accept every packet: the first with all that follow of its flow, the second alone.
 *
 * Built from one source, so that a chain that ends in one of them differs from a chain that ends in the other by the
 * verdict alone. Both ask for headers, since the engine needs them to know a flow. LAST_WORD_ID, LAST_WORD_NEEDS and
 * LAST_WORD are given by the build.
 */
#include <nfqe/plugin.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return LAST_WORD;
}

NFQE_PLUGIN(.id = LAST_WORD_ID, .version = "1.0.0", .needs = LAST_WORD_NEEDS, .handle = handle,
            .summary = "accepts every packet")
