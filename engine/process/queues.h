/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queues as the supervisor has them: planned from the options and the plugins' needs, opened, bound,
 * reported, closed. Each function works on all queues of the engine.
 *
 * Functions that can fail return what the program exits with, and one line for a person in
 * error[QUEUES_ERROR_MAX]. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_QUEUES_H
#define ENGINE_PROCESS_QUEUES_H

#include "process/engine.h"

#define QUEUES_ERROR_MAX 512

/* Decides the settings of each queue. Needs the plugins checked. */
enum exit_code queues_plan(struct engine *engine, char *error);

/* Opens sockets, arenas and eventfds; sees already whether a bind would fail, before plugins are loaded. */
enum exit_code queues_open(struct engine *engine, char *error);

/* Binds all queues. When one cannot be bound, queues_close() lets go of the others. */
enum exit_code queues_bind(struct engine *engine, char *error);

/* One line a queue: what is in force, as the kernel says it; and what was asked for but not granted. */
void queues_log_settings(const struct engine *engine);

/* One line a queue: the final counters. Before queues_close(): the kernel's own counters go with the queue. */
void queues_log_counters(const struct engine *engine);

/* Unbinds and frees everything. May follow any of the above. */
void queues_close(struct engine *engine);

#endif
