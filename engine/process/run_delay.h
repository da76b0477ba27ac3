/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a process was ready to run and got no CPU: what tells a worker that hangs from one that others keep from
 * running. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_RUN_DELAY_H
#define ENGINE_PROCESS_RUN_DELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Since its begin, of its first thread. Returns false, and *ns is untouched, if the kernel does not say (hidepid, or no
 * CONFIG_SCHED_INFO). A few microseconds; never waits for the process.
 */
bool run_delay_read(pid_t pid, uint64_t *ns);

#endif
