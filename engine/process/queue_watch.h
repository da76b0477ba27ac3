/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The look at the kernel's table, once a second while the engine serves: whether the queues are still as the engine has
 * set them, and, for figures.h, what the kernel has dropped.
 *
 * Only messages from a queue's own socket can change it, and only the supervisor and the queue process have that. So what is
 * found here is the work of a program that took the socket from them: root can (pidfd_getfd(2), a debugger).
 *
 * Where the table cannot be read, none of that is found. A queue that is lost is then known only by its queue process,
 * which ends when the kernel refuses a verdict or a receive; its successors do the same, and each end has a line.
 */
#ifndef ENGINE_PROCESS_QUEUE_WATCH_H
#define ENGINE_PROCESS_QUEUE_WATCH_H

#include "base/event_loop.h"
#include "base/limits.h"
#include "process/children.h"
#include "process/figures.h"
#include "process/queues.h"

#include <stdbool.h>
#include <stdint.h>

struct queue_watch {
    struct children *children;
    struct figures *figures;
    struct event_timer timer;
    uint64_t looked_ns;          /* the look before */
    struct queues_status kernel; /* of this look */
    bool missed[QUEUES_MAX];     /* by the look before */
};

/*
 * The queues are bound: looks at them from now on, and has `figures`, which were begun, say what they say. A queue with
 * another copy mode or range is set again; one that two looks in a row do not find is given up: children->queue_lost.
 * The structs are to stay where they are.
 */
void queue_watch_begin(struct queue_watch *watch, struct children *children, struct figures *figures);

/* A queue process has ended, perhaps since its queue is not the engine's any more: looks soon. NULL: there is no watch. */
void queue_watch_soon(struct queue_watch *watch);

/* No more looks: a stop empties the queues, and their memory goes. Also without queue_watch_begin(). */
void queue_watch_end(struct queue_watch *watch);

#endif
