/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a worker comes to be: the supervisor asks the fork server for it, and knows it once it has said hello.
 *
 * Each request makes a channel, whose other end the fork server gets with the request and the worker keeps. On it comes
 * the worker's hello, or the fork server's word that there is none, or end-of-file. The worker's pid is what the kernel
 * says of the sender, and it is believed only if it is a child that is not in the table yet. Then the worker gets what
 * belongs to its queue.
 *
 * Always: a request is answered or given up; the fork server that does not make the oldest one in time is killed.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_BIRTHS_H
#define ENGINE_PROCESS_BIRTHS_H

#include "process/children.h"

void births_init(struct children *children);

/* Asks for a worker, unless there is one, or one is asked for, or none is wanted, or there is no fork server. */
void births_request(struct children *children, unsigned queue);

/* The same after a wait that grows. */
void births_retry(struct children *children, unsigned queue);

/* Takes what has been said about a worker that was asked for. */
void births_receive(struct children *children, unsigned queue);

/* Gives up a request, if there is one: a worker that is on its way finds its channel closed and exits. */
void births_drop(struct children *children, unsigned queue);

#endif
