/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of the children: workers are born for their queue process, are replaced when they die, and leave when they
 * are asked to; and nothing is left of them.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/arith.h"
#include "base/clock.h"
#include "process/births.h"
#include "process/queue_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define DEATHS 100

static struct children *const children = &children_fixture.children;

static bool all_exited(void)
{
    return children_all_exited(children);
}

static bool has_exited(void)
{
    return children_exited(children, 0);
}

static void assert_killed_line(unsigned queue, pid_t pid)
{
    char line[128];

    snprintf(line, sizeof(line), "queue %u: worker %d was killed (SIGKILL) between two packets; it is replaced",
             ENGINE_FIXTURE_QUEUE + queue, pid);
    log_lines_assert(line);
    log_lines_clear();
}

static void begin_with_workers(unsigned workers, unsigned spares)
{
    children_fixture_prepare(LONG_MS);
    children_fixture.base.group.workers = workers;
    children_fixture.base.group.spares = spares;
    children_fixture_init();
}

/* ---- births ---------------------------------------------------------------------------------------------------- */

static void test_workers_open_and_queue_processes_wait_until_they_may_run(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    assert_false(children_all_opened(children));
    children_start(children);
    children_turn_until(children_have_opened);
    assert_true(children_pid(0, 0) > 0 && children_pid(1, 0) > 0 && children_pid(0, 0) != children_pid(1, 0));
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_true(children_has_process(children, i));
        assert_int_equal(waitpid(children_pid(i, 0), NULL, WNOHANG), 0); /* a child of ours, and alive */
        assert_int_equal(waitpid(children_queue_pid(i), NULL, WNOHANG), 0);
        assert_int_equal(children_control(i)->request, QUEUE_OPEN);
    }
    children_turn_for(20);
    assert_int_equal(children_control(0)->state, QUEUE_OPENED);
    assert_int_equal(children->exit_report.failure.exit_code, EXIT_CODE_OK);
    assert_int_equal(log_lines.count, 0);
}

static void test_all_have_opened_only_if_each_queue_has_its_workers(void **state)
{
    (void)state;
    begin_with_workers(2, 0);
    children_fixture.scripts[1].way = WAY_HANG_IN_OPEN;
    children_start(children);
    children_wait_opened(0, 0, 0);
    children_wait_opened(0, 1, 0);
    while (children_pid(1, 0) == 0 || children_pid(1, 1) == 0) {
        children_turn_for(1);
    }
    assert_false(children_all_opened(children));
    children_worker(1, 0)->opened = true;
    assert_false(children_all_opened(children));
    children_worker(1, 1)->opened = true;
    assert_true(children_all_opened(children));
    children_worker(1, 1)->lost = true;
    assert_false(children_all_opened(children));
    children->queues[1].workers[1].lost = false;
}

static void test_workers_and_spares_are_asked_for_each_in_a_slot_of_its_own(void **state)
{
    (void)state;
    begin_with_workers(3, 2);
    children_start_serving();
    for (unsigned slot = 0; slot < 5; slot++) {
        children_wait_opened(0, slot, 0);
        children_wait_opened(1, slot, 0);
    }
    children_turn_for(50);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        unsigned count = 0;

        for (unsigned place = 0; place < children->places; place++) {
            count += children->queues[i].workers[place].number != 0;
        }
        assert_int_equal(count, 5);
        assert_int_equal(children->queues[i].births_backoff.wait_ms, 0); /* all at once: none had to wait */
    }
    assert_int_equal(children->births, 10);
}

/* The start does not wait for spares. */
static void test_queue_without_its_spares_has_opened(void **state)
{
    (void)state;
    begin_with_workers(1, 3);
    children_start(children);
    children_wait_opened(0, 0, 0);
    children_wait_opened(1, 0, 0);
    for (unsigned slot = 1; slot <= 3; slot++) {
        children_wait_opened(0, slot, 0);
        children_worker(0, slot)->opened = false;
    }
    assert_true(children_all_opened(children));
}

static void test_run_lets_every_queue_process_serve(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_int_equal(children_control(i)->request, QUEUE_RUN);
        assert_int_equal(children_control(i)->state, QUEUE_SERVING);
    }
    assert_int_equal(log_lines.count, 0);
}

static bool has_told_the_first(void)
{
    return children_fixture.scripts[0].changes != 0;
}

static bool has_told_both(void)
{
    return has_told_the_first() && children_fixture.scripts[1].changes != 0;
}

/* A queue process sleeps until then. */
static void test_queue_process_is_told_of_a_request_and_no_other_one_is(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_turn_until(has_told_both);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        children_fixture.scripts[i].changes = 0;
    }
    children_request(children, 0, QUEUE_STOP);
    children_turn_until(has_told_the_first);
    assert_int_equal(children_fixture.scripts[0].changes, 1);
    assert_int_equal(children_fixture.scripts[1].changes, 0);
}

/* ---- deaths of workers ----------------------------------------------------------------------------------------- */

