/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a worker comes to be: the supervisor asks the fork server for it, knows it once it has said hello, tells the queue
 * process, and passes the ring that the queue process makes.
 *
 * Each request makes a channel, whose other end the fork server gets with the request and the worker keeps. On it comes
 * the worker's hello, or the fork server's word that there is none, or end-of-file. The worker's pid is what the kernel
 * says of the sender, and it is believed only if it is a child that is not in the table yet, and has given up the rights
 * that a worker gives up. Nothing more is received from it.
 *
 * Always: a request is answered or given up; the fork server that does not make the oldest one in time is given up
 * (birth_watch.h).
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_BIRTHS_H
#define ENGINE_PROCESS_BIRTHS_H

#include "process/children.h"

/* Asks for the workers that the queue lacks, as far as now is the time, and there are a queue process and a fork server. */
void births_fill(struct children_queue *queue);
void births_fill_all(struct children *children);

/* The same after a wait: one that grows, or --outage-retry if the crash limit is reached. */
void births_retry(struct children_queue *queue);

/* Takes what has been said about a worker that was asked for. */
void births_receive(struct children_worker *worker);
void births_receive_all(struct children *children);

/* Gives up a request, if there is one: a worker that is on its way finds its channel closed and exits. */
void births_drop(struct children_worker *worker);

/* Gives the worker the descriptors of its ring and of a pipe to print into, and closes the channel to it. */
void births_pass_ring(struct children_worker *worker, const int ring[RING_FDS]);

#endif
