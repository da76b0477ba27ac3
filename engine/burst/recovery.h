/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After the death of the process that reads a queue: which packet was guilty, how the burst is finished, and which ids
 * were lost.
 *
 * The supervisor first assigns the guilt and asks for the recovery of ids, while the queue has no reader. Then the
 * successor brings the journal into its bounds with burst_recover() and finishes the burst.
 */
#ifndef ENGINE_BURST_RECOVERY_H
#define ENGINE_BURST_RECOVERY_H

#include "burst/burst.h"

#define BURST_ATTEMPTS_MAX 3 /* processes that may die over one burst without a guilty packet */

/* Which packet and which plugin a process died with. */
struct burst_guilt {
    bool in_plugin;        /* a plugin was running */
    bool packet_known;     /* `packet_id` is the guilty packet; false after a crash in handle_batch() */
    uint32_t forced_count; /* packets that got the verdict since BURST_ATTEMPTS_MAX processes died in handle_batch() */
    uint32_t packet_id;
    uint32_t plugin; /* position in the plugin chain, below its length, or BURST_NONE */
};

/*
 * Finds the guilty packet, gives it `verdict`, and has the rest of the burst handled one by one. plugins: length of the
 * plugin chain. [supervisor]
 */
void burst_assign_guilt(struct burst *burst, uint32_t plugins, uint32_t verdict, struct burst_guilt *guilt);

/*
 * Brings every field that a dead process left into its bounds, so that the burst can be finished. Returns the phase to
 * continue from: IDLE, RECEIVING, HANDLING or SENDING. [worker]
 */
enum burst_phase burst_recover(struct burst *burst);

/*
 * The outstanding ids as last committed. If they cannot be such a set, since a plugin wrote there, the result is the
 * empty set with the same newest id. [worker]
 */
void burst_recover_outstanding(const struct burst *burst, struct outstanding *outstanding);

/*
 * A message can be lost with its process: it is killed inside the receive, on a page fault that then fails. The packet
 * would wait in the kernel for ever, or be answered by the next batch verdict without having been seen. So after a
 * death during a burst, the successor answers the ids between the last one received before the death and the first one
 * received after it. last_kernel_id: the last id given out, read while the queue has no reader. [supervisor]
 */
void burst_request_id_recovery(struct burst *burst, uint32_t last_kernel_id);

/*
 * The ids to answer before anything else is. has_next: next_id is the first id of the burst just received; else the
 * socket is empty, and all ids that the kernel had given out are meant. False: there are none. [worker]
 */
bool burst_lost_ids(const struct burst *burst, const struct outstanding *outstanding, bool has_next, uint32_t next_id,
                    struct outstanding_range *lost);

/* The ids are answered. Not before: if the process dies in between, its successor must do it. [worker] */
void burst_end_id_recovery(struct burst *burst);

#endif
