/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stop: the kernel is told to queue nothing more, what is queued is answered, then workers and queue
 * processes leave.
 *
 * Always: a queue process is asked to leave only after it has said that nothing more is queued and the kernel, asked
 * after that, has said that nothing waits. A queue without a process is drained once the supervisor has stopped the
 * queueing itself and the kernel says, afterwards, that nothing waits. If the kernel's figures cannot be read, socket and
 * journal say it. A queue is unbound as soon as it is drained, and before its plugins have closed: the firewall's
 * `bypass` does not wait for other queues, for close(), or for a process that is stopped. The deadline ends every wait.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_DRAIN_H
#define ENGINE_PROCESS_DRAIN_H

#include "base/event_loop.h"
#include "base/limits.h"
#include "process/children.h"
#include "process/engine.h"
#include "process/queues.h"

#include <stdbool.h>
#include <stdint.h>

struct drain_queue {
    bool leaving;  /* the queue process was asked to leave */
    bool stopped;  /* the supervisor has stopped the queueing, since there was no queue process */
    bool draining; /* the queue process says that nothing more is queued */
};

struct drain {
    struct engine *engine;
    struct children *children;
    struct event_loop *loop;
    struct event_timer poll;
    uint64_t deadline_ns;
    struct queues_status kernel; /* its figures of this look, read after what the queue processes say */
    unsigned not_left; /* queue processes that had been asked to leave and had not when the deadline passed */
    struct drain_queue queues[QUEUES_MAX];
};

/* Asks every queue process to stop the queueing. From now on `loop` wakes up for drain_check(). */
void drain_begin(struct drain *drain, struct engine *engine, struct children *children, struct event_loop *loop);

/* Moves the deadline to now: the next look ends the stop. */
void drain_hurry(struct drain *drain);

/* Looks at every queue. Returns whether the stop is over: every queue process has left, or the deadline is past. */
bool drain_check(struct drain *drain);

#endif
