/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the queues are still as the engine has set them, in the kernel's own words.
 *
 * Only messages from a queue's own socket can change it, and only the supervisor and the queue process have that. So what is
 * found here is the work of a program that took the socket from them: root can (pidfd_getfd(2), a debugger).
 */
#ifndef ENGINE_PROCESS_QUEUE_WATCH_H
#define ENGINE_PROCESS_QUEUE_WATCH_H

#include "process/children.h"

#define QUEUE_WATCH_MS 1000 /* between two looks */

/*
 * Compares each queue that is served with the kernel's. One with another copy mode or range is set again; one that is not
 * the engine's any more is given up: children->queue_lost. Where the kernel's figures cannot be read, nothing is done.
 */
void queue_watch_look(struct children *children);

#endif
