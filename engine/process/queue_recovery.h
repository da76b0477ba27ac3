/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a queue process does first: it takes over what its predecessor left in flight. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_RECOVERY_H
#define ENGINE_PROCESS_QUEUE_RECOVERY_H

#include "process/queue_loop.h"

#define QUEUE_DEATHS_MAX 3 /* processes in a row that may die before they have answered a packet */

/*
 * Makes the queue's memory ready to receive into; attaches the flow table; commits the burst that was being received;
 * answers lost ids; sends verdicts that were not sent, or perhaps were; submits the rest. After QUEUE_DEATHS_MAX deaths
 * everything in flight gets the --on-crash verdict instead.
 *
 * Once, when the queue is this process's. Returns 0, or a negative errno with the reason in *error: then this process
 * must end.
 */
int queue_recover(struct queue_loop *loop, uint64_t now_ns, struct error *error);

#endif
