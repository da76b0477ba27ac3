/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hang_marked - loops for ever on a marked datagram, accepts everything else.
 *
 * The worker never returns from handle() by itself: only the engine can end it (--handle-timeout, or
 * --drain-timeout during a stop), and then the marked datagram gets the crash verdict.
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

NFQE_PLUGIN(.id = "hang_marked", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
