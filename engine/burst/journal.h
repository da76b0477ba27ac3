/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of a queue: the bursts in flight, which of their packets are answered, and what was counted.
 *
 * It lies in memory that outlives the process that reads the queue, so that a successor can finish what its predecessor
 * began. Always:
 *
 *   A packet that was received is answered if and only if its id is not in the committed set of outstanding ids. So a
 *   burst is in use as long as one of its ids is outstanding.
 *
 *   The totals, which are the set and the counters, change only by a commit, and a commit is one store to `phase`. There
 *   are two: after a receive (its ids are outstanding, its packets are counted) and after a send (the ids that were
 *   sent are not outstanding, their verdicts are counted). A process that dies before the store has changed nothing,
 *   one that dies after it has changed everything.
 *
 * The word `phase` says which of the two totals are valid, which burst is being received, and whether verdicts of
 * outstanding packets may have been sent. Where the memory comes from is not this module's concern:
 * queue/queue_shm.h. Never allocates.
 */
#ifndef ENGINE_BURST_JOURNAL_H
#define ENGINE_BURST_JOURNAL_H

#include "base/limits.h"
#include "burst/burst.h"
#include "burst/outstanding.h"
#include "burst/stats.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_VERSION 7 /* of struct journal as it lies in memory */
#define JOURNAL_NO_BURST BURSTS_IN_FLIGHT /* in place of a burst's index */

/* Of the word `phase`; its other bits are 0. */
#define JOURNAL_RECEIVING UINT32_C(0xff) /* index of the burst that is being received, plus 1; 0: none is */
#define JOURNAL_TOTALS UINT32_C(0x100)   /* totals[1] are valid, not totals[0] */
#define JOURNAL_SENDING UINT32_C(0x200)  /* verdicts of outstanding packets may have been sent */
#define JOURNAL_REASONS UINT32_C(0x400)  /* reasons[1] are valid, not reasons[0] */

struct journal_totals {
    struct queue_stats stats;
    struct outstanding outstanding;
};

/* Zeroed memory is the journal of a new queue. */
struct journal {
    /* of the process that reads the queue */
    _Atomic uint32_t phase; /* JOURNAL_... */
    uint32_t sequence;      /* number of the newest burst that had a message */

    /* of the supervisor, when that process has died */
    uint32_t recover_ids; /* not 0: a message may have been lost with it, see journal_request_id_recovery() */
    uint32_t recover_to;  /* with recover_ids: the last id that the kernel had given out by then */
    uint32_t deaths;      /* in a row, in which no packet was answered, see journal_note_death() */
    uint32_t reasons_end; /* of the process that reads the queue: cells from here on are 0 in the valid reasons */

    struct journal_totals totals[2];
    uint64_t reasons[2][REASONS_MAX]; /* verdicts by their reasons; a commit of a send without any leaves them alone */
    struct burst bursts[BURSTS_IN_FLIGHT];
};

/* ---- the process that reads the queue, in this order ------------------------------------------------- */

/* A burst that is not in use, `index`, will be received into. */
void journal_begin_receive(struct journal *journal, unsigned index);

/* Nothing came: no burst is being received any more. */
void journal_end_receive(struct journal *journal);

/*
 * Commits the receive: adds delta to the counters, replaces the outstanding ids. Before it, the entries of the burst are
 * filled in, and those that have their verdict already are marked.
 */
void journal_commit_receive(struct journal *journal, const struct queue_stats *delta,
                            const struct outstanding *outstanding);

/* Verdicts of outstanding packets, of any bursts in any order, will be sent; each has its verdict in its entry. */
void journal_begin_send(struct journal *journal);

/*
 * Commits the send: adds delta and the tally (NULL: none) to the counters, replaces the outstanding ids. From now on no outstanding packet counts
 * as sent. So after a death, when it is not known which ones were, all that have a verdict are sent again before this.
 */
void journal_commit_send(struct journal *journal, const struct queue_stats *delta, const struct reason_tally *tally,
                         const struct outstanding *outstanding);

/* For the watchdog: it is at work. */
static inline void journal_make_progress(struct journal *journal)
{
    burst_make_progress(&journal->bursts[0]);
}

/* ---- any process ---------------------------------------------------------------------------------------- */

/* The totals as last committed. While the process that reads the queue runs, they may change meanwhile. */
/* The valid counts of reasons, REASONS_MAX of them. Any process. */
const uint64_t *journal_reasons(const struct journal *journal);

const struct journal_totals *journal_totals(const struct journal *journal);

/* The index of the burst that is being received, or JOURNAL_NO_BURST. */
unsigned journal_receiving(const struct journal *journal);

/* Whether verdicts of outstanding packets may have been sent. */
bool journal_is_sending(const struct journal *journal);

/* Whether nothing is in flight: no burst is being received, and no id is outstanding. */
bool journal_is_idle(const struct journal *journal);

/* Whether some packets of the burst are outstanding. `outstanding`: as committed. */
bool journal_is_in_use(const struct burst *burst, const struct outstanding *outstanding);

/* Changes whenever something was done. */
uint32_t journal_progress(const struct journal *journal);

/* Packets that the queue's processes have answered. Lost ids are not among them. */
static inline uint64_t journal_answered(const struct journal *journal)
{
    const struct queue_stats *stats = &journal_totals(journal)->stats;

    return stats->accepted + stats->dropped + stats->repeated + stats->requeued;
}

#endif
