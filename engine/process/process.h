/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process of the engine: how it begins, what it must not lose, where it runs.
 *
 * Queue processes, fork server and workers are forked without exec, so signals and descriptors are what their parent
 * had until process_begin() sets them, capabilities and limits until privileges.h does. Plugins run in fork server and
 * workers and can undo it, so what the process needs is looked at again after plugin code has run. Process: any.
 */
#ifndef ENGINE_PROCESS_PROCESS_H
#define ENGINE_PROCESS_PROCESS_H

#include "process/engine.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * First thing in a new fork server or worker: its short name (at most 15 characters, for top, pgrep and gdb), death
 * together with the supervisor, a session of its own, so that a signal to its group does not reach the supervisor, and
 * signals that a service manager sends to all processes left to the supervisor. Exits if the supervisor is gone
 * already.
 */
void process_begin(const char *name, pid_t supervisor);

/*
 * In a fork of the supervisor, before that: what the supervisor ignores gets its default again, but for SIGPIPE; a
 * plugin that writes to a closed connection gets an error.
 */
void process_reset_signals(void);

/*
 * Standard output and standard error of this process are from now on the pipe *log, which is closed itself; standard
 * input is empty. What is printed is written at once: what the C library kept would be lost in a crash. *log at most 2:
 * there is no pipe, and nothing is changed.
 */
void process_enter_log(int *log);

/* This process dies when the supervisor does; if it has already, at once. A change of user undoes it. */
void process_tie_to_supervisor(pid_t supervisor);

/*
 * What a plugin took from this process that it needs, the fork server for every worker: the channel, a plugin's copy,
 * or one of more[count]. -1: it is not open by intention. NULL: nothing. Text for a message, to follow "open() ".
 */
const char *process_check_intact(const struct engine *engine, const int *more, unsigned count);

/* Whether this process has CAP_NET_ADMIN, which binding a queue and sending a verdict need. */
bool has_cap_net_admin(void);

/* Lets this process run on one CPU only; QUEUE_GROUP_NO_CPU: on all. Returns 0 or a negative errno. */
int process_pin(int cpu);

#endif
