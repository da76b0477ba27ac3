/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker: the only process that runs handle(), and the only reader of its queue's socket.
 */
#ifndef ENGINE_PROCESS_WORKER_H
#define ENGINE_PROCESS_WORKER_H

#include "process/engine.h"

/* Opens the plugins, waits to be admitted, finishes what a predecessor left, serves the queue. Never returns. */
void worker_run(struct engine *engine, unsigned queue) __attribute__((noreturn));

#endif
