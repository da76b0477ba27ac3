/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow_accept and plain_accept - accept every packet: the first with a flow verdict, the second for the packet alone.
 *
 * They have one source, so two plugin chains that end in them differ only in that verdict. Both need headers, since the
 * engine needs them for flows. The build sets LAST_WORD_ID, LAST_WORD_NEEDS and LAST_WORD.
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
