/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses a byte in a child. The signal has its default action there: a sanitizer's handler would make the child exit
 * with a code instead.
 */
#include "faults.h"

#include "unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

bool faults(volatile uint8_t *byte, bool write_it)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        if (write_it) {
            *byte = 1;
        }
        _exit(*byte == 0x55 ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}
