/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs: the queues with their descriptors and shared memory, and the configuration that they run with.
 *
 * The supervisor fills struct engine in; fork server and workers have it by fork, each its own copy. The fork server
 * closes and forgets what belongs to a queue; a worker gets what belongs to its own queue from
 * the supervisor. What changes after the fork and matters to another process is in shared memory, that of a queue and
 * struct forkserver_status, or is said on a channel.
 */
#ifndef ENGINE_PROCESS_ENGINE_H
#define ENGINE_PROCESS_ENGINE_H

#include "base/limits.h"
#include "flow/flow_table.h"
#include "process/generation.h"
#include "process/messages.h"
#include "queue/queue.h"
#include "queue/queue_shm.h"

#include <stdint.h>
#include <sys/types.h>

struct engine_queue {
    struct queue kernel;            /* its number and its socket */
    struct queue_shm shm;
    struct worker_control *control; /* in shm */
};

struct engine {
    struct generation *generation;
    struct engine_queue queues[QUEUES_MAX];
    unsigned queue_count;
    struct flow_seed flow_seed;
    pid_t supervisor;
    int channel; /* of fork server or worker to the supervisor; -1: this is the supervisor */
    int log;     /* pipe: what the fork server prints; -1: none, or it is standard output already */
    struct forkserver_status *status; /* NULL: not in this process */
};

/* The functions that the supervisor's children run; main.c fills them in. engine->channel is set. */
struct engine_programs {
    void (*forkserver_run)(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));
    void (*worker_run)(struct engine *engine, unsigned queue) __attribute__((noreturn));
};

#endif
