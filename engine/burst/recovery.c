/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a journal that a dead process left.
 *
 * No plugin can write there, but a fault of the engine may have: every field is checked before it is used, and whatever
 * the fields hold, each received packet gets a verdict. Process: [supervisor] after the death, then [queue process].
 */
#include "burst/recovery.h"

#include "base/arith.h"

#include <nfqe/plugin.h>

#define KNOWN_BITS (JOURNAL_RECEIVING | JOURNAL_TOTALS | JOURNAL_SENDING | JOURNAL_REASONS)

/* Whether it is no word that a queue process writes. */
static bool is_damaged(uint32_t phase)
{
    return (phase & ~KNOWN_BITS) != 0 || (phase & JOURNAL_RECEIVING) > BURSTS_IN_FLIGHT;
}

/* ---- the journal [queue process] ------------------------------------------------------------------------------ */

/* The verdicts in a burst that is being received are those of another one before. */
static void forget_verdicts(struct burst *burst)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        burst->entries[i].flags = 0;
    }
}

/* A verdict that no packet can have was not given. */
static void forget_damaged_verdicts(struct burst *burst)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        if (!burst_knows_verdict(burst->entries[i].verdict)) {
            burst->entries[i].flags = 0;
        }
        if ((burst->entries[i].flags & BURST_CHANGED) != 0 && burst->entries[i].payload_len > COPY_RANGE_MAX) {
            burst->entries[i].flags = 0;
        }
        if (burst->entries[i].reason > REASONS_MAX) {
            burst->entries[i].reason = 0;
        }
    }
}

static void recover_burst(struct burst *burst)
{
    unsigned received = burst_received(burst);

    for (unsigned i = received; i < BURST_MAX; i++) {
        burst->messages[i].msg_len = 0;
    }
    burst->packets = (uint32_t)min_u64(burst->packets, received);
    burst->sequence &= BURST_SEQUENCE_MASK;
    forget_damaged_verdicts(burst);
}

/* Returns whether the set can be used. If not, all ids that may wait are after its newest one. */
static bool recover_outstanding(const struct journal *journal, struct outstanding *outstanding)
{
    const struct outstanding *committed = &journal_totals(journal)->outstanding;
    bool given = journal->recover_ids == 0 || !outstanding_is_after(committed->last_id, journal->recover_to);

    if (given && outstanding_is_sound(committed)) {
        outstanding_copy(outstanding, committed);
        return true;
    }
    outstanding->last_id = given ? committed->last_id : journal->recover_to - RECOVERED_IDS_MAX;
    outstanding->count = 0;
    return false;
}

/* Which burst was being received; the first one, if the word is damaged. */
static unsigned recover_receiving(struct journal *journal)
{
    uint32_t phase = journal->phase;
    unsigned receiving;

    if (is_damaged(phase)) {
        journal->phase = (phase & (JOURNAL_TOTALS | JOURNAL_SENDING | JOURNAL_REASONS)) | 1;
    }
    receiving = journal_receiving(journal);
    if (receiving != JOURNAL_NO_BURST) {
        forget_verdicts(&journal->bursts[receiving]);
    }
    return receiving;
}

unsigned journal_recover(struct journal *journal, struct outstanding *outstanding)
{
    unsigned receiving = recover_receiving(journal);

    journal->sequence &= BURST_SEQUENCE_MASK;
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        recover_burst(&journal->bursts[i]);
    }
    if (!recover_outstanding(journal, outstanding) && receiving == JOURNAL_NO_BURST) {
        receiving = 0;
        journal->phase |= 1;
    }
    if (receiving != JOURNAL_NO_BURST && burst_received(&journal->bursts[receiving]) == 0) {
        receiving = JOURNAL_NO_BURST;
        journal_end_receive(journal);
    }
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        if (i == receiving || !journal_is_in_use(&journal->bursts[i], outstanding)) {
            journal->bursts[i].packets = 0;
        }
    }
    return receiving;
}

bool journal_can_be_received(const struct journal *journal, const struct outstanding *outstanding, uint32_t id)
{
    /* As far as the supervisor could read what the kernel had given out: else it is the newest id that was committed. */
    bool bounded = journal->recover_ids != 0 && journal->recover_to != journal_totals(journal)->outstanding.last_id;

    return outstanding_has(outstanding, id) || (outstanding_is_after(id, outstanding->last_id) &&
                                                !(bounded && outstanding_is_after(id, journal->recover_to)));
}

unsigned journal_in_use(const struct journal *journal, const struct outstanding *outstanding,
                        unsigned order[BURSTS_IN_FLIGHT])
{
    unsigned count = 0;

    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        const struct burst *burst = &journal->bursts[i];
        unsigned place = count;

        if (!journal_is_in_use(burst, outstanding)) {
            continue;
        }
        for (; place > 0 && outstanding_is_after(journal->bursts[order[place - 1]].entries[0].id, burst->entries[0].id);
             place--) {
            order[place] = order[place - 1];
        }
        order[place] = i;
        count++;
    }
    return count;
}

/* ---- lost ids ------------------------------------------------------------------------------------------- */

void journal_request_id_recovery(struct journal *journal, uint32_t last_kernel_id)
{
    journal->recover_to = last_kernel_id;
    journal->recover_ids = 1;
}

void journal_note_death(struct journal *journal, bool answered)
{
    if (journal_is_idle(journal)) {
        journal->deaths = 0;
    } else {
        journal->deaths = answered ? 1 : journal->deaths + 1;
    }
}

bool journal_lost_ids(const struct journal *journal, const struct outstanding *outstanding, bool has_next,
                      uint32_t next_id, struct outstanding_range *lost)
{
    if (journal->recover_ids == 0 ||
        !outstanding_missing(outstanding, has_next ? next_id : journal->recover_to + 1, lost)) {
        return false;
    }
    if (lost->last - lost->first >= RECOVERED_IDS_MAX) {
        lost->last = lost->first + RECOVERED_IDS_MAX - 1;
    }
    return true;
}

void journal_end_id_recovery(struct journal *journal)
{
    journal->recover_ids = 0;
}
