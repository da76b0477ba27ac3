/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server: loads the plugins once, then makes workers by fork. It runs load() and unload(), nothing else
 * of a plugin.
 */
#ifndef ENGINE_PROCESS_FORKSERVER_H
#define ENGINE_PROCESS_FORKSERVER_H

#include "process/engine.h"

/*
 * Loads the plugins and serves the supervisor's requests on `channel`. Never returns. If a plugin is refused
 * the reason stands in engine->status->error and the exit status is PROCESS_EXIT_FAILED.
 */
void forkserver_run(struct engine *engine, int channel, const struct engine_programs *programs)
    __attribute__((noreturn));

#endif
