/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says of a process in /proc/PID/stat and /proc/PID/schedstat.
 *
 * A reading takes a few microseconds and no lock that the process could hold, so it never waits for it. What was read may
 * be over at once. Functions return 0 or a negative errno; -EIO: the file is not as expected. Process: any.
 */
#ifndef ENGINE_BASE_PROC_STAT_H
#define ENGINE_BASE_PROC_STAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_STAT_NAME_SIZE 16 /* as the kernel keeps the name of a process */

struct proc_stat {
    char name[PROC_STAT_NAME_SIZE]; /* which the process chooses */
    char state;                     /* 'R': it is running, or ready to run */
    pid_t parent;
    bool ending;                    /* it exits, or SIGKILL is on its way to it */
};

/* Of its first thread, since its begin. */
struct proc_schedstat {
    uint64_t used_ns;  /* CPU time */
    uint64_t delay_ns; /* ready to run, without a CPU. A wait is counted once it is over */
};

int proc_stat_read(pid_t pid, struct proc_stat *stat);

/* Fails also where the kernel does not say it (hidepid, or no CONFIG_SCHED_INFO). */
int proc_schedstat_read(pid_t pid, struct proc_schedstat *schedstat);

#endif
