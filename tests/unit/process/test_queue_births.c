/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queue processes: started once, replaced when they were reaped and not before, with new workers, and with what their
 * successor needs to finish what they had begun.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/arith.h"
#include "base/clock.h"
#include "process/births.h"
#include "process/queue_births.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000

static struct children *const children = &children_fixture.children;

static void test_each_queue_has_one_process_that_goes_on(void **state)
{
    pid_t pids[CHILDREN_QUEUES];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        pids[i] = children_queue_pid(i);
    }
    children_answer(0);
    children_kill_worker(0, 0);
    children_wait_opened(0, 0, 0);
    queue_births_start(&children->queues[0]); /* there is one */
    children_turn_for(20);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_int_equal(children_queue_pid(i), pids[i]);
        assert_int_equal(children_fixture.scripts[i].forked, 1);
    }
}

static void test_queue_process_that_has_answered_is_replaced_at_once_with_new_workers(void **state)
{
    pid_t other;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    other = children_queue_pid(1);
    for (unsigned i = 1; i <= 3; i++) {
        pid_t before = children_queue_pid(0);
        pid_t worker = children_pid(0, 0);
        char line[128];

        children_answer(0);
        log_lines_clear();
        children_kill_queue(0);
        assert_int_not_equal(children_queue_pid(0), 0); /* in the same turn */
        assert_int_equal(children->queues[0].retry_ns, 0);
        assert_int_equal(children->queues[0].backoff.wait_ms, 0);
        snprintf(line, sizeof(line),
                 "queue 7: queue process %d was killed (SIGKILL); another one goes on with its packets", before);
        log_lines_assert(line);
        children_wait_serving(0, before);
        children_wait_opened(0, 0, worker);
        assert_int_equal(children_control(0)->restarts, i);
        assert_int_equal(children_fixture.scripts[0].forked, i + 1);
    }
    assert_int_equal(children_queue_pid(1), other);
    assert_int_equal(children_control(1)->restarts, 0);
}

/* Its queue is not answered meanwhile. */
static void
test_queue_process_that_has_answered_nothing_is_replaced_after_a_wait_of_a_tenth_of_a_second_at_most(void **state)
{
    static const unsigned expected_ms[] = {10, 20, 40, 80, 100, 100};

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    for (unsigned i = 0; i < ARRAY_SIZE(expected_ms); i++) {
        pid_t before = children_queue_pid(0);

        children_kill_queue(0);
        assert_int_equal(children_queue_pid(0), 0);
        assert_int_equal(children->queues[0].backoff.wait_ms, expected_ms[i]);
        children_wait_serving(0, before);
        assert_int_equal(children->queues[0].retry_ns, 0);
    }
    children_answer(0);
    children_kill_queue(0);
    assert_int_equal(children->queues[0].backoff.wait_ms, 0);
}

static bool worker_is_dismissed(void)
{
    for (unsigned i = 0; i < children->places; i++) {
        if (children->queues[0].workers[i].number == 1) {
            return false;
        }
    }
    return true;
}

/* One that does not leave by itself. */
static void test_workers_are_dismissed_with_their_queue_process_and_nothing_is_said_of_them(void **state)
{
    pid_t worker;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.scripts[0].way = WAY_STAY;
    children_start(children);
    children_wait_opened(0, 0, 0);
    children_wait_opened(1, 0, 0);
    children_run(children);
    worker = children_pid(0, 0);
    children_fixture.scripts[0].way = WAY_SERVE;
    assert_int_equal(children_worker(0, 0)->number, 1);
    children_answer(0);
    children_kill_queue(0);
    children_turn_until(worker_is_dismissed);
    assert_int_equal(kill(worker, 0), -1);
    children_wait_opened(0, 0, worker);
    assert_int_equal(log_lines.count, 1); /* that of the queue process */
    assert_int_equal(children_control(0)->restarts, 1);
}

static void test_successor_has_the_same_request_and_no_word_of_its_predecessor(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_request(children, 0, QUEUE_STOP);
    children_control(0)->closing = 1;
    children_control(0)->request = QUEUE_RUN;
    snprintf(children_control(0)->text, QUEUE_MESSAGE_TEXT_MAX, "old");
    children_kill_queue(0);
    children_fixture.scripts[0].queue_way = QUEUE_WAY_STAY;
    while (children_control(0)->state != QUEUE_DRAINING || children_queue_pid(0) == 0) {
        children_turn_for(1);
    }
    assert_int_equal(children_control(0)->request, QUEUE_STOP);
    assert_int_equal(children_control(1)->request, QUEUE_RUN);
    assert_int_equal(children_control(0)->closing, PLUGINS_MAX);
    assert_int_equal(children_control(0)->text[0], 0);
}

