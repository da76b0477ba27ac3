/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of a burst that have to do with the kernel and the journal, for queue_loop.c and queue_recovery.c: from a
 * receive to its commit, and from verdicts to theirs.
 *
 * Functions return 0, or a negative errno with the reason in *error: then this process must end.
 * Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_STEPS_H
#define ENGINE_PROCESS_QUEUE_STEPS_H

#include "process/queue_loop.h"

/* Which messages of a burst can be packets, and what of their entries is kept. */
enum queue_decoding {
    QUEUE_FRESH,     /* just received: all of them, and no entry */
    QUEUE_RECEIVED,  /* by a predecessor: those whose ids can be right */
    QUEUE_COMMITTED, /* and committed: all of them, and none is counted */
};

/* Gives a burst, which has messages, its number. */
void queue_steps_number(struct queue_loop *loop, unsigned index);

/* From the messages of a burst to its packets and the entries of the journal. */
void queue_steps_decode(struct queue_loop *loop, unsigned index, enum queue_decoding decoding);

/* Receives into burst `index`, which is free, and commits. *count: messages; 0: there was none, or only an error. */
int queue_steps_receive(struct queue_loop *loop, unsigned index, unsigned *count, struct error *error);

/* Ids that no message was seen of are outstanding until they are answered. */
int queue_steps_add_lost_ids(struct queue_loop *loop, struct outstanding_range lost, struct error *error);

/* The receive of a burst is done: its ids are in loop->outstanding. */
void queue_steps_commit_receive(struct queue_loop *loop, unsigned index);

/* An answer of a plugin that is no verdict: for the log. */
void queue_steps_log_invalid(struct queue_loop *loop, const struct decide_invalid *invalid);

/*
 * Sends the verdicts of the entries from `from` to `to` - 1 of a burst, all of which are outstanding, and counts them.
 * While loop->recovering is not 0, the kernel may have some of them already, and other ids may wait that are not known:
 * then each packet gets a message of its own.
 */
int queue_steps_send_entries(struct queue_loop *loop, unsigned index, unsigned from, unsigned to, struct error *error);

/* Gives lost ids, which are outstanding, the --on-crash verdict. The kernel may have answered some of them already. */
int queue_steps_send_lost_ids(struct queue_loop *loop, struct outstanding_range lost, struct error *error);

/* What was sent is answered, and counted. */
void queue_steps_commit_send(struct queue_loop *loop);

#endif
