/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of the children: workers are born, become owners, are replaced when they die, and leave when they are asked
 * to.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/arith.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000

static struct children *const children = &children_fixture.children;

static bool all_exited(void)
{
    return children_all_exited(children);
}

static bool all_opened(void)
{
    return children_all_opened(children);
}

static void assert_killed_line(unsigned queue, pid_t pid)
{
    char line[128];

    snprintf(line, sizeof(line), "queue %u: worker %d was killed (SIGKILL) between two packets; it is replaced",
             ENGINE_FIXTURE_QUEUE + queue, pid);
    log_lines_assert(line);
    log_lines_clear();
}

/* ---- births ---------------------------------------------------------------------------------------------------- */

static void test_workers_open_and_wait_until_they_may_serve(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    assert_false(children_all_opened(children));
    children_start_forkserver(children);
    children_turn_until(all_opened);
    assert_true(children_pid(0) > 0 && children_pid(1) > 0 && children_pid(0) != children_pid(1));
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_true(children_has_worker(children, i));
        assert_int_equal(waitpid(children_pid(i), NULL, WNOHANG), 0); /* a child of ours, and alive */
        assert_int_equal(children_control(i)->owner, 0);
        assert_int_equal(children_control(i)->request, WORKER_RUN);
        assert_int_equal(children->workers[i].generation, ENGINE_FIXTURE_GENERATION);
    }
    children_turn_for(20);
    assert_int_equal(children_control(0)->state, WORKER_OPENED);
    assert_int_equal(children->exit_report.failure.exit_code, EXIT_CODE_OK);
}

static void test_all_have_opened_only_if_each_has(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.ways[1] = WAY_HANG_IN_OPEN;
    children_start_forkserver(children);
    while (children_pid(0) == 0 || children_control(0)->state != WORKER_OPENED || children_pid(1) == 0) {
        children_turn_for(1);
    }
    assert_false(children_all_opened(children));
    children_control(1)->state = WORKER_OPENED;
    assert_true(children_all_opened(children));
}

static void test_run_makes_each_worker_the_owner_of_its_queue(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_int_equal(children_control(i)->owner, children_pid(i));
        assert_true(children->workers[i].owner);
    }
    assert_int_equal(log_lines.count, 0);
}

/* ---- deaths ---------------------------------------------------------------------------------------------------- */

static void test_worker_that_has_answered_is_replaced_at_once(void **state)
{
    pid_t other;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    other = children_pid(1);
    for (unsigned i = 1; i <= 3; i++) {
        pid_t before = children_pid(0);

        children_answer(0);
        children_kill_worker(0);
        assert_int_equal(children->workers[0].backoff.wait_ms, 0);
        assert_int_equal(children->workers[0].retry_ns, 0);
        assert_killed_line(0, before);
        children_wait_serving(0, before);
        assert_int_equal(children_control(0)->restarts, i);
    }
    assert_int_equal(children_pid(1), other);
    assert_int_equal(children_control(1)->restarts, 0);
}

static void test_worker_that_has_answered_nothing_is_replaced_after_a_wait_that_grows(void **state)
{
    static const unsigned expected_ms[] = {10, 20, 40};

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    for (unsigned i = 0; i < ARRAY_SIZE(expected_ms); i++) {
        pid_t before = children_pid(0);

        children_kill_worker(0);
        assert_int_equal(children->workers[0].backoff.wait_ms, expected_ms[i]);
        assert_true(children->workers[0].retry_ns > 0);
        assert_int_equal(children_pid(0), 0);
        children_wait_serving(0, before);
        assert_int_equal(children->workers[0].retry_ns, 0);
    }
    children_answer(0);
    children_kill_worker(0);
    assert_int_equal(children->workers[0].backoff.wait_ms, 0);
}

static void test_guilty_packet_gets_the_verdict_and_is_named(void **state)
{
    struct journal *journal;
    struct burst *burst;
    pid_t before;
    char line[160];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    journal = children_journal(0);
    journal_begin_receive(journal, 0);
    burst = &journal->bursts[0];
    for (unsigned i = 0; i < 3; i++) {
        burst->entries[i].id = 100 + i;
        burst->messages[i].msg_len = 1; /* it was received */
    }
    burst_journal_enter(journal, 3, BURST_HANDLING, &(struct queue_stats){0});
    burst_set_cursor(burst, 1, 2);
    before = children_pid(0);
    children_kill_worker(0);
    snprintf(line, sizeof(line),
             "queue 7: plugin third 3.0 was killed (SIGKILL) on packet 101; verdict drop; worker %d replaced", before);
    log_lines_assert(line);
    assert_true(burst_is_decided(burst, 1));
    assert_int_equal(burst->entries[1].verdict, NFQE_DROP);
    assert_false(burst_is_decided(burst, 0));
    assert_false(burst_is_decided(burst, 2));
    assert_int_equal(journal->crash_verdicts, 1);
    assert_int_equal(children->workers[0].backoff.wait_ms, 0); /* the packet counts as answered */
}

static void test_ids_are_recovered_after_a_death_in_mid_burst_alone(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_kill_worker(0);
    assert_int_equal(children_journal(0)->recover_ids, 0);
    children_wait_serving(0, 0);
    journal_begin_receive(children_journal(0), 0);
    children_kill_worker(0);
    assert_int_not_equal(children_journal(0)->recover_ids, 0);
    assert_int_equal(children_journal(0)->recover_to, CHILDREN_LAST_ID);
}

