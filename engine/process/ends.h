/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What follows from the end of a process. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_ENDS_H
#define ENGINE_PROCESS_ENDS_H

#include "process/children.h"

/* Whether a process is in the table. */
bool ends_know(const struct children *children, pid_t pid);

/* Each reaps a process that is in the table, if it has ended; returns whether it has. */
bool ends_reap_worker(struct children_worker *worker);
bool ends_reap_queue(struct children_queue *queue);
bool ends_reap_forkserver(struct children *children);

/*
 * Goes on without a fork server that was killed and does not end, as if it had ended. Returns whether there was room to
 * remember it: that is a bound for how many there are.
 */
bool ends_leave_forkserver(struct children *children);

/* Reaps some child that has ended, known or not. Returns whether there was one. */
bool ends_reap_any(struct children *children);

#endif
