/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the three kinds of process share, by inheritance: the supervisor fills struct engine, and the fork server
 * and the workers have it by fork. What changes after the fork and matters to another process is in
 * shared memory: that of the queues, and struct forkserver_status.
 */
#ifndef ENGINE_PROCESS_ENGINE_H
#define ENGINE_PROCESS_ENGINE_H

#include "base/error.h"
#include "base/limits.h"
#include "config/plan.h"
#include "config/queue_group.h"
#include "flow/flow_table.h"
#include "plugin/plugin.h"
#include "process/messages.h"
#include "queue/queue.h"
#include "queue/queue_shm.h"

#include <stdint.h>
#include <sys/types.h>

struct engine_queue {
    struct queue kernel;   /* its number and its socket */
    int wake;              /* eventfd: a control word changed for the worker */
    struct queue_shm shm;
    struct worker_control *control; /* in shm */
    uint32_t flows;        /* that its flow table remembers; 0: it has none */
    uint64_t flow_timeout_ms;
    int cpu;               /* or QUEUE_GROUP_NO_CPU */
};

struct engine {
    const struct queue_group *group;
    struct plugin plugins[PLUGINS_MAX];
    unsigned plugin_count;
    struct plan plan;
    struct engine_queue queues[QUEUES_MAX];
    unsigned queue_count;
    struct flow_seed flow_seed;
    pid_t supervisor;
    int doorbell; /* eventfd: a worker's state changed */
    struct forkserver_status *status;
};

/* The two programs that the supervisor's children run; main.c wires them. */
struct engine_programs {
    void (*forkserver_run)(struct engine *engine, int channel, const struct engine_programs *programs)
        __attribute__((noreturn));
    void (*worker_run)(struct engine *engine, unsigned queue) __attribute__((noreturn));
};

#endif
