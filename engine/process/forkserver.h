/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server: loads the plugins once, then forks a worker whenever the supervisor asks for one.
 *
 * What load() built is shared by all workers until one writes to it, and a worker that replaces another needs no
 * loading. Of a plugin it runs constructors, load() and unload(). It has no queue: no socket, no queue's memory.
 * Process: [fork server].
 */
#ifndef ENGINE_PROCESS_FORKSERVER_H
#define ENGINE_PROCESS_FORKSERVER_H

#include "process/engine.h"

/*
 * Loads the plugins, then answers the supervisor's messages on engine->channel until it is told to leave. Never
 * returns. If a plugin is refused, the reason is in engine->status->error and the exit status is PROCESS_EXIT_FAILED.
 */
void forkserver_run(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

#endif
