/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker of a queue: opens the plugins, reads the queue's socket, runs the plugins on the packets and answers them.
 *
 * It is the only process that runs handle(), and while it is the owner the only reader of the socket. Everything that
 * its successor needs is in the queue's shared memory. Process: [worker].
 */
#ifndef ENGINE_PROCESS_WORKER_H
#define ENGINE_PROCESS_WORKER_H

#include "process/engine.h"

/* Opens the plugins, waits to be the owner, finishes what a predecessor left, answers packets. Never returns. */
void worker_run(struct engine *engine, unsigned queue) __attribute__((noreturn));

#endif
