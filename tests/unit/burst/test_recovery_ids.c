/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ids that a dead worker left: outstanding ones, which say what is in flight, and those whose messages were lost.
 *
 * What becomes of the other fields of the journal is in test_recovery.c.
 */
#include "unit.h"

#include "burst/recovery.h"
#include "burst_fixture.h"
#include "guarded.h"

#include <nfqe/plugin.h>

#define COUNT 8
#define FIRST_ID 100

static struct outstanding ids_left;

static enum burst_phase recover(struct burst_fixture *fixture)
{
    return burst_recover_journal(fixture, &ids_left);
}

/* ---- lost ids ------------------------------------------------------------------------------------ */

static void test_without_a_request_no_id_is_lost(void **state)
{
    struct burst_fixture *fixture = *state;
    struct outstanding ids = {0};
    struct outstanding_range lost;

    ids.last_id = 10;
    assert_false(journal_lost_ids(fixture->journal, &ids, true, 20, &lost));
    assert_false(journal_lost_ids(fixture->journal, &ids, false, 0, &lost));
}

static void test_ids_between_the_newest_and_the_next_message_are_lost(void **state)
{
    static const struct {
        uint32_t last_id, next_id;
        uint32_t count; /* ids in between */
    } cases[] = {
        {0, 1, 0},
        {0, 2, 1},
        {10, 11, 0},
        {10, 12, 1},
        {10, 100, 89},
        {UINT32_MAX - 1, UINT32_MAX, 0},
        {UINT32_MAX - 1, 0, 1},
        {UINT32_MAX, 0, 0},
        {UINT32_MAX, 1, 1},
        {UINT32_MAX - 9, 10, 19},
        {0x7fffffff, 0x80000001, 1},
    };
    struct burst_fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned has_next = 0; has_next < 2; has_next++) {
            struct outstanding ids = {0};
            struct outstanding_range lost;
            bool any;

            ids.last_id = cases[i].last_id;
            journal_request_id_recovery(fixture->journal, has_next != 0 ? cases[i].next_id + 5 : cases[i].next_id - 1);
            any = journal_lost_ids(fixture->journal, &ids, has_next != 0, cases[i].next_id, &lost);
            assert_int_equal(any, cases[i].count > 0);
            if (any) {
                assert_true(lost.first == cases[i].last_id + 1);
                assert_int_equal(lost.last - lost.first + 1, cases[i].count);
            }
        }
    }
}

/* A worker that dies between answering the ids and ending the recovery leaves it to its successor. */
static void test_request_holds_until_it_is_ended(void **state)
{
    struct burst_fixture *fixture = *state;
    struct outstanding ids = {0};
    struct outstanding_range lost;

    ids.last_id = 7;
    journal_request_id_recovery(fixture->journal, 8);
    for (unsigned times = 0; times < 3; times++) {
        assert_true(journal_lost_ids(fixture->journal, &ids, true, 9, &lost));
        assert_int_equal(lost.first, 8);
        assert_int_equal(lost.last, 8);
        burst_fill(fixture, 3, 6, BURST_SENDING);
        assert_int_equal(recover(fixture), BURST_SENDING);
    }
    journal_end_id_recovery(fixture->journal);
    assert_false(journal_lost_ids(fixture->journal, &ids, true, 9, &lost));
    assert_false(journal_lost_ids(fixture->journal, &ids, false, 0, &lost));
}

static void test_outstanding_ids_are_taken_as_they_were_committed(void **state)
{
    const struct burst_fixture *fixture = *state;
    struct outstanding ids = {.last_id = 100};
    struct outstanding found;

    assert_int_equal(outstanding_add(&ids, (struct outstanding_range){95, 97}), 0);
    journal_commit_send(fixture->journal, &(struct queue_stats){0}, NULL, &ids);
    assert_int_equal(journal_recover(fixture->journal, &found), JOURNAL_NO_BURST);
    assert_int_equal(found.last_id, 100);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.ranges[0].first, 95);
    assert_int_equal(found.ranges[0].last, 97);
}

