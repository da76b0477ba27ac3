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

/* What the kernel said of the first thread of a process. */
struct run_delay {
    uint64_t read_ns;  /* when; 0: it was not read */
    uint64_t delay_ns; /* since its begin; a wait is counted once it is over */
    uint64_t used_ns;  /* CPU time since its begin */
    bool ready;        /* it was running, or ready to run */
};

/*
 * Returns false, and *reading is untouched, if the kernel does not say (hidepid, or no CONFIG_SCHED_INFO). A few
 * microseconds; never waits for the process.
 */
bool run_delay_read(pid_t pid, struct run_delay *reading);

/* How long it was kept from running between two readings. */
uint64_t run_delay_between(const struct run_delay *from, const struct run_delay *to);

#endif
