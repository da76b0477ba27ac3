/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of children, as the supervisor sees them: the fork server, the process of each queue, and the queue's workers.
 *
 * A queue has one queue process at most; its successor is started when it was reaped, so a queue's socket never has two
 * readers. Of its workers, --workers and --spares together, each that is lost is replaced: at once if packets were
 * answered since it opened its plugins, else after a wait that grows. When a worker is lost, the
 * queue process says; it gets no packets from then on, and whether its process ends matters no more to its queue. Until
 * children_run() was called, the first failure is kept for the supervisor, who ends the start with it; afterwards
 * failures are logged and tried again.
 *
 * Always: nothing here waits. What takes time is a state, looked at again when an event or the time comes; so a child
 * that does not stop, or cannot be killed, keeps neither its queue, nor the other queues, nor the end of the engine.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CHILDREN_H
#define ENGINE_PROCESS_CHILDREN_H

#include "process/birth_watch.h"
#include "process/child.h"
#include "process/child_log.h"
#include "process/counter_cells.h"
#include "process/crash_limit.h"
#include "process/engine.h"
#include "process/exit_report.h"
#include "process/forkserver_client.h"
#include "process/queue_messages.h"
#include "process/watchdog.h"

#define CHILDREN_SLOTS_MAX (WORKERS_MAX + SPARES_MAX)
#define CHILDREN_FORKSERVERS_LEFT_MAX 4 /* that were killed and have not ended; with more, none is started */
#define CHILDREN_LINGERING_MAX 8 /* workers of a queue that are lost and have not ended; with more, none is born */

struct children;
struct children_queue;
struct queue_watch;

/* One worker, from the request for it to its end. */
struct children_worker {
    struct children_queue *queue;
    uint32_t number;            /* 0: this place is free */
    uint32_t areas;             /* number of the list of areas when it was asked for */
    unsigned slot;              /* below --workers + --spares; no other worker that is not lost has it */
    uid_t uid;
    bool requested;             /* the fork server was asked for it, and it has not said hello */
    struct child process;       /* pid 0: it has not said hello, or it has ended */
    struct event_watch channel; /* until it has its ring; fd -1: closed */
    struct child_log log;       /* what it prints, once it has its ring */
    struct counter_cells cells; /* what its plugins count, once it has its ring */
    uint64_t answered;          /* packets answered on its queue when its plugins were open */
    bool opened;                /* its plugins are open */
    bool lost;                  /* it gets no packets any more, as `loss` says; another one takes its slot */
    bool ended;                 /* its process has ended: `pid`, `status` */
    bool end_reported;          /* its end is in the log, or has no place there */
    struct queue_message loss;
    pid_t pid;
    int status;
};

/* A queue process, and what its workers have in common. */
struct children_queue {
    struct children *children;
    struct engine_queue *queue;

    struct child process;
    struct event_watch channel;   /* fd -1: there is no queue process */
    struct child_log log;
    enum queue_request requested; /* as in the control words */
    bool exited;                  /* it has left in order, or none is needed; not to be replaced */
    bool hung;                    /* was killed for making no progress */
    uint64_t retry_ns;            /* when to start the next one; 0: not waiting */
    struct backoff backoff;
    uint64_t answered;            /* packets answered when it was started */
    struct watchdog watchdog;
    bool suspected;               /* of hanging: it was told to stop, to be looked at again */
    uint32_t suspect_progress;    /* its progress before that */
    unsigned suspect_ticks;       /* since then */
    uint64_t cpu_looked_ns;       /* when its CPU time was read last, since it has made no progress; 0: not yet */
    uint64_t cpu_used_ns;         /* that time */
    unsigned cpu_excused;         /* looks that did not count, since it got no CPU */

    struct children_worker *workers; /* children->places */
    uint64_t births_ns;              /* when the next worker may be asked for; 0: not waiting */
    struct backoff births_backoff;
    bool stillborn;                  /* the last one ended before it said hello */
    unsigned turns[CHILDREN_SLOTS_MAX]; /* how often each slot was used */
    uint64_t skipped;                /* plugins that are left out since they crashed too often; bit: position */
    bool given_up;                   /* the crash limit is reached; until the next worker is open */
    bool outage;                     /* as last logged */
};

