/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commits of a journal: that each counts all that it should at once, and changes nothing before.
 *
 * Deaths between the steps of a whole burst are in tests/unit/process/test_queue_recovery.c.
 */
#include "unit.h"

#include "burst/journal.h"
#include "burst_fixture.h"
#include "guarded.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNTERS QUEUE_STATS_COUNT

static const struct outstanding no_ids;

static const struct queue_stats *stats_of(const struct journal *journal)
{
    return &journal_totals(journal)->stats;
}

static struct queue_stats counters_from(uint64_t first)
{
    struct queue_stats counters;
    uint64_t values[COUNTERS] = {0};

    for (size_t i = 0; i < COUNTERS; i++) {
        values[i] = first + i;
    }
    memcpy(&counters, values, sizeof(counters));
    return counters;
}

static void test_each_commit_adds_every_counter_and_ends_what_it_is_of(void **state)
{
    struct burst_fixture *fixture = *state;
    const struct queue_stats delta = counters_from(10);

    for (uint64_t times = 1; times <= 5; times++) {
        uint64_t values[COUNTERS];

        burst_fill(fixture, 3, 1, times % 2 == 0 ? BURST_SENDING : BURST_RECEIVING);
        if (times % 2 == 0) {
            journal_commit_send(fixture->journal, &delta, NULL, &no_ids);
        } else {
            journal_commit_receive(fixture->journal, &delta, &no_ids);
        }
        assert_true(journal_is_idle(fixture->journal));
        memcpy(values, stats_of(fixture->journal), sizeof(values));
        for (size_t i = 0; i < COUNTERS; i++) {
            assert_int_equal(values[i], times * (10 + i));
        }
    }
}

/* The counters are read up to their end: what follows them cannot be read. */
static void test_commit_reads_nothing_after_the_last_counter(void **state)
{
    const struct burst_fixture *fixture = *state;
    const struct queue_stats delta = counters_from(10);
    struct guarded memory;

    guarded_init(&memory, sizeof(delta));
    journal_commit_send(fixture->journal, guarded_put(&memory, &delta, sizeof(delta), _Alignof(struct queue_stats)),
                        NULL, &no_ids);
    guarded_done(&memory);
    assert_int_equal(stats_of(fixture->journal)->bursts, delta.bursts);
}

static void test_what_is_no_commit_keeps_totals_and_the_rest_of_the_word(void **state)
{
    const struct burst_fixture *fixture = *state;
    struct journal *journal = fixture->journal;
    const struct queue_stats delta = counters_from(1);

    for (unsigned commits = 0; commits < 2; commits++) {
        struct queue_stats before;

        journal_commit_send(journal, &delta, NULL, &no_ids);
        before = *stats_of(journal);
        for (unsigned index = 0; index < BURSTS_IN_FLIGHT; index++) {
            journal_begin_receive(journal, index);
            assert_int_equal(journal_receiving(journal), index);
            assert_false(journal_is_sending(journal) || journal_is_idle(journal));
            journal_begin_send(journal);
            assert_int_equal(journal_receiving(journal), index);
            assert_true(journal_is_sending(journal));
            journal_end_receive(journal);
            assert_int_equal(journal_receiving(journal), JOURNAL_NO_BURST);
            assert_true(journal_is_sending(journal) && !journal_is_idle(journal));
            assert_memory_equal(stats_of(journal), &before, sizeof(before));
            journal_commit_send(journal, &(struct queue_stats){0}, NULL, &no_ids);
            assert_true(journal_is_idle(journal));
        }
    }
}

/* A commit of a receive leaves a send under way, and the other way round. */
static void test_commit_ends_only_what_it_is_of(void **state)
{
    const struct burst_fixture *fixture = *state;
    struct journal *journal = fixture->journal;

    journal_begin_receive(journal, 2);
    journal_begin_send(journal);
    journal_commit_receive(journal, &(struct queue_stats){0}, &no_ids);
    assert_int_equal(journal_receiving(journal), JOURNAL_NO_BURST);
    assert_true(journal_is_sending(journal));
    journal_begin_receive(journal, 1);
    journal_commit_send(journal, &(struct queue_stats){0}, NULL, &no_ids);
    assert_int_equal(journal_receiving(journal), 1);
    assert_false(journal_is_sending(journal));
}

