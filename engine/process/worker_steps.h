/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of a burst, between a receive and the commit of its verdicts, for worker_loop.c and worker_recovery.c.
 *
 * Functions return 0, or a negative errno with the reason in *error: then this process must end. Process: [worker].
 */
#ifndef ENGINE_PROCESS_WORKER_STEPS_H
#define ENGINE_PROCESS_WORKER_STEPS_H

#include "process/worker_loop.h"

/* Which messages of a burst can be packets, and what of their entries is kept. */
enum worker_decoding {
    WORKER_FRESH,     /* just received: all of them, and no entry */
    WORKER_RECEIVED,  /* by a predecessor: those whose ids can be right */
    WORKER_COMMITTED, /* and committed: all of them, and none is counted */
};

/* Gives loop->burst, which has messages, its number. */
void worker_number_burst(struct worker_loop *loop);

/*
 * From the messages of loop->burst to loop->packets and the entries of the journal. Plugins can write to the packets'
 * fields, so whatever matters later is entered into the journal here.
 */
void worker_decode_burst(struct worker_loop *loop, enum worker_decoding decoding);

/* Ids that no message was seen of are outstanding until they are answered. */
int worker_add_lost_ids(struct worker_loop *loop, struct outstanding_range lost, struct error *error);

/* The receive of loop->burst is done: its ids are in loop->outstanding. */
void worker_commit_receive(struct worker_loop *loop);

/*
 * From decoded packets to verdicts, which are counted in *decided. Returns what pipeline_run() does: the burst is to be
 * finished in any case.
 */
int worker_decide_burst(struct worker_loop *loop, struct queue_stats *decided);

/* pipeline_code: of worker_decide_burst(), once everything is committed. */
int worker_check_flow_table(int pipeline_code, struct error *error);

/*
 * Sends the verdicts of the entries from `from` to `to` - 1 of loop->burst, all of which are outstanding. recovering:
 * the kernel may have some of them already, and other ids may wait that are not known to, so each packet gets a message
 * of its own. resent: the messages say that they may have been sent before.
 */
int worker_send_entries(struct worker_loop *loop, unsigned from, unsigned to, bool recovering, bool resent,
                        struct error *error);

/* Gives lost ids, which are outstanding, the --on-crash verdict. The kernel may have answered some of them already. */
int worker_send_lost_ids(struct worker_loop *loop, struct outstanding_range lost, struct error *error);

/* What was sent is answered, and counted. */
void worker_commit_send(struct worker_loop *loop);

#endif
