/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program of a queue process: it reads one queue, and answers it with what plugin workers decide. It runs no plugin
 * code. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_PROCESS_H
#define ENGINE_PROCESS_QUEUE_PROCESS_H

#include "process/engine.h"

/* Runs the queue process of engine->queues[queue], whose memory it has; engine->channel leads to the supervisor. */
void queue_process_run(struct engine *engine, unsigned queue) __attribute__((noreturn));

#endif
