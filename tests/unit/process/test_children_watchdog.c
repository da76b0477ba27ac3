/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ticks of the children over a queue process that seems to hang: it is stopped and looked at again before it is
 * killed. One that moved on at the last moment goes on, and has a whole time-out again; one that did not, or that does
 * not even stop, is killed.
 *
 * The queue process is a real process, which only waits; what it would say in its memory the test says.
 * pidfd_send_signal() is replaced at link time, so that it can move on between the supervisor's first look and its
 * signal, which is a matter of microseconds otherwise; cpu_use_read(), so that it gets no CPU. Time is counted in ticks.
 */
#include "engine_fixture.h"

#include "base/clock.h"
#include "process/children.h"
#include "process/cpu_use.h"
#include "process/ends.h"
#include "process/hangs.h"
#include "process/watchdog.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000 /* what plugins have does not matter here */
#define TICKS_MAX 1000
#define LOOKS_BEFORE_KILL 10 /* of 10 ms, at a worker that was told to stop */

static struct {
    struct engine_fixture base;
    struct children children;
    struct journal *journal;
    bool moves_on;     /* between the supervisor's look and SIGSTOP */
    bool cannot_stop;  /* SIGSTOP takes no effect, as in a system call that cannot be interrupted */
    unsigned stops;
    unsigned continues;
    unsigned kills;
    bool ready;        /* the process is running, or ready to run */
    bool computes;     /* and it has all of a CPU; else it gets none */
} fixture;

struct cpu_use __wrap_cpu_use_read(pid_t pid);

struct cpu_use __wrap_cpu_use_read(pid_t pid)
{
    assert_int_equal(pid, fixture.children.queues[0].process.pid);
    return (struct cpu_use){.ready = fixture.ready, .used_ns = fixture.computes ? monotonic_ns() : 0};
}

int __real_pidfd_send_signal(int pidfd, int number, siginfo_t *info, unsigned flags);
int __wrap_pidfd_send_signal(int pidfd, int number, siginfo_t *info, unsigned flags);

int __wrap_pidfd_send_signal(int pidfd, int number, siginfo_t *info, unsigned flags)
{
    assert_int_equal(pidfd, fixture.children.queues[0].process.end.fd);
    fixture.stops += number == SIGSTOP;
    fixture.continues += number == SIGCONT;
    fixture.kills += number == SIGKILL;
    if (number == SIGSTOP && fixture.moves_on) {
        journal_make_progress(fixture.journal);
    }
    return number == SIGSTOP && fixture.cannot_stop ? 0 : __real_pidfd_send_signal(pidfd, number, info, flags);
}

static pid_t start_process(void)
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
    engine_fixture_init(&fixture.base, 1, LONG_MS);
    fixture.base.engine.queues[0].control->state = QUEUE_SERVING;
    fixture.journal = fixture.base.engine.queues[0].shm.journal;
    journal_make_progress(fixture.journal);
    journal_begin_receive(fixture.journal, 0); /* it is busy, and makes no progress */
    children_init(&fixture.children, &fixture.base.engine, NULL, &fixture.base.loop);
    fixture.children.exit_report.running = true;
    assert_int_equal(child_open(&fixture.children.queues[0].process, start_process(), &fixture.base.loop), 0);
    event_loop_unwatch(&fixture.base.loop, &fixture.children.queues[0].process.end); /* its end is the test's to see */
    return 0;
}

static int tear_down(void **state)
{
    pid_t pid = fixture.children.queues[0].process.pid;

    (void)state;
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    children_done(&fixture.children);
    engine_fixture_done(&fixture.base);
    return 0;
}

static void tick(void)
{
    fixture.children.sample_ns = 0; /* the next sample is due, */
    event_loop_start_timer(&fixture.base.loop, &fixture.children.tick, 0); /* and so is the tick that takes it */
    assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
}

/* Ticks until it was stopped once more; how many that took. */
static unsigned ticks_until_stopped(void)
{
    unsigned stops = fixture.stops;

    for (unsigned ticks = 1; ticks < TICKS_MAX; ticks++) {
        tick();
        if (fixture.stops != stops) {
            return ticks;
        }
    }
    fail_msg("the queue process was not looked at");
    return 0;
}

/* It has stopped, or was killed: the next tick looks at it again. */
static void second_look(void)
{
    siginfo_t info;

    assert_int_equal(waitid(P_PID, (id_t)fixture.children.queues[0].process.pid, &info, WSTOPPED | WEXITED | WNOWAIT),
                     0);
    assert_true(fixture.children.queues[0].suspected);
    tick();
    assert_false(fixture.children.queues[0].suspected);
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
    assert_true(fixture.children.queues[0].hung);
    assert_int_equal(fixture.kills, 1);
    assert_int_equal(fixture.continues, 0);
}

