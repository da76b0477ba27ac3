/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table: the verdicts of whole flows. Each queue has one, in its shared memory, so that a verdict outlives the
 * processes in which it was given.
 *
 * A flow is a protocol and two pairs of address and port, in either direction: TCP, UDP, UDP-Lite, SCTP and DCCP by
 * their ports, ICMP and ICMPv6 echo by the identifier and the side that asks; of IPv6 also after extension headers.
 * Other packets have no flow: later fragments, other protocols, packets of which too few bytes were captured, and
 * packets whose receiver ignores them, since their headers contradict their length. Hook, interface and queue are not
 * part of a flow.
 *
 * First fragments, and packets that a routing header takes to other stations first, belong to a flow, but they do not
 * decide it, and are not accepted with it (flow_key.h); nor does a packet with a wrong checksum decide it.
 *
 * The table holds as many flows as it was made for. They are in four lists: fresh flows, which were accepted and have
 * shown no further packet since; young ones, which have; established ones; and dropped ones. A flow is established by
 * the second further packet, as a TCP connection is by its handshake, or, if its protocol has none (UDP, UDP-Lite,
 * echo), by one that comes 2 s after the flow was accepted; TCP resets do not count. Each list has a share of a full
 * table. A new flow then replaces one that has expired; if there is none, the oldest flow of the list that is farthest
 * above its share. So however many flows of one or two packets come, they replace no flow of the other lists that are
 * within their share.
 *
 * Accepted flows are in the order of use: exactly in tables of up to FLOW_EXACT_MAX flows, to within 10 seconds in
 * larger ones; dropped flows in the order in which they were decided. An accepted flow expires when it was idle for
 * longer than the time-out; a dropped flow, however many packets come, when so much time has passed since it was
 * decided. A packet that begins a connection (TCP SYN, SCTP INIT, DCCP Request) does not get the verdict of an accepted
 * flow; if it is then accepted itself, the flow is removed. A dropped flow stays dropped.
 *
 * Entries are found by a keyed hash, so that a sender cannot choose flows that collide. An entry has all that is
 * known of its flow. The index (hash chains, lists) is rebuilt from the entries if a process died while it
 * changed it.
 *
 * No plugin has this memory, but what a process that died left in it may be damaged. So every link that is read is
 * checked, every walk is bounded, and the key of the hash and the sizes are kept in private memory. Never allocates;
 * does not depend on netlink.
 */
#ifndef ENGINE_FLOW_FLOW_TABLE_H
#define ENGINE_FLOW_FLOW_TABLE_H

#include "base/limits.h"
#include "flow/flow_burst.h"
#include "flow/flow_memory.h"

#include <nfqe/plugin.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_TICK_NS UINT64_C(125000000) /* an eighth of a second, the resolution of idle times */
#define FLOW_IDLE_TICKS_MAX (24 * 60 * 60 * 8) /* a day */
#define FLOW_EXACT_MAX 65536 /* in larger tables, moving the entry for each packet would cost more than the lookup */

/* What a process keeps for a table, in private memory. */
struct flow_table {
    struct flow_memory index;
    uint32_t idle_ticks;
    uint32_t order_ticks; /* the order of use is exact to this many ticks; 0: each packet moves its entry */
    uint32_t shares[FLOW_LISTS]; /* of the entries */
    struct flow_seed seed;
    uint32_t now;         /* in ticks, as of the last burst that was begun */
};

/*
 * Attaches to the table at `memory`: flow_memory_size(capacity) bytes, aligned to 64, all zero if the table is new.
 * idle_ms: how long a flow may be idle, at most a day. [queue process]
 */
void flow_table_attach(struct flow_table *flows, void *memory, uint32_t capacity, uint64_t idle_ms,
                       const struct flow_seed *seed);

/*
 * Whether an earlier process died while it changed the index, or damage was found. flow_table_repair() then rebuilds
 * the index and keeps every flow whose entry is complete. It increments *progress as it goes, so that the supervisor
 * does not take a long repair for a hang, and returns the number of flows. [queue process]
 */
bool flow_table_need_repair(const struct flow_table *flows);
uint32_t flow_table_repair(struct flow_table *flows, uint64_t now_ns, _Atomic uint32_t *progress);

/*
 * Finds the flow keys of a burst's packets (at most BURST_MAX), which have to stay until it is decided, and prefetches
 * their entries. A table that was not attached only has to have its seed: then it finds the keys alone. [queue process]
 */
void flow_table_begin_burst(struct flow_table *flows, struct flow_burst *burst, const struct nfqe_packet *packets,
                            unsigned n, uint64_t now_ns);

/*
 * The verdict of the flow of packet `index`, NFQE_ACCEPT or NFQE_DROP; NFQE_CONTINUE: the plugins have to decide. To be
 * called once for each packet, in order, and once more after flow_burst_begin_again(). [queue process]
 */
nfqe_verdict flow_table_find(struct flow_table *flows, struct flow_burst *burst, unsigned index);

/*
 * Sets the verdict of the flow of packet `index`, NFQE_ACCEPT or NFQE_DROP. False: the packet has no flow, or may not
 * decide it, or the table has no room for it. [queue process]
 */
bool flow_table_add(struct flow_table *flows, struct flow_burst *burst, unsigned index, nfqe_verdict verdict);

/* Whether the flow is accepted, also for a packet that plugins have to decide. Does not touch it. [queue process] */
bool flow_table_is_accepted(struct flow_table *flows, const struct flow_lookup *lookup);

/* Removes the flow if it is accepted. [queue process] */
void flow_table_end_accepted(struct flow_table *flows, const struct flow_lookup *lookup);

/*
 * To be called when packet `index` alone, not its flow, was accepted. If the packet begins a connection, an accept
 * verdict of its flow is removed. [queue process]
 */
static inline void flow_table_accepted(struct flow_table *flows, const struct flow_burst *burst, unsigned index)
{
    const struct flow_lookup *lookup = &burst->lookups[index];

    if (lookup->has_flow && lookup->traits.begins) {
        flow_table_end_accepted(flows, lookup);
    }
}

/* Whether the table is damaged. Then no lookup finds anything until it is repaired. [queue process] */
static inline bool flow_table_damaged(const struct flow_table *flows)
{
    return flows->index.damaged;
}

#endif
