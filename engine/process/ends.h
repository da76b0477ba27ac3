/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How children end: they are reaped, and the consequences are drawn. Nothing here waits.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_ENDS_H
#define ENGINE_PROCESS_ENDS_H

#include "process/children.h"

/* Reaps the fork server, or the worker of a queue, if it has ended. Returns whether it had. */
bool ends_reap_forkserver(struct children *children);
bool ends_reap_worker(struct children *children, unsigned queue);

/* Reaps one child that has ended, whatever it is. Returns whether there was one. */
bool ends_reap_any(struct children *children);

/* Whether this is the fork server or a worker. */
bool ends_know(const struct children *children, pid_t pid);

#endif
