/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * good - a correct plugin that accepts every packet.
 *
 * The tests of refusals copy it and change single bytes of its head in the file, so that the change is the only
 * possible reason of a refusal.
 */
#include <nfqe/plugin.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "good", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