/* ---- ids ------------------------------------------------------------------------------------------------------- */

static void test_ids_are_recovered_after_a_death_with_packets_in_flight_alone(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_kill_queue(0);
    assert_int_equal(children_journal(0)->recover_ids, 0);
    children_wait_serving(0, 0);
    journal_begin_receive(children_journal(0), 0);
    children_kill_queue(0);
    assert_int_not_equal(children_journal(0)->recover_ids, 0);
    assert_int_equal(children_journal(0)->recover_to, CHILDREN_LAST_ID);
}

static void assert_recovered_up_to_the_last_one_that_is_known(void)
{
    struct journal *journal = children_journal(0);
    struct outstanding outstanding = journal_totals(journal)->outstanding;

    outstanding.last_id = 17;
    journal_commit_send(journal, &(struct queue_stats){0}, NULL, &outstanding);
    journal_begin_receive(journal, 0);
    children_kill_queue(0);
    assert_int_not_equal(journal->recover_ids, 0);
    assert_int_equal(journal->recover_to, 17);
}

static void test_ids_are_recovered_up_to_the_last_one_that_is_known(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_fixture.kernel_silent = true;
    assert_recovered_up_to_the_last_one_that_is_known();
}

static void test_ids_that_another_socket_was_given_are_not_recovered(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_fixture.base.engine.queues[0].kernel.port_id = 4711;
    assert_recovered_up_to_the_last_one_that_is_known();
}

/* What was in flight may have caused the former, not the latter. */
static void test_crashes_over_packets_are_counted_and_kills_are_not(void **state)
{
    struct journal *journal;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    journal = children_journal(0);
    journal_begin_receive(journal, 0);
    for (uint32_t crashes = 1; crashes <= 3; crashes++) {
        children_end_queue(0, SIGABRT);
        children_wait_serving(0, 0);
        children_kill_queue(0);
        assert_int_equal(journal->deaths, crashes);
        children_wait_serving(0, 0);
    }
}

/* ---- ends that are none ---------------------------------------------------------------------------------------- */

static void test_queue_process_that_dies_over_packets_is_replaced_although_it_was_to_leave(void **state)
{
    pid_t before;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.scripts[0].way = WAY_STAY;
    children_start_serving();
    journal_begin_receive(children_journal(0), 0);
    children_request(children, 0, QUEUE_EXIT);
    while (children_control(0)->state != QUEUE_CLOSING) {
        children_turn_for(1);
    }
    before = children_queue_pid(0);
    children_kill_queue(0);
    assert_false(children_exited(children, 0));
    while (children_queue_pid(0) == 0 || children_queue_pid(0) == before) {
        children_turn_for(1);
    }
    assert_false(children_exited(children, 0));
}

/* It ends although it was not asked to, before it has said that it leaves. */
static void test_queue_process_that_exits_by_itself_has_not_left(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.scripts[0].queue_way = QUEUE_WAY_STAY;
    children_start_serving();
    children_request(children, 0, QUEUE_EXIT);
    children_kill_queue(0);
    assert_false(children_exited(children, 0));
}

/* ---- waits that nothing follows ---------------------------------------------------------------------------------- */

#define TURNS 40

static uint64_t waited_ns;

static bool time_has_come(void)
{
    return children->ticked_ns >= waited_ns;
}

/* A tick that was due at once after each would have a turn of the loop, and the next one, never wait. */
static void assert_ticks_are_apart(uint64_t due_ns)
{
    waited_ns = due_ns;
    children_turn_until(time_has_come);
    for (unsigned i = 0; i < TURNS; i++) {
        assert_true(children->tick.due_ns > children->ticked_ns);
        assert_int_equal(event_loop_turn(&children_fixture.base.loop), 0);
    }
}

static void test_queue_that_needs_no_process_is_not_waited_for(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_kill_queue(0);
    assert_int_not_equal(children->queues[0].retry_ns, 0);
    children_need_no_process(children, 0);
    assert_ticks_are_apart(children->queues[0].retry_ns);
    assert_int_equal(children_queue_pid(0), 0);
}

