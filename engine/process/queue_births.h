/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a queue process comes to be: the supervisor forks it, when its predecessor, if there was one, was reaped.
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_QUEUE_BIRTHS_H
#define ENGINE_PROCESS_QUEUE_BIRTHS_H

#include "process/children.h"

/* Starts it, unless there is one, or none is wanted. If that fails, it is tried again after a wait. */
void queue_births_start(struct children_queue *queue);

/* The same after a wait that grows. */
void queue_births_retry(struct children_queue *queue);

#endif
