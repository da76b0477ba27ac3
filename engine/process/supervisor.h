/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor: has the configuration, the queues' sockets and every decision. It starts the other processes, watches
 * them and replaces them.
 *
 * It never runs plugin code and never reads packets, so nothing that a plugin does can end it. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_SUPERVISOR_H
#define ENGINE_PROCESS_SUPERVISOR_H

#include "process/engine.h"

/* Runs the engine until SIGTERM or SIGINT, or until it cannot start. Returns the exit status. */
enum exit_code supervisor_run(const struct queue_group *group, const struct engine_programs *programs);

#endif