static void test_queue_process_that_moved_on_at_the_last_moment_goes_on_and_has_a_whole_time_out_again(void **state)
{
    const struct children_queue *queue = &fixture.children.queues[0];
    unsigned first;

    (void)state;
    fixture.moves_on = true;
    first = ticks_until_stopped();
    assert_true(first > HANGS_TIMEOUT_MS / watchdog_interval_ms(HANGS_TIMEOUT_MS));
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(fixture.continues, i - 1);
        second_look();
        assert_int_equal(fixture.continues, i);
        assert_runs(queue->process.pid);
        assert_int_equal(ticks_until_stopped(), first - 1); /* the tick of the second look took a sample, too */
    }
    assert_int_equal(fixture.kills, 0);
    assert_false(queue->hung);
}

/* What it had may be the reason: unlike a death by another program's SIGKILL, this one counts. */
static void test_queue_process_that_did_not_move_is_killed_and_its_death_counts(void **state)
{
    (void)state;
    ticks_until_stopped();
    second_look();
    assert_killed(fixture.children.queues[0].process.pid);
    assert_true(ends_reap_queue(&fixture.children.queues[0]));
    assert_int_equal(fixture.journal->deaths, 1);
}

/* The end of a stop comes with SIGCHLD, so nothing waits for the next tick. */
static void test_second_look_comes_with_the_stop(void **state)
{
    siginfo_t info;

    (void)state;
    ticks_until_stopped();
    assert_int_equal(waitid(P_PID, (id_t)fixture.children.queues[0].process.pid, &info, WSTOPPED | WEXITED | WNOWAIT),
                     0);
    hangs_look(&fixture.children);
    assert_killed(fixture.children.queues[0].process.pid);
}

/* Nothing can be said about one that cannot be stopped: it might be looked at while it moves. */
static void test_queue_process_that_does_not_stop_is_killed(void **state)
{
    (void)state;
    fixture.moves_on = fixture.cannot_stop = true;
    ticks_until_stopped();
    for (unsigned i = 0; i < LOOKS_BEFORE_KILL; i++) {
        tick();
        assert_int_equal(fixture.kills, 0);
        assert_false(fixture.children.queues[0].hung);
    }
    tick();
    assert_killed(fixture.children.queues[0].process.pid);
}

/* The time that the first stop took is not counted with the second. */
static void test_each_stop_may_take_its_time(void **state)
{
    pid_t pid = fixture.children.queues[0].process.pid;

    (void)state;
    fixture.moves_on = fixture.cannot_stop = true;
    ticks_until_stopped();
    for (unsigned i = 0; i < LOOKS_BEFORE_KILL; i++) {
        tick();
    }
    kill(pid, SIGSTOP); /* now it takes effect */
    second_look();
    assert_runs(pid);
    ticks_until_stopped();
    for (unsigned i = 0; i < LOOKS_BEFORE_KILL; i++) {
        tick();
        assert_int_equal(fixture.kills, 0);
    }
}

/* It has not been able to do anything, so it has not been shown that it would not. */
static void test_queue_process_that_gets_no_cpu_has_eight_times_as_long(void **state)
{
    const unsigned samples = HANGS_TIMEOUT_MS / watchdog_interval_ms(HANGS_TIMEOUT_MS);

    (void)state;
    fixture.ready = true;
    assert_in_range(ticks_until_stopped(), 8 * samples, 8 * samples + 3);
    second_look();
    assert_killed(fixture.children.queues[0].process.pid);
}

static void test_each_progress_begins_the_time_without_cpu_again(void **state)
{
    const unsigned samples = HANGS_TIMEOUT_MS / watchdog_interval_ms(HANGS_TIMEOUT_MS);

    (void)state;
    fixture.ready = true;
    for (unsigned i = 0; i < 7 * samples; i++) {
        tick();
    }
    journal_make_progress(fixture.journal);
    assert_in_range(ticks_until_stopped(), 8 * samples, 8 * samples + 3);
}

/* It runs in circles. */
static void test_queue_process_that_computes_has_no_longer_time(void **state)
{
    const unsigned samples = HANGS_TIMEOUT_MS / watchdog_interval_ms(HANGS_TIMEOUT_MS);

    (void)state;
    fixture.ready = fixture.computes = true;
    assert_in_range(ticks_until_stopped(), samples, samples + 3);
}

/* A process stops as soon as it runs. */
static void test_queue_process_that_gets_no_cpu_may_take_longer_to_stop(void **state)
{
    (void)state;
    fixture.cannot_stop = true;
    ticks_until_stopped();
    fixture.ready = true;
    for (unsigned i = 0; i < 10 * LOOKS_BEFORE_KILL; i++) {
        tick();
    }
    assert_int_equal(fixture.kills, 0);
    fixture.ready = false; /* it waits for something else */
    for (unsigned i = 0; i <= LOOKS_BEFORE_KILL; i++) {
        tick();
    }
    assert_killed(fixture.children.queues[0].process.pid);
}

