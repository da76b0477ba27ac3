/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs: the queues with their descriptors and shared memory, and the configuration that they run with.
 *
 * The supervisor fills struct engine in; its children have it by fork, each its own copy. A queue process closes and
 * forgets what belongs to the other queues, the fork server what belongs to any; so workers never had it. What changes
 * after the fork and matters to another process is in shared memory, that of a queue, a ring, struct
 * forkserver_status, or is said on a channel.
 */
#ifndef ENGINE_PROCESS_ENGINE_H
#define ENGINE_PROCESS_ENGINE_H

#include "base/limits.h"
#include "flow/flow_table.h"
#include "process/generation.h"
#include "process/messages.h"
#include "process/privileges_plan.h"
#include "queue/queue.h"
#include "queue/queue_shm.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct queue_control; /* queue_messages.h: between supervisor and queue process, so not for the other processes */
struct raw_sockets;   /* queue/raw_sockets.h: the same */

struct engine_queue {
    struct queue kernel;            /* its number and its socket */
    struct queue_shm shm;
    struct queue_control *control; /* in shm */
    uint64_t *counted; /* what plugins counted in workers that have ended, by cell; COUNTERS_MAX. [supervisor] */
};

struct engine {
    struct generation *generation;
    struct engine_queue queues[QUEUES_MAX];
    unsigned queue_count;
    uint64_t *counted; /* of all queues. [supervisor] */
    struct flow_seed flow_seed;
    struct raw_sockets *raw; /* of queue processes; NULL: no plugin may have senders told */
    bool reasons_known; /* the supervisor has taken these from the fork server, also the counters: */
    struct reason_names reasons;
    struct reason_names counters;
    struct privileges_plan privileges;
    pid_t supervisor;
    int channel; /* of a child to the supervisor; -1: this is the supervisor */
    int log;     /* pipe: what the fork server prints; -1: none, or it is standard output already */
    struct forkserver_status *status; /* NULL: not in this process */
};

/* What a new worker is told with its birth. */
struct worker_birth {
    unsigned queue; /* index in engine.queues */
    unsigned slot;  /* 0 to workers + spares - 1 */
    uid_t uid;      /* that it takes, or PRIVILEGES_SAME_UID */
    uint64_t skipped; /* bit i: the plugin at position i is left out of the chain */
};

/* The functions that the supervisor's children run; main.c fills them in. engine->channel is set. */
struct engine_programs {
    void (*queue_run)(struct engine *engine, unsigned queue) __attribute__((noreturn));
    void (*forkserver_run)(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));
    void (*worker_run)(struct engine *engine, const struct worker_birth *birth) __attribute__((noreturn));
};

#endif
