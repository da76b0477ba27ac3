/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and filling the journal of the fixture.
 *
 * The packets have no bytes: neither the journal nor the pipeline looks into them.
 */
#include "burst_fixture.h"

#include "unit.h"

#include "burst/recovery.h"

#include <sys/mman.h>

const uint32_t burst_wild_phases[3] = {BURSTS_IN_FLIGHT + 1, 0xff, 0x10000};

void burst_fixture_init(struct burst_fixture *fixture)
{
    void *memory = mmap(NULL, sizeof(*fixture->journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(memory != MAP_FAILED);
    fixture->journal = memory;
    fixture->burst = &fixture->journal->bursts[0];
}

void burst_fixture_done(struct burst_fixture *fixture)
{
    munmap(fixture->journal, sizeof(*fixture->journal));
    fixture->journal = NULL;
    fixture->burst = NULL;
}

void burst_journal_enter(struct journal *journal, unsigned count, enum burst_phase phase,
                         const struct queue_stats *stats)
{
    const struct burst *burst = &journal->bursts[0];
    struct outstanding ids = {.last_id = journal_totals(journal)->outstanding.last_id};
    struct outstanding_range run;

    if (journal_receiving(journal) != 0) {
        journal_begin_receive(journal, 0);
    }
    if (phase == BURST_RECEIVING) {
        return;
    }
    journal->bursts[0].packets = count;
    for (unsigned next = 0; next < count;) {
        next = burst_id_run(burst, next, count, &run);
        assert_int_equal(outstanding_add(&ids, run), 0);
    }
    journal_commit_receive(journal, stats, &ids);
    if (phase == BURST_HANDLING) {
        return;
    }
    journal_begin_send(journal);
    if (phase == BURST_IDLE) {
        ids.count = 0;
        journal_commit_send(journal, &(struct queue_stats){0}, NULL, &ids);
    }
}

void burst_fill(struct burst_fixture *fixture, unsigned count, uint32_t first_id, enum burst_phase phase)
{
    struct burst *burst = fixture->burst;

    journal_commit_send(fixture->journal, &(struct queue_stats){0}, NULL,
                        &(struct outstanding){.last_id = first_id - 1});
    journal_begin_receive(fixture->journal, 0);
    for (unsigned i = 0; i < count; i++) {
        burst->messages[i].msg_len = BURST_LEN;
        burst->entries[i].id = first_id + i;
        burst->entries[i].verdict = 0;
        burst->entries[i].flags = 0;
        fixture->packets[i] = (struct nfqe_packet){.size = sizeof(struct nfqe_packet), .id = first_id + i};
    }
    burst_journal_enter(fixture->journal, count, phase, &(struct queue_stats){0});
}

enum burst_phase burst_phase_of(const struct journal *journal)
{
    if (journal_receiving(journal) != JOURNAL_NO_BURST) {
        return BURST_RECEIVING;
    }
    if (journal_totals(journal)->outstanding.count == 0) {
        return BURST_IDLE;
    }
    return journal_is_sending(journal) ? BURST_SENDING : BURST_HANDLING;
}

enum burst_phase burst_recover_journal(struct burst_fixture *fixture, struct outstanding *ids)
{
    unsigned receiving = journal_recover(fixture->journal, ids);

    assert_int_equal(receiving, journal_receiving(fixture->journal));
    assert_true(outstanding_is_sound(ids));
    return burst_phase_of(fixture->journal);
}

void burst_assert_undecided(const struct burst *burst, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_false(burst_is_decided(burst, i));
    }
}

int burst_set_up(void **state)
{
    static struct burst_fixture fixture;

    burst_fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

int burst_tear_down(void **state)
{
    burst_fixture_done(*state);
    return 0;
}
