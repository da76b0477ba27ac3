/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children that do not come up: workers that die, fail or hang before they serve, and a fork server that dies. Before
 * the engine runs the first failure is kept; afterwards each is logged and tried again.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define SHORT_MS 300

static struct children *const children = &children_fixture.children;

static bool has_logged(void)
{
    return log_lines.count > 0;
}

static bool all_opened(void)
{
    return children_all_opened(children);
}

static bool forkserver_is_gone(void)
{
    return children->forkserver.process.pid == 0;
}

static void start_with(enum way way, uint64_t timeout_ms)
{
    children_fixture_begin(timeout_ms);
    children_fixture.ways[0] = way;
    children_start_forkserver(children);
}

/* ---- workers --------------------------------------------------------------------------------------------------- */

static void test_worker_that_dies_at_once_is_a_failure_of_the_start(void **state)
{
    (void)state;
    start_with(WAY_EXIT, LONG_MS);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker exited with status 3 before it served");
    assert_int_equal(children_pid(0), 0);
    assert_int_equal(children_control(0)->restarts, 0);
    assert_int_equal(log_lines.count, 0);
}

static void test_worker_that_fails_is_a_failure_of_the_start_with_its_words(void **state)
{
    (void)state;
    start_with(WAY_FAIL, LONG_MS);
    children_assert_failure(EXIT_CODE_RUN_TIME, "it fails");
}

/* Its end is seen before its hello is read. */
static void test_end_before_the_hello_is_read_is_that_workers_end(void **state)
{
    (void)state;
    start_with(WAY_HELLO_AND_EXIT, LONG_MS);
    children_turn_until(children_forkserver_is_ready);
    while (!children_has_failed()) {
        children_reap(children); /* without a turn, so its channel is no event */
        poll(NULL, 0, 1);
    }
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker exited with status 3 before it served");
}

static void test_worker_that_ends_before_its_hello_is_reported_and_tried_again(void **state)
{
    (void)state;
    start_with(WAY_NO_HELLO, LONG_MS);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker ended before it said hello");
    assert_int_equal(children_pid(0), 0);
    children_fixture.ways[0] = WAY_SERVE;
    children_turn_until(all_opened);
}

static void test_worker_that_ends_before_its_hello_counts_as_replaced(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_fixture.ways[0] = WAY_NO_HELLO;
    children_answer(0);
    children_kill_worker(0);
    assert_int_equal(children_control(0)->restarts, 1);
    log_lines_clear();
    children_turn_until(has_logged);
    log_lines_assert("queue 7: the new worker ended before it said hello");
    assert_int_equal(children_control(0)->restarts, 2);
    children_fixture.ways[0] = WAY_SERVE;
    children_wait_serving(0, 0);
}

static void test_worker_that_hangs_in_open_is_killed_and_the_plugin_named(void **state)
{
    uint64_t start_ns = monotonic_ns();

    (void)state;
    start_with(WAY_HANG_IN_OPEN, SHORT_MS);
    children_assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: open() did not return within 300 ms");
    assert_true(monotonic_ns() - start_ns >= SHORT_MS * NS_PER_MS);
    assert_int_equal(children_pid(0), 0);
}

static void test_each_plugin_has_its_time_to_open(void **state)
{
    (void)state;
    start_with(WAY_OPEN_SLOWLY, SHORT_MS);
    children_turn_until(all_opened);
    assert_false(children_has_failed());
    children_turn_for(2 * SHORT_MS); /* one that has opened may wait as long as it must */
    assert_true(children_has_worker(children, 0));
    assert_int_equal(children->workers[0].deadline_ns, 0);
}

static void test_worker_that_does_not_come_up_is_tried_again_after_waits_that_grow(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_fixture.ways[0] = WAY_EXIT;
    children_answer(0);
    children_kill_worker(0);
    log_lines_clear();
    for (unsigned wait_ms = 10; wait_ms <= 80; wait_ms *= 2) {
        children_turn_until(has_logged);
        log_lines_assert("queue 7: the new worker exited with status 3 before it served");
        log_lines_clear();
        assert_int_equal(children->workers[0].backoff.wait_ms, wait_ms);
    }
    children_fixture.ways[0] = WAY_SERVE;
    children_wait_serving(0, 0);
    assert_int_equal(children_control(0)->restarts, 5);
    assert_int_equal(children->workers[0].backoff.wait_ms, 80); /* it has not answered anything yet */
}

