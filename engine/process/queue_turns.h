/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The turns of a queue process: what it waits for, and the order of its steps.
 *
 * In an idle queue no timer runs. While there is something that does not ring (a worker opens or has packets, packets wait for
 * a worker, verdicts wait to be sent), it is looked at every QUEUE_LOOK_NS. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_TURNS_H
#define ENGINE_PROCESS_QUEUE_TURNS_H

#include "base/event_loop.h"
#include "process/engine.h"
#include "process/queue_affinity.h"
#include "process/queue_lives.h"
#include "process/queue_loop.h"
#include "process/queue_outage.h"
#include "process/queue_tell.h"

#include <stdbool.h>
#include <stdint.h>

struct queue_turns {
    const struct engine *engine;
    struct queue_tell tell;
    struct queue_loop loop;
    struct queue_lives lives;
    struct queue_outage outage;
    struct queue_affinity affinity;
    struct event_loop events;
    struct event_watch packets; /* in the queue's socket */
    struct event_watch channel; /* to the supervisor */
    struct event_timer look;
    uint64_t looked_ns; /* for outages */
    bool serving;       /* socket and journal are this process's */
    unsigned busy;      /* turns since events were looked for */
    bool readable;      /* serving, and the socket may hold messages */
};

/* Before the queue is this process's: `queue` has its memory, engine->channel leads to the supervisor. */
void queue_turns_init(struct queue_turns *turns, const struct engine *engine, const struct engine_queue *queue);

/* The queue is this process's: finishes what a predecessor left. From here on, turns answer packets. */
void queue_turns_begin(struct queue_turns *turns);

/* From now on this process keeps to one CPU while it has time: see queue_affinity.h. */
void queue_turns_keep_cpu(struct queue_turns *turns);

/* Waits for events, unless there is work, and does it. A control word may have changed then. */
void queue_turns_next(struct queue_turns *turns);

/* Whether all packets that have come are answered, as far as is known. */
bool queue_turns_are_done(const struct queue_turns *turns);

/* The queue is this process's no more. From here on, turns watch workers alone. */
void queue_turns_end(struct queue_turns *turns);

#endif
