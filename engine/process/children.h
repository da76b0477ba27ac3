/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The crew: the template and the workers as the supervisor sees them. Starts them, learns of their ends, replaces
 * them, and watches for those that hang.
 *
 * Always: at most one worker a queue is admitted to its socket. A queue whose worker died gets a new one at
 * once, or after a pause that grows while its workers die without having answered anything.
 * Until crew_run() was called, every failure is final and is kept for the supervisor to report; after
 * that, failures are logged and tried again.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CHILDREN_H
#define ENGINE_PROCESS_CHILDREN_H

#include "process/engine.h"
#include "process/exit_report.h"
#include "process/watchdog.h"

#define CREW_EARLY_EXITS 64 /* exits that may be seen before the template's message about the birth */

struct crew_worker {
    pid_t pid;            /* 0: none */
    bool requested;       /* the template was asked for it */
    bool admitted;        /* it may read its socket; our copy, since a worker can write the arena's */
    enum arena_request order; /* what it was asked to do; likewise */
    bool left;            /* ended in order; not to be replaced */
    bool hung;            /* was killed for making no progress */
    uint64_t deadline_ns; /* until it has opened the next plugin; 0: it has opened all */
    uint32_t opening;     /* the plugin that the deadline is for */
    uint64_t retry_ns;    /* when to ask for the next one; 0: not waiting */
    unsigned pause_ms;    /* before the next try */
    uint64_t answered;    /* packets answered on this queue when it was admitted */
    struct watch watch;
};

struct crew_early_exit {
    pid_t pid;
    int status;
};

struct crew {
    struct engine *engine;
    const struct engine_programs *programs;
    pid_t template_pid;   /* 0: none */
    unsigned template_number; /* counts the templates */
    int channel;          /* to the template; -1: none */
    bool template_ready;
    bool template_hung;   /* was killed for not answering in time */
    uint64_t template_deadline_ns;
    uint64_t template_retry_ns;
    unsigned template_pause_ms;
    uint32_t template_step; /* stage and plugin when the deadline was set */
    struct crew_worker workers[OPTIONS_QUEUES_MAX];
    struct crew_early_exit early_exits[CREW_EARLY_EXITS];
    unsigned early_exit_count;
    bool ending;          /* nobody is admitted or replaced any more */
    bool suspicious;      /* some worker stands still: sample more often */
    uint64_t sample_ns;   /* when the next sample is due: ticks may come more often */
    struct obituary obituary; /* also says whether crew_run() was called, and what was refused before */
};

/* Prepares an empty crew. */
void crew_init(struct crew *crew, struct engine *engine, const struct engine_programs *programs);

/* Starts the template. close_in_child: descriptors of the supervisor alone, ending with -1. */
void crew_start_template(struct crew *crew, const int *close_in_child);

/* The template's channel is readable. */
void crew_read_channel(struct crew *crew);

/* Children may have ended. */
void crew_reap(struct crew *crew);

/* Whether every queue has a worker that has opened its plugins. */
bool crew_all_opened(const struct crew *crew);

/* Lets the workers read their sockets, from now on every worker as soon as it is there. */
void crew_run(struct crew *crew);

/* Asks the worker of a queue, and all that come after it, to stop or to leave. */
void crew_order(struct crew *crew, unsigned queue, enum arena_request order);

/* Time-outs, pauses and the watch. Call at least every crew_interval_ms(). */
void crew_tick(struct crew *crew, const int *close_in_child);
unsigned crew_interval_ms(const struct crew *crew);

/* Whether every worker has ended in order. */
bool crew_all_left(const struct crew *crew);

/* Asks the template to leave, waits for it a moment, then kills whoever is still there. Reaps all. */
void crew_end(struct crew *crew);

#endif
