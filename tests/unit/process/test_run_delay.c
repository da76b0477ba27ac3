/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_delay.c: the delay grows for a process that others keep from running, and not for one that sleeps or is stopped.
 *
 * The kernel says it; two processes share one CPU for it.
 */
#include "unit.h"

#include "base/proc_stat.h"
#include "process/run_delay.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCHED_MS 200
#define WATCHED_NS (WATCHED_MS * UINT64_C(1000000))

enum doing { SPINS, SLEEPS };

static pid_t start(enum doing doing)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        cpu_set_t one;

        CPU_ZERO(&one);
        CPU_SET(0, &one);
        sched_setaffinity(0, sizeof(one), &one);
        alarm(30);
        for (;;) {
            if (doing == SLEEPS) {
                pause();
            }
        }
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* It does what was asked of it: on a busy machine, that may take a while. */
static void wait_for_state(pid_t pid, char state)
{
    struct proc_stat stat;

    do {
        poll(NULL, 0, 1);
        assert_int_equal(proc_stat_read(pid, &stat), 0);
    } while (stat.state != state);
}

/* How much it grows while the test waits. */
static uint64_t growth(pid_t pid)
{
    struct run_delay before;
    struct run_delay after;

    assert_true(run_delay_read(pid, &before));
    poll(NULL, 0, WATCHED_MS);
    assert_true(run_delay_read(pid, &after));
    return run_delay_between(&before, &after);
}

static void test_process_that_is_kept_from_running(void **state)
{
    pid_t others[3];
    pid_t pid;

    (void)state;
    pid = start(SPINS);
    for (unsigned i = 0; i < 3; i++) {
        others[i] = start(SPINS);
    }
    poll(NULL, 0, 50);
    assert_true(growth(pid) >= WATCHED_NS / 4); /* a fair share would be 3/4 */
    for (unsigned i = 0; i < 3; i++) {
        end(others[i]);
    }
    end(pid);
}

static void test_process_that_sleeps_or_is_stopped(void **state)
{
    pid_t sleeping = start(SLEEPS);
    pid_t stopped = start(SPINS);

    (void)state;
    kill(stopped, SIGSTOP);
    wait_for_state(sleeping, 'S');
    wait_for_state(stopped, 'T');
    assert_true(growth(sleeping) < WATCHED_NS / 10);
    assert_true(growth(stopped) < WATCHED_NS / 10);
    end(sleeping);
    end(stopped);
}

static void test_process_that_is_not_there(void **state)
{
    struct run_delay reading = {.delay_ns = 5};
    pid_t pid = start(SLEEPS);

    (void)state;
    end(pid);
    assert_false(run_delay_read(pid, &reading));
    assert_int_equal(reading.delay_ns, 5);
}

/* The kernel has not counted the wait yet. */
static void test_wait_that_goes_on_counts(void **state)
{
    const struct run_delay from = {.read_ns = 1000, .delay_ns = 700, .used_ns = 200, .ready = true};

    (void)state;
    assert_int_equal(run_delay_between(&from, &(struct run_delay){1100, 700, 200, true}), 100);
    assert_int_equal(run_delay_between(&from, &(struct run_delay){1100, 730, 260, true}), 40);
    assert_int_equal(run_delay_between(&from, &(struct run_delay){1100, 730, 200, false}), 30);
    assert_int_equal(run_delay_between(&from, &(struct run_delay){1100, 700, 310, true}), 0);
}

static void test_reading_leaves_no_descriptor(void **state)
{
    int before = dup(STDOUT_FILENO); /* the lowest that is free */
    int after;
    struct run_delay reading;

    (void)state;
    close(before);
    assert_true(run_delay_read(getpid(), &reading));
    after = dup(STDOUT_FILENO);
    close(after);
    assert_int_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_that_is_kept_from_running),
        cmocka_unit_test(test_process_that_sleeps_or_is_stopped),
        cmocka_unit_test(test_reading_leaves_no_descriptor),
        cmocka_unit_test(test_process_that_is_not_there),
        cmocka_unit_test(test_wait_that_goes_on_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
