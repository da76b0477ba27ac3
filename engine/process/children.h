/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of children: the fork server and the worker of each queue, as the supervisor sees them.
 *
 * It starts them, reaps them, replaces them, and kills those that hang. At most one worker of a queue is its owner,
 * that is, may read its socket. A worker that dies is replaced at once if packets were answered while it was the owner,
 * else after a wait that grows. Until children_run() was called, the first failure is kept for the supervisor,
 * who ends the start with it; afterwards failures are logged and tried again.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CHILDREN_H
#define ENGINE_PROCESS_CHILDREN_H

#include "process/engine.h"
#include "process/exit_report.h"
#include "process/forkserver_client.h"
#include "process/watchdog.h"

struct children_worker {
    pid_t pid;                          /* 0: none */
    bool requested;                     /* the fork server was asked for it */
    bool owner; /* it may read its socket; the supervisor's copy, since a worker can write the control words */
    enum worker_request requested_state; /* what it was asked to do; likewise */
    bool exited; /* ended in order; not to be replaced */
    bool hung; /* was killed for making no progress */
    uint64_t deadline_ns; /* until it has opened the next plugin; 0: it has opened all */
    struct plugin_ref opening;          /* the plugin that the deadline is for */
    uint64_t retry_ns; /* when to ask for the next one; 0: not waiting */
    struct backoff backoff;
    uint32_t generation;                /* of its plugins */
    uint64_t answered; /* packets answered on this queue when it was admitted */
    struct watchdog watchdog;
};

struct children {
    struct engine *engine;
    struct event_loop *loop;
    struct event_timer tick;
    uint64_t ticked_ns;   /* when it expired last */
    struct forkserver_client forkserver;
    struct children_worker workers[QUEUES_MAX];
    bool ending;          /* no worker is admitted or replaced any more */
    bool stalled;         /* some worker makes no progress: sample more often */
    uint64_t sample_ns;   /* when the next sample is due; ticks may come more often */
    struct exit_report exit_report; /* also says whether children_run() was called, and what was refused before */
};

/*
 * Prepares an empty table, which from then on watches the time and the fork server's channel in `loop`.
 * close_in_child: descriptors of the supervisor alone, ending with -1.
 */
void children_init(struct children *children, struct engine *engine, const struct engine_programs *programs,
                   struct event_loop *loop, const int *close_in_child);

/* Starts the fork server. */
void children_start_forkserver(struct children *children);

/* Reaps the children that have ended, and replaces the workers among them. After SIGCHLD, and at any time. */
void children_reap(struct children *children);

/* Whether every queue has a worker that has opened its plugins. */
bool children_all_opened(const struct children *children);

/* Lets the workers read their sockets, from now on every worker as soon as it is there. */
void children_run(struct children *children);

/* Asks the worker of a queue, and all that come after it, to stop or to leave. */
void children_request(struct children *children, unsigned queue, enum worker_request requested_state);

/* Whether a queue has a worker; whether its worker has ended in order, so that it gets no other. */
bool children_has_worker(const struct children *children, unsigned queue);
bool children_exited(const struct children *children, unsigned queue);

/* A queue that has no worker is drained: this counts as if one had ended in order. */
void children_need_no_worker(struct children *children, unsigned queue);

/* Whether every worker has ended in order. */
bool children_all_exited(const struct children *children);

/* Kills the workers, asks the fork server to leave, waits for it a moment, then kills it. Reaps all. */
void children_end(struct children *children);

#endif