static void test_worker_whose_queue_has_answered_is_replaced_at_once(void **state)
{
    pid_t other;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    other = children_pid(1, 0);
    for (unsigned i = 1; i <= 3; i++) {
        pid_t before = children_pid(0, 0);

        children_answer(0);
        children_kill_worker(0, 0);
        assert_int_equal(children->queues[0].births_backoff.wait_ms, 0);
        assert_int_equal(children->queues[0].births_ns, 0);
        assert_killed_line(0, before);
        children_wait_opened(0, 0, before);
        assert_int_equal(children_control(0)->restarts, i);
    }
    assert_int_equal(children_pid(1, 0), other);
    assert_int_equal(children_control(1)->restarts, 0);
}

static void test_worker_that_has_answered_nothing_is_replaced_after_a_wait_that_grows(void **state)
{
    static const unsigned expected_ms[] = {10, 20, 40};

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    for (unsigned i = 0; i < ARRAY_SIZE(expected_ms); i++) {
        pid_t before = children_pid(0, 0);

        children_kill_worker(0, 0);
        assert_int_equal(children->queues[0].births_backoff.wait_ms, expected_ms[i]);
        children_wait_opened(0, 0, before);
        assert_int_equal(children->queues[0].births_ns, 0);
    }
    children_answer(0);
    children_kill_worker(0, 0);
    assert_int_equal(children->queues[0].births_backoff.wait_ms, 0);
}

static void test_wait_for_a_worker_grows_to_a_second_and_no_more(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children->queues[0].births_backoff.wait_ms = 640;
    children_kill_worker(0, 0);
    assert_int_equal(children->queues[0].births_backoff.wait_ms, 1000);
    births_retry(&children->queues[0]);
    assert_int_equal(children->queues[0].births_backoff.wait_ms, 1000);
    assert_true(children->queues[0].births_ns <= monotonic_ns() + 1000 * NS_PER_MS);
}

/* By another worker that is born, by the fork server, by any event. */
static void test_wait_is_not_cut_short_by_what_happens_elsewhere(void **state)
{
    uint32_t births;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children->queues[0].births_backoff.min_ms = children->queues[0].births_backoff.max_ms = LONG_MS;
    children_kill_worker(0, 0);
    assert_true(children->queues[0].births_ns != 0);
    births = children->births;
    births_fill_all(children);
    assert_int_equal(children->births, births);
}

static void test_one_of_several_workers_alone_is_replaced(void **state)
{
    pid_t pids[3];

    (void)state;
    begin_with_workers(2, 1);
    children_start_serving();
    for (unsigned slot = 0; slot < 3; slot++) {
        children_wait_opened(0, slot, 0);
        pids[slot] = children_pid(0, slot);
    }
    children_answer(0);
    children_kill_worker(0, 1);
    children_wait_opened(0, 1, pids[1]);
    assert_int_equal(children_pid(0, 0), pids[0]);
    assert_int_equal(children_pid(0, 2), pids[2]);
    assert_int_equal(children_fixture.scripts[0].slot, 1);
}

static void test_worker_of_a_queue_process_that_is_to_leave_is_not_replaced(void **state)
{
    (void)state;
    children_fixture.scripts[0].queue_way = QUEUE_WAY_STAY;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_request(children, 0, QUEUE_EXIT);
    children_answer(0);
    children_kill_worker(0, 0);
    births_fill_all(children);
    assert_int_equal(children->births, CHILDREN_QUEUES);
}

/* ---- stopping -------------------------------------------------------------------------------------------------- */

static void test_queue_process_that_leaves_is_not_replaced_and_nor_are_its_workers(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_request(children, 0, QUEUE_EXIT);
    children_turn_until(has_exited);
    assert_false(children_has_process(children, 0));
    assert_false(children_exited(children, 1));
    assert_false(children_all_exited(children));
    children_request(children, 1, QUEUE_EXIT);
    children_turn_until(all_exited);
    children_turn_for(50);
    assert_int_equal(children_queue_pid(0), 0);
    assert_int_equal(children_pid(0, 0), 0);
    assert_int_equal(children_control(0)->restarts, 0);
    assert_int_equal(children_fixture.scripts[0].forked, 1);
    assert_int_equal(log_lines.count, 0);
}

static void test_worker_that_leaves_badly_has_a_line_and_its_queue_process_leaves_all_the_same(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.scripts[0].way = WAY_LEAVE_BADLY;
    children_fixture.scripts[0].loss = (struct queue_message){.stage = RING_CLOSING, .plugin = 1};
    children_start_serving();
    children_request(children, 0, QUEUE_EXIT);
    children_request(children, 1, QUEUE_EXIT);
    children_turn_until(all_exited);
    log_lines_assert("queue 7: /p/second.so: close() exited with status 3; every packet had been answered");
}

static void test_queue_that_needs_no_process_gets_none(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_kill_queue(0);
    children_need_no_process(children, 0);
    children_turn_for(150);
    assert_int_equal(children_queue_pid(0), 0);
    assert_true(children_exited(children, 0));
    assert_int_equal(children->queues[0].retry_ns, 0); /* a time that has passed would be a tick for ever */
}

