/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs: the queues with their descriptors and shared memory, and the configuration that they run with.
 *
 * The supervisor fills struct engine in; fork server and workers have it by fork, each its own copy. What changes after
 * the fork and matters to another process is in shared memory: that of the queues, and struct forkserver_status.
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
    int wake;                       /* eventfd: a control word changed for the worker */
    struct queue_shm shm;
    struct worker_control *control; /* in shm */
};

struct engine {
    struct generation *generation;
    struct engine_queue queues[QUEUES_MAX];
    unsigned queue_count;
    struct flow_seed flow_seed;
    pid_t supervisor;
    int doorbell; /* eventfd: a worker's state changed */
    struct forkserver_status *status;
};

/* The functions that the supervisor's children run; main.c fills them in. */
struct engine_programs {
    void (*forkserver_run)(struct engine *engine, int channel, const struct engine_programs *programs)
        __attribute__((noreturn));
    void (*worker_run)(struct engine *engine, unsigned queue) __attribute__((noreturn));
};

#endif
