/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process that cannot go on: a receive or a send that fails, a journal without room. It ends with the reason, and
 * its successor answers what it left.
 *
 * The workers run without plugins, on the model of the kernel: what they see is accepted.
 */
#include "kernel_model.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ERRORS_MAX 16 /* receive errors in a row that a process does not survive */

/* ---- receiving ------------------------------------------------------------------------------------------ */

/* The kernel may have consumed a message that it could not copy: its packet is held until its id is recovered. */
static void test_receive_that_faults_ends_the_process_and_its_successor_recovers(void **state)
{
    (void)state;
    model_will_receive(1, 3);
    model_will_fail(-EFAULT);
    model_run();
    model_assert_gave_up("it cannot receive: Bad address");
    assert_int_equal(kernel->step, 2);
    assert_int_not_equal(journal_receiving(fixture.journal), JOURNAL_NO_BURST);
    model_supervise(5);
    model_will_receive(5, 1);
    model_run();
    model_assert_left_in_order();
    model_assert_recovered(4, 4);
    model_assert_fates(5, 5, NFQE_ACCEPT);
    assert_int_equal(model_counters()->recovered_ids, 1);
}

static void test_socket_that_is_gone_ends_the_process(void **state)
{
    (void)state;
    model_will_fail(-EBADF);
    model_run();
    model_assert_gave_up("it cannot receive: Bad file descriptor");
    model_will_fail(-ENOTSOCK);
    model_run();
    model_assert_gave_up("it cannot receive: Socket operation on non-socket");
    assert_int_equal(kernel->step, 2);
}

static void test_passing_receive_errors_are_counted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        model_will_fail(i % 2 == 0 ? -ENOMEM : -ENOBUFS);
    }
    model_will_receive(1, 2);
    model_run();
    model_assert_left_in_order();
    model_assert_fates(1, 2, NFQE_ACCEPT);
    assert_int_equal(model_counters()->receive_errors, 5);
}

static void test_receive_errors_that_last_end_the_process(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SCRIPT_MAX; i++) {
        model_will_fail(-EINVAL);
    }
    model_run();
    model_assert_gave_up("it cannot receive: Invalid argument");
    assert_int_equal(kernel->step, ERRORS_MAX);
    assert_int_equal(model_counters()->receive_errors, ERRORS_MAX - 1); /* the last one is the process's reason */
}

/* A burst, or a queue without packets: the next errors are counted from the first again. */
static void test_receive_errors_with_a_success_between_end_no_process(void **state)
{
    (void)state;
    for (unsigned idle = 0; idle < 2; idle++) {
        kernel->steps = kernel->step = 0;
        for (unsigned i = 0; i < 2 * (ERRORS_MAX - 1); i++) {
            if (i == ERRORS_MAX - 1) {
                model_will(&(struct step){.first = 1, .count = 1, .error = idle != 0 ? -EAGAIN : 0});
            }
            model_will_fail(-EINVAL);
        }
        model_run();
        model_assert_left_in_order();
        assert_int_equal(model_counters()->receive_errors, (idle + 1) * 2 * (ERRORS_MAX - 1));
    }
}

/* The kernel says so when messages came faster than they were received. */
static void test_overrun_of_the_socket_ends_no_process(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SCRIPT_MAX; i++) {
        model_will_fail(-ENOBUFS);
    }
    model_run();
    model_assert_left_in_order();
    assert_int_equal(model_counters()->receive_errors, SCRIPT_MAX);
}

/* Where the kernel puts the messages, and how long they may be. */
static void test_damaged_receive_headers_are_made_again_by_the_next_process(void **state)
{
    (void)state;
    memset(fixture.burst->iovecs, 0, sizeof(fixture.burst->iovecs));
    for (unsigned i = 0; i < BURST_MAX; i++) {
        fixture.burst->messages[i].msg_hdr.msg_iov = NULL;
    }
    model_will_receive(1, BURST_MAX);
    model_run();
    model_assert_left_in_order();
    model_assert_fates(1, BURST_MAX, NFQE_ACCEPT);
}

/* ---- sending -------------------------------------------------------------------------------------------- */

static void assert_cannot_send(void)
{
    kernel->send_error = -ENOBUFS;
    model_run();
    model_assert_gave_up("its verdicts cannot be sent: No buffer space available");
    kernel->send_error = 0;
}

static void test_verdicts_that_cannot_be_sent_are_its_successors(void **state)
{
    (void)state;
    model_will_receive(1, 5);
    assert_cannot_send();
    assert_int_equal(model_counters()->packets, 5);
    assert_int_equal(model_counters()->accepted, 0);
    model_supervise(5);
    model_run();
    model_assert_left_in_order();
    model_assert_fates(1, 5, NFQE_ACCEPT);
    assert_int_equal(model_counters()->packets, 5);
    assert_int_equal(model_counters()->accepted, 5);
}

static void test_recovered_burst_that_cannot_be_sent_is_left_to_the_next_process(void **state)
{
    (void)state;
    model_die_with_burst(1, 5, BURST_HANDLING);
    model_supervise(5);
    assert_cannot_send();
    model_supervise(5);
    model_run();
    model_assert_left_in_order();
    model_assert_fates(1, 5, NFQE_ACCEPT);
    assert_int_equal(model_counters()->packets, 5);
    assert_int_equal(model_counters()->accepted, 5);
}

