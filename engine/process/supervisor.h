/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor: owns configuration, queues and processes, and decides everything. Never runs plugin code.
 */
#ifndef ENGINE_PROCESS_SUPERVISOR_H
#define ENGINE_PROCESS_SUPERVISOR_H

#include "process/engine.h"

/* Runs the engine until SIGTERM or SIGINT, or until it cannot start. Returns the exit status. */
enum exit_code supervisor_run(const struct queue_group *group, const struct engine_programs *programs);

#endif
