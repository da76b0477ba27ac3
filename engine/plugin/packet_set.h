/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packets that plugins have, and the operations by which they change them (struct nfqe_packet_operations).
 *
 * A plugin may call an operation with any pointer, at any time, from any thread. It counts for a packet of the set that is
 * open, in the thread that began the set; else it is an error code, and nothing is changed. Process: [worker].
 */
#ifndef ENGINE_PLUGIN_PACKET_SET_H
#define ENGINE_PLUGIN_PACKET_SET_H

#include "base/limits.h"
#include "packet/packet_changes.h"

#include <nfqe/packet.h>

#include <stdint.h>

struct packet_set {
    struct nfqe_packet packets[BURST_MAX];
    struct packet_changes changes[BURST_MAX];
    uint64_t open;        /* bit i: plugins may change packet i */
    const struct nfqe_packet_operations *operations;
    uint32_t engine_mark; /* bits of the packet mark that are not theirs to change */
};

/* Operations are about this set from now on, which is the only one of the process. The packets get these operations. */
void packet_set_begin(struct packet_set *set, const struct nfqe_packet_operations *operations, uint32_t engine_mark);

/* Packet `index`, which was just filled, is as it was received. */
void packet_set_fill(struct packet_set *set, unsigned index);

/* The index of a packet that plugins have now. -EINVAL: it is none, or another thread calls. */
int packet_set_find(const struct nfqe_packet *packet);

/* The operation set_mark. */
int packet_set_mark(struct nfqe_packet *packet, uint32_t bits, uint32_t mask);

#endif
