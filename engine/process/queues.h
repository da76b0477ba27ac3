/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All queues of the engine, with what each has beside its socket: its shared memory. They are opened, bound,
 * reported and closed together.
 *
 * Functions that can fail return 0 or a negative errno with the reason in *error. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_QUEUES_H
#define ENGINE_PROCESS_QUEUES_H

#include "base/error.h"
#include "process/engine.h"
#include "queue/nfqueue_proc.h"

#include <stdbool.h>

/* What one reading of the kernel's table says of the queues, by index. */
struct queues_status {
    int code;                                 /* 0, or why the table could not be read to its end */
    bool found[QUEUES_MAX];                   /* owned by the engine's socket */
    struct nfqueue_status status[QUEUES_MAX]; /* of those that were found */
};

/* Reads the table once for all queues. */
void queues_read_status(const struct engine *engine, struct queues_status *read);

/* Unbinds one queue, with `read` as its last figures, unless it is unbound already. */
void queues_unbind_one(struct engine *engine, unsigned index, const struct queues_status *read);

/* What the shared memory of each queue of a plan is made for. */
struct queue_shm_layout queues_layout(const struct plan *plan);

/* Opens the queues of the engine's group as its plan says. queues_close() in any case. */
int queues_open(struct engine *engine, struct error *error);

/* Binds all queues. When one cannot be bound, queues_close() lets go of the others. */
int queues_bind(struct engine *engine, struct error *error);

/* The settings in force, and what was asked for but not granted. */
void queues_log_settings(const struct engine *engine);

/* Unbinds all queues: from now on the firewall's `bypass` applies, whatever the processes do that have their sockets. */
void queues_unbind(struct engine *engine);

/* The final counters. Before queues_close(). */
void queues_log_counters(const struct engine *engine);

/* Unbinds and frees everything. May follow any of the above. */
void queues_close(struct engine *engine);

#endif