static void test_journal_with_an_outstanding_id_is_not_idle(void **state)
{
    const struct burst_fixture *fixture = *state;
    struct outstanding ids = {0};

    assert_int_equal(outstanding_add(&ids, (struct outstanding_range){7, 7}), 0);
    journal_commit_receive(fixture->journal, &(struct queue_stats){0}, &ids);
    assert_false(journal_is_idle(fixture->journal));
    journal_commit_send(fixture->journal, &(struct queue_stats){0}, NULL, &no_ids);
    assert_true(journal_is_idle(fixture->journal));
}

static void test_progress_of_any_burst_is_progress(void **state)
{
    const struct burst_fixture *fixture = *state;

    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        uint32_t before = journal_progress(fixture->journal);

        burst_make_progress(&fixture->journal->bursts[i]);
        assert_true(journal_progress(fixture->journal) != before);
    }
}

/* A worker that dies inside a commit has written some of the counters. Until the end none counts. */
static void test_commit_that_did_not_end_counts_nothing(void **state)
{
    const struct burst_fixture *fixture = *state;
    const struct queue_stats delta = counters_from(1);

    for (unsigned round = 0; round < 2; round++) {
        struct queue_stats before;
        struct journal_totals *spare;

        journal_commit_send(fixture->journal, &delta, NULL, &no_ids);
        before = *stats_of(fixture->journal);
        spare = &fixture->journal->totals[journal_totals(fixture->journal) == &fixture->journal->totals[0]];
        memset(spare, 0x5a, sizeof(*spare));
        assert_memory_equal(stats_of(fixture->journal), &before, sizeof(before));
        journal_commit_send(fixture->journal, &delta, NULL, &no_ids);
        assert_int_equal(stats_of(fixture->journal)->packets, before.packets + delta.packets);
        assert_int_equal(stats_of(fixture->journal)->bursts, before.bursts + delta.bursts);
    }
}

/* A child commits bursts until it is killed, at any instruction; what it left is a whole number of bursts. */
static void test_worker_killed_at_any_moment_leaves_whole_bursts_counted(void **state)
{
    const struct burst_fixture *fixture = *state;
    struct journal *journal = fixture->journal;
    uint64_t random = 42;

    for (unsigned round = 0; round < 50; round++) {
        uint64_t enough = stats_of(journal)->packets + 1 + unit_random_below(&random, 3000);
        uint64_t values[COUNTERS];
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            struct queue_stats one;
            uint64_t ones[COUNTERS] = {0};

            prctl(PR_SET_PDEATHSIG, SIGKILL); /* should this test be killed before it ends */
            for (size_t i = 0; i < COUNTERS; i++) {
                ones[i] = 1;
            }
            memcpy(&one, ones, sizeof(one));
            for (;;) {
                journal_begin_send(journal);
                journal_commit_send(journal, &one, NULL, &no_ids);
            }
        }
        while (((volatile const struct queue_stats *)stats_of(journal))->packets < enough) {
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        memcpy(values, stats_of(journal), sizeof(values));
        for (size_t i = 1; i < COUNTERS; i++) {
            assert_int_equal(values[i], values[0]);
        }
    }
}

static void test_commit_replaces_the_outstanding_ids_together_with_the_counters(void **state)
{
    const struct burst_fixture *fixture = *state;
    const struct queue_stats delta = counters_from(1);
    struct outstanding ids = {.last_id = 100};

    assert_int_equal(outstanding_add(&ids, (struct outstanding_range){90, 92}), 0);
    journal_commit_send(fixture->journal, &delta, NULL, &ids);
    assert_int_equal(journal_totals(fixture->journal)->outstanding.last_id, 100);
    assert_int_equal(journal_totals(fixture->journal)->outstanding.count, 1);
    assert_int_equal(journal_totals(fixture->journal)->outstanding.ranges[0].first, 90);
    ids = (struct outstanding){.last_id = 101};
    journal_commit_send(fixture->journal, &delta, NULL, &ids);
    assert_int_equal(journal_totals(fixture->journal)->outstanding.last_id, 101);
    assert_int_equal(journal_totals(fixture->journal)->outstanding.count, 0);
    assert_int_equal(stats_of(fixture->journal)->packets, 2 * delta.packets);
}

