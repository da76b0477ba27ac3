/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's signals: none ends or interrupts it, each is read in the event loop.
 *
 * SIGTERM and SIGINT ask for a stop. SIGHUP and whatever has no meaning are named in the log, within a limit. A failed
 * write is an error of that write: SIGPIPE and SIGXFSZ are ignored. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_SIGNALS_H
#define ENGINE_PROCESS_SIGNALS_H

#include "base/event_loop.h"
#include "base/rate_limit.h"

struct signals {
    struct event_watch watch; /* of the signalfd */
    struct event_loop *loop;
    struct rate_limit log;
    uint64_t stop_ns;         /* when the last stop was asked for; 0: never */

    /* The owner fills these in. */
    void *context;
    void (*stop)(void *context, const char *name); /* name: of the signal, without SIG */
    void (*child_ended)(void *context);            /* SIGCHLD */
};

/* Blocks and ignores. Before anything can fail, and before signals_open(). */
void signals_block(void);

/* Reads the signals in `loop` from now on. Returns 0 or a negative errno. */
int signals_open(struct signals *signals, struct event_loop *loop);

/* From now on they stay blocked, and none is read. Also without signals_open(). */
void signals_close(struct signals *signals);

#endif
