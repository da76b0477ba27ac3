/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of children: the fork server and the worker of each queue, as the supervisor sees them.
 *
 * It starts them, reaps them, replaces them, and kills those that hang. At most one worker of a queue is its owner,
 * that is, may read its socket. A worker that dies is replaced at once if packets were answered while it was the owner,
 * else after a wait that grows. Until children_run() was called, the first failure is kept for the supervisor,
 * who ends the start with it; afterwards failures are logged and tried again.
 *
 * Always: nothing here waits. What takes time is a state, looked at again when an event or the time comes; so a child
 * that does not stop, or cannot be killed, keeps neither the other queues nor the end of the engine.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CHILDREN_H
#define ENGINE_PROCESS_CHILDREN_H

#include "process/child.h"
#include "process/child_log.h"
#include "process/engine.h"
#include "process/exit_report.h"
#include "process/forkserver_client.h"
#include "process/watchdog.h"

struct children;

struct children_worker {
    struct children *children;          /* that it is in */
    struct child process;
    struct event_watch channel;         /* our end; fd -1: there is no worker, and none is asked for */
    bool requested;                     /* the fork server was asked for it, and it has not said hello */
    uint64_t birth;                     /* number of that request */
    bool stillborn;                     /* the last one ended before it said hello */
    bool owner; /* it may read its socket; the supervisor's copy, since a worker can write the control words */
    enum worker_request requested_state; /* what it was asked to do; likewise */
    bool exited; /* ended in order; not to be replaced */
    bool hung; /* was killed for making no progress */
    uint64_t silent_ns; /* since when its end of the channel is closed; 0: it is open */
    uint64_t deadline_ns; /* until it has opened the next plugin; 0: it has opened all */
    struct plugin_ref opening;          /* the plugin that the deadline is for */
    uint64_t retry_ns; /* when to ask for the next one; 0: not waiting */
    struct backoff backoff;
    uint32_t generation;                /* of its plugins */
    uint64_t answered; /* packets answered on this queue when it was admitted */
    struct watchdog watchdog;
    bool suspected;                     /* of hanging: it was told to stop, to be looked at again */
    uint32_t suspect_progress;          /* its progress before that */
    unsigned suspect_ticks;             /* since then */
};

struct children {
    struct engine *engine;
    struct event_loop *loop;
    struct event_timer tick;
    uint64_t ticked_ns;   /* when it expired last */
    struct event_timer strays; /* there may be more children that have ended */
    struct forkserver_client forkserver;
    struct children_worker workers[QUEUES_MAX];
    uint64_t births;      /* requests so far */
    struct watchdog birth_watchdog;
    struct event_timer birth_timer; /* runs while a worker is asked for */
    bool ending;          /* no worker is admitted or replaced any more */
    uint64_t strays_end_ns; /* until when children that are not known are waited for then; 0: not yet */
    bool stalled;         /* some worker makes no progress: sample more often */
    uint64_t sample_ns;   /* when the next sample is due; ticks may come more often */
    struct child_logs *logs; /* what a child has printed is shown before its end is reported; NULL: nothing is read */
    struct exit_report exit_report; /* also says whether children_run() was called, and what was refused before */
};

/* Prepares an empty table, which from then on watches the time and the children in `loop`. */
void children_init(struct children *children, struct engine *engine, const struct engine_programs *programs,
                   struct event_loop *loop);

/* Starts the fork server. */
void children_start_forkserver(struct children *children);

/* Reaps children that have ended, known or not, and replaces the workers among them. After SIGCHLD, and at any time. */
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

/*
 * The end: kills the workers and asks the fork server to leave. From then on nothing here touches a queue. What becomes
 * of them is asked after each turn; children_done() in any case.
 */
void children_end(struct children *children);

/* Whether no worker is left, or only such as do not end although they were killed a while ago; those are logged. */
bool children_workers_ended(const struct children *children);

/* The same, and no fork server, nor, for a moment more, any other child: a worker may be on its way. */
bool children_ended(struct children *children);

/* Forgets whatever is left, and says what the log has still to say. */
void children_done(struct children *children);

/* ---- for births.c, ends.c and hangs.c ---- */

/* The index of the worker's queue. */
static inline unsigned children_queue_of(const struct children_worker *worker)
{
    return (unsigned)(worker - worker->children->workers);
}

/* Makes the worker the owner of its queue. */
void children_admit(struct children *children, unsigned queue);

/* After whatever may have brought the next tick nearer. */
void children_schedule_tick(struct children *children);

#endif
