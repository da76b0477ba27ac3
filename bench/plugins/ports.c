/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ports_N - drops TCP and UDP to or from port N, and leaves other packets undecided.
 *
 * It reads only the ports, to measure the cost of a further plugin of the usual kind. The build sets PORTS_ID and
 * PORTS_BLOCKED, so that a plugin chain can have many of them. Always: no load uses the blocked port.
 */
#include <nfqe/plugin.h>

static nfqe_verdict confirm_hang(nfqe_be16_t source, nfqe_be16_t dest)
{
    return nfqe_be16(source) == PORTS_BLOCKED || nfqe_be16(dest) == PORTS_BLOCKED ? NFQE_DROP : NFQE_CONTINUE;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);
    const struct nfqe_udp_header *udp;

    (void)self;
    if (tcp != NULL) {
        return confirm_hang(tcp->source, tcp->dest);
    }
    udp = nfqe_udp(packet);
    return udp != NULL ? confirm_hang(udp->source, udp->dest) : NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = PORTS_ID, .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle,
            .summary = "drops one port")
