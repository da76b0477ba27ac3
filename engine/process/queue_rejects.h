/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the senders of dropped packets that they are: what a plugin asks for with NFQE_REJECT.
 *
 * Not more than so many in a second, each counted once. Never allocates or waits. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_REJECTS_H
#define ENGINE_PROCESS_QUEUE_REJECTS_H

#include "base/rate_limit.h"
#include "burst/stats.h"
#include "config/options.h"
#include "queue/nfqueue_decode.h"
#include "queue/raw_sockets.h"
#include "queue/route_probe.h"

struct queue_rejects {
    const struct raw_sockets *raw;
    struct route_probe probe;
    const struct mark_setting *by_rule; /* mask 0: the engine tells senders */
    unsigned queue; /* its number, for the log */
    uint64_t interval_ns; /* between two answers, in the long run */
    uint64_t credit_ns;   /* that was not used, up to a second */
    uint64_t since_ns;    /* when that was so; 0: never */
    struct rate_limit log;
};

/* raw: NULL: nothing can be sent. rate: answers a second, 1 to a million. [queue process] after it has closed what it does not keep. */
void queue_rejects_init(struct queue_rejects *rejects, const struct raw_sockets *raw,
                        const struct mark_setting *by_rule, uint32_t rate, unsigned queue);

/*
 * Whether a packet was left to a rule, and is queued again: there is no such rule. Then it is counted, and logged. It is
 * dropped without being given to plugins: that is the verdict which it had.
 */
bool queue_rejects_came_back(struct queue_rejects *rejects, const struct nfqe_packet *packet,
                             struct queue_stats *stats);

/* Whether one more may be sent now. */
bool queue_rejects_pass(struct queue_rejects *rejects, uint64_t now_ns);

/* Tells the packet's sender, as far as that may be, and counts it. kind: enum reject_kind. */
void queue_rejects_tell(struct queue_rejects *rejects, const struct nfqe_packet *packet,
                        const struct nfqueue_conntrack *conntrack, uint32_t kind, uint64_t now_ns,
                        struct queue_stats *stats);

#endif
