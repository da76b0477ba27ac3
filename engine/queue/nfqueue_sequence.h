/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How nlmsg_seq is used. The kernel's answer to a request carries the request's number, and may come a thousand packets
 * later; the bits say what was asked.
 */
#ifndef ENGINE_QUEUE_NFQUEUE_SEQUENCE_H
#define ENGINE_QUEUE_NFQUEUE_SEQUENCE_H

#include "burst/burst.h"

#include <stdint.h>

#define NFQUEUE_SEQUENCE_CONFIGURATION UINT32_C(0x80000000) /* a configuration request */
#define NFQUEUE_SEQUENCE_RESENT UINT32_C(0x40000000) /* a verdict that the kernel may have had already */

/* How many packets the verdict is for, less one: the kernel's answer to a batch does not say. */
#define NFQUEUE_SEQUENCE_PACKETS UINT32_C(0x3f000000)
#define NFQUEUE_SEQUENCE_ONE_PACKET UINT32_C(0x1000000)

_Static_assert(NFQUEUE_SEQUENCE_ONE_PACKET == BURST_SEQUENCE_MASK + 1, "below is the number of the burst");
_Static_assert(NFQUEUE_SEQUENCE_PACKETS == (BURST_MAX - 1) * NFQUEUE_SEQUENCE_ONE_PACKET &&
                   (NFQUEUE_SEQUENCE_PACKETS & NFQUEUE_SEQUENCE_RESENT) == 0,
               "a batch of a whole burst fits");

#endif
