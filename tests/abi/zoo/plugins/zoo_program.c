/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo_program - a correct plugin, except that it is linked as a program.
 */
#include <nfqe/plugin.h>

int main(void)
{
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "zoo_program", .version = "1.0.0", .handle = handle)
