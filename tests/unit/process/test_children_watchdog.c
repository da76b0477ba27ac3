/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ticks of the children over a worker that seems to hang: it is stopped and looked at again before it is killed.
 * One that moved on at the last moment goes on, and has a whole time-out again; one that did not, or that does not even
 * stop, is killed.
 *
 * The worker is a real process, which only waits; what a worker would say in its memory the test says.
 * pidfd_send_signal() is replaced at link time, so that the worker can move on between the supervisor's first look and
 * its signal, which is a matter of microseconds otherwise. Time is counted in ticks.
 */
#include "burst_fixture.h"
#include "engine_fixture.h"

#include "process/children.h"
#include "process/hangs.h"
#include "process/watchdog.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS 40
#define TICKS_MAX 1000
#define LOOKS_BEFORE_KILL 10 /* of 10 ms, at a worker that was told to stop */

static struct {
    struct engine_fixture base;
    struct children children;
    struct burst *burst;
    bool moves_on;     /* between the supervisor's look and SIGSTOP */
    bool cannot_stop;  /* SIGSTOP takes no effect, as in a system call that cannot be interrupted */
    unsigned stops;
    unsigned continues;
    unsigned kills;
} fixture;

int __real_pidfd_send_signal(int pidfd, int number, siginfo_t *info, unsigned flags);
int __wrap_pidfd_send_signal(int pidfd, int number, siginfo_t *info, unsigned flags);

int __wrap_pidfd_send_signal(int pidfd, int number, siginfo_t *info, unsigned flags)
{
    assert_int_equal(pidfd, fixture.children.workers[0].process.end.fd);
    fixture.stops += number == SIGSTOP;
    fixture.continues += number == SIGCONT;
    fixture.kills += number == SIGKILL;
    if (number == SIGSTOP && fixture.moves_on) {
        fixture.burst->progress++;
    }
    return number == SIGSTOP && fixture.cannot_stop ? 0 : __real_pidfd_send_signal(pidfd, number, info, flags);
}

static pid_t start_worker(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent) {
            pause();
        }
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, 1, TIMEOUT_MS);
    fixture.base.engine.queues[0].control->state = WORKER_SERVING;
    fixture.burst = &fixture.base.engine.queues[0].shm.journal->bursts[0];
    fixture.burst->progress = 4711;
    burst_journal_enter(fixture.base.engine.queues[0].shm.journal, 1, BURST_HANDLING, &(struct queue_stats){0});
    children_init(&fixture.children, &fixture.base.engine, NULL, &fixture.base.loop);
    fixture.children.exit_report.running = true;
    assert_int_equal(child_open(&fixture.children.workers[0].process, start_worker(), &fixture.base.loop), 0);
    event_loop_unwatch(&fixture.base.loop, &fixture.children.workers[0].process.end); /* its end is the test's to see */
    fixture.children.workers[0].owner = true;
    return 0;
}

static int tear_down(void **state)
{
    pid_t pid = fixture.children.workers[0].process.pid;

    (void)state;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    engine_fixture_done(&fixture.base);
    return 0;
}

static void tick(void)
{
    fixture.children.sample_ns = 0; /* the next sample is due, */
    event_loop_start_timer(&fixture.base.loop, &fixture.children.tick, 0); /* and so is the tick that takes it */
    assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
}

/* Ticks until the worker was stopped once more; how many that took. */
static unsigned ticks_until_stopped(void)
{
    unsigned stops = fixture.stops;

    for (unsigned ticks = 1; ticks < TICKS_MAX; ticks++) {
        tick();
        if (fixture.stops != stops) {
            return ticks;
        }
    }
    fail_msg("the worker was not looked at");
    return 0;
}

/* It has stopped, or was killed: the next tick looks at it again. */
static void second_look(void)
{
    siginfo_t info;

    assert_int_equal(waitid(P_PID, (id_t)fixture.children.workers[0].process.pid, &info, WSTOPPED | WEXITED | WNOWAIT),
                     0);
    assert_true(fixture.children.workers[0].suspected);
    tick();
    assert_false(fixture.children.workers[0].suspected);
}

/* The process runs: what became of its signals is waited for. */
static void assert_runs(pid_t pid)
{
    siginfo_t info = {0};

    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WCONTINUED), 0);
    assert_int_equal(info.si_code, CLD_CONTINUED);
    info.si_pid = 0;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WSTOPPED | WNOHANG), 0);
    assert_int_equal(info.si_pid, 0);
}

static void assert_killed(pid_t pid)
{
    siginfo_t info = {0};

    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(info.si_code, CLD_KILLED);
    assert_int_equal(info.si_status, SIGKILL);
    assert_true(fixture.children.workers[0].hung);
    assert_int_equal(fixture.kills, 1);
    assert_int_equal(fixture.continues, 0);
}

static void test_worker_that_moved_on_at_the_last_moment_goes_on_and_has_a_whole_time_out_again(void **state)
{
    const struct children_worker *worker = &fixture.children.workers[0];
    unsigned first;

    (void)state;
    fixture.moves_on = true;
    first = ticks_until_stopped();
    assert_true(first > TIMEOUT_MS / watchdog_interval_ms(TIMEOUT_MS));
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(fixture.continues, i - 1);
        second_look();
        assert_int_equal(fixture.continues, i);
        assert_runs(worker->process.pid);
        assert_int_equal(ticks_until_stopped(), first - 1); /* the tick of the second look took a sample, too */
    }
    assert_int_equal(fixture.kills, 0);
    assert_false(worker->hung);
}

static void test_worker_that_did_not_move_is_killed(void **state)
{
    (void)state;
    ticks_until_stopped();
    second_look();
    assert_killed(fixture.children.workers[0].process.pid);
}

/* The end of a stop comes with SIGCHLD, so nothing waits for the next tick. */
static void test_second_look_comes_with_the_stop(void **state)
{
    siginfo_t info;

    (void)state;
    ticks_until_stopped();
    assert_int_equal(waitid(P_PID, (id_t)fixture.children.workers[0].process.pid, &info, WSTOPPED | WEXITED | WNOWAIT),
                     0);
    hangs_look(&fixture.children);
    assert_killed(fixture.children.workers[0].process.pid);
}

/* Nothing can be said about one that cannot be stopped: it might be looked at while it moves. */
static void test_worker_that_does_not_stop_is_killed(void **state)
{
    (void)state;
    fixture.moves_on = fixture.cannot_stop = true;
    ticks_until_stopped();
    for (unsigned i = 0; i < LOOKS_BEFORE_KILL; i++) {
        tick();
        assert_int_equal(fixture.kills, 0);
        assert_false(fixture.children.workers[0].hung);
    }
    tick();
    assert_killed(fixture.children.workers[0].process.pid);
}

static void test_worker_that_was_killed_is_not_looked_at_again(void **state)
{
    (void)state;
    ticks_until_stopped();
    second_look();
    for (unsigned i = 0; i < TICKS_MAX; i++) {
        tick();
    }
    assert_int_equal(fixture.stops, 1);
    assert_killed(fixture.children.workers[0].process.pid);
}

int main(void)
{
#define WITH_WORKER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORKER(test_worker_that_moved_on_at_the_last_moment_goes_on_and_has_a_whole_time_out_again),
        WITH_WORKER(test_worker_that_did_not_move_is_killed),
        WITH_WORKER(test_second_look_comes_with_the_stop),
        WITH_WORKER(test_worker_that_does_not_stop_is_killed),
        WITH_WORKER(test_worker_that_was_killed_is_not_looked_at_again),
    };

    return cmocka_run_group_tests_name("children_watchdog", tests, NULL, NULL);
}
