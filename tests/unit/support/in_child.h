/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running a part of a test in a child process, for what would change or end the test's own process; and children to be
 * looked at.
 */
#ifndef UNIT_IN_CHILD_H
#define UNIT_IN_CHILD_H

#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#define IN_CHILD_SECONDS 20 /* then the child is ended by SIGALRM */

/* In the child, where cmocka's assertions do not count: ends it with exit code 1 and says which line. */
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* Runs it in a child, which exits with 0 after that. Returns how it ended, as from waitpid(2). */
int run_in_child(void (*run)(void));

enum child_doing { CHILD_SLEEPS, CHILD_SPINS };

/*
 * A child with this name, which has what this process has open, and sleeps or uses the CPU until it is killed, or this
 * process has ended. It does so already when this returns, but may still be on its way to sleep.
 */
pid_t start_child(const char *name, enum child_doing doing);

#endif
