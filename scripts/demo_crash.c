/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * demo_crash - a plugin with a bug, for scripts/demo: it forgets that not every packet has a TCP header.
 *
 * It drops telnet, and dereferences NULL for the first packet that is not TCP. scripts/demo
 * compiles it with one line, as an author would. It is not part of the build, and is not installed.
 */
#include <nfqe/plugin.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet); /* NULL if it is not TCP */

    (void)self;
    return nfqe_be16(tcp->dest) == 23 ? NFQE_DROP : NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "demo_crash", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
