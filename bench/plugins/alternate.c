/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alternate - accepts packets with an even id and drops those with an odd one.
 *
 * No two neighbours have the same verdict, so no batch verdict is possible.
 */
#include <nfqe/plugin.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    return (packet->id & 1) != 0 ? NFQE_DROP : NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "alternate", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle,
            .summary = "accepts packets with an even id")
