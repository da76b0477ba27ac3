/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What follows when a worker is lost: it is killed if it lives, replaced, counted, and reported.
 *
 * The queue process says that it is lost; how its process ended, the supervisor sees. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_LOSSES_H
#define ENGINE_PROCESS_LOSSES_H

#include "process/children.h"

/* The queue process has said so. */
void losses_lost(struct children_worker *worker, const struct queue_message *loss);

/* Its process was reaped. */
void losses_ended(struct children_worker *worker, int status);

/* Adds what its plugins have counted to what they counted in its queue before, and forgets its cells. */
void losses_take_counters(struct children_worker *worker);

/* Kills it; nothing is to be said of it, unless it was lost before, and nothing more is expected from its queue process. */
void losses_dismiss(struct children_worker *worker);

#endif
