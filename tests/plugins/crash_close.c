/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash_close - close() dereferences NULL; until then it accepts every packet.
 *
 * By then every packet has been answered, so there is nothing left that a new worker could do.
 */
#include <nfqe/plugin.h>

#include "misbehave.h"

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

static void close_worker(void *self)
{
    (void)self;
    crash();
}

NFQE_PLUGIN(.id = "crash_close", .version = "1.0.0", .handle = handle, .close = close_worker)
