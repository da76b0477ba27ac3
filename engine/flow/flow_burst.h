/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flows of one burst's packets: their keys, computed once, and which packets begin a connection of an accepted
 * flow.
 *
 * flow_table_begin_burst() fills it, and the look-ups of the burst refer to packets by their place in it. Each burst in
 * flight has its own, so bursts can be decided in any order. Private memory. Process: [queue process].
 */
#ifndef ENGINE_FLOW_FLOW_BURST_H
#define ENGINE_FLOW_FLOW_BURST_H

#include "base/limits.h"
#include "flow/flow_key.h"

#include <stdbool.h>
#include <stdint.h>

/* The flow of a packet. */
struct flow_lookup {
    struct flow_key key;
    uint32_t hash;
    bool has_flow;
    struct flow_traits traits;
};

struct flow_burst {
    const struct nfqe_packet *packets; /* of the caller */
    struct flow_lookup lookups[BURST_MAX];
    uint8_t begun[BURST_MAX]; /* packets that begin a connection and whose flow is accepted, one a flow */
    unsigned begun_count;
};

static inline bool flow_lookup_same(const struct flow_lookup *a, const struct flow_lookup *b)
{
    return a->hash == b->hash && a->has_flow && b->has_flow && flow_key_same(&a->key, &b->key);
}

/* Whether packets `a` and `b` belong to the same flow. */
static inline bool flow_burst_same(const struct flow_burst *burst, unsigned a, unsigned b)
{
    return flow_lookup_same(&burst->lookups[a], &burst->lookups[b]);
}

/* To be called before the packets of the burst are looked up again from the first on. */
static inline void flow_burst_begin_again(struct flow_burst *burst)
{
    burst->begun_count = 0;
}

/* Whether an earlier packet of the burst begins a connection of this flow: the plugins then decide this packet too. */
static inline bool flow_burst_has_begun(const struct flow_burst *burst, unsigned index)
{
    for (unsigned i = 0; i < burst->begun_count; i++) {
        if (flow_burst_same(burst, burst->begun[i], index)) {
            return true;
        }
    }
    return false;
}

/* The flow of packet `index` gets a new verdict, so later packets of the burst can use it. */
static inline void flow_burst_end_begun(struct flow_burst *burst, unsigned index)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < burst->begun_count; i++) {
        if (!flow_burst_same(burst, burst->begun[i], index)) {
            burst->begun[kept++] = burst->begun[i];
        }
    }
    burst->begun_count = kept;
}

#endif
