/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After the death of the process that reads a queue: how the bursts in flight are finished, and which ids were lost.
 *
 * The supervisor first counts the death and asks for the recovery of ids, while the queue has no reader. Then the
 * successor brings the journal into its bounds with journal_recover(), and
 *
 *   - commits the burst that was being received: the ids of its packets are outstanding, and so are those that are
 *     missing before and between them, since their messages were lost;
 *   - handles every outstanding packet that has no verdict, and sends the verdict of each;
 *   - gives outstanding ids that are no packet of a burst the --on-crash verdict.
 */
#ifndef ENGINE_BURST_RECOVERY_H
#define ENGINE_BURST_RECOVERY_H

#include "burst/journal.h"

#define RECOVERED_IDS_MAX 65536 /* in a row, after one death: only the message being received can be lost with it */

/*
 * Brings every field that a dead process left into its bounds, so that what is in flight can be finished. outstanding:
 * the ids as last committed. Returns the index of the burst whose receive is to be committed, or JOURNAL_NO_BURST: every
 * receive was. If the ids cannot be such a set, the set is empty, and the burst counts as
 * being received. [queue process]
 */
unsigned journal_recover(struct journal *journal, struct outstanding *outstanding);

/*
 * Whether `id` of the burst that was being received when its process died can be that of a packet in it: it is in the
 * set already, or it is after the set's newest and the kernel had given it out. [queue process]
 */
bool journal_can_be_received(const struct journal *journal, const struct outstanding *outstanding, uint32_t id);

/* The bursts in use, in the order of their ids: order[] gets their indices. Returns how many. */
unsigned journal_in_use(const struct journal *journal, const struct outstanding *outstanding,
                        unsigned order[BURSTS_IN_FLIGHT]);

/*
 * A message can be lost with its process: it is killed inside the receive, on a page fault that then fails. The packet
 * would wait in the kernel for ever, or be answered by the next batch verdict without having been seen. So after a
 * death with something in flight, the ids between the last one received before the death and the first one received
 * after it become outstanding, and the successor answers them. last_kernel_id: the last id given out, read while the
 * queue has no reader. [supervisor]
 */
void journal_request_id_recovery(struct journal *journal, uint32_t last_kernel_id);

/*
 * A message that kills each process that decodes it must not do so for ever. So it is counted how many processes in a
 * row have died by themselves, or hung, with something in flight; after one that had answered packets the count begins at 1, and when nothing is
 * in flight it is 0. answered: whether the dead one had answered a packet. [supervisor]
 */
void journal_note_death(struct journal *journal, bool answered);

/*
 * The ids to answer before anything else is. has_next: next_id is the first id of the burst just received; else the
 * socket is empty, and all ids that the kernel had given out are meant. False: there are none. [queue process]
 */
bool journal_lost_ids(const struct journal *journal, const struct outstanding *outstanding, bool has_next,
                      uint32_t next_id, struct outstanding_range *lost);

/* The ids are outstanding, as committed. Not before: if the process dies in between, its successor must do it. [queue process] */
void journal_end_id_recovery(struct journal *journal);

#endif
