/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is counted of a queue's packets, by the process that reads the queue. docs/counters.md says of each what it
 * means to an operator.
 *
 * What other processes and modules count (crash verdicts, restarts, flows) is collected with these in struct
 * queue_totals of queue/queue_report.h.
 *
 * What a process does is counted in a struct queue_stats of its own; a commit of the journal adds it to the totals, so a
 * process that dies in the middle counts nothing twice.
 */
#ifndef ENGINE_BURST_STATS_H
#define ENGINE_BURST_STATS_H

#include "base/limits.h"

#include <stdint.h>
#include <string.h>

/* Only uint64_t: a commit adds them in a row. */
struct queue_stats {
    uint64_t packets;         /* received, each once */
    uint64_t accepted;
    uint64_t dropped;
    uint64_t repeated;        /* given to the rules of their hook again */
    uint64_t requeued;        /* given to another queue */
    uint64_t changed;         /* of these and of accepted and repeated: with bytes that plugins have changed */
    uint64_t changes_refused; /* packets that a plugin changed, or would have, as a kernel does not take it */
    uint64_t invalid;         /* verdicts that the ABI does not know; they got the --on-crash verdict */
    uint64_t verdicts_resent; /* packets whose verdict was sent again after a crash, and that the kernel had answered */
    uint64_t stale_verdicts; /* packets that the kernel had flushed when their verdict came (ENOENT) */
    uint64_t verdict_errors; /* verdicts that the kernel refused otherwise */
    uint64_t receive_errors;
    uint64_t truncated; /* packets that came without all the bytes that were asked for */
    uint64_t malformed; /* messages that are no nfqueue message */
    uint64_t recovered_ids; /* ids that no message was seen of after a crash, answered with --on-crash */
    uint64_t flow_packets; /* packets that got the verdict of their flow, without the plugin chain */
    uint64_t flow_not_stored; /* verdicts for a flow that only the packet got: it has none, or there is no room */
    uint64_t crash_verdicts; /* packets that a worker had when it ended; they got the --on-crash verdict */
    uint64_t rejects_sent; /* packets whose senders were told that they are dropped */
    uint64_t rejects_limited; /* the same, but not told: too many */
    uint64_t rejects_unfit; /* the same: such a packet must not be answered */
    uint64_t reject_errors; /* the same: the kernel did not send it */
    uint64_t bursts;
};

#define QUEUE_STATS_COUNT (sizeof(struct queue_stats) / sizeof(uint64_t))

/* Verdicts with a reason, by the cell of the reason (config/reason_names.h), and all below `end`. */
struct reason_tally {
    uint32_t end;
    uint32_t cells[REASONS_MAX];
};

/* reason: the cell plus 1, up to REASONS_MAX, or 0: none. */
static inline void reason_tally_add(struct reason_tally *tally, uint32_t reason)
{
    if (reason != 0) {
        tally->cells[reason - 1]++;
        tally->end = reason > tally->end ? reason : tally->end;
    }
}

static inline void reason_tally_clear(struct reason_tally *tally)
{
    memset(tally->cells, 0, tally->end * sizeof(tally->cells[0]));
    tally->end = 0;
}

#endif
