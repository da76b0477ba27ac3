/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of a burst, between a receive and the commit, for worker_loop.c and worker_recovery.c.
 *
 * Functions return 0, or a negative errno with the reason in *error: then this process must end. Process: [worker].
 */
#ifndef ENGINE_PROCESS_WORKER_STEPS_H
#define ENGINE_PROCESS_WORKER_STEPS_H

#include "process/worker_loop.h"

/*
 * From the messages of the burst to loop->packets and the entries of the journal. Plugins can write to the packets'
 * fields, so whatever matters later is entered into the journal here.
 */
void worker_decode_burst(struct worker_loop *loop, bool keep_verdicts);

/* From decoded packets to verdicts. Returns what pipeline_run() does: the burst is to be finished in any case. */
int worker_decide_burst(struct worker_loop *loop);

/* outstanding: NULL: every packet gets a message of its own. */
int worker_send_burst(struct worker_loop *loop, const struct outstanding *outstanding, struct error *error);

/*
 * Gives lost ids the --on-crash verdict. They are outstanding until that is sent; the kernel may have answered some of
 * them already.
 */
int worker_answer_lost_ids(struct worker_loop *loop, struct outstanding_range lost, struct error *error);

/* Commits the burst, which is answered. pipeline_code: of worker_decide_burst(). */
int worker_commit(struct worker_loop *loop, int pipeline_code, struct error *error);

#endif
