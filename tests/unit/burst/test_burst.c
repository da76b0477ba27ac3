/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A burst while its worker lives: where it is received, what a receive leaves in it, and its verdicts.
 *
 * What is committed of it is in test_journal.c, what is found in it after a death in test_recovery_guilt.c and
 * test_recovery.c.
 */
#include "unit.h"

#include "burst/burst.h"
#include "burst/recovery.h"
#include "burst_fixture.h"

#include <nfqe/plugin.h>

#include <string.h>

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
    burst_begin_receive(burst);
    assert_int_equal(burst->packets, 0);
    assert_int_equal(burst_received(burst), 0);
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
    burst_force_verdict(fixture->burst, 9, NFQE_DROP); /* and keeps nothing of the one before */
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

static void test_run_of_ids_ends_before_the_first_that_is_not_the_next(void **state)
{
    static const uint32_t starts[] = {1, UINT32_MAX - 2, INT32_MAX - 2};
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        for (unsigned gap = 1; gap < BURST_MAX; gap++) {
            struct outstanding_range run;

            burst_fill(fixture, BURST_MAX, starts[i], BURST_RECEIVING);
            for (unsigned packet = gap; packet < BURST_MAX; packet++) {
                burst->entries[packet].id++;
            }
            assert_int_equal(burst_id_run(burst, 0, BURST_MAX, &run), gap);
            assert_true(run.first == starts[i] && run.last == starts[i] + gap - 1);
            assert_int_equal(burst_id_run(burst, gap, BURST_MAX, &run), BURST_MAX);
            assert_true(run.first == starts[i] + gap + 1 && run.last == starts[i] + BURST_MAX);
            assert_int_equal(burst_id_run(burst, 0, 1, &run), 1); /* and at the end */
            assert_true(run.first == starts[i] && run.last == starts[i]);
        }
    }
}

static void test_verdict_is_counted_once_and_as_what_it_is(void **state)
{
    struct queue_stats stats = {0};

    (void)state;
    burst_count_verdict(&(struct burst_entry){.verdict = NFQE_ACCEPT, .flags = BURST_DECIDED}, &stats);
    burst_count_verdict(&(struct burst_entry){.verdict = NFQE_DROP, .flags = BURST_DECIDED | BURST_BY_FLOW}, &stats);
    burst_count_verdict(&(struct burst_entry){.verdict = NFQE_DROP, .flags = BURST_DECIDED | BURST_FLOW_NOT_STORED},
                        &stats);
    burst_count_verdict(&(struct burst_entry){.verdict = NFQE_ACCEPT, .flags = BURST_DECIDED | BURST_INVALID}, &stats);
    burst_count_verdict(&(struct burst_entry){.verdict = NFQE_DROP, .flags = BURST_DECIDED | BURST_CRASHED}, &stats);
    burst_count_verdict(&(struct burst_entry){.verdict = NFQE_DROP, .flags = BURST_DECIDED | BURST_CRASHED}, &stats);
    assert_int_equal(stats.accepted, 2);
    assert_int_equal(stats.dropped, 4);
    assert_int_equal(stats.invalid, 1);
    assert_int_equal(stats.crash_verdicts, 2);
    assert_int_equal(stats.flow_packets, 1);
    assert_int_equal(stats.flow_not_stored, 1);
    assert_int_equal(stats.packets + stats.bursts, 0);
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
        WITH_BURST(test_run_of_ids_ends_before_the_first_that_is_not_the_next),
        WITH_BURST(test_verdict_is_counted_once_and_as_what_it_is),
    };

    return cmocka_run_group_tests_name("burst", tests, NULL, NULL);
}
