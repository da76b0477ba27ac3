/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the packets of bursts in flight go: to a worker, or to their verdict; for queue_loop.c alone.
 * Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_ROUTES_H
#define ENGINE_PROCESS_QUEUE_ROUTES_H

#include "process/queue_loop.h"

/* A packet in a mask of a burst. */
#define QUEUE_BIT(packet) (UINT64_C(1) << (packet))

/* What decides packets of a burst, by its index in the journal. */
static inline struct decide queue_routes_decide(struct queue_loop *loop, unsigned index)
{
    return (struct decide){.policy = &loop->policy,
                           .flows = loop->flows,
                           .flow_burst = &loop->flights[index].flows,
                           .burst = &loop->journal->bursts[index]};
}

/* Whether packets have to be told apart by their flows. */
static inline bool queue_routes_by_flow(const struct queue_loop *loop)
{
    return loop->flows != NULL || loop->workers.place_count > 1;
}

/*
 * The packets of a burst, by its place in the order, that have no worker: each is decided by its flow, or given to a
 * worker, or left without one.
 */
void queue_routes_burst(struct queue_loop *loop, unsigned burst, uint64_t now_ns);

/* The packet is decided: later packets of its flow no longer come after it. */
void queue_routes_leave_flow(struct queue_loop *loop, struct queue_flight *flight, unsigned packet);

#endif
