/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answering a queue, burst by burst: receive, decode, commit, run the pipeline, encode, send, commit.
 *
 * Each step is in the journal before the next one begins, so a successor goes on with what its predecessor left in
 * flight, at the step where it was and with the same functions; the pipeline skips packets that are decided already.
 *
 * The functions return 0 (or a result) or a negative errno with the reason in *error. Then this process must end:
 * its successor finishes what is in the journal. Process: [worker].
 */
#ifndef ENGINE_PROCESS_WORKER_LOOP_H
#define ENGINE_PROCESS_WORKER_LOOP_H

#include "base/error.h"
#include "base/rate_limit.h"
#include "burst/journal.h"
#include "burst/outstanding.h"
#include "burst/pipeline.h"
#include "flow/flow_table.h"
#include "process/engine.h"
#include "queue/nfqueue_encode.h"

#include <stdbool.h>

struct worker_loop {
    const struct engine *engine;
    const struct engine_queue *queue;
    struct journal *journal;
    struct burst *burst;       /* in work: one of the journal */
    const void *slots;         /* of the read-only view: packets point into it */
    struct pipeline pipeline;  /* its plugin chain is the caller's to fill */
    struct flow_table flows;   /* in use if pipeline.flows says so */
    struct outstanding outstanding; /* what the next commit will say */
    unsigned receive_errors;   /* in a row */
    struct nfqe_packet packets[BURST_MAX];
    unsigned packet_count;
    struct queue_stats delta;  /* of the next commit */
    struct nfqueue_encoder encoder;
    struct rate_limit invalid_log;
    struct rate_limit error_log;
};

/* Prepares for `queue`: makes its memory ready to receive into, and maps it for plugins. The plugin chain is empty. */
int worker_loop_init(struct worker_loop *loop, const struct engine *engine, const struct engine_queue *queue,
                     struct error *error);

/* Attaches the flow table, and finishes what a predecessor left in flight. Once, when the queue is this worker's. */
int worker_loop_recover(struct worker_loop *loop, struct error *error);

/* One receive and what follows from it. Returns 1: the socket may hold more, 0: it does not. */
int worker_loop_burst(struct worker_loop *loop, struct error *error);

#endif
