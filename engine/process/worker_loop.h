/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serving a queue, burst by burst: receive, decode, run the chain, encode, send, commit.
 *
 * A successor takes up the burst that its predecessor left, at the step where it stands, and goes the same way to
 * the end: what is decided already is skipped by the chain. What cannot be gone on with ends the process, through
 * engine_fail(). Process: [worker].
 */
#ifndef ENGINE_PROCESS_WORKER_LOOP_H
#define ENGINE_PROCESS_WORKER_LOOP_H

#include "base/log.h"
#include "burst/chain.h"
#include "flow/flow_table.h"
#include "process/engine.h"
#include "queue/nfqueue_encode.h"

#include <stdbool.h>

struct worker_loop {
    struct engine *engine;
    struct engine_queue *queue;
    struct arena *arena;
    const struct arena *view; /* the same, read-only: packets point into it */
    struct chain chain;
    struct flow_table flows;      /* in use if chain.flows says so */
    unsigned receive_errors; /* in a row */
    struct nfqe_packet packets[BURST_MAX];
    unsigned packet_count;
    struct arena_counters delta; /* of the burst in flight */
    struct nfqueue_encoder verdicts;
    struct log_limit invalid_log;
    struct log_limit error_log;
};

/* Prepares for `queue`: maps its arena for plugins. The chain has no members yet. */
void worker_loop_init(struct worker_loop *loop, struct engine *engine, struct engine_queue *queue);

/* Takes up the flow table, and what a predecessor left in flight. Once, after the queue was given to this worker. */
void worker_loop_recover(struct worker_loop *loop);

/* One receive and what follows from it. Returns whether the socket may hold more. */
bool worker_loop_burst(struct worker_loop *loop);

#endif
