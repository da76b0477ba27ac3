/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overrun_marked - writes from the packet's bytes on, over what lies behind them.
 *
 * What the datagram's mark orders: OVERRUN_NEAR covers the packets that lie behind it in the same burst, OVERRUN_FAR
 * goes on for as long as it can, into whatever is mapped behind the queue's memory. ORDER_DROP is an honest verdict, so
 * that a test can tell whether the packets behind the overrun kept theirs. Everything else is accepted.
 *
 * The bytes are const: casting that away is what a careless plugin does.
 */
#include "orders.h"

#define ORDER_OVERRUN_NEAR 1
#define ORDER_DROP 2
#define ORDER_OVERRUN_FAR 3
#define NEAR_BYTES 4096
#define FAR_BYTES (4 * 1024 * 1024)

static void overrun(const struct nfqe_packet *packet, size_t bytes)
{
    volatile uint8_t *to = (uint8_t *)(uintptr_t)packet->data;

    for (size_t i = 0; i < bytes; i++) {
        to[i] = 0xff;
    }
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    switch (order_of(packet)) {
    case ORDER_OVERRUN_NEAR:
        overrun(packet, NEAR_BYTES);
        return NFQE_ACCEPT;
    case ORDER_OVERRUN_FAR:
        overrun(packet, FAR_BYTES);
        return NFQE_ACCEPT;
    case ORDER_DROP:
        return NFQE_DROP;
    default:
        return NFQE_ACCEPT;
    }
}

NFQE_PLUGIN(.id = "overrun_marked", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
