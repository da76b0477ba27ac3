/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * invalid_marked - answers a marked datagram with what is no verdict, accepts everything else.
 *
 * The datagram's mark says with what: a number that nothing has, a verdict of a later minor version that this plugin did
 * not ask for, or a verdict with a flag of that kind.
 */
#include "orders.h"

#define ORDER_NUMBER 1
#define ORDER_HELD 2
#define ORDER_FLAG 3
#define NO_VERDICT UINT32_C(0x7)

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    switch (order_of(packet)) {
    case ORDER_NUMBER:
        return NO_VERDICT;
    case ORDER_HELD:
        return NFQE_HELD;
    case ORDER_FLAG:
        return NFQE_ACCEPT | NFQE_FLOW;
    default:
        return NFQE_ACCEPT;
    }
}

NFQE_PLUGIN(.id = "invalid_marked", .version = "4.5.6", .needs = NFQE_NEED_HEADERS, .handle = handle)