/* A worker that is killed in open() by its own hand is not taken for one that served, whatever it claims. */
static void test_worker_that_was_never_the_owner_has_not_served(void **state)
{
    pid_t pid;

    (void)state;
    start_with(WAY_HANG_IN_OPEN, LONG_MS);
    while (children_pid(0) == 0) {
        children_turn_for(1);
    }
    children_control(0)->state = WORKER_SERVING;
    burst_journal_enter(children_journal(0), 1, BURST_HANDLING, &(struct queue_stats){0});
    burst_set_cursor(&children_journal(0)->bursts[0], 0, 0);
    pid = children_pid(0);
    kill(pid, SIGKILL);
    children_turn_until(children_has_failed);
    assert_int_equal(children_journal(0)->crash_verdicts, 0);
    assert_int_equal(children_journal(0)->recover_ids, 0);
}

/* ---- the fork server ------------------------------------------------------------------------------------------- */

static void test_workers_go_on_without_the_fork_server_and_it_comes_again(void **state)
{
    static const char *const lines[] = {"the fork server was killed (SIGKILL)",
                                        "the fork server is started again in 10 ms; the workers go on", NULL};
    pid_t worker;
    pid_t forkserver;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    worker = children_pid(0);
    forkserver = children->forkserver.process.pid;
    kill(forkserver, SIGKILL);
    children_turn_until(forkserver_is_gone);
    log_lines_assert_all(lines);
    children_turn_until(children_forkserver_is_ready);
    assert_int_not_equal(children->forkserver.process.pid, forkserver);
    assert_int_equal(children_pid(0), worker);
    assert_int_equal(children_control(0)->restarts, 0);
    children_answer(0);
    children_kill_worker(0);
    children_wait_serving(0, worker);
}

static void test_worker_that_dies_meanwhile_comes_with_the_next_fork_server(void **state)
{
    pid_t worker;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    worker = children_pid(0);
    kill(children->forkserver.process.pid, SIGKILL);
    children_turn_until(forkserver_is_gone);
    children_answer(0);
    children_kill_worker(0);
    assert_false(children->workers[0].requested);
    children_wait_serving(0, worker);
}

static void test_fork_server_that_dies_before_the_engine_runs_is_a_failure_of_the_start(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_forkserver(children);
    children_turn_until(children_forkserver_is_ready);
    kill(children->forkserver.process.pid, SIGKILL);
    children_assert_failure(EXIT_CODE_RUN_TIME, "the fork server was killed (SIGKILL)");
    assert_int_equal(children->forkserver.retry_ns, 0);
    assert_int_equal(log_lines.count, 0);
}

static void test_fork_server_that_cannot_be_started_is_a_failure_and_tried_again(void **state)
{
    struct rlimit limit;
    struct rlimit none;

    (void)state;
    children_fixture_begin(LONG_MS);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    children_start_forkserver(children);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    children_assert_failure(EXIT_CODE_RUN_TIME, "no channel for the fork server: Too many open files");
    children_turn_until(children_forkserver_is_ready);
}

/* ---- a worker that closes its channel ---------------------------------------------------- */

/* It cannot be woken up any more. */
static void test_worker_that_closes_its_channel_is_killed_and_replaced(void **state)
{
    pid_t worker;
    char line[160];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.ways[0] = WAY_CLOSE_CHANNEL;
    children_start_serving();
    worker = children_pid(0);
    children_fixture.ways[0] = WAY_SERVE;
    children_wait_serving(0, worker);
    snprintf(line, sizeof(line),
             "queue 7: worker %d has closed its channel and is killed; a plugin must not close what it did not open",
             worker);
    assert_true(log_lines.count >= 1);
    assert_string_equal(log_lines.text[0], line);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_worker_that_dies_at_once_is_a_failure_of_the_start),
        WITH_CHILDREN(test_worker_that_fails_is_a_failure_of_the_start_with_its_words),
        WITH_CHILDREN(test_end_before_the_hello_is_read_is_that_workers_end),
        WITH_CHILDREN(test_worker_that_ends_before_its_hello_is_reported_and_tried_again),
        WITH_CHILDREN(test_worker_that_ends_before_its_hello_counts_as_replaced),
        WITH_CHILDREN(test_worker_that_hangs_in_open_is_killed_and_the_plugin_named),
        WITH_CHILDREN(test_each_plugin_has_its_time_to_open),
        WITH_CHILDREN(test_worker_that_does_not_come_up_is_tried_again_after_waits_that_grow),
        WITH_CHILDREN(test_worker_that_was_never_the_owner_has_not_served),
        WITH_CHILDREN(test_workers_go_on_without_the_fork_server_and_it_comes_again),
        WITH_CHILDREN(test_worker_that_dies_meanwhile_comes_with_the_next_fork_server),
        WITH_CHILDREN(test_fork_server_that_dies_before_the_engine_runs_is_a_failure_of_the_start),
        WITH_CHILDREN(test_fork_server_that_cannot_be_started_is_a_failure_and_tried_again),
        WITH_CHILDREN(test_worker_that_closes_its_channel_is_killed_and_replaced),
    };

    return cmocka_run_group_tests_name("children_failures", tests, NULL, NULL);
}
