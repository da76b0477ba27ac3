/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * good - a plugin without a flaw, which accepts every packet.
 *
 * The refusal tests copy it and change single bytes of its head in the file: what they then see is the
 * refusal of exactly that byte, not of something else that a second source file would have different.
 */
#include <nfqe/plugin.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "good", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