static void test_reasons_count_with_the_commit_that_has_them(void **state)
{
    static struct reason_tally tally;
    const struct burst_fixture *fixture = *state;
    struct journal *journal = fixture->journal;
    uint64_t expected[REASONS_MAX] = {0};
    uint64_t random = 11;

    for (unsigned round = 0; round < 300; round++) {
        unsigned limit = 1 + unit_random_below(&random, REASONS_MAX); /* the newest cell is not the highest one */

        for (unsigned i = unit_random_below(&random, 4); i > 0; i--) {
            unsigned cell = unit_random_below(&random, limit);

            reason_tally_add(&tally, cell + 1);
            expected[cell]++;
        }
        reason_tally_add(&tally, 0);
        journal_begin_send(journal);
        journal_commit_send(journal, &(struct queue_stats){.accepted = 1}, &tally, &no_ids);
        reason_tally_clear(&tally);
        journal_begin_receive(journal, 0);
        journal_commit_receive(journal, &(struct queue_stats){.packets = 1}, &no_ids);
        assert_memory_equal(journal_reasons(journal), expected, sizeof(expected));
        assert_int_equal(stats_of(journal)->accepted, round + 1);
        assert_true(journal_is_idle(journal));
    }
    assert_int_equal(tally.end, 0);
    reason_tally_add(&tally, REASONS_MAX);
    journal_commit_send(journal, &(struct queue_stats){0}, &tally, &no_ids);
    expected[REASONS_MAX - 1]++;
    assert_memory_equal(journal_reasons(journal), expected, sizeof(expected));
}

/* The process that counts is killed at any time: of each verdict, the counter and the reason are there or neither is. */
static void test_reasons_are_counted_together_with_their_verdicts(void **state)
{
    const struct burst_fixture *fixture = *state;
    struct journal *journal = fixture->journal;
    uint64_t random = 43;

    for (unsigned round = 0; round < 50; round++) {
        uint64_t enough = stats_of(journal)->dropped + 1 + unit_random_below(&random, 3000);
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            static struct reason_tally tally;

            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;) {
                reason_tally_add(&tally, 1);
                reason_tally_add(&tally, REASONS_MAX);
                journal_begin_send(journal);
                journal_commit_send(journal, &(struct queue_stats){.dropped = 1}, &tally, &no_ids);
                reason_tally_clear(&tally);
            }
        }
        while (((volatile const struct queue_stats *)stats_of(journal))->dropped < enough) {
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(journal_reasons(journal)[0], stats_of(journal)->dropped);
        assert_int_equal(journal_reasons(journal)[REASONS_MAX - 1], stats_of(journal)->dropped);
    }
}

static void test_answered_packets_are_those_with_any_verdict(void **state)
{
    const struct burst_fixture *fixture = *state;
    const struct queue_stats delta = {.packets = 19,
                                      .accepted = 2,
                                      .dropped = 3,
                                      .repeated = 4,
                                      .requeued = 3,
                                      .recovered_ids = 4,
                                      .crash_verdicts = 1};

    assert_int_equal(journal_answered(fixture->journal), 0);
    journal_commit_send(fixture->journal, &delta, NULL, &no_ids);
    assert_int_equal(journal_answered(fixture->journal), 12);
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_each_commit_adds_every_counter_and_ends_what_it_is_of),
        WITH_BURST(test_reasons_count_with_the_commit_that_has_them),
        WITH_BURST(test_reasons_are_counted_together_with_their_verdicts),
        WITH_BURST(test_answered_packets_are_those_with_any_verdict),
        WITH_BURST(test_commit_replaces_the_outstanding_ids_together_with_the_counters),
        WITH_BURST(test_commit_reads_nothing_after_the_last_counter),
        WITH_BURST(test_what_is_no_commit_keeps_totals_and_the_rest_of_the_word),
        WITH_BURST(test_commit_ends_only_what_it_is_of),
        WITH_BURST(test_journal_with_an_outstanding_id_is_not_idle),
        WITH_BURST(test_progress_of_any_burst_is_progress),
        WITH_BURST(test_commit_that_did_not_end_counts_nothing),
        WITH_BURST(test_worker_killed_at_any_moment_leaves_whole_bursts_counted),
    };

    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
