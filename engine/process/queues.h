/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queues as the supervisor has them: planned from the options and the plugins' needs, opened, bound,
 * reported, closed. Each function works on all queues of the engine.
 *
 * Functions that can fail return 0 or a negative errno with the reason in *error. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_QUEUES_H
#define ENGINE_PROCESS_QUEUES_H

#include "base/error.h"
#include "process/engine.h"

/* Decides the settings of each queue. Needs the plugins checked. */
int queues_plan(struct engine *engine, struct error *error);

/* Opens sockets, arenas and eventfds; sees already whether a bind would fail, before plugins are loaded. */
int queues_open(struct engine *engine, struct error *error);

/* Binds all queues. When one cannot be bound, queues_close() lets go of the others. */
int queues_bind(struct engine *engine, struct error *error);

/* One line a queue: what is in force, as the kernel says it; and what was asked for but not granted. */
void queues_log_settings(const struct engine *engine);

/* One line a queue: the final counters. Before queues_close(): the kernel's own counters go with the queue. */
void queues_log_counters(const struct engine *engine);

/* Unbinds and frees everything. May follow any of the above. */
void queues_close(struct engine *engine);

#endif