static struct outstanding *committed(const struct burst_fixture *fixture)
{
    return (struct outstanding *)(uintptr_t)&journal_totals(fixture->journal)->outstanding;
}

static void test_outstanding_ids_that_are_damaged_are_none(void **state)
{
    const struct burst_fixture *fixture = *state;
    struct outstanding found;

    committed(fixture)->last_id = 100;
    committed(fixture)->count = OUTSTANDING_RANGES_MAX + 1;
    assert_int_equal(journal_recover(fixture->journal, &found), JOURNAL_NO_BURST); /* there is no message */
    assert_int_equal(found.last_id, 100);
    assert_int_equal(found.count, 0);
}

/* So every id that may wait is after the newest of the set, and the burst's packets are new. Its verdicts stay. */
static void test_burst_whose_ids_are_damaged_is_received_again_with_its_verdicts(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned way = 0; way < 2; way++) {
        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        burst_force_verdict(fixture->burst, 3, NFQE_DROP);
        journal_request_id_recovery(fixture->journal, FIRST_ID + 20);
        if (way == 0) {
            committed(fixture)->count = OUTSTANDING_RANGES_MAX + 1;
        } else {
            committed(fixture)->last_id = FIRST_ID + 21; /* which the kernel had not given out */
        }
        assert_int_equal(recover(fixture), BURST_RECEIVING);
        assert_int_equal(ids_left.count, 0);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(burst_is_decided(fixture->burst, i), i == 3);
            assert_int_equal(way == 0, !outstanding_is_after(FIRST_ID + i, ids_left.last_id));
        }
    }
}

static void test_id_that_was_not_given_out_or_was_answered_is_no_packet(void **state)
{
    static const struct {
        uint32_t id;
        bool can;
    } ids[] = {
        {FIRST_ID - 1, false}, {FIRST_ID, true},       {FIRST_ID + COUNT - 1, true},   {FIRST_ID + COUNT, true},
        {FIRST_ID + 20, true}, {FIRST_ID + 21, false}, {FIRST_ID + 0x70000000, false}, {FIRST_ID - 0x70000000, false},
    };
    struct burst_fixture *fixture = *state;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    journal_request_id_recovery(fixture->journal, FIRST_ID + 20);
    recover(fixture);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_int_equal(journal_can_be_received(fixture->journal, &ids_left, ids[i].id), ids[i].can);
    }
    journal_request_id_recovery(fixture->journal, FIRST_ID + COUNT - 1); /* as if the kernel's could not be read */
    assert_true(journal_can_be_received(fixture->journal, &ids_left, FIRST_ID + 21));
}

/* ---- several bursts ------------------------------------------------------------------------------------- */

/* Bursts with COUNT packets each, committed; burst `order[i]` has the ids after those of order[i - 1]. */
static void fill_bursts(struct burst_fixture *fixture, const unsigned order[BURSTS_IN_FLIGHT])
{
    struct outstanding ids = {.last_id = FIRST_ID - 1};

    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        struct burst *burst = &fixture->journal->bursts[order[i]];
        uint32_t first = FIRST_ID + i * COUNT;

        journal_begin_receive(fixture->journal, order[i]);
        for (unsigned packet = 0; packet < COUNT; packet++) {
            burst->messages[packet].msg_len = BURST_LEN;
            burst->entries[packet].id = first + packet;
            burst->entries[packet].flags = 0;
        }
        burst->packets = COUNT;
        assert_int_equal(outstanding_add(&ids, (struct outstanding_range){first, first + COUNT - 1}), 0);
        journal_commit_receive(fixture->journal, &(struct queue_stats){0}, &ids);
    }
}

