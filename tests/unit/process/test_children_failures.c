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

static void start_with(enum way way, uint64_t timeout_ms)
{
    children_fixture_begin(timeout_ms);
    children_fixture.scripts[0].way = way;
    children_start(children);
}

/* The worker of queue 7 that was asked for first; the next one may be there already. */
static void assert_first_worker_gone(void)
{
    const struct children_worker *worker = children_worker(0, 0);

    assert_true(worker == NULL || worker->number > CHILDREN_QUEUES);
}

/* ---- workers --------------------------------------------------------------------------------------------------- */

static void test_worker_that_dies_at_once_is_a_failure_of_the_start(void **state)
{
    (void)state;
    start_with(WAY_EXIT, LONG_MS);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker exited with status 3 before it served");
    assert_first_worker_gone();
    assert_int_equal(children_control(0)->restarts, 0);
    assert_int_equal(log_lines.count, 0);
}

static void test_worker_that_fails_is_a_failure_of_the_start_with_its_words(void **state)
{
    struct queue_message *loss = &children_fixture.scripts[0].loss;

    (void)state;
    loss->stage = RING_FAILED;
    loss->plugin = 1;
    snprintf(loss->text, sizeof(loss->text), "open() failed: no device");
    start_with(WAY_EXIT, LONG_MS);
    children_assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: open() failed: no device");
}

/* Its end is seen before its hello is read. */
static void test_end_before_the_hello_is_read_is_that_workers_end(void **state)
{
    (void)state;
    start_with(WAY_HELLO_AND_EXIT, LONG_MS);
    children_turn_until(children_forkserver_is_ready);
    while (!children->queues[0].workers[0].ended) {
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
    assert_first_worker_gone();
    children_fixture.scripts[0].way = WAY_SERVE;
    children_turn_until(children_have_opened);
}

static void test_worker_that_ends_before_its_hello_counts_as_replaced(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_fixture.scripts[0].way = WAY_NO_HELLO;
    children_answer(0);
    children_kill_worker(0, 0);
    assert_int_equal(children_control(0)->restarts, 1);
    log_lines_clear();
    children_turn_until(has_logged);
    log_lines_assert("queue 7: the new worker ended before it said hello");
    assert_int_equal(children_control(0)->restarts, 2);
    children_fixture.scripts[0].way = WAY_SERVE;
    children_wait_opened(0, 0, 0);
    log_lines_clear();
    children_answer(0);
    children_kill_worker(0, 0);
    children_wait_opened(0, 0, 0);
    assert_int_equal(log_lines.count, 1); /* of the worker that was killed: each is reported once */
}

/* The queue process sees it, since it has the ring. */
static void test_worker_that_hangs_in_open_is_killed_and_the_plugin_named(void **state)
{
    struct queue_message message;

    (void)state;
    start_with(WAY_HANG_IN_OPEN, SHORT_MS);
    while (children_fixture.scripts[0].descriptors == 0) {
        children_turn_for(1);
    }
    message = queue_message_make(QUEUE_WORKER_LOST, children_worker(0, 0)->number);
    message.loss = QUEUE_LOSS_HUNG;
    message.timeout_ms = SHORT_MS;
    message.plugin = 1;
    children_say(0, &message);
    children_assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: open() did not return within 300 ms");
    assert_first_worker_gone();
}

static void test_worker_that_does_not_come_up_is_tried_again_after_waits_that_grow(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_fixture.scripts[0].way = WAY_EXIT;
    children_answer(0);
    children_kill_worker(0, 0);
    log_lines_clear();
    for (unsigned wait_ms = 10; wait_ms <= 80; wait_ms *= 2) {
        children_turn_until(has_logged);
        log_lines_assert("queue 7: the new worker exited with status 3 before it served");
        log_lines_clear();
        assert_int_equal(children->queues[0].births_backoff.wait_ms, wait_ms);
    }
    children_fixture.scripts[0].way = WAY_SERVE;
    children_wait_opened(0, 0, 0);
    assert_int_equal(children_control(0)->restarts, 5);
    assert_int_equal(children->queues[0].births_backoff.wait_ms, 80); /* it has not answered anything yet */
}

/* ---- the fork server ------------------------------------------------------------------------------------------- */

static pid_t forkserver_before;

/* The next one may be there already. */
static bool forkserver_is_gone(void)
{
    return children->forkserver.process.pid != forkserver_before;
}

static void kill_forkserver(void)
{
    forkserver_before = children->forkserver.process.pid;
    kill(forkserver_before, SIGKILL);
    children_turn_until(forkserver_is_gone);
}

static void kill_and_wait(pid_t pid)
{
    siginfo_t info;

    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void test_workers_go_on_without_the_fork_server_and_it_comes_again(void **state)
{
    static const char *const lines[] = {"the fork server was killed (SIGKILL)",
                                        "the fork server is started again in 10 ms; the workers go on", NULL};
    pid_t worker;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    worker = children_pid(0, 0);
    kill_forkserver();
    log_lines_assert_all(lines);
    children_turn_until(children_forkserver_is_ready);
    assert_int_not_equal(children->forkserver.process.pid, forkserver_before);
    assert_int_equal(children_pid(0, 0), worker);
    assert_int_equal(children_control(0)->restarts, 0);
    children_answer(0);
    children_kill_worker(0, 0);
    children_wait_opened(0, 0, worker);
}

static void test_worker_that_dies_meanwhile_comes_with_the_next_fork_server(void **state)
{
    pid_t worker;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    worker = children_pid(0, 0);
    kill_forkserver();
    children_answer(0);
    children_kill_worker(0, 0);
    assert_true(children->requests == 0 || children->forkserver.ready); /* the next one may be there already */
    children_wait_opened(0, 0, worker);
}

/* Its end explains that they do not come: there is nothing more to say of them, and nothing is replaced. */
static void test_fork_server_that_dies_is_the_reason_for_the_workers_that_do_not_come(void **state)
{
    static const char *const lines[] = {"the fork server was killed (SIGKILL)",
                                        "the fork server is started again in 10 ms; the workers go on", NULL};
    pid_t forkserver;
    pid_t workers[CHILDREN_QUEUES];

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    forkserver = children->forkserver.process.pid;
    children->forkserver.birth_timeout_ms = LONG_MS; /* it is not given up while the workers end */
    kill(forkserver, SIGSTOP);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        workers[i] = children_pid(i, 0);
        children_answer(i);
        children_kill_worker(i, 0);
    }
    assert_int_equal(children->requests, CHILDREN_QUEUES);
    log_lines_clear();
    kill_and_wait(forkserver);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        children_wait_opened(i, 0, workers[i]);
        assert_int_equal(children_control(i)->restarts, 1);
    }
    log_lines_assert_all(lines);
}

