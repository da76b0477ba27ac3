/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children that do not come up: workers that die, fail or hang before they serve, and a fork server that dies, hangs,
 * or says what is not so. Before the engine runs the first failure is kept; afterwards each is logged and tried again.
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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define SHORT_MS 300

static struct children *const children = &children_fixture.children;

static bool has_failed(void)
{
    return children->exit_report.failure.exit_code != EXIT_CODE_OK;
}

/* Its worker could not be made, and it is not asked for yet. */
static bool waits_before_a_retry(void)
{
    return has_failed() && children->workers[0].retry_ns > 0 && !children->workers[0].requested;
}

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
    return children->forkserver.pid == 0;
}

static bool forkserver_is_ready(void)
{
    return children->forkserver.ready;
}

static void assert_failure(enum exit_code exit_code, const char *line)
{
    char text[ERROR_LINE_MAX];

    children_turn_until(has_failed);
    assert_int_equal(children->exit_report.failure.exit_code, exit_code);
    assert_string_equal(error_format(&children->exit_report.failure, text), line);
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
    assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker exited with status 3 before it served");
    assert_int_equal(children_pid(0), 0);
    assert_int_equal(children_control(0)->restarts, 0);
    assert_int_equal(log_lines.count, 0);
}

static void test_worker_that_fails_is_a_failure_of_the_start_with_its_words(void **state)
{
    (void)state;
    start_with(WAY_FAIL, LONG_MS);
    assert_failure(EXIT_CODE_RUN_TIME, "it fails");
}

/* Its end is seen before the fork server's message is read. */
static void test_end_before_the_message_is_that_workers_end(void **state)
{
    (void)state;
    start_with(WAY_EXIT, LONG_MS);
    children_turn_until(forkserver_is_ready);
    while (children->forkserver.early_exit_count == 0) {
        children_reap(children); /* without a turn, so no message is read */
        poll(NULL, 0, 1);
    }
    assert_false(has_failed());
    assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker exited with status 3 before it served");
}

static void test_worker_that_hangs_in_open_is_killed_and_the_plugin_named(void **state)
{
    uint64_t start_ns = monotonic_ns();

    (void)state;
    start_with(WAY_HANG_IN_OPEN, SHORT_MS);
    assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: open() did not return within 300 ms");
    assert_true(monotonic_ns() - start_ns >= SHORT_MS * NS_PER_MS);
    assert_int_equal(children_pid(0), 0);
}

static void test_each_plugin_has_its_time_to_open(void **state)
{
    (void)state;
    start_with(WAY_OPEN_SLOWLY, SHORT_MS);
    children_turn_until(all_opened);
    assert_false(has_failed());
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
    children_turn_until(has_failed);
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
    forkserver = children->forkserver.pid;
    kill(forkserver, SIGKILL);
    children_turn_until(forkserver_is_gone);
    log_lines_assert_all(lines);
    children_turn_until(forkserver_is_ready);
    assert_int_not_equal(children->forkserver.pid, forkserver);
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
    kill(children->forkserver.pid, SIGKILL);
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
    children_turn_until(forkserver_is_ready);
    kill(children->forkserver.pid, SIGKILL);
    assert_failure(EXIT_CODE_RUN_TIME, "the fork server was killed (SIGKILL)");
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
    assert_failure(EXIT_CODE_RUN_TIME, "no channel for the fork server: Too many open files");
    children_turn_until(forkserver_is_ready);
}

/* ---- a fork server that plays a part --------------------------------------------------------------------------- */

#define PID_OF_THE_PLAYER INT32_MAX

static int32_t answers[CHILDREN_QUEUES][2]; /* to the FORK of each queue, one after the other; 0: none */

static int set_up_player(void **state)
{
    memset(answers, 0, sizeof(answers));
    return children_fixture_set_up(state);
}

static void play(struct engine *engine, int channel, const struct engine_programs *programs) __attribute__((noreturn));

static void play(struct engine *engine, int channel, const struct engine_programs *programs)
{
    struct forkserver_message message = forkserver_message_make(FORKSERVER_READY, 0, 0);

    (void)engine;
    (void)programs;
    send(channel, &message, sizeof(message), MSG_NOSIGNAL);
    while (recv(channel, &message, sizeof(message), 0) > 0) {
        for (unsigned i = 0; i < 2 && answers[message.queue][i] != 0; i++) {
            int32_t pid = answers[message.queue][i] == PID_OF_THE_PLAYER ? getpid() : answers[message.queue][i];
            struct forkserver_message forked = forkserver_message_make(FORKSERVER_FORKED, message.queue, pid);

            send(channel, &forked, sizeof(forked), MSG_NOSIGNAL);
        }
    }
    _exit(0);
}

static void start_player(uint64_t timeout_ms)
{
    children_fixture.programs.forkserver_run = play;
    children_fixture_begin(timeout_ms);
    children_start_forkserver(children);
}

/* A child of the test that does nothing. */
static pid_t fork_idle(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    assert_true(pid > 0);
    return pid;
}

static void test_fork_that_fails_is_reported_and_tried_again(void **state)
{
    (void)state;
    answers[0][0] = -EAGAIN;
    start_player(LONG_MS);
    assert_failure(EXIT_CODE_RUN_TIME, "queue 7: no process for a worker: Resource temporarily unavailable");
    assert_int_equal(children_pid(0), 0);
    assert_false(children->workers[0].requested);
    assert_true(children->workers[0].retry_ns > 0);
    assert_int_equal(children->workers[0].backoff.wait_ms, 10);
}

