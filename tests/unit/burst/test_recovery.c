/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal_recover(): what the next worker finds in the journal of a dead one.
 *
 * Each test leaves the journal in some phase, in order, or with damage in one kind of field, or in all of them. After
 * the recovery every field is within its bounds, and what was received and decided without damage is still there.
 * The outstanding and the lost ids are in test_recovery_ids.c.
 */
#include "unit.h"

#include "burst/recovery.h"
#include "burst_fixture.h"

#include <nfqe/plugin.h>

#include <string.h>

#define COUNT 8
#define FIRST_ID 100

static struct outstanding ids_left;

static enum burst_phase recover(struct burst_fixture *fixture)
{
    return burst_recover_journal(fixture, &ids_left);
}

static void test_recovery_continues_in_the_phase_of_the_dead_worker(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned phase = BURST_IDLE; phase <= BURST_SENDING; phase++) {
        burst_fill(fixture, COUNT, FIRST_ID, (enum burst_phase)phase);
        assert_int_equal(recover(fixture), phase);
    }
}

static void test_recovery_of_a_phase_that_does_not_exist_keeps_the_messages_and_no_verdict(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (size_t i = 0; i < sizeof(burst_wild_phases) / sizeof(burst_wild_phases[0]); i++) {
        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        burst_force_verdict(burst, 1, NFQE_ACCEPT);
        fixture->journal->phase = burst_wild_phases[i];
        assert_int_equal(recover(fixture), BURST_RECEIVING);
        assert_int_equal(journal_receiving(fixture->journal), 0);
        assert_int_equal(burst_received(burst), COUNT);
        burst_assert_undecided(burst, COUNT);
    }
}

/* Verdicts in the journal belong to the burst before until the receive is committed. */
static void test_recovery_from_receiving_forgets_the_verdicts_of_the_burst_before(void **state)
{
    struct burst_fixture *fixture = *state;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_RECEIVING);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        burst_force_verdict(fixture->burst, i, NFQE_ACCEPT);
    }
    assert_int_equal(recover(fixture), BURST_RECEIVING);
    burst_assert_undecided(fixture->burst, COUNT);
}

static void test_recovery_keeps_the_verdicts_that_were_given(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (unsigned phase = BURST_HANDLING; phase <= BURST_SENDING; phase++) {
        burst_fill(fixture, COUNT, FIRST_ID, (enum burst_phase)phase);
        burst_force_verdict(burst, 0, NFQE_ACCEPT);
        burst_force_verdict(burst, 4, NFQE_DROP);
        burst_force_verdict(burst, 5, NFQE_TO_QUEUE(9) | NFQE_QUEUE_BYPASS);
        burst_force_verdict(burst, 6, NFQE_REPEAT);
        assert_int_equal(recover(fixture), phase);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(burst_is_decided(burst, i), i == 0 || (i >= 4 && i <= 6));
        }
        assert_int_equal(burst->entries[0].verdict, NFQE_ACCEPT);
        assert_int_equal(burst->entries[4].verdict, NFQE_DROP);
        assert_int_equal(burst->entries[5].verdict, NFQE_TO_QUEUE(9) | NFQE_QUEUE_BYPASS);
    }
}

static void test_recovery_without_a_message_is_idle(void **state)
{
    static const uint32_t phases[] = {0, 1, 2, BURSTS_IN_FLIGHT, BURSTS_IN_FLIGHT + 1, JOURNAL_SENDING, 0xffff};
    struct burst_fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        burst_fill(fixture, 0, FIRST_ID, BURST_RECEIVING);
        fixture->journal->phase = phases[i];
        assert_int_equal(recover(fixture), BURST_IDLE);
    }
}

static void test_message_length_beyond_its_slot_is_the_slot(void **state)
{
    static const unsigned lengths[] = {BURST_SLOT_SIZE + 1, 0x10000, 0x80000000, UINT32_MAX};
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        burst->messages[3].msg_len = lengths[i];
        recover(fixture);
        assert_int_equal(burst_received(burst), COUNT);
        assert_int_equal(burst_message_len(burst, 2, BURST_SLOT_SIZE), BURST_LEN);
        assert_int_equal(burst_message_len(burst, 3, BURST_SLOT_SIZE), BURST_SLOT_SIZE);
    }
}

static void test_burst_ends_at_the_first_gap(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned gap = 0; gap < COUNT; gap++) {
        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        fixture->burst->messages[gap].msg_len = 0;
        assert_int_equal(recover(fixture), BURST_HANDLING); /* the ids stay outstanding */
        assert_int_equal(burst_received(fixture->burst), gap);
        for (unsigned i = gap; i < BURST_MAX; i++) { /* a length after the gap would count in a later burst */
            assert_int_equal(fixture->burst->messages[i].msg_len, 0);
        }
    }
}

