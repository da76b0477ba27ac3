/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What plugins have changed of a packet, beside its bytes: collected in the worker, a claim in its answers, checked and
 * applied by the queue process when the packet is decided. Process: [worker] [queue process].
 */
#ifndef ENGINE_PACKET_PACKET_CHANGES_H
#define ENGINE_PACKET_PACKET_CHANGES_H

#include <stdint.h>

struct packet_changes {
    uint32_t mark_bits; /* of the packet mark: the bits of mark_mask become these */
    uint32_t mark_mask; /* 0: nothing is changed */
};

static inline uint32_t packet_changes_mark(const struct packet_changes *changes, uint32_t mark)
{
    return (mark & ~changes->mark_mask) | changes->mark_bits;
}

#endif
