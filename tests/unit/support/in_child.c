/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The child is a copy of the test, without its limits of time; so it gets one of its own.
 */
#include "in_child.h"

#include "unit.h"

#include <sys/wait.h>

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
