/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Outages: a place that has no worker for --outage-timeout gets the --on-outage verdict for its packets, until a worker
 * is there again.
 *
 * An outage is one of a place, not of a queue: the packets of a flow have one place, and if another one's worker took
 * them meanwhile, they could overtake those that it got before, and it would not know the flow. With one worker for each
 * queue the two are the same. While the supervisor has given up, a place without a worker has an outage at once, and no
 * worker gets one.
 *
 * The control word `outage` has the places in bits, and is where a successor finds them: it does not wait for the time-out
 * once more. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_OUTAGE_H
#define ENGINE_PROCESS_QUEUE_OUTAGE_H

#include "process/queue_loop.h"
#include "process/queue_tell.h"

#include <stdbool.h>
#include <stdint.h>

struct queue_outage {
    struct queue_loop *loop;
    const struct queue_tell *tell;
    uint64_t timeout_ns;
    uint64_t empty_ns[WORKERS_MAX]; /* how long a place has had no worker; up to timeout_ns */
};

/* Before the queue is this process's. */
void queue_outage_init(struct queue_outage *outage, struct queue_loop *loop, const struct queue_tell *tell,
                       uint64_t timeout_ms);

/* Workers that are open get their places, and time counts. A predecessor's outage goes on. Before queue_recover(). */
void queue_outage_begin(struct queue_outage *outage);

/*
 * step_ns has passed since the last look. Begins and ends outages; packets that get a worker or a verdict by it are routed.
 * Returns whether a place is on the way to an outage, so that this has to be called again soon.
 */
bool queue_outage_look(struct queue_outage *outage, uint64_t step_ns, uint64_t now_ns);

#endif
