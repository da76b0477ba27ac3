/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children that cannot be reaped, at the end of the engine and before: they keep neither the end nor the other queues.
 *
 * A process that has been killed while another one traces it stays until its tracer lets it go, which is as good as a
 * system call that cannot be interrupted.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/arith.h"
#include "base/channel.h"
#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define SLACK_MS 10000 /* for a machine that is busy; a wait that has no end is longer */
#define RUNS 30

static struct children *const children = &children_fixture.children;

static bool workers_have_ended(void)
{
    return children_workers_ended(children);
}

static bool has_ended(void)
{
    return children_ended(children);
}

static unsigned ms_since(uint64_t start_ns)
{
    return (unsigned)((monotonic_ns() - start_ns) / NS_PER_MS);
}

static void assert_overdue_line(unsigned line, pid_t pid)
{
    char text[200];

    snprintf(text, sizeof(text),
             "queue 7: worker %d was killed but is still there, perhaps in a system call that cannot be interrupted; "
             "another one has taken its place",
             pid);
    assert_true(line < log_lines.count);
    assert_string_equal(log_lines.text[line], text);
}

static void test_end_does_not_wait_for_a_worker_that_stays(void **state)
{
    uint64_t start_ns;
    pid_t held;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    held = children_pid(0, 0);
    children_hold(held);
    start_ns = monotonic_ns();
    children_end(children);
    assert_true(ms_since(start_ns) < SLACK_MS); /* it only says what is to happen */
    assert_false(children_workers_ended(children));
    children_turn_until(workers_have_ended);
    assert_int_equal(children_queue_pid(0), 0);
    assert_int_equal(children_queue_pid(1), 0);
    assert_int_equal(children->queues[0].workers[0].process.pid, held);
    assert_int_equal(children->queues[1].workers[0].number, 0);
    assert_true(ms_since(start_ns) >= CHILD_OVERDUE_MS);
    children_turn_until(has_ended);
    assert_true(ms_since(start_ns) < CHILD_OVERDUE_MS + SLACK_MS);
    assert_overdue_line(0, held);
    assert_int_equal(log_lines.count, 1);
    children_done(children);
    children_let_go();
}

static void test_end_does_not_wait_for_a_queue_process_that_stays(void **state)
{
    uint64_t start_ns;
    pid_t held;
    char line[200];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    held = children_queue_pid(0);
    children_hold(held);
    start_ns = monotonic_ns();
    children_end(children);
    assert_true(ms_since(start_ns) < SLACK_MS);
    children_turn_until(workers_have_ended);
    assert_int_equal(children_queue_pid(0), held);
    assert_true(ms_since(start_ns) >= CHILD_OVERDUE_MS);
    children_turn_until(has_ended);
    assert_true(ms_since(start_ns) < CHILD_OVERDUE_MS + SLACK_MS);
    snprintf(line, sizeof(line), "queue 7: queue process %d was killed but is still there; the queue waits for its end",
             held);
    log_lines_assert(line);
    children_done(children);
    children_let_go();
}

/* Told to stop and then to end, it does neither of itself. */
static void test_end_does_not_wait_for_children_that_are_stopped(void **state)
{
    uint64_t start_ns;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    kill(children_queue_pid(0), SIGSTOP);
    kill(children_pid(0, 0), SIGSTOP);
    kill(children_pid(1, 0), SIGSTOP);
    start_ns = monotonic_ns();
    children_end_all();
    assert_true(ms_since(start_ns) < SLACK_MS);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(log_lines.count, 0);
}

static void test_end_does_not_wait_for_a_fork_server_that_stays(void **state)
{
    uint64_t start_ns;
    pid_t held;
    char line[200];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    held = children->forkserver.process.pid;
    children_hold(held);
    start_ns = monotonic_ns();
    children_end(children);
    children_turn_until(workers_have_ended);
    assert_int_equal(children->forkserver.process.pid, held); /* the queues can be closed */
    assert_false(children->forkserver.process.overdue);
    children_turn_until(has_ended);
    assert_true(ms_since(start_ns) < FORKSERVER_LEAVE_WAIT_MS + CHILD_OVERDUE_MS + SLACK_MS);
    snprintf(line, sizeof(line),
             "the fork server %d was killed but is still there, perhaps in a system call that cannot be interrupted",
             held);
    log_lines_assert(line);
    children_done(children);
    children_let_go();
}

static bool end_of_first_is_no_event(void)
{
    return !children->queues[0].process.end.watched;
}

/* Its queue waits, since it may still read the socket; the other queue has another one as soon as ever. */
static void test_queue_process_that_stays_keeps_no_other_queue(void **state)
{
    pid_t held;
    pid_t other;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    held = children_queue_pid(0);
    children_hold(held);
    kill(held, SIGKILL);
    other = children_queue_pid(1);
    children_answer(1);
    children_kill_queue(1);
    children_wait_serving(1, other);
    children_turn_until(end_of_first_is_no_event); /* it has ended, which is seen once */
    assert_int_equal(children_queue_pid(0), held);
    children_answer(0);
    children_let_go();
    children_wait_serving(0, held);
}

