/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker says that plugins have made of a packet: from its memory to the journal. [queue process]
 */
#ifndef ENGINE_PROCESS_QUEUE_CHANGES_H
#define ENGINE_PROCESS_QUEUE_CHANGES_H

#include "process/queue_loop.h"
#include "process/ring_submit.h"

/*
 * Copies the bytes of an answer that was just taken, checks them, and enters them into the journal for the packet, which
 * has no verdict yet; it is to be decided next. Returns NULL; or what is wrong with the packet that was made, for the log
 * after "the changed packet ": then it has none, and its answer is to count as invalid.
 */
const char *queue_changes_take(struct queue_loop *loop, const struct ring_submit *ring,
                               const struct ring_answered *answered);

#endif
