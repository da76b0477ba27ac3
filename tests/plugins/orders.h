/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * orders.h - the number in the mark of a datagram, for test plugins that misbehave in more than one degree.
 *
 * The head is the one that marked.h describes; tests/live/test_hostile.py builds it with a mark of its choice. Always:
 * what is not marked has the order 0.
 */
#ifndef NFQE_TEST_ORDERS_H
#define NFQE_TEST_ORDERS_H

#include "marked.h"

static inline unsigned order_of(const struct nfqe_packet *packet)
{
    uint32_t len = 0;

    return is_marked(packet) ? nfqe_payload(packet, &len)[MARKED_OFFSET] : 0;
}

#endif