static bool forkserver_is_ready(void)
{
    return children->forkserver.ready;
}

/* Whether a child has not ended; then it is waited for. */
static bool is_one_left(void)
{
    bool left = waitpid(-1, NULL, WNOHANG) == 0;

    while (waitpid(-1, NULL, 0) > 0) {
    }
    return left;
}

/* Whatever the fork server is doing for it: a process that the supervisor does not know would outlive it. */
static void test_worker_on_its_way_is_waited_for(void **state)
{
    unsigned on_its_way = 0;

    for (unsigned i = 0; i < RUNS; i++) {
        assert_int_equal(children_fixture_set_up(state), 0);
        children_fixture_begin(LONG_MS);
        children_start(children);
        children_turn_until(forkserver_is_ready);
        on_its_way += children->workers[0].requested; /* else the turn took so long that it has come */
        usleep(i * 20); /* until the first is there: each run ends at another step */
        children_end_all();
        assert_false(is_one_left());
        assert_int_equal(log_lines.count, 0);
        assert_int_equal(children_fixture_tear_down(state), 0);
    }
    assert_true(on_its_way > 0);
}

static void test_crashes_that_were_not_shown_are_said_at_the_end(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children->exit_report.crash_log.burst = 1;
    children_start_serving();
    for (unsigned i = 0; i < 3; i++) {
        pid_t before = children_pid(0, 0);

        children_answer(0);
        children_kill_worker(0, 0);
        children_wait_opened(0, 0, before);
    }
    log_lines_clear();
    children_end_all();
    log_lines_assert("... 2 more crashes not shown");
}

/* ---- unload() ---------------------------------------------------------------------------------------------------- */

enum in_unload { RETURNS, EXITS, DOES_NOT_RETURN };

static enum in_unload in_unload;
static bool is_ready; /* the fork server has loaded its plugins, and is to unload them when it leaves */

/* A fork server that is in the unload() of the second plugin, or says so. */
static void play(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void play(struct engine *engine, const struct engine_programs *programs)
{
    struct process_message message = process_message_make(FORKSERVER_READY, 0);
    int channel;

    (void)programs;
    if (is_ready) {
        channel_send(engine->channel, &message, sizeof(message), NULL, 0);
        while (channel_wait(engine->channel, &message, sizeof(message), &channel, 1) > 0 &&
               message.kind != FORKSERVER_LEAVE) {
        }
    }
    engine->status->plugin = (struct plugin_ref){engine->generation->number, 1};
    engine->status->stage = FORKSERVER_UNLOADING;
    while (in_unload == DOES_NOT_RETURN) {
        pause();
    }
    _exit(in_unload == EXITS ? CHILDREN_EXIT_STATUS : 0);
}

static bool forkserver_is_in_unload(void)
{
    return children->engine->status->stage == FORKSERVER_UNLOADING;
}

static void test_unload_that_goes_wrong_is_reported_with_its_plugin(void **state)
{
    static const struct {
        enum in_unload in_unload;
        bool is_ready;
        const char *lines[2];
    } ends[] = {
        {RETURNS, true, {NULL}},
        {EXITS, true, {"/p/second.so: unload() exited with status 3", NULL}},
        {DOES_NOT_RETURN, true, {"/p/second.so: unload() did not return within 1000 ms", NULL}},
        {DOES_NOT_RETURN, false, {NULL}}, /* it was not asked to leave, but killed */
    };

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        assert_int_equal(children_fixture_set_up(state), 0);
        in_unload = ends[i].in_unload;
        is_ready = ends[i].is_ready;
        children_fixture.programs.forkserver_run = play;
        children_fixture_begin(LONG_MS);
        children_start(children);
        children_turn_until(is_ready ? children_forkserver_is_ready : forkserver_is_in_unload);
        children_end_all();
        log_lines_assert_all(ends[i].lines);
        assert_int_equal(children_fixture_tear_down(state), 0);
    }
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_end_does_not_wait_for_a_worker_that_stays),
        WITH_CHILDREN(test_end_does_not_wait_for_a_fork_server_that_stays),
        WITH_CHILDREN(test_end_does_not_wait_for_a_queue_process_that_stays),
        WITH_CHILDREN(test_end_does_not_wait_for_children_that_are_stopped),
        WITH_CHILDREN(test_queue_process_that_stays_keeps_no_other_queue),
        WITH_CHILDREN(test_crashes_that_were_not_shown_are_said_at_the_end),
        cmocka_unit_test(test_worker_on_its_way_is_waited_for),
        cmocka_unit_test(test_unload_that_goes_wrong_is_reported_with_its_plugin),
    };

    return cmocka_run_group_tests_name("children_end", tests, NULL, NULL);
}
