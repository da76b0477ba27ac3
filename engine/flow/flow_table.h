/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table: verdicts of whole flows, one table a queue, in the queue's shared memory, so that a decided flow
 * outlives the worker that decided it.
 *
 * A flow is a protocol and two pairs of address and port, whichever of them sends: TCP, UDP, UDP-Lite, SCTP and
 * DCCP by their ports, ICMP and ICMPv6 echo by the identifier and who asks. Everything else has no flow: fragments,
 * IPv6 packets with extension headers, other protocols, and what was captured too short. Hook, interface and
 * queue are no part of it.
 *
 * The table holds exactly as many flows as it was made for. When it is full, a new flow takes the place of the one
 * that has been idle for longest: exactly in tables of up to FLOW_EXACT_MAX flows, to within 10 seconds in
 * larger ones. A flow that was idle for longer than the time-out is forgotten. A packet that begins a connection (TCP
 * SYN, SCTP INIT, DCCP Request) is not answered from an accepted flow, and ends it when it is accepted itself; a
 * dropped flow stays dropped.
 *
 * Entries are found by a keyed hash (multilinear, strongly universal for whoever does not know the key), so nobody can
 * choose flows that collide. An entry alone says everything about its flow; the index around it (hash chains,
 * order of use) is made anew from the entries when a worker died while it was changing it.
 *
 * A plugin can write to the table, since it is in its process. So every index read here is checked, every walk
 * is bounded, and the key of the hash and the sizes are taken from private memory.
 *
 * Never allocates. Knows nothing of netlink.
 */
#ifndef ENGINE_FLOW_FLOW_TABLE_H
#define ENGINE_FLOW_FLOW_TABLE_H

#include "base/limits.h"
#include "flow/flow_memory.h"

#include <nfqe/plugin.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_TICK_NS UINT64_C(125000000) /* an eighth of a second: the resolution of idle times */
#define FLOW_IDLE_TICKS_MAX (24 * 60 * 60 * 8) /* a day */
#define FLOW_EXACT_MAX 65536 /* in larger tables, moving an entry at each packet would cost more than finding it */

/* What a process knows of a table beside the table itself. */
struct flow_table {
    struct flow_memory index;
    uint32_t idle_ticks;
    uint32_t order_ticks; /* how exact the order of use is; 0: moved by each packet */
    struct flow_seed seed;

    /* of the burst in hand */
    uint32_t now; /* tick */
    struct flow_lookup {
        struct flow_key key;
        uint32_t hash;
        bool has_flow;
        bool begins;  /* a connection */
    } lookups[BURST_MAX];
    uint8_t begun[BURST_MAX]; /* packets that begin a connection although their flow is accepted */
    unsigned begun_count;
};

/*
 * Takes up the table at `memory`, which is flow_memory_size(capacity) bytes, aligned to 64, all zero when it is new.
 * idle_ms: how long a flow may be idle, at most a day. [worker]
 */
void flow_table_attach(struct flow_table *flows, void *memory, uint32_t capacity, uint64_t idle_ms,
                       const struct flow_seed *seed);

/*
 * Whether a predecessor died while it was changing the index, or somebody wrote to it. Then flow_table_repair() makes it
 * anew: every flow whose entry is whole stays. *progress changes all the time meanwhile, for the supervisor's
 * watch. Returns how many flows there are. [worker]
 */
bool flow_table_need_repair(const struct flow_table *flows);
uint32_t flow_table_repair(struct flow_table *flows, uint64_t now_ns, _Atomic uint32_t *progress);

/* Computes the flows of a burst's packets (at most BURST_MAX) and brings their entries near. [worker] */
void flow_table_begin_burst(struct flow_table *flows, const struct nfqe_packet *packets, unsigned n, uint64_t now_ns);

/*
 * The verdict of the flow of packet `index`, NFQE_ACCEPT or NFQE_DROP; NFQE_CONTINUE: the chain has to decide. Once
 * for each packet, in their order; once more after flow_table_begin_again(). [worker]
 */
nfqe_verdict flow_table_find(struct flow_table *flows, unsigned index);

/*
 * From now on, the flow of packet `index` has this verdict, NFQE_ACCEPT or NFQE_DROP. False: the packet has no flow,
 * or there is no room for it. [worker]
 */
bool flow_table_add(struct flow_table *flows, unsigned index, nfqe_verdict verdict);

/*
 * Packet `index` was accepted, for itself alone. If it begins a connection, what was decided at earlier packets is
 * over. [worker]
 */
void flow_table_accepted(struct flow_table *flows, unsigned index);

/* From here on, the packets of the burst are gone through once more, from the first on. [worker] */
static inline void flow_table_begin_again(struct flow_table *flows)
{
    flows->begun_count = 0;
}

/* Whether both packets belong to one flow. [worker] */
bool flow_table_same(const struct flow_table *flows, unsigned a, unsigned b);

/* Whether somebody else wrote to the table. Then nothing is found in it until it is repaired. */
static inline bool flow_table_damaged(const struct flow_table *flows)
{
    return flows->index.damaged;
}

#endif