/* On a busy machine the hello may have been read in the turn in which the worker was asked for. */
static void wait_hello(const struct children_worker *worker)
{
    struct pollfd poll_fd = {.fd = worker->channel.fd, .events = POLLIN};

    if (worker->requested) {
        assert_int_equal(poll(&poll_fd, 1, LONG_MS), 1);
    }
}

/* Each of them says hello after it has left the fork server, of which it needs nothing more. */
static void test_workers_that_have_said_hello_stay_when_the_fork_server_dies(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start(children);
    children_turn_until(children_forkserver_is_ready);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        wait_hello(&children->queues[i].workers[0]);
    }
    forkserver_before = children->forkserver.process.pid;
    kill_and_wait(forkserver_before);
    children_reap(children); /* its end is seen first */
    assert_true(forkserver_is_gone());
    children_turn_until(children_have_opened);
    assert_int_equal(children->births, CHILDREN_QUEUES);
}

/* They may say why it ends. */
static void test_last_words_of_the_fork_server_are_shown_before_its_end(void **state)
{
    static const char *const lines[] = {"output of the fork server: last words", "the fork server was killed (SIGKILL)",
                                        "the fork server is started again in 10 ms; the workers go on", NULL};
    static struct child_logs logs;
    static struct child_log forkserver_log;
    int its_end;

    (void)state;
    children_fixture_begin(LONG_MS);
    child_logs_init(&logs, &children_fixture.base.loop);
    assert_int_equal(child_log_open(&forkserver_log, &logs, "the fork server", &its_end), 0);
    children->logs = &logs;
    children->forkserver_log = &forkserver_log;
    children_start_serving();
    assert_int_equal(write(its_end, "last words", 10), 10);
    kill_forkserver();
    log_lines_assert_all(lines);
    children_end_all();
    close(its_end);
    child_logs_done(&logs);
}

static void test_fork_server_that_dies_before_the_engine_runs_is_a_failure_of_the_start(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start(children);
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
    children_start(children);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(children->forkserver.process.pid, 0);
    assert_true(children->forkserver.retry_ns > 0);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: no queue process: Too many open files"); /* that was first */
    children_turn_until(children_have_opened);
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
        WITH_CHILDREN(test_worker_that_does_not_come_up_is_tried_again_after_waits_that_grow),
        WITH_CHILDREN(test_workers_go_on_without_the_fork_server_and_it_comes_again),
        WITH_CHILDREN(test_worker_that_dies_meanwhile_comes_with_the_next_fork_server),
        WITH_CHILDREN(test_fork_server_that_dies_is_the_reason_for_the_workers_that_do_not_come),
        WITH_CHILDREN(test_workers_that_have_said_hello_stay_when_the_fork_server_dies),
        WITH_CHILDREN(test_last_words_of_the_fork_server_are_shown_before_its_end),
        WITH_CHILDREN(test_fork_server_that_dies_before_the_engine_runs_is_a_failure_of_the_start),
        WITH_CHILDREN(test_fork_server_that_cannot_be_started_is_a_failure_and_tried_again),
    };

    return cmocka_run_group_tests_name("children_failures", tests, NULL, NULL);
}
