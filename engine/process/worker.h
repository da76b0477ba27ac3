/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker of a queue: opens the plugins, and runs them on the packets that the queue process submits to it.
 *
 * It is the only process that runs open(), handle() and close(). It has no right and no descriptor by which a plugin
 * could reach the queue; what it answers are claims, which the queue process checks. Process: [worker].
 */
#ifndef ENGINE_PROCESS_WORKER_H
#define ENGINE_PROCESS_WORKER_H

#include "process/engine.h"

/*
 * Gives up its rights, says hello on engine->channel, takes its ring, opens the plugins, answers frames until it is
 * asked to leave. Never returns. If it fails, the reason is in the ring, or in the log while it has none, and the exit
 * status is PROCESS_EXIT_FAILED.
 */
void worker_run(struct engine *engine, const struct worker_birth *birth) __attribute__((noreturn));

#endif
