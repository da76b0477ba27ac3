/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running a part of a test in a child process, for what would change or end the test's own process.
 */
#ifndef UNIT_IN_CHILD_H
#define UNIT_IN_CHILD_H

#include <stdio.h>
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

#endif
