/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commits of a journal: that each counts all that it should at once, and changes nothing before.
 */
#include "unit.h"

#include "burst/burst.h"
#include "burst_fixture.h"
#include "guarded.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNTERS QUEUE_STATS_COUNT

static const struct outstanding no_ids;

static const struct queue_stats *stats_of(const struct burst *burst)
{
    return &burst_totals(burst)->stats;
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

static void test_commit_adds_every_counter_and_ends_the_burst(void **state)
{
    struct burst_fixture *fixture = *state;
    const struct queue_stats delta = counters_from(10);

    for (uint64_t times = 1; times <= 5; times++) {
        uint64_t values[COUNTERS];

        burst_fill(fixture, 3, 1, BURST_SENDING);
        burst_commit(fixture->burst, &delta, &no_ids);
        assert_int_equal(burst_phase(fixture->burst), BURST_IDLE);
        memcpy(values, stats_of(fixture->burst), sizeof(values));
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
    burst_commit(fixture->burst, guarded_put(&memory, &delta, sizeof(delta), _Alignof(struct queue_stats)), &no_ids);
    guarded_done(&memory);
    assert_int_equal(stats_of(fixture->burst)->bursts, delta.bursts);
}

static void test_phases_keep_the_counters(void **state)
{
    struct burst_fixture *fixture = *state;
    const struct queue_stats delta = counters_from(1);

    for (unsigned commits = 0; commits < 2; commits++) {
        struct queue_stats before;

        burst_commit(fixture->burst, &delta, &no_ids);
        before = *stats_of(fixture->burst);
        for (unsigned phase = BURST_IDLE; phase <= BURST_SENDING; phase++) {
            burst_enter(fixture->burst, (enum burst_phase)phase);
            assert_int_equal(burst_phase(fixture->burst), phase);
            assert_memory_equal(stats_of(fixture->burst), &before, sizeof(before));
        }
    }
}

/* A worker that dies inside burst_commit() has written some of the counters. Until the end none counts. */
static void test_commit_that_did_not_end_counts_nothing(void **state)
{
    struct burst_fixture *fixture = *state;
    const struct queue_stats delta = counters_from(1);

    for (unsigned round = 0; round < 2; round++) {
        struct queue_stats before;
        struct burst_totals *spare;

        burst_commit(fixture->burst, &delta, &no_ids);
        before = *stats_of(fixture->burst);
        spare = &fixture->burst->totals[burst_totals(fixture->burst) == &fixture->burst->totals[0]];
        memset(spare, 0x5a, sizeof(*spare));
        assert_memory_equal(stats_of(fixture->burst), &before, sizeof(before));
        burst_commit(fixture->burst, &delta, &no_ids);
        assert_int_equal(stats_of(fixture->burst)->packets, before.packets + delta.packets);
        assert_int_equal(stats_of(fixture->burst)->bursts, before.bursts + delta.bursts);
    }
}

/* A child commits bursts until it is killed, at any instruction; what it left is a whole number of bursts. */
static void test_worker_killed_at_any_moment_leaves_whole_bursts_counted(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;
    uint64_t random = 42;

    for (unsigned round = 0; round < 50; round++) {
        uint64_t enough = stats_of(burst)->packets + 1 + unit_random_below(&random, 3000);
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
                burst_enter(burst, BURST_SENDING);
                burst_commit(burst, &one, &no_ids);
            }
        }
        while (((volatile const struct queue_stats *)stats_of(burst))->packets < enough) {
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        memcpy(values, stats_of(burst), sizeof(values));
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
    burst_commit(fixture->burst, &delta, &ids);
    assert_int_equal(burst_totals(fixture->burst)->outstanding.last_id, 100);
    assert_int_equal(burst_totals(fixture->burst)->outstanding.count, 1);
    assert_int_equal(burst_totals(fixture->burst)->outstanding.ranges[0].first, 90);
    ids = (struct outstanding){.last_id = 101};
    burst_commit(fixture->burst, &delta, &ids);
    assert_int_equal(burst_totals(fixture->burst)->outstanding.last_id, 101);
    assert_int_equal(burst_totals(fixture->burst)->outstanding.count, 0);
    assert_int_equal(stats_of(fixture->burst)->packets, 2 * delta.packets);
}

static void test_answered_packets_are_those_of_the_workers_and_of_their_deaths(void **state)
{
    const struct burst_fixture *fixture = *state;
    const struct queue_stats delta = {.packets = 5};

    assert_int_equal(burst_answered(fixture->burst), 0);
    fixture->burst->crash_verdicts = 2;
    assert_int_equal(burst_answered(fixture->burst), 2);
    burst_commit(fixture->burst, &delta, &no_ids);
    assert_int_equal(burst_answered(fixture->burst), 7);
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_commit_adds_every_counter_and_ends_the_burst),
        WITH_BURST(test_answered_packets_are_those_of_the_workers_and_of_their_deaths),
        WITH_BURST(test_commit_replaces_the_outstanding_ids_together_with_the_counters),
        WITH_BURST(test_commit_reads_nothing_after_the_last_counter),
        WITH_BURST(test_phases_keep_the_counters),
        WITH_BURST(test_commit_that_did_not_end_counts_nothing),
        WITH_BURST(test_worker_killed_at_any_moment_leaves_whole_bursts_counted),
    };

    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
