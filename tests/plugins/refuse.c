/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * refuse - drops TCP and UDP packets by the port that they are to or from, and has their senders told so.
 *
 * From port 6000 on, each port has another verdict; those of other ports are left undecided (tests/live/test_reject.py).
 */
#include <nfqe/plugin.h>

#include <stddef.h>

#define FIRST_PORT 6000

static const nfqe_verdict verdicts[] = {
    NFQE_DROP,
    NFQE_DROP | NFQE_REJECT,
    NFQE_DROP | NFQE_REJECT_TCP_RESET,
    NFQE_DROP | NFQE_REJECT_PORT_UNREACHABLE,
    NFQE_DROP | NFQE_REJECT_HOST_UNREACHABLE,
    NFQE_DROP | NFQE_REJECT_PROHIBITED,
    NFQE_DROP | NFQE_REJECT | NFQE_FLOW,
};

static nfqe_verdict find(uint16_t port)
{
    unsigned index = (unsigned)port - FIRST_PORT;

    return index < sizeof(verdicts) / sizeof(verdicts[0]) ? verdicts[index] : NFQE_CONTINUE;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);
    const struct nfqe_udp_header *udp = nfqe_udp(packet);
    nfqe_verdict verdict = NFQE_CONTINUE;

    (void)self;
    if (tcp != NULL) {
        verdict = find(nfqe_be16(tcp->dest));
        return verdict != NFQE_CONTINUE ? verdict : find(nfqe_be16(tcp->source));
    }
    return udp != NULL ? find(nfqe_be16(udp->dest)) : verdict;
}

NFQE_PLUGIN(.id = "refuse", .version = "1.0.0", .needs = NFQE_NEED_HEADERS | NFQE_NEED_INJECT | NFQE_NEED_FLOW,
            .handle = handle)