static void test_bursts_in_use_are_found_in_the_order_of_their_ids(void **state)
{
    static const unsigned orders[][BURSTS_IN_FLIGHT] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    struct burst_fixture *fixture = *state;
    struct guarded guarded; /* other memory of the queue follows the journal */
    unsigned found[BURSTS_IN_FLIGHT];

    guarded_init(&guarded, sizeof(*fixture->journal));
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        const struct journal *journal;

        fill_bursts(fixture, orders[i]);
        recover(fixture);
        journal = guarded_put(&guarded, fixture->journal, sizeof(*fixture->journal), _Alignof(struct journal));
        assert_int_equal(journal_in_use(journal, &ids_left, found), BURSTS_IN_FLIGHT);
        assert_memory_equal(found, orders[i], sizeof(found));
    }
    guarded_done(&guarded);
}

/* One id is enough, whichever it is. */
static void test_burst_is_in_use_as_long_as_one_of_its_ids_is_outstanding(void **state)
{
    static const unsigned order[BURSTS_IN_FLIGHT] = {0, 1, 2, 3};
    struct burst_fixture *fixture = *state;

    for (unsigned last = 0; last < COUNT; last++) {
        struct outstanding ids;
        unsigned found[BURSTS_IN_FLIGHT];

        fill_bursts(fixture, order);
        ids = journal_totals(fixture->journal)->outstanding;
        for (unsigned packet = 0; packet < COUNT; packet++) {
            uint32_t id = FIRST_ID + 2 * COUNT + packet;

            if (packet != last) {
                assert_int_equal(outstanding_remove(&ids, (struct outstanding_range){id, id}), 0);
            }
        }
        journal_commit_send(fixture->journal, &(struct queue_stats){0}, NULL, &ids);
        recover(fixture);
        assert_int_equal(fixture->journal->bursts[2].packets, COUNT);
        ids = ids_left;
        assert_int_equal(outstanding_remove(&ids, (struct outstanding_range){FIRST_ID + 2 * COUNT + last,
                                                                             FIRST_ID + 2 * COUNT + last}),
                         0);
        journal_commit_send(fixture->journal, &(struct queue_stats){0}, NULL, &ids);
        recover(fixture);
        assert_int_equal(fixture->journal->bursts[2].packets, 0);
        assert_int_equal(journal_in_use(fixture->journal, &ids_left, found), BURSTS_IN_FLIGHT - 1);
        assert_int_equal(found[2], 3);
    }
}

/* ---- deaths in a row ------------------------------------------------------------------------------- */

static void test_deaths_are_counted_as_long_as_none_had_answered_a_packet(void **state)
{
    const struct burst_fixture *fixture = *state;
    struct journal *journal = fixture->journal;

    journal_begin_receive(journal, 0);
    for (uint32_t deaths = 1; deaths <= 4; deaths++) {
        journal_note_death(journal, false);
        assert_int_equal(journal->deaths, deaths);
    }
    journal_note_death(journal, true);
    assert_int_equal(journal->deaths, 1);
    journal_note_death(journal, false);
    assert_int_equal(journal->deaths, 2);
    journal_end_receive(journal);
    journal_note_death(journal, false);
    assert_int_equal(journal->deaths, 0);
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_without_a_request_no_id_is_lost),
        WITH_BURST(test_ids_between_the_newest_and_the_next_message_are_lost),
        WITH_BURST(test_request_holds_until_it_is_ended),
        WITH_BURST(test_outstanding_ids_are_taken_as_they_were_committed),
        WITH_BURST(test_outstanding_ids_that_are_damaged_are_none),
        WITH_BURST(test_burst_whose_ids_are_damaged_is_received_again_with_its_verdicts),
        WITH_BURST(test_id_that_was_not_given_out_or_was_answered_is_no_packet),
        WITH_BURST(test_bursts_in_use_are_found_in_the_order_of_their_ids),
        WITH_BURST(test_deaths_are_counted_as_long_as_none_had_answered_a_packet),
        WITH_BURST(test_burst_is_in_use_as_long_as_one_of_its_ids_is_outstanding),
    };

    return cmocka_run_group_tests_name("recovery_ids", tests, NULL, NULL);
}
