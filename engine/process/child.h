/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child process, by its pidfd: its end is an event, and a signal reaches it or no process at all.
 *
 * Always: the pid is that of a child that has not been reaped. If it is killed and does not end within a time, which
 * can happen in a system call that cannot be interrupted, it is overdue: nothing waits for it any longer.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CHILD_H
#define ENGINE_PROCESS_CHILD_H

#include "base/event_loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_OVERDUE_MS 1000 /* after SIGKILL; an exit that frees 1 GiB takes a tenth of it */

/* The owner fills in end.ready and end.context: called once it has ended, and until it is reaped. */
struct child {
    pid_t pid;              /* 0: none */
    struct event_watch end; /* its pidfd */
    uint64_t killed_ns;     /* when it was killed; 0: it was not */
    bool overdue;           /* it was said that it is */
};

void child_init(struct child *child, void (*ended)(void *context, uint32_t events), void *context);

/*
 * Takes a process: `pid` must be a child of this one that has not been reaped. Returns 0 or a negative errno; -ECHILD:
 * it is no child.
 */
int child_open(struct child *child, pid_t pid, struct event_loop *loop);

/*
 * Forks, and takes the new process. Returns 0 in that process, and its pid in this one, or a negative errno: then there
 * is none, or it was killed and is reaped like any child that is not known.
 */
pid_t child_fork(struct child *child, struct event_loop *loop);

/*
 * Whether it has ended; then it is reaped and forgotten, and *status is as from waitpid(2). A process that has ended
 * while another one traces it cannot be reaped yet: then its end is not watched any more, SIGCHLD will tell.
 */
bool child_reap(struct child *child, struct event_loop *loop, int *status);

/* Whether it has ended, and can be reaped. */
bool child_has_ended(const struct child *child);

/* Whether it is stopped, or has ended. */
bool child_has_stopped(const struct child *child);

void child_signal(const struct child *child, int number);

/* Sends SIGKILL, and notes when. */
void child_kill(struct child *child, uint64_t now_ns);

/* Whether it was killed CHILD_OVERDUE_MS ago or earlier and has not been reaped. True once. */
bool child_becomes_overdue(struct child *child, uint64_t now_ns);

/* Forgets it, whatever it does. */
void child_done(struct child *child, struct event_loop *loop);

#endif
