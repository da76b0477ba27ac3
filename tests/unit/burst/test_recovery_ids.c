/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ids that a dead worker left: outstanding ones, which say what is in flight, and those whose messages were lost.
 *
 * What becomes of the other fields of the journal is in test_recovery.c.
 */
#include "unit.h"

#include "burst/recovery.h"
#include "burst_fixture.h"

#include <nfqe/plugin.h>

#define COUNT 8
#define FIRST_ID 100

static struct outstanding ids_left;

/* What the next worker does first. Returns how far the dead one had come. */
static enum burst_phase recover(struct burst_fixture *fixture)
{
    unsigned receiving = journal_recover(fixture->journal, &ids_left);

    assert_int_equal(receiving, journal_receiving(fixture->journal));
    assert_true(outstanding_is_sound(&ids_left));
    return burst_phase_of(fixture->journal);
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
    journal_commit_send(fixture->journal, &(struct queue_stats){0}, &ids);
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

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_without_a_request_no_id_is_lost),
        WITH_BURST(test_ids_between_the_newest_and_the_next_message_are_lost),
        WITH_BURST(test_request_holds_until_it_is_ended),
        WITH_BURST(test_outstanding_ids_are_taken_as_they_were_committed),
        WITH_BURST(test_outstanding_ids_that_are_damaged_are_none),
    };

    return cmocka_run_group_tests_name("recovery_ids", tests, NULL, NULL);
}
