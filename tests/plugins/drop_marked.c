/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drop_marked - drops marked datagrams and leaves other packets undecided.
 *
 * It is the counterpart of misbehave,do=crash: it drops the packets on purpose, so a test can tell such a drop from the
 * crash verdict. It answers NFQE_CONTINUE for the rest, so that it can come before another plugin of a plugin
 * chain.
 */
#include "marked.h"

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    return is_marked(packet) ? NFQE_DROP : NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "drop_marked", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
