/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The child is a copy of the test, without its limits of time; so it gets one of its own.
 */
#include "in_child.h"

#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define START_CHILD_SECONDS 30

int run_in_child(void (*run)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(IN_CHILD_SECONDS);
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Its death signal is set before it has begun, so its parent cannot end in between. */
static _Noreturn void act(const char *name, enum child_doing doing, int begun)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, name);
    alarm(START_CHILD_SECONDS);
    if (write(begun, "", 1) != 1) {
        _exit(1);
    }
    close(begun);
    for (;;) {
        if (doing == CHILD_SLEEPS) {
            pause();
        }
    }
}

pid_t start_child(const char *name, enum child_doing doing)
{
    int begun[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(begun), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(begun[0]);
        act(name, doing, begun[1]);
    }
    close(begun[1]);
    assert_int_equal(read(begun[0], &byte, 1), 1);
    close(begun[0]);
    return pid;
}