static void test_recovery_forgets_a_verdict_that_no_packet_can_have(void **state)
{
    static const uint32_t nonsense[] = {NFQE_CONTINUE,
                                        NFQE_REPEAT | NFQE_FLOW,
                                        NFQE_HELD,
                                        NFQE_ACCEPT | NFQE_FLOW,
                                        0x10001,
                                        NFQE_ACCEPT | NFQE_QUEUE_BYPASS,
                                        NFQE_TO_QUEUE(3) | NFQE_FLOW,
                                        UINT32_MAX};
    struct burst_fixture *fixture = *state;

    for (unsigned phase = BURST_HANDLING; phase <= BURST_SENDING; phase++) {
        for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
            burst_fill(fixture, COUNT, FIRST_ID, (enum burst_phase)phase);
            burst_force_verdict(fixture->burst, 1, nonsense[i]);
            burst_force_verdict(fixture->burst, 2, NFQE_DROP);
            recover(fixture);
            assert_false(burst_is_decided(fixture->burst, 1));
            assert_true(burst_is_decided(fixture->burst, 2));
        }
    }
}

static void test_recovery_forgets_a_reason_that_is_none(void **state)
{
    struct burst_fixture *fixture = *state;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    for (unsigned i = 0; i < 3; i++) {
        burst_force_verdict(fixture->burst, i, NFQE_DROP);
        fixture->burst->entries[i].reason = i == 0 ? UINT32_MAX : REASONS_MAX + 2 - i;
    }
    recover(fixture);
    assert_int_equal(fixture->burst->entries[0].reason, 0);
    assert_int_equal(fixture->burst->entries[1].reason, 0);
    assert_int_equal(fixture->burst->entries[2].reason, REASONS_MAX);
    assert_true(burst_is_decided(fixture->burst, 1));
}

/* One that is longer than any packet was not decided; without the flag, the length means nothing. */
static void test_recovery_forgets_a_changed_packet_that_is_none(void **state)
{
    static const uint32_t lens[] = {1, COPY_RANGE_MAX, COPY_RANGE_MAX + 1, UINT32_MAX};
    struct burst_fixture *fixture = *state;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    for (unsigned i = 0; i < 4; i++) {
        burst_set_payload(fixture->burst, i, lens[i]);
        burst_force_verdict(fixture->burst, i, NFQE_ACCEPT);
    }
    burst_force_verdict(fixture->burst, 4, NFQE_ACCEPT);
    fixture->burst->entries[4].payload_len = UINT32_MAX;
    recover(fixture);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(burst_is_decided(fixture->burst, i), i < 2 || i == 4);
        assert_int_equal(burst_payload_len(&fixture->burst->entries[i]), i < 2 ? lens[i] : 0);
    }
}

/* queue_shm_prepare() has set them, and nothing next to the verdicts and lengths is changed. */
static void test_recovery_leaves_the_receive_headers(void **state)
{
    static const unsigned counts[] = {0, COUNT, BURST_MAX};
    static struct iovec iovecs[BURST_MAX];
    static struct msghdr header;
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    memset(iovecs, 0xff, sizeof(iovecs));
    memset(&header, 0xff, sizeof(header));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (unsigned phase = BURST_IDLE; phase <= BURST_SENDING; phase++) {
            burst_fill(fixture, counts[i], FIRST_ID, (enum burst_phase)phase);
            memset(burst->iovecs, 0xff, sizeof(burst->iovecs));
            for (unsigned message = 0; message < BURST_MAX; message++) {
                memset(&burst->messages[message].msg_hdr, 0xff, sizeof(header));
            }
            recover(fixture);
            for (unsigned message = 0; message < BURST_MAX; message++) {
                assert_memory_equal(&burst->messages[message].msg_hdr, &header, sizeof(header));
            }
            assert_memory_equal(burst->iovecs, iovecs, sizeof(iovecs));
        }
    }
}

static void test_every_verdict_of_the_largest_burst_is_looked_at(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (unsigned phase = BURST_RECEIVING; phase <= BURST_SENDING; phase++) {
        burst_fill(fixture, BURST_MAX, FIRST_ID, (enum burst_phase)phase);
        for (unsigned i = 0; i < BURST_MAX; i++) {
            burst_force_verdict(burst, i, phase == BURST_RECEIVING ? NFQE_DROP : NFQE_HELD);
        }
        recover(fixture);
        for (unsigned i = 0; i < BURST_MAX; i++) {
            assert_false(burst_is_decided(burst, i));
        }
    }
}