static void test_queue_process_that_was_killed_is_not_looked_at_again(void **state)
{
    (void)state;
    ticks_until_stopped();
    second_look();
    for (unsigned i = 0; i < TICKS_MAX; i++) {
        fixture.children.queues[0].process.killed_ns = monotonic_ns(); /* or its end would be looked for at last */
        tick();
    }
    assert_int_equal(fixture.stops, 1);
    assert_killed(fixture.children.queues[0].process.pid);
}

/* Packets that wait in its socket are something to do as well. */
static void test_queue_process_that_does_not_read_its_socket_is_looked_at(void **state)
{
    const uint64_t one = 1;

    (void)state;
    journal_end_receive(fixture.journal);
    assert_int_equal(write(fixture.base.engine.queues[0].kernel.socket, &one, sizeof(one)), sizeof(one));
    ticks_until_stopped();
    second_look();
    assert_killed(fixture.children.queues[0].process.pid);
}

/* Or a time-out would take ten times as long. */
static void test_samples_come_more_often_while_a_queue_process_makes_no_progress(void **state)
{
    (void)state;
    tick(); /* it is seen for the first time */
    assert_false(fixture.children.stalled);
    tick();
    assert_true(fixture.children.stalled);
    journal_make_progress(fixture.journal);
    tick();
    assert_false(fixture.children.stalled);
}

/* Without packets, it has nothing to make progress with. */
static void test_queue_process_without_packets_is_left_alone(void **state)
{
    (void)state;
    journal_end_receive(fixture.journal);
    for (unsigned i = 0; i < TICKS_MAX; i++) {
        tick();
    }
    assert_int_equal(fixture.stops + fixture.kills, 0);
}

static void assert_is_looked_at(enum queue_request request, enum queue_state state, bool looked_at)
{
    struct children_queue *queue = &fixture.children.queues[0];

    queue->requested = request;
    queue->queue->control->state = state;
    for (unsigned i = 0; i < TICKS_MAX && fixture.stops == 0; i++) {
        tick();
    }
    assert_int_equal(fixture.stops, looked_at ? 1 : 0);
}

/* A stop would wait for it until its deadline. */
static void test_queue_process_that_does_not_stop_the_queueing_is_killed(void **state)
{
    (void)state;
    journal_end_receive(fixture.journal);
    assert_is_looked_at(QUEUE_RUN, QUEUE_SERVING, false);
    assert_is_looked_at(QUEUE_STOP, QUEUE_DRAINING, false);
    assert_is_looked_at(QUEUE_EXIT, QUEUE_CLOSING, false); /* what plugins do in close() */
    assert_is_looked_at(QUEUE_STOP, QUEUE_SERVING, true);
    second_look();
    assert_killed(fixture.children.queues[0].process.pid);
}

static void test_queue_process_that_does_not_leave_is_killed(void **state)
{
    (void)state;
    journal_end_receive(fixture.journal);
    assert_is_looked_at(QUEUE_EXIT, QUEUE_DRAINING, true);
    second_look();
    assert_killed(fixture.children.queues[0].process.pid);
}

/* Before the engine runs, its queue is not bound. */
static void test_queue_process_is_left_alone_before_the_engine_runs(void **state)
{
    (void)state;
    fixture.children.exit_report.running = false;
    for (unsigned i = 0; i < TICKS_MAX; i++) {
        tick();
    }
    assert_int_equal(fixture.stops + fixture.kills, 0);
}

int main(void)
{
#define WITH_PROCESS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PROCESS(test_queue_process_that_moved_on_at_the_last_moment_goes_on_and_has_a_whole_time_out_again),
        WITH_PROCESS(test_queue_process_that_did_not_move_is_killed_and_its_death_counts),
        WITH_PROCESS(test_second_look_comes_with_the_stop),
        WITH_PROCESS(test_queue_process_that_does_not_stop_is_killed),
        WITH_PROCESS(test_each_stop_may_take_its_time),
        WITH_PROCESS(test_queue_process_that_gets_no_cpu_has_eight_times_as_long),
        WITH_PROCESS(test_each_progress_begins_the_time_without_cpu_again),
        WITH_PROCESS(test_queue_process_that_computes_has_no_longer_time),
        WITH_PROCESS(test_queue_process_that_gets_no_cpu_may_take_longer_to_stop),
        WITH_PROCESS(test_queue_process_that_was_killed_is_not_looked_at_again),
        WITH_PROCESS(test_queue_process_that_does_not_read_its_socket_is_looked_at),
        WITH_PROCESS(test_samples_come_more_often_while_a_queue_process_makes_no_progress),
        WITH_PROCESS(test_queue_process_without_packets_is_left_alone),
        WITH_PROCESS(test_queue_process_that_does_not_stop_the_queueing_is_killed),
        WITH_PROCESS(test_queue_process_that_does_not_leave_is_killed),
        WITH_PROCESS(test_queue_process_is_left_alone_before_the_engine_runs),
    };

    return cmocka_run_group_tests_name("children_watchdog", tests, NULL, NULL);
}
