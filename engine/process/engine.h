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

/* How far the fork server has come; in shared memory, since it may die on the way. */
struct forkserver_status {
    _Atomic uint32_t stage;  /* enum forkserver_stage */
    _Atomic uint32_t plugin; /* position in the chain of the one being linked, loaded or unloaded */
    char error[ERROR_TEXT_MAX]; /* why that one is refused */
};

enum forkserver_stage { FORKSERVER_LINKING, FORKSERVER_LOADING, FORKSERVER_LOADED, FORKSERVER_UNLOADING };

/* Messages on the channel between supervisor and fork server, a SOCK_SEQPACKET pair. */
enum forkserver_message_kind {
    FORKSERVER_READY,  /* fork server: every plugin is loaded */
    FORKSERVER_FORK,   /* supervisor: make a worker for `queue` */
    FORKSERVER_FORKED, /* fork server: it is `pid`, or a negative errno */
    FORKSERVER_LEAVE,  /* supervisor: unload the plugins and exit */
};

struct forkserver_message {
    uint32_t kind;
    uint32_t queue; /* index in engine.queues */
    int32_t pid;
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