/* It may be any process: nothing is killed that is not a child. */
static void test_worker_that_is_no_child_is_not_believed(void **state)
{
    (void)state;
    answers[0][0] = 1;
    start_player(LONG_MS);
    assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker exited with status 70 before it served");
    assert_int_equal(children_pid(0), 0);
}

/* A plugin in the fork server can write on the channel. */
static void test_worker_that_was_not_asked_for_is_not_believed(void **state)
{
    pid_t child = fork_idle();

    (void)state;
    answers[0][0] = child;
    answers[0][1] = 1;
    start_player(LONG_MS);
    children_turn_until(forkserver_is_ready);
    children_turn_for(50);
    answers[0][1] = 0;
    kill(child, SIGKILL); /* in any case: tear-down waits for every child */
    assert_false(has_failed());
    assert_int_equal(children_pid(0), child);
}

/* An unknown child had the same pid and ended while a request was outstanding: what counts is whether there is one now. */
static void test_worker_with_the_pid_of_one_that_has_ended_is_believed(void **state)
{
    pid_t child = fork_idle();

    (void)state;
    answers[0][0] = child;
    start_player(LONG_MS);
    children->forkserver.outstanding = 1;
    forkserver_client_note_exit(&children->forkserver, child, CHILDREN_EXIT_STATUS << 8);
    children_turn_until(forkserver_is_ready);
    children_turn_for(50);
    kill(child, SIGKILL); /* in any case: tear-down waits for every child */
    assert_false(has_failed());
    assert_int_equal(children_pid(0), child);
}

/* Its end would be taken for that of the fork server alone, and the pid would be signalled when it is another's. */
static void test_fork_server_is_not_believed_to_be_a_worker(void **state)
{
    (void)state;
    answers[0][0] = PID_OF_THE_PLAYER;
    start_player(LONG_MS);
    assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker exited with status 70 before it served");
    assert_int_equal(children_pid(0), 0);
    assert_true(children->forkserver.pid > 0);
}

static void test_worker_of_one_queue_is_not_believed_to_be_that_of_another(void **state)
{
    pid_t child = fork_idle();

    (void)state;
    answers[0][0] = child;
    answers[1][0] = child;
    start_player(LONG_MS);
    children_turn_until(forkserver_is_ready);
    children_turn_for(50);
    kill(child, SIGKILL); /* in any case: tear-down waits for every child */
    assert_int_equal(children_pid(0), child);
    assert_int_equal(children_pid(1), 0);
    assert_failure(EXIT_CODE_RUN_TIME, "queue 8: the new worker exited with status 70 before it served");
}

/* The channel is full: nothing is heard of the request, so it is made again, whatever becomes of the fork server. */
static void test_request_that_cannot_be_made_is_made_again(void **state)
{
    (void)state;
    answers[0][0] = -EAGAIN;
    start_player(LONG_MS);
    children_turn_until(waits_before_a_retry);
    kill(children->forkserver.pid, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)children->forkserver.pid, &(siginfo_t){0}, WSTOPPED | WNOWAIT), 0);
    while (forkserver_client_request(&children->forkserver, 1)) {
    }
    children_turn_for(100);
    assert_true(children->workers[0].retry_ns > 0);
    assert_false(children->workers[0].requested);
    kill(children->forkserver.pid, SIGKILL);
}

static void test_fork_server_that_does_not_answer_is_killed(void **state)
{
    (void)state;
    start_player(SHORT_MS);
    assert_failure(EXIT_CODE_RUN_TIME, "the fork server did not answer in time and was killed");
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
#define WITH_PLAYER(test) cmocka_unit_test_setup_teardown(test, set_up_player, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_worker_that_dies_at_once_is_a_failure_of_the_start),
        WITH_CHILDREN(test_worker_that_fails_is_a_failure_of_the_start_with_its_words),
        WITH_CHILDREN(test_end_before_the_message_is_that_workers_end),
        WITH_CHILDREN(test_worker_that_hangs_in_open_is_killed_and_the_plugin_named),
        WITH_CHILDREN(test_each_plugin_has_its_time_to_open),
        WITH_CHILDREN(test_worker_that_does_not_come_up_is_tried_again_after_waits_that_grow),
        WITH_CHILDREN(test_worker_that_was_never_the_owner_has_not_served),
        WITH_CHILDREN(test_workers_go_on_without_the_fork_server_and_it_comes_again),
        WITH_CHILDREN(test_worker_that_dies_meanwhile_comes_with_the_next_fork_server),
        WITH_CHILDREN(test_fork_server_that_dies_before_the_engine_runs_is_a_failure_of_the_start),
        WITH_CHILDREN(test_fork_server_that_cannot_be_started_is_a_failure_and_tried_again),
        WITH_PLAYER(test_fork_that_fails_is_reported_and_tried_again),
        WITH_PLAYER(test_worker_that_is_no_child_is_not_believed),
        WITH_PLAYER(test_worker_that_was_not_asked_for_is_not_believed),
        WITH_PLAYER(test_worker_with_the_pid_of_one_that_has_ended_is_believed),
        WITH_PLAYER(test_fork_server_is_not_believed_to_be_a_worker),
        WITH_PLAYER(test_worker_of_one_queue_is_not_believed_to_be_that_of_another),
        WITH_PLAYER(test_request_that_cannot_be_made_is_made_again),
        WITH_PLAYER(test_fork_server_that_does_not_answer_is_killed),
    };

    return cmocka_run_group_tests_name("children_failures", tests, NULL, NULL);
}