/* As that of a queue that is lost. */
static void test_queue_process_that_is_not_needed_any_more_has_no_successor(void **state)
{
    char line[128];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    snprintf(line, sizeof(line), "queue 7: queue process %d was killed (SIGKILL)", children_queue_pid(0));
    children_need_no_process(children, 0);
    children_turn_for(20);
    assert_true(children_has_process(children, 0));
    children_kill_queue(0);
    children_turn_for(150);
    log_lines_assert(line);
    assert_int_equal(children_queue_pid(0), 0);
    assert_int_equal(children->queues[0].retry_ns, 0);
    assert_int_equal(children_control(0)->restarts, 0);
    assert_int_equal(children_fixture.scripts[0].forked, 1);
}

/* Its queue may have been lost. */
static void test_end_of_a_queue_process_has_the_queues_looked_at_soon(void **state)
{
    static struct figures figures;
    static struct queue_watch watch;
    struct event_loop *loop = &children_fixture.base.loop;
    uint64_t far_ns = monotonic_ns() + 3600 * NS_PER_S;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    figures_begin(&figures, &children_fixture.base.engine, loop);
    queue_watch_begin(&watch, children, &figures);
    children->watch = &watch;
    event_loop_start_timer(loop, &watch.timer, far_ns);
    children_kill_worker(0, 0);
    assert_true(watch.timer.due_ns == far_ns);
    children_kill_queue(0);
    assert_true(watch.timer.due_ns < far_ns);
    queue_watch_end(&watch);
}

static void test_end_leaves_no_process(void **state)
{
    pid_t pids[2 * CHILDREN_QUEUES];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.scripts[0].way = WAY_STAY;
    children_fixture.scripts[0].queue_way = QUEUE_WAY_STAY;
    children_start_serving();
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        pids[2 * i] = children_pid(i, 0);
        pids[2 * i + 1] = children_queue_pid(i);
    }
    children_end_all();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
        assert_int_equal(kill(pids[i], 0), -1);
    }
    assert_int_equal(children->forkserver.process.pid, 0);
    assert_int_equal(log_lines.count, 0);
}

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

static bool none_lingers(void)
{
    for (unsigned i = 0; i < children->engine->queue_count * children->places; i++) {
        if (children->workers[i].number != 0 && children->workers[i].lost) {
            return false;
        }
    }
    return true;
}

/* A worker that has its ring: its channel is closed, its log is open. The one before it has ended. */
static void settle(unsigned queue)
{
    children_wait_opened(queue, 0, 0);
    children_wait_serving(queue, 0);
    children_turn_until(none_lingers);
}

static void test_deaths_leave_no_descriptor(void **state)
{
    static struct child_logs logs;
    unsigned descriptors;

    (void)state;
    children_fixture_begin(LONG_MS);
    child_logs_init(&logs, &children_fixture.base.loop);
    children->logs = &logs;
    children->forkserver_log = &(struct child_log){.logs = NULL};
    children_start_serving();
    settle(0);
    settle(1);
    descriptors = children_count_descriptors();
    for (unsigned i = 0; i < DEATHS; i++) {
        children_answer(0);
        if (i % 4 == 3) {
            children_kill_queue(0);
            children_wait_serving(0, 0);
        } else {
            children_kill_worker(0, 0);
        }
        settle(0);
        assert_int_equal(children_count_descriptors(), descriptors);
    }
    children_end_all();
    child_logs_done(&logs);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_workers_open_and_queue_processes_wait_until_they_may_run),
        WITH_CHILDREN(test_all_have_opened_only_if_each_queue_has_its_workers),
        WITH_CHILDREN(test_workers_and_spares_are_asked_for_each_in_a_slot_of_its_own),
        WITH_CHILDREN(test_queue_without_its_spares_has_opened),
        WITH_CHILDREN(test_run_lets_every_queue_process_serve),
        WITH_CHILDREN(test_queue_process_is_told_of_a_request_and_no_other_one_is),
        WITH_CHILDREN(test_worker_whose_queue_has_answered_is_replaced_at_once),
        WITH_CHILDREN(test_worker_that_has_answered_nothing_is_replaced_after_a_wait_that_grows),
        WITH_CHILDREN(test_wait_for_a_worker_grows_to_a_second_and_no_more),
        WITH_CHILDREN(test_wait_is_not_cut_short_by_what_happens_elsewhere),
        WITH_CHILDREN(test_one_of_several_workers_alone_is_replaced),
        WITH_CHILDREN(test_worker_of_a_queue_process_that_is_to_leave_is_not_replaced),
        WITH_CHILDREN(test_queue_process_that_leaves_is_not_replaced_and_nor_are_its_workers),
        WITH_CHILDREN(test_worker_that_leaves_badly_has_a_line_and_its_queue_process_leaves_all_the_same),
        WITH_CHILDREN(test_queue_that_needs_no_process_gets_none),
        WITH_CHILDREN(test_queue_process_that_is_not_needed_any_more_has_no_successor),
        WITH_CHILDREN(test_end_of_a_queue_process_has_the_queues_looked_at_soon),
        WITH_CHILDREN(test_end_leaves_no_process),
        WITH_CHILDREN(test_deaths_leave_no_descriptor),
    };

    return cmocka_run_group_tests_name("children", tests, NULL, NULL);
}