/* Where /proc says nothing, up to the last one that is known. */
static void test_ids_are_recovered_up_to_the_last_one_that_is_known(void **state)
{
    struct journal *journal;
    struct outstanding outstanding;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    journal = children_journal(0);
    outstanding = journal_totals(journal)->outstanding;
    outstanding.last_id = 17;
    journal_commit_send(journal, &(struct queue_stats){0}, &outstanding);
    journal_begin_receive(journal, 0);
    children_fixture.kernel_silent = true;
    children_kill_worker(0);
    assert_int_not_equal(journal->recover_ids, 0);
    assert_int_equal(journal->recover_to, 17);
}

/* ---- stopping -------------------------------------------------------------------------------------------------- */

static void test_request_holds_for_the_workers_that_come_after(void **state)
{
    pid_t before;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_request(children, 0, WORKER_STOP);
    assert_int_equal(children_control(0)->request, WORKER_STOP);
    assert_int_equal(children_control(1)->request, WORKER_RUN);
    children_control(0)->request = WORKER_RUN; /* as a plugin could write it */
    before = children_pid(0);
    children_answer(0);
    children_kill_worker(0);
    children_wait_serving(0, before);
    assert_int_equal(children_control(0)->request, WORKER_STOP);
}

static void test_worker_that_leaves_is_not_replaced(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_request(children, 0, WORKER_EXIT);
    while (children_has_worker(children, 0)) {
        children_turn_for(1);
    }
    assert_true(children_exited(children, 0));
    assert_false(children_exited(children, 1));
    assert_false(children_all_exited(children));
    children_request(children, 1, WORKER_EXIT);
    children_turn_until(all_exited);
    children_turn_for(50);
    assert_int_equal(children_pid(0), 0);
    assert_int_equal(children_control(0)->restarts, 0);
    assert_int_equal(log_lines.count, 0);
}

static void test_worker_that_dies_in_close_has_left_all_the_same(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.ways[0] = WAY_LEAVE_BADLY;
    children_start_serving();
    children_request(children, 0, WORKER_EXIT);
    children_request(children, 1, WORKER_EXIT);
    children_turn_until(all_exited);
    log_lines_assert("queue 7: /p/second.so: close() exited with status 3; every packet had been answered");
}

/* One that had not begun to serve leaves no packet behind. */
static void test_worker_that_was_not_the_owner_has_left_whatever_the_journal_says(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_forkserver(children);
    children_turn_until(all_opened);
    burst_journal_enter(children_journal(0), 1, BURST_HANDLING, &(struct queue_stats){0});
    children_request(children, 0, WORKER_EXIT);
    kill(children_pid(0), SIGKILL);
    while (children_has_worker(children, 0)) {
        children_turn_for(1);
    }
    assert_true(children_exited(children, 0));
}

static void test_worker_that_dies_over_a_burst_is_replaced_although_it_was_to_leave(void **state)
{
    pid_t before;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.ways[0] = WAY_STAY;
    children_start_serving();
    burst_journal_enter(children_journal(0), 1, BURST_SENDING, &(struct queue_stats){0});
    children_request(children, 0, WORKER_EXIT);
    before = children_pid(0);
    children_kill_worker(0);
    assert_false(children_exited(children, 0));
    children_wait_serving(0, before);
}

static void test_queue_that_needs_no_worker_gets_none(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_kill_worker(0);
    children_need_no_worker(children, 0);
    children_turn_for(50);
    assert_int_equal(children_pid(0), 0);
    assert_true(children_exited(children, 0));
}

static void test_end_leaves_no_process(void **state)
{
    pid_t pids[CHILDREN_QUEUES];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.ways[0] = WAY_STAY;
    children_start_serving();
    pids[0] = children_pid(0);
    pids[1] = children_pid(1);
    children_end_all();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_int_equal(kill(pids[i], 0), -1);
        assert_int_equal(children_pid(i), 0);
    }
    assert_int_equal(children->forkserver.process.pid, 0);
    assert_int_equal(log_lines.count, 0);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_workers_open_and_wait_until_they_may_serve),
        WITH_CHILDREN(test_all_have_opened_only_if_each_has),
        WITH_CHILDREN(test_run_makes_each_worker_the_owner_of_its_queue),
        WITH_CHILDREN(test_worker_that_has_answered_is_replaced_at_once),
        WITH_CHILDREN(test_worker_that_has_answered_nothing_is_replaced_after_a_wait_that_grows),
        WITH_CHILDREN(test_guilty_packet_gets_the_verdict_and_is_named),
        WITH_CHILDREN(test_ids_are_recovered_after_a_death_in_mid_burst_alone),
        WITH_CHILDREN(test_ids_are_recovered_up_to_the_last_one_that_is_known),
        WITH_CHILDREN(test_request_holds_for_the_workers_that_come_after),
        WITH_CHILDREN(test_worker_that_leaves_is_not_replaced),
        WITH_CHILDREN(test_worker_that_dies_in_close_has_left_all_the_same),
        WITH_CHILDREN(test_worker_that_was_not_the_owner_has_left_whatever_the_journal_says),
        WITH_CHILDREN(test_worker_that_dies_over_a_burst_is_replaced_although_it_was_to_leave),
        WITH_CHILDREN(test_queue_that_needs_no_worker_gets_none),
        WITH_CHILDREN(test_end_leaves_no_process),
    };

    return cmocka_run_group_tests_name("children", tests, NULL, NULL);
}
