/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The word `phase` and the totals that it makes valid.
 *
 * A commit writes the next totals to the place that is not valid, then stores the word that makes them valid; the same
 * store ends the receive or the send. It copies of the outstanding ids only what is in use, which is one range while a
 * burst without gaps is in flight. Process: [queue process]; the supervisor reads word and
 * totals.
 */
#include "burst/journal.h"

#include "base/arith.h"

/* Only the process that reads the queue writes the word. */
static uint32_t phase_of(const struct journal *journal)
{
    return atomic_load_explicit(&journal->phase, memory_order_acquire);
}

static void set_phase(struct journal *journal, uint32_t phase)
{
    atomic_store_explicit(&journal->phase, phase, memory_order_release);
}

static const struct journal_totals *totals_of(const struct journal *journal, uint32_t phase)
{
    return &journal->totals[(phase & JOURNAL_TOTALS) != 0];
}

/* ends: the bits of the word that the commit clears; turns: those that it changes, beside JOURNAL_TOTALS. */
static void commit(struct journal *journal, const struct queue_stats *delta, const struct outstanding *outstanding,
                   uint32_t ends, uint32_t turns)
{
    uint32_t phase = phase_of(journal);
    const struct journal_totals *valid = totals_of(journal, phase);
    struct journal_totals *next = &journal->totals[(phase & JOURNAL_TOTALS) == 0];
    const uint64_t *from = (const uint64_t *)&valid->stats;
    const uint64_t *add = (const uint64_t *)delta;
    uint64_t *to = (uint64_t *)&next->stats;

    for (size_t i = 0; i < QUEUE_STATS_COUNT; i++) {
        to[i] = from[i] + add[i];
    }
    outstanding_copy(&next->outstanding, outstanding);
    set_phase(journal, (phase ^ JOURNAL_TOTALS ^ turns) & ~ends);
}

void journal_begin_receive(struct journal *journal, unsigned index)
{
    burst_begin_receive(&journal->bursts[index]);
    set_phase(journal, (phase_of(journal) & ~JOURNAL_RECEIVING) | (index + 1));
}

void journal_end_receive(struct journal *journal)
{
    set_phase(journal, phase_of(journal) & ~JOURNAL_RECEIVING);
}

void journal_commit_receive(struct journal *journal, const struct queue_stats *delta,
                            const struct outstanding *outstanding)
{
    commit(journal, delta, outstanding, JOURNAL_RECEIVING, 0);
}

void journal_begin_send(struct journal *journal)
{
    set_phase(journal, phase_of(journal) | JOURNAL_SENDING);
}

/* Writes the counts that are valid after the commit to the place that is not valid now. */
static void count_reasons(struct journal *journal, const struct reason_tally *tally)
{
    const uint64_t *valid = journal_reasons(journal);
    uint64_t *next = journal->reasons[(phase_of(journal) & JOURNAL_REASONS) == 0];
    uint32_t end = (uint32_t)min_u64(journal->reasons_end, REASONS_MAX);

    if (tally->end > end) {
        journal->reasons_end = end = tally->end;
    }
    for (uint32_t i = 0; i < end; i++) {
        next[i] = valid[i] + tally->cells[i];
    }
}

void journal_commit_send(struct journal *journal, const struct queue_stats *delta, const struct reason_tally *tally,
                         const struct outstanding *outstanding)
{
    bool counts = tally != NULL && tally->end > 0;

    if (counts) {
        count_reasons(journal, tally);
    }
    commit(journal, delta, outstanding, JOURNAL_SENDING, counts ? JOURNAL_REASONS : 0);
}

const uint64_t *journal_reasons(const struct journal *journal)
{
    return journal->reasons[(phase_of(journal) & JOURNAL_REASONS) != 0];
}

const struct journal_totals *journal_totals(const struct journal *journal)
{
    return totals_of(journal, phase_of(journal));
}

unsigned journal_receiving(const struct journal *journal)
{
    uint32_t receiving = phase_of(journal) & JOURNAL_RECEIVING;

    return receiving == 0 || receiving > BURSTS_IN_FLIGHT ? JOURNAL_NO_BURST : receiving - 1;
}

bool journal_is_sending(const struct journal *journal)
{
    return (phase_of(journal) & JOURNAL_SENDING) != 0;
}

bool journal_is_idle(const struct journal *journal)
{
    uint32_t phase = phase_of(journal);

    return (phase & ~(JOURNAL_TOTALS | JOURNAL_REASONS)) == 0 && totals_of(journal, phase)->outstanding.count == 0;
}

bool journal_is_in_use(const struct burst *burst, const struct outstanding *outstanding)
{
    for (unsigned i = 0; i < burst->packets; i++) {
        if (outstanding_has(outstanding, burst->entries[i].id)) {
            return true;
        }
    }
    return false;
}

uint32_t journal_progress(const struct journal *journal)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        sum += atomic_load_explicit(&journal->bursts[i].progress, memory_order_acquire);
    }
    return sum;
}
