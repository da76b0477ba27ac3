/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child by its pidfd: its end is an event and its status that of waitpid(), a process that is no child is not taken,
 * a stop is seen, and one that was killed and stays is overdue.
 */
#include "unit.h"

#include "base/clock.h"
#include "process/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct event_loop loop;
static struct child child;
static unsigned ends; /* calls of the callback */

static void note_end(void *context, uint32_t events)
{
    assert_ptr_equal(context, &child);
    assert_true((events & EPOLLIN) != 0);
    ends++;
}

static int set_up(void **state)
{
    (void)state;
    ends = 0;
    child_init(&child, note_end, &child);
    return event_loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    child_done(&child, &loop);
    event_loop_done(&loop);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    return 0;
}

/* A child that ends with this status, or waits for its end; less than 0. */
static pid_t make_process(int status)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (status < 0 && getppid() == parent) {
            pause();
        }
        _exit(status);
    }
    assert_true(pid > 0);
    return pid;
}

static void turn_until_end(void)
{
    while (ends == 0) {
        assert_int_equal(event_loop_turn(&loop), 0);
    }
}

static void test_end_is_an_event_and_has_the_status_of_waitpid(void **state)
{
    int status = 0;

    (void)state;
    assert_int_equal(child_open(&child, make_process(3), &loop), 0);
    turn_until_end();
    assert_true(child_reap(&child, &loop, &status));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_int_equal(child.pid, 0);
    assert_int_equal(child.end.fd, -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    ends = 0;
    assert_int_equal(child_open(&child, make_process(-1), &loop), 0);
    assert_false(child_reap(&child, &loop, &status));
    child_signal(&child, SIGTERM);
    turn_until_end();
    assert_true(child_reap(&child, &loop, &status));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_false(child_reap(&child, &loop, &status));
}

/* It ended before it was taken, and was not reaped. */
static void test_end_from_before_is_not_lost(void **state)
{
    pid_t pid = make_process(5);
    siginfo_t info;
    int status = 0;

    (void)state;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(child_open(&child, pid, &loop), 0);
    turn_until_end();
    assert_true(child_reap(&child, &loop, &status));
    assert_int_equal(WEXITSTATUS(status), 5);
}

static void test_process_that_is_no_child_is_not_taken(void **state)
{
    pid_t pid = make_process(0);

    (void)state;
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(child_open(&child, pid, &loop), -ECHILD);
    assert_int_equal(child_open(&child, getpid(), &loop), -ECHILD);
    assert_int_equal(child_open(&child, getppid(), &loop), -ECHILD);
    assert_int_equal(child.pid, 0);
    assert_int_equal(child.end.fd, -1);
}

static void test_stop_is_seen_and_taken_back(void **state)
{
    siginfo_t info;

    (void)state;
    assert_int_equal(child_open(&child, make_process(-1), &loop), 0);
    assert_false(child_has_stopped(&child));
    child_signal(&child, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WSTOPPED | WNOWAIT), 0);
    assert_true(child_has_stopped(&child));
    assert_true(child_has_stopped(&child)); /* to look does not change it */
    child_signal(&child, SIGCONT);
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WCONTINUED), 0);
    assert_false(child_has_stopped(&child));
    kill(child.pid, SIGKILL);
    turn_until_end();
    assert_true(child_has_stopped(&child)); /* for good */
}

static void test_killed_one_that_stays_becomes_overdue_once(void **state)
{
    const uint64_t late_ns = CHILD_OVERDUE_MS * NS_PER_MS;
    int status;

    (void)state;
    assert_false(child_becomes_overdue(&child, UINT64_MAX));
    assert_int_equal(child_open(&child, make_process(-1), &loop), 0);
    assert_false(child_becomes_overdue(&child, UINT64_MAX));
    child_kill(&child, 1000);
    child_kill(&child, 2000); /* the first one counts */
    assert_false(child_becomes_overdue(&child, 999)); /* the loop's clock stands still during a turn */
    assert_false(child_becomes_overdue(&child, 1000 + late_ns - 1));
    assert_true(child_becomes_overdue(&child, 1000 + late_ns));
    assert_true(child.overdue);
    assert_false(child_becomes_overdue(&child, 1000 + late_ns));
    turn_until_end();
    assert_true(child_reap(&child, &loop, &status));
    assert_int_equal(child_open(&child, make_process(-1), &loop), 0);
    assert_false(child.overdue); /* another one */
    assert_false(child_becomes_overdue(&child, UINT64_MAX));
    child_kill(&child, 1);
    ends = 0;
    turn_until_end();
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_end_is_an_event_and_has_the_status_of_waitpid), WITH_LOOP(test_end_from_before_is_not_lost),
        WITH_LOOP(test_process_that_is_no_child_is_not_taken),         WITH_LOOP(test_stop_is_seen_and_taken_back),
        WITH_LOOP(test_killed_one_that_stays_becomes_overdue_once),
    };

    return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
