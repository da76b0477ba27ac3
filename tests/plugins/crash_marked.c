/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash_marked - dereferences NULL on a marked datagram, accepts everything else.
 *
 * It has handle() only, so the engine knows exactly which packet the worker died on: that one gets
 * the crash verdict, and no other may pay for it.
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

NFQE_PLUGIN(.id = "crash_marked", .version = "1.2.3", .needs = NFQE_NEED_HEADERS, .handle = handle)
