/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an operator should learn while the engine serves: that the kernel drops packets, or the last bytes of some, that
 * no packet comes, that no plugin answers.
 *
 * Each look of queue_watch.h compares the kernel's figures and the counters of the queues with those of the look before.
 * A line about a queue says the cause and the option that helps: at most one in ten seconds for each cause of a queue, and
 * five for all queues and causes. The final counters have the sums. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_FIGURES_H
#define ENGINE_PROCESS_FIGURES_H

#include "base/event_loop.h"
#include "base/limits.h"
#include "base/rate_limit.h"
#include "process/engine.h"
#include "queue/nfqueue_proc.h"

#include <stdbool.h>
#include <stdint.h>

/* Why the kernel drops packets. */
enum figures_cause { FIGURES_QUEUE_FULL, FIGURES_SOCKET_FULL, FIGURES_CAUSES };

struct figures_loss {
    uint32_t seen;    /* by the look before */
    uint64_t unsaid;  /* packets since the last line about them */
    uint64_t said_ns; /* 0: there was no line */
};

struct figures_queue {
    struct figures_loss losses[FIGURES_CAUSES];
    uint64_t receive_errors; /* by the look before */
    bool cut_said;           /* that a packet came without its last bytes */
    uint64_t answered;       /* when the period began, */
    uint64_t crash_verdicts; /* and of these with a crash verdict */
};

struct figures {
    const struct engine *engine;
    struct event_loop *loop;
    uint64_t period_ns;  /* when it began */
    bool first_period;   /* it is that in which the engine began to serve */
    struct rate_limit limit;
    struct figures_queue queues[QUEUES_MAX];
};

/* The queues are bound: the first period begins. */
void figures_begin(struct figures *figures, const struct engine *engine, struct event_loop *loop);

/* What the kernel says of a queue, by its index, in this look; never of one that another socket has bound. */
void figures_note(struct figures *figures, unsigned index, const struct nfqueue_status *status);

/* The end of a look. known: all that the kernel has to say was noted; else what receives say has to do. */
void figures_look(struct figures *figures, bool known);

#endif
