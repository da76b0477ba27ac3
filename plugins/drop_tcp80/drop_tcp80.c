/* SPDX-License-Identifier: MIT */
/*
 * drop_tcp80 - drops TCP to port 80, and what hides its headers, and leaves other packets undecided.
 *
 * It is the smallest useful plugin, and the example of the documentation. Without the line about hidden headers, a sender
 * gets to port 80 with enough extension headers before TCP, or with a header in two fragments.
 */
#include <nfqe/plugin.h>

#include <stdbool.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);
    bool hidden = (packet->flags & NFQE_PACKET_HEADERS_CUT) != 0;

    (void)self;
    return hidden || (tcp != NULL && nfqe_be16(tcp->dest) == 80) ? NFQE_DROP : NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "drop_tcp80", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle,
            .summary = "drops TCP to port 80", .license = "MIT")
