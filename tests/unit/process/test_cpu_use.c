/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu_use.c: which processes are ready to run, and how much CPU time they have had.
 */
#include "in_child.h"
#include "unit.h"

#include "process/cpu_use.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(enum child_doing doing)
{
    return start_child("x) R 1 (y", doing); /* a plugin may choose it */
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_process_that_computes_is_ready_and_uses_cpu_time(void **state)
{
    pid_t pid = start(CHILD_SPINS);
    uint64_t begin_ns = cpu_use_read(pid).used_ns;

    (void)state;
    while (cpu_use_read(pid).used_ns < begin_ns + 20 * UINT64_C(1000000)) {
        assert_true(cpu_use_read(pid).ready);
        poll(NULL, 0, 1);
    }
    end(pid);
}

static void test_process_that_sleeps_or_is_stopped_is_not_ready(void **state)
{
    pid_t sleeping = start(CHILD_SLEEPS);
    pid_t stopped = start(CHILD_SPINS);
    siginfo_t info;

    (void)state;
    while (cpu_use_read(sleeping).ready) { /* on its way to pause() */
        poll(NULL, 0, 1);
    }
    kill(stopped, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)stopped, &info, WSTOPPED | WNOWAIT), 0);
    for (unsigned i = 0; i < 20; i++) {
        assert_false(cpu_use_read(sleeping).ready);
        assert_false(cpu_use_read(stopped).ready);
        poll(NULL, 0, 1);
    }
    end(sleeping);
    end(stopped);
}

static void test_process_that_is_not_there(void **state)
{
    pid_t pid = start(CHILD_SPINS);

    (void)state;
    end(pid);
    assert_false(cpu_use_read(pid).ready);
    assert_int_equal(cpu_use_read(pid).used_ns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_that_computes_is_ready_and_uses_cpu_time),
        cmocka_unit_test(test_process_that_sleeps_or_is_stopped_is_not_ready),
        cmocka_unit_test(test_process_that_is_not_there),
    };

    return cmocka_run_group_tests_name("cpu_use", tests, NULL, NULL);
}