static void test_numbers_are_brought_into_their_bounds(void **state)
{
    static const uint32_t numbers[] = {0, 1, COUNT - 1, COUNT, COUNT + 1, BURST_MAX + 1, 0x7fffffff, UINT32_MAX};
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        for (unsigned phase = BURST_IDLE; phase <= BURST_SENDING; phase++) {
            burst_fill(fixture, COUNT, FIRST_ID, (enum burst_phase)phase);
            burst->packets = numbers[i];
            burst->sequence = fixture->journal->sequence = numbers[i];
            recover(fixture);
            if (phase < BURST_HANDLING) {
                assert_int_equal(burst->packets, 0); /* none is in flight */
            } else {
                assert_int_equal(burst->packets, numbers[i] < COUNT ? numbers[i] : COUNT); /* the messages */
            }
            assert_int_equal(burst->sequence, numbers[i] & BURST_SEQUENCE_MASK);
            assert_int_equal(fixture->journal->sequence, numbers[i] & BURST_SEQUENCE_MASK);
        }
    }
}

static void test_only_a_burst_that_was_being_sent_is_sent_again(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned phase = BURST_IDLE; phase <= BURST_SENDING; phase++) {
        burst_fill(fixture, COUNT, FIRST_ID, (enum burst_phase)phase);
        recover(fixture);
        assert_int_equal(journal_is_sending(fixture->journal), phase == BURST_SENDING);
        recover(fixture); /* and it stays so until a send is committed */
        assert_int_equal(journal_is_sending(fixture->journal), phase == BURST_SENDING);
        journal_commit_send(fixture->journal, &(struct queue_stats){0}, NULL, &ids_left);
        assert_false(journal_is_sending(fixture->journal));
    }
}

static void test_recovery_keeps_the_counters(void **state)
{
    struct burst_fixture *fixture = *state;
    const struct queue_stats delta = {.packets = 3, .accepted = 2, .dropped = 1, .bursts = 1};

    for (unsigned commits = 1; commits <= 2; commits++) {
        journal_commit_send(fixture->journal, &delta, NULL, &(struct outstanding){0});
        for (unsigned phase = BURST_IDLE; phase <= BURST_SENDING; phase++) {
            burst_fill(fixture, COUNT, FIRST_ID, (enum burst_phase)phase);
            recover(fixture);
            assert_int_equal(journal_totals(fixture->journal)->stats.packets, 3 * commits);
            assert_int_equal(journal_totals(fixture->journal)->stats.bursts, commits);
        }
    }
}

static void test_journal_full_of_random_bytes_is_brought_into_its_bounds(void **state)
{
    struct burst_fixture *fixture = *state;
    uint64_t random = 99;

    for (unsigned round = 0; round < 3000; round++) {
        uint8_t *bytes = (uint8_t *)fixture->journal;

        for (size_t i = 0; i < sizeof(*fixture->journal); i++) {
            bytes[i] = (uint8_t)(unit_random(&random) >> 20);
        }
        if (round % 2 == 0) {
            fixture->journal->phase = 0;
        }
        recover(fixture);
        for (unsigned number = 0; number < BURSTS_IN_FLIGHT; number++) {
            const struct burst *recovered = &fixture->journal->bursts[number];

            assert_in_range(burst_received(recovered), 0, BURST_MAX);
            assert_in_range(recovered->packets, 0, burst_received(recovered));
            for (unsigned i = 0; i < burst_received(recovered); i++) {
                assert_in_range(burst_message_len(recovered, i, BURST_SLOT_SIZE), 1, BURST_SLOT_SIZE);
            }
        }
    }
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_recovery_continues_in_the_phase_of_the_dead_worker),
        WITH_BURST(test_recovery_of_a_phase_that_does_not_exist_keeps_the_messages_and_no_verdict),
        WITH_BURST(test_recovery_from_receiving_forgets_the_verdicts_of_the_burst_before),
        WITH_BURST(test_recovery_keeps_the_verdicts_that_were_given),
        WITH_BURST(test_recovery_without_a_message_is_idle),
        WITH_BURST(test_message_length_beyond_its_slot_is_the_slot),
        WITH_BURST(test_burst_ends_at_the_first_gap),
        WITH_BURST(test_recovery_forgets_a_reason_that_is_none),
        WITH_BURST(test_recovery_forgets_a_changed_packet_that_is_none),
        WITH_BURST(test_recovery_forgets_a_verdict_that_no_packet_can_have),
        WITH_BURST(test_recovery_leaves_the_receive_headers),
        WITH_BURST(test_every_verdict_of_the_largest_burst_is_looked_at),
        WITH_BURST(test_numbers_are_brought_into_their_bounds),
        WITH_BURST(test_only_a_burst_that_was_being_sent_is_sent_again),
        WITH_BURST(test_recovery_keeps_the_counters),
        WITH_BURST(test_journal_full_of_random_bytes_is_brought_into_its_bounds),
    };

    return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
