/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flows of which packets are with a worker, counted, and numbered for it.
 *
 * It keeps packets of a flow in order: a packet of a decided flow is answered at once only if no earlier packet of the
 * flow is in flight; otherwise it goes through the worker after them. The number by which the worker knows the flow
 * (plugin/chain_flows.h) is the flow's as long as a packet of it is in flight. Then another flow can get the number,
 * with another epoch.
 *
 * Fixed memory, for as many flows as packets can be in flight. The hash of a flow is the flow table's, which is keyed,
 * so a sender cannot choose flows that collide. Never allocates. Process: [queue process].
 */
#ifndef ENGINE_FLOW_FLOW_IN_FLIGHT_H
#define ENGINE_FLOW_FLOW_IN_FLIGHT_H

#include "base/limits.h"
#include "flow/flow_burst.h"

#include <stdbool.h>
#include <stdint.h>

#define FLOW_IN_FLIGHT_NONE UINT32_MAX /* in place of a number */
#define FLOW_IN_FLIGHT_BUCKETS 512     /* two for each flow, so that chains are short */

struct flow_in_flight {
    struct flow_in_flight_entry {
        struct flow_key key;
        uint32_t hash;
        uint32_t packets; /* of the flow in flight; 0: the entry is free */
        uint32_t epoch;
        uint16_t next;    /* link, in its chain or among the free ones: an entry's number plus one; 0: the last */
    } entries[FLOWS_IN_FLIGHT_MAX]; /* by number */
    uint16_t buckets[FLOW_IN_FLIGHT_BUCKETS]; /* links */
    uint16_t free;                            /* link */
    uint16_t used;                            /* entries that were ever used; those after them hold anything */
};

/* Nothing is in flight. */
void flow_in_flight_init(struct flow_in_flight *flows);

/* The number of the packet's flow. FLOW_IN_FLIGHT_NONE: it has none, or none of its packets is in flight. */
uint32_t flow_in_flight_find(const struct flow_in_flight *flows, const struct flow_lookup *lookup);

/*
 * One more packet of the flow is in flight. Returns the flow's number; FLOW_IN_FLIGHT_NONE: the packet has no flow, or
 * FLOWS_IN_FLIGHT_MAX other flows have packets in flight, which cannot be if no more packets than that are.
 */
uint32_t flow_in_flight_acquire(struct flow_in_flight *flows, const struct flow_lookup *lookup);

/* One packet less is. number: as flow_in_flight_acquire() returned it. */
void flow_in_flight_release(struct flow_in_flight *flows, uint32_t number);

/* Which flow the number means now; not 0, unless the number is FLOW_IN_FLIGHT_NONE. */
static inline uint32_t flow_in_flight_epoch(const struct flow_in_flight *flows, uint32_t number)
{
    return number < FLOWS_IN_FLIGHT_MAX ? flows->entries[number].epoch : 0;
}

#endif