static void test_nothing_is_waited_for_when_all_ends(void **state)
{
    uint64_t due_ns;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_kill_queue(0);
    births_retry(&children->queues[1]);
    assert_int_not_equal(children->queues[0].retry_ns, 0);
    due_ns = max_u64(children->queues[0].retry_ns, children->queues[1].births_ns);
    children_end(children);
    assert_ticks_are_apart(due_ns);
    children_end_all();
}

/* ---- one that cannot be reaped ----------------------------------------------------------------------------------- */

/* Until it was, it could still read the socket. */
static void test_queue_process_is_not_replaced_before_it_was_reaped(void **state)
{
    pid_t held;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    held = children_queue_pid(0);
    children_hold(held);
    children_answer(0);
    kill(held, SIGKILL);
    children_turn_for(100);
    assert_int_equal(children_queue_pid(0), held);
    assert_int_equal(children_fixture.scripts[0].forked, 1);
    assert_false(children->queues[0].process.end.watched); /* it has ended, but is no event for ever */
    children_let_go();
    children_wait_serving(0, held);
    assert_int_equal(children_fixture.scripts[0].forked, 2);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void test_queue_process_that_dies_before_the_engine_runs_is_a_failure_of_the_start(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.scripts[0].queue_way = QUEUE_WAY_FAIL;
    children_start(children);
    children_turn_until(children_has_failed);
    assert_int_equal(children->exit_report.failure.exit_code, EXIT_CODE_RUN_TIME);
    assert_non_null(strstr(children->exit_report.failure.text, ": it fails"));
    assert_int_equal(children_control(0)->restarts, 0);
    assert_int_equal(log_lines.count, 0);
}

static void test_without_descriptors_it_is_tried_again_and_none_is_lost(void **state)
{
    struct rlimit limit;
    struct rlimit none;
    unsigned descriptors;

    (void)state;
    children_fixture_begin(LONG_MS);
    descriptors = children_count_descriptors();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){descriptors, limit.rlim_max}; /* those that are open, and too few more */
    for (rlim_t room = 0; room < 2; room++) {
        none.rlim_cur = descriptors - 3 + room; /* what opendir() and "." and ".." add is not there */
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        children_start(children);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(children_count_descriptors(), descriptors);
        assert_int_equal(children_queue_pid(0), 0);
        assert_true(children->queues[0].retry_ns > 0);
        assert_int_equal(children->queues[0].channel.fd, -1);
    }
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: no queue process: Too many open files");
    children_turn_until(children_have_opened);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_each_queue_has_one_process_that_goes_on),
        WITH_CHILDREN(test_queue_process_that_has_answered_is_replaced_at_once_with_new_workers),
        WITH_CHILDREN(
            test_queue_process_that_has_answered_nothing_is_replaced_after_a_wait_of_a_tenth_of_a_second_at_most),
        WITH_CHILDREN(test_workers_are_dismissed_with_their_queue_process_and_nothing_is_said_of_them),
        WITH_CHILDREN(test_successor_has_the_same_request_and_no_word_of_its_predecessor),
        WITH_CHILDREN(test_ids_are_recovered_after_a_death_with_packets_in_flight_alone),
        WITH_CHILDREN(test_ids_are_recovered_up_to_the_last_one_that_is_known),
        WITH_CHILDREN(test_ids_that_another_socket_was_given_are_not_recovered),
        WITH_CHILDREN(test_crashes_over_packets_are_counted_and_kills_are_not),
        WITH_CHILDREN(test_queue_process_that_dies_over_packets_is_replaced_although_it_was_to_leave),
        WITH_CHILDREN(test_queue_process_that_exits_by_itself_has_not_left),
        WITH_CHILDREN(test_queue_that_needs_no_process_is_not_waited_for),
        WITH_CHILDREN(test_nothing_is_waited_for_when_all_ends),
        WITH_CHILDREN(test_queue_process_is_not_replaced_before_it_was_reaped),
        WITH_CHILDREN(test_queue_process_that_dies_before_the_engine_runs_is_a_failure_of_the_start),
        WITH_CHILDREN(test_without_descriptors_it_is_tried_again_and_none_is_lost),
    };

    return cmocka_run_group_tests_name("queue_births", tests, NULL, NULL);
}
