/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc_stat.c: a process's name, state, parent, its end, and its times, as the kernel says them. The processes are real.
 */
#include "in_child.h"
#include "unit.h"

#include "base/proc_stat.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void test_name_with_brackets_does_not_move_the_other_fields(void **state)
{
    static const char *const names[] = {"x) R 1 (y", ")", "(((", "a b", ""};
    struct proc_stat stat;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pid_t pid = start_child(names[i], CHILD_SLEEPS);

        do { /* on its way to pause() */
            assert_int_equal(proc_stat_read(pid, &stat), 0);
        } while (stat.state == 'R');
        assert_string_equal(stat.name, names[i]);
        assert_int_equal(stat.state, 'S');
        assert_int_equal(stat.parent, getpid());
        assert_false(stat.ending);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
}

static void test_process_that_reads_itself_runs(void **state)
{
    struct proc_stat stat;

    (void)state;
    assert_int_equal(proc_stat_read(getpid(), &stat), 0);
    assert_int_equal(stat.state, 'R');
    assert_int_equal(stat.parent, getppid());
    assert_false(stat.ending);
}

static void test_process_that_was_killed_is_ending(void **state)
{
    pid_t pid = start_child("killed", CHILD_SLEEPS);
    siginfo_t info;
    struct proc_stat stat;

    (void)state;
    kill(pid, SIGKILL);
    assert_int_equal(proc_stat_read(pid, &stat), 0); /* it has the signal, or is on its way, or a zombie */
    assert_true(stat.ending);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(proc_stat_read(pid, &stat), 0);
    assert_int_equal(stat.state, 'Z');
    assert_true(stat.ending);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_process_that_is_not_there_leaves_the_result_alone(void **state)
{
    pid_t pid = start_child("gone", CHILD_SLEEPS);
    struct proc_stat stat = {.parent = 5};
    struct proc_schedstat schedstat = {.used_ns = 5, .delay_ns = 6};

    (void)state;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(proc_stat_read(pid, &stat), -ENOENT);
    assert_int_equal(stat.parent, 5);
    assert_int_equal(proc_schedstat_read(pid, &schedstat), -ENOENT);
    assert_true(schedstat.used_ns == 5 && schedstat.delay_ns == 6);
}

/* The kernel's clock of the thread is what schedstat is made of. */
static void test_cpu_time_is_the_first_number(void **state)
{
    struct proc_schedstat schedstat;
    struct timespec before;
    struct timespec after;

    (void)state;
    do {
        assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before), 0);
    } while (before.tv_sec == 0 && before.tv_nsec < 20000000);
    assert_int_equal(proc_schedstat_read(getpid(), &schedstat), 0);
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after), 0);
    assert_true(schedstat.used_ns <= (uint64_t)after.tv_sec * 1000000000 + (uint64_t)after.tv_nsec);
    assert_true(schedstat.used_ns >= 10000000); /* it is brought up to date at each tick */
}

static void test_reading_leaves_no_descriptor(void **state)
{
    int before = dup(STDOUT_FILENO); /* the lowest that is free */
    struct proc_stat stat;
    struct proc_schedstat schedstat;
    int after;

    (void)state;
    close(before);
    assert_int_equal(proc_stat_read(getpid(), &stat), 0);
    assert_int_equal(proc_schedstat_read(getpid(), &schedstat), 0);
    after = dup(STDOUT_FILENO);
    close(after);
    assert_int_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_with_brackets_does_not_move_the_other_fields),
        cmocka_unit_test(test_process_that_reads_itself_runs),
        cmocka_unit_test(test_process_that_was_killed_is_ending),
        cmocka_unit_test(test_process_that_is_not_there_leaves_the_result_alone),
        cmocka_unit_test(test_cpu_time_is_the_first_number),
        cmocka_unit_test(test_reading_leaves_no_descriptor),
    };

    return cmocka_run_group_tests_name("proc_stat", tests, NULL, NULL);
}
