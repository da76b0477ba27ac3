/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal while its worker lives: where it receives, what a receive leaves in it, and that a burst is counted
 * exactly once.
 *
 * What is found in it after a death is in test_recovery_guilt.c and test_recovery.c.
 */
#include "unit.h"

#include "burst/burst.h"
#include "burst/recovery.h"
#include "burst_fixture.h"
#include "guarded.h"

#include <nfqe/plugin.h>

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_attaching_points_every_header_at_its_slot_whatever_was_there(void **state)
{
    static char slots[BURST_MAX][BURST_SLOT_SIZE];
    const struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (unsigned i = 0; i < BURST_MAX; i++) {
        memset(&burst->messages[i].msg_hdr, 0xff, sizeof(burst->messages[i].msg_hdr));
        memset(&burst->iovecs[i], 0xff, sizeof(burst->iovecs[i]));
        burst->messages[i].msg_len = i + 1;
        burst->messages[i].msg_hdr.msg_flags = MSG_TRUNC;
    }
    burst_attach_slots(burst, slots, BURST_SLOT_SIZE);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        const struct msghdr *header = &burst->messages[i].msg_hdr;

        assert_int_equal(header->msg_iovlen, 1);
        assert_ptr_equal(header->msg_iov, &burst->iovecs[i]);
        assert_ptr_equal(header->msg_iov->iov_base, slots[i]);
        assert_int_equal(header->msg_iov->iov_len, BURST_SLOT_SIZE);
        assert_null(header->msg_name);
        assert_int_equal(header->msg_namelen, 0);
        assert_null(header->msg_control);
        assert_int_equal(header->msg_controllen, 0);
        assert_int_equal(header->msg_flags, MSG_TRUNC);
        assert_int_equal(burst->messages[i].msg_len, i + 1);
    }
}

static void test_begin_receive_forgets_the_burst_before(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    burst_fill(fixture, BURST_MAX, 1, BURST_HANDLING);
    burst->cursor = 5;
    burst->plugin = 6;
    burst->one_by_one = 1;
    burst->resend = 1;
    burst->attempts = BURST_ATTEMPTS_MAX - 1;
    burst_begin_receive(burst);
    assert_int_equal(burst_phase(burst), BURST_RECEIVING);
    assert_int_equal(burst_received(burst), 0);
    assert_int_equal(burst->cursor, BURST_NONE);
    assert_int_equal(burst->plugin, BURST_NONE);
    assert_int_equal(burst->one_by_one, 0);
    assert_int_equal(burst->resend, 0);
    assert_int_equal(burst->attempts, 0);
}

static void test_begin_receive_clears_every_length_and_leaves_the_receive_headers(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;
    struct iovec iovecs[BURST_MAX];

    memset(burst->iovecs, 0xff, sizeof(burst->iovecs));
    memcpy(iovecs, burst->iovecs, sizeof(iovecs));
    for (unsigned count = 0; count <= BURST_MAX; count++) {
        for (unsigned i = 0; i < count; i++) {
            burst->messages[i].msg_len = i % 2 == 0 ? 1 : UINT32_MAX;
            memset(&burst->messages[i].msg_hdr, 0xff, sizeof(burst->messages[i].msg_hdr));
        }
        burst_begin_receive(burst);
        for (unsigned i = 0; i < BURST_MAX; i++) {
            assert_int_equal(burst->messages[i].msg_len, 0);
            assert_true(i >= count || burst->messages[i].msg_hdr.msg_iovlen == SIZE_MAX);
        }
        assert_memory_equal(burst->iovecs, iovecs, sizeof(iovecs));
    }
}

static void test_received_counts_every_message_of_the_burst(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned count = 0; count <= BURST_MAX; count++) {
        burst_fill(fixture, count, 1, BURST_RECEIVING);
        assert_int_equal(burst_received(fixture->burst), count);
    }
}

static void test_verdict_is_stored_with_its_mark_and_flags(void **state)
{
    struct burst_fixture *fixture = *state;

    burst_fill(fixture, BURST_MAX, 1, BURST_HANDLING);
    burst_set_verdict(fixture->burst, 9, NFQE_ACCEPT, 0x12345678, BURST_SETS_MARK | BURST_BY_FLOW);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        assert_int_equal(burst_is_decided(fixture->burst, i), i == 9);
    }
    assert_int_equal(fixture->burst->entries[9].verdict, NFQE_ACCEPT);
    assert_int_equal(fixture->burst->entries[9].mark, 0x12345678);
    assert_int_equal(fixture->burst->entries[9].flags, BURST_DECIDED | BURST_SETS_MARK | BURST_BY_FLOW);
    burst_force_verdict(fixture->burst, 9, NFQE_DROP); /* the packet at the cursor of a crash keeps nothing */
    assert_int_equal(fixture->burst->entries[9].flags, BURST_DECIDED);
}

static void test_forced_verdict_is_that_of_one_packet_and_leaves_its_mark(void **state)
{
    struct burst_fixture *fixture = *state;

    burst_fill(fixture, BURST_MAX, 1, BURST_HANDLING);
    fixture->burst->entries[9].mark = 0x77;
    burst_force_verdict(fixture->burst, 9, NFQE_DROP);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        assert_int_equal(burst_is_decided(fixture->burst, i), i == 9);
    }
    assert_int_equal(fixture->burst->entries[9].verdict, NFQE_DROP);
    assert_int_equal(fixture->burst->entries[9].id, 10);
    assert_int_equal(fixture->burst->entries[9].mark, 0x77);
}

/* ---- counting ------------------------------------------------------------------------------------ */

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
        WITH_BURST(test_attaching_points_every_header_at_its_slot_whatever_was_there),
        WITH_BURST(test_begin_receive_forgets_the_burst_before),
        WITH_BURST(test_begin_receive_clears_every_length_and_leaves_the_receive_headers),
        WITH_BURST(test_received_counts_every_message_of_the_burst),
        WITH_BURST(test_forced_verdict_is_that_of_one_packet_and_leaves_its_mark),
        WITH_BURST(test_verdict_is_stored_with_its_mark_and_flags),
        WITH_BURST(test_commit_adds_every_counter_and_ends_the_burst),
        WITH_BURST(test_answered_packets_are_those_of_the_workers_and_of_their_deaths),
        WITH_BURST(test_commit_replaces_the_outstanding_ids_together_with_the_counters),
        WITH_BURST(test_commit_reads_nothing_after_the_last_counter),
        WITH_BURST(test_phases_keep_the_counters),
        WITH_BURST(test_commit_that_did_not_end_counts_nothing),
        WITH_BURST(test_worker_killed_at_any_moment_leaves_whole_bursts_counted),
    };

    return cmocka_run_group_tests_name("burst", tests, NULL, NULL);
}