struct children {
    struct engine *engine;
    const struct engine_programs *programs;
    struct event_loop *loop;
    struct child_logs *logs;          /* NULL: children print where the supervisor does */
    struct child_log *forkserver_log; /* with logs */
    struct event_timer tick;
    uint64_t ticked_ns;        /* when it expired last */
    struct event_timer strays; /* there may be more children that have ended */
    struct event_timer left_over; /* dead workers may have left something running */
    struct forkserver_client forkserver;
    pid_t forkservers_left[CHILDREN_FORKSERVERS_LEFT_MAX]; /* killed, and not reaped; 0: free */
    struct children_queue *queues; /* engine->queue_count */
    struct children_worker *workers; /* places for those of all queues */
    unsigned slots;            /* workers and spares of each queue */
    unsigned places;           /* for workers of each queue, with those that linger */
    struct crash_limits crash_limits;
    uint32_t births;           /* requests so far: the number of the last worker */
    unsigned requests;         /* that are not answered */
    struct birth_watch birth_watch;
    bool ending;               /* no process is admitted or replaced any more */
    bool births_dropped;       /* when that began, the fork server was making workers */
    bool stop_wanted;          /* an outage, and its option says stop */
    bool queue_lost;           /* a queue is not the engine's any more */
    struct queue_watch *watch; /* of the queues in the kernel; NULL: there is none */
    uint64_t strays_end_ns;    /* until when children that are not known are waited for then; 0: not yet */
    bool stalled;              /* some queue process makes no progress: sample more often */
    uint64_t sample_ns;        /* when the next sample is due; ticks may come more often */
    struct exit_report exit_report; /* also says whether children_run() was called, and what was refused before */
};

/*
 * Prepares a table without processes, which from then on watches the time and the children in `loop`. Returns 0 or
 * -ENOMEM; children_done() in any case.
 */
int children_init(struct children *children, struct engine *engine, const struct engine_programs *programs,
                  struct event_loop *loop);

/* Starts the queue processes and the fork server. */
void children_start(struct children *children);

/* Reaps children that have ended, known or not, and replaces those among them that are. After SIGCHLD, and at any time. */
void children_reap(struct children *children);

/* Whether every queue has its --workers with opened plugins. Spares may be on their way. */
bool children_all_opened(const struct children *children);

/* Lets the queue processes read their sockets, from now on each as soon as it is there. */
void children_run(struct children *children);

/* Asks the process of a queue, and all that come after it, to stop or to leave. */
void children_request(struct children *children, unsigned queue, enum queue_request request);

/* Whether a queue has a queue process; whether that has ended in order, so that it gets no other. */
bool children_has_process(const struct children *children, unsigned queue);
bool children_exited(const struct children *children, unsigned queue);

/*
 * A queue without a process is drained, or one with or without is not the engine's any more: this counts as if its process
 * had ended in order. One that is there may go on; when it ends, it gets no successor.
 */
void children_need_no_process(struct children *children, unsigned queue);

/* Whether every queue process has ended in order. */
bool children_all_exited(const struct children *children);

/* Adds what plugins have counted in workers that have not ended to what they counted in others. Once, at the end. */
void children_collect_counters(struct children *children);

/*
 * The end: kills queue processes and workers, and asks the fork server to leave. From then on nothing here touches a
 * queue. What becomes of them is asked after each turn; children_done() in any case.
 */
void children_end(struct children *children);

/* Whether no queue process or worker is left, or only such as do not end although they were killed a while ago. */
bool children_workers_ended(const struct children *children);

/* The same, and no fork server, nor, for a moment more, any other child: a worker may be on its way. */
bool children_ended(struct children *children);

/* Forgets whatever is left, and says what the log has still to say. */
void children_done(struct children *children);

/* ---- for queue_births.c, births.c, birth_watch.c, ends.c, losses.c and hangs.c ---- */

static inline unsigned children_index(const struct children_queue *queue)
{
    return (unsigned)(queue - queue->children->queues);
}

static inline unsigned children_number(const struct children_queue *queue)
{
    return queue->queue->kernel.number;
}

/* The worker of a queue with this number; NULL: there is none any more. */
struct children_worker *children_worker_find(struct children_queue *queue, uint32_t number);

/* Kills the workers of a queue, for which nothing is reported: its queue process is gone, or all are replaced. */
void children_dismiss_workers(struct children_queue *queue);

/* A control word has changed. */
void children_wake(struct children_queue *queue);

/* After whatever may have brought the next tick nearer. */
void children_schedule_tick(struct children *children);

#endif
