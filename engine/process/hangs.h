/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers that take too long: to open a plugin, or to answer packets.
 *
 * One that seems to hang over packets may have made progress just now. So it is stopped and looked at again before it
 * is killed; one that does not even stop within a while is killed, too. Stopping is a state, not a wait: the others are
 * served meanwhile.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_HANGS_H
#define ENGINE_PROCESS_HANGS_H

#include "process/children.h"

#define HANGS_TICK_MS 10 /* how often hangs_tick() must be called while hangs_pending() */

/* Samples every worker for the watchdog. children->stalled: the next sample should come soon. */
void hangs_sample(struct children *children);

/* Whether a worker was told to stop and has not been looked at again. */
bool hangs_pending(const struct children *children);

/* Looks at the workers that were told to stop: some child has stopped or ended. */
void hangs_look(struct children *children);

/* What is due by the clock: workers that did not stop, or do not open the next plugin. */
void hangs_tick(struct children *children, uint64_t now_ns);

#endif
