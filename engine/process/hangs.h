/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queue processes that make no progress, though there are packets, or they were asked to stop. They run no plugin, so
 * it is our own fault, or another program has stopped them; in either case the queue gets another one.
 *
 * One that seems to hang may have made progress just now. So it is stopped and looked at again before it is killed; one
 * that does not even stop within a while is killed, too. Stopping is a state, not a wait: the others are served
 * meanwhile. Workers that hang are their queue process's to find.
 *
 * One that is ready to run and gets no CPU has eight times as long: on a machine that is busy for seconds, its death and
 * those of its successors would count against the packets that they have.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_HANGS_H
#define ENGINE_PROCESS_HANGS_H

#include "process/children.h"

#define HANGS_TICK_MS 10 /* how often hangs_tick() must be called while hangs_pending() */
#define HANGS_TIMEOUT_MS 1000

/* Samples every queue process for the watchdog. children->stalled: the next sample should come soon. */
void hangs_sample(struct children *children);

/* Whether a queue process was told to stop and has not been looked at again. */
bool hangs_pending(const struct children *children);

/* Looks at those that were told to stop: some child has stopped or ended. */
void hangs_look(struct children *children);

/* There is a new queue process, or it has moved on: it has all of the time. */
void hangs_reset(struct children_queue *queue);

/* What is due by the clock: queue processes that did not stop. */
void hangs_tick(struct children *children);

#endif
