/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * needs_library - a correct plugin that is linked with a library (library.c), and accepts every packet.
 */
#include <nfqe/plugin.h>

int nfqe_test_near(void);

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return nfqe_test_near() != 0 ? NFQE_ACCEPT : NFQE_DROP;
}

NFQE_PLUGIN(.id = "needs_library", .version = "1.0.0", .handle = handle)