static void test_recovered_ids_that_cannot_be_sent_are_left_to_the_next_process(void **state)
{
    (void)state;
    for (unsigned idle = 0; idle < 2; idle++) {
        uint32_t first = 1 + idle * 4;

        model_die_with_burst(first, 0, BURST_RECEIVING);
        model_supervise(first + 2);
        if (idle != 0) {
            model_will_fail(-EAGAIN);
        } else {
            model_will_receive(first + 2, 1);
        }
        assert_cannot_send();
        assert_int_equal(journal_totals(fixture.journal)->outstanding.count, 1);
        model_supervise(first + 2);
        model_will_receive(first + 3, 1);
        model_run();
        model_assert_left_in_order();
        model_assert_recovered(first, first + 1);
        model_assert_fates(first + 2, first + 2, idle != 0 ? NFQE_DROP : NFQE_ACCEPT);
        model_assert_fates(first + 3, first + 3, NFQE_ACCEPT);
    }
}

/* The queue is not bound any more, or not by this socket. What was received is committed, so it is counted once. */
static void test_kernel_that_takes_no_verdict_ends_the_process(void **state)
{
    static const int errors[] = {-EPERM, -ENODEV};
    static const char *const reasons[] = {"the kernel takes no verdict of its socket: Operation not permitted",
                                          "the kernel takes no verdict of its socket: No such device"};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        kernel->steps = kernel->step = 0;
        model_will(&(struct step){.first = 1 + 3 * i, .count = 3, .other = 1, .answer = errors[i], .sequence = 1});
        model_will_receive(100, 1);
        model_run();
        model_assert_gave_up(reasons[i]);
        assert_int_equal(kernel->step, 1);
        assert_int_equal(model_counters()->verdict_errors, 1 + i);
        assert_int_equal(model_counters()->packets, 2 + 2 * i);
        kernel->steps = kernel->step = 0;
        model_supervise(3 + 3 * i);
        model_run();
        model_assert_left_in_order();
        model_assert_fates(2 + 3 * i, 3 + 3 * i, NFQE_ACCEPT);
    }
}

/* ---- the journal ---------------------------------------------------------------------------------------- */

/* As many ranges as there can be; the last id is 1000. */
static void fill_outstanding(void)
{
    struct outstanding *outstanding = (struct outstanding *)(uintptr_t)&journal_totals(fixture.journal)->outstanding;

    for (uint32_t i = 0; i < OUTSTANDING_RANGES_MAX; i++) {
        outstanding->ranges[i].first = outstanding->ranges[i].last = model_id_base + 1 + 2 * i;
    }
    outstanding->count = OUTSTANDING_RANGES_MAX;
    outstanding->last_id = model_id_base + 1000;
}

/* That the set says that they are outstanding is enough: no message of theirs is there. */
static void test_outstanding_ids_that_are_in_no_burst_get_the_crash_verdict(void **state)
{
    (void)state;
    fill_outstanding();
    model_supervise(1003);
    model_will_fail(-EAGAIN);
    model_run();
    model_assert_left_in_order();
    for (uint32_t i = 0; i < OUTSTANDING_RANGES_MAX; i++) {
        model_assert_recovered(1 + 2 * i, 1 + 2 * i);
        model_assert_fates(2 + 2 * i, 2 + 2 * i, 0);
    }
    model_assert_recovered(1001, 1003);
    assert_int_equal(model_counters()->recovered_ids, OUTSTANDING_RANGES_MAX + 3);
}

/* No reason to answer the wrong ids. */
static void test_lost_ids_that_the_journal_has_no_room_for_end_the_process(void **state)
{
    char reason[96];

    (void)state;
    fill_outstanding();
    model_die_with_burst(1004, 1, BURST_RECEIVING);
    model_supervise(1004);
    model_run();
    snprintf(reason, sizeof(reason), "ids %u to %u cannot be recovered: No space left on device", model_id_base + 1001,
             model_id_base + 1003);
    model_assert_gave_up(reason);
    assert_int_equal(kernel->messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KERNEL(test_receive_that_faults_ends_the_process_and_its_successor_recovers),
        WITH_KERNEL(test_socket_that_is_gone_ends_the_process),
        WITH_KERNEL(test_passing_receive_errors_are_counted),
        WITH_KERNEL(test_receive_errors_that_last_end_the_process),
        WITH_KERNEL(test_receive_errors_with_a_success_between_end_no_process),
        WITH_KERNEL(test_overrun_of_the_socket_ends_no_process),
        WITH_KERNEL(test_damaged_receive_headers_are_made_again_by_the_next_process),
        WITH_KERNEL(test_kernel_that_takes_no_verdict_ends_the_process),
        WITH_KERNEL(test_verdicts_that_cannot_be_sent_are_its_successors),
        WITH_KERNEL(test_recovered_burst_that_cannot_be_sent_is_left_to_the_next_process),
        WITH_KERNEL(test_recovered_ids_that_cannot_be_sent_are_left_to_the_next_process),
        WITH_KERNEL(test_outstanding_ids_that_are_in_no_burst_get_the_crash_verdict),
        WITH_KERNEL(test_lost_ids_that_the_journal_has_no_room_for_end_the_process),
    };

    return model_run_tests("queue_failures", tests, sizeof(tests) / sizeof(tests[0]));
}
