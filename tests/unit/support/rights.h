/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests of what a process may do: children that give up rights, also in namespaces of their own, and what they try.
 */
#ifndef UNIT_RIGHTS_H
#define UNIT_RIGHTS_H

#include "unit.h"

#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

/* In a child: the condition holds, or the child says which one does not, and has failed. */
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s, line %d: not so: %s\n", __FILE_NAME__, __LINE__, #condition);                         \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

#define RIGHTS_UID 91000 /* no file belongs to this one and those after it, and no process but those of tests */
#define RIGHTS_QUEUE 77

/* Runs it in a child, which has to succeed. Returns its wait status. */
int rights_run(void (*run)(void));

/* The same as the ordinary user RIGHTS_UID, if this process is root's. */
int rights_run_as_user(void (*run)(void));

/*
 * The same in a new PID, mount and network namespace with its own /proc, as process 1. Skips the running test where
 * that cannot be had.
 */
int rights_run_in_namespaces(void (*run)(void));

/* Skips the running test if this process is not root's. */
void rights_need_root(void);

/* A child that only waits. Returns its process ID once `become` has returned in it. */
pid_t rights_start(void (*become)(void));

/* Sends the kernel this request for the queue; returns the kernel's answer: 0 or a negative errno. */
int rights_bind_queue(int socket);
int rights_send_verdict(int socket);
int rights_open_netlink(void);

#endif
