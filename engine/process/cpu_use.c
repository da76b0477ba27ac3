/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the process's state and the CPU time that the kernel has counted for it.
 *
 * The delay, which the kernel counts, too, grows only once a wait for the CPU is over, and a process that was just forked
 * may not have run at all. So the state is looked at, from time to time, by whoever wants to know. Process: [supervisor].
 */
#include "process/cpu_use.h"

#include "base/proc_stat.h"

struct cpu_use cpu_use_read(pid_t pid)
{
    struct proc_stat stat;
    struct proc_schedstat schedstat;

    return (struct cpu_use){
        .ready = proc_stat_read(pid, &stat) == 0 && stat.state == 'R',
        .used_ns = proc_schedstat_read(pid, &schedstat) == 0 ? schedstat.used_ns : 0,
    };
}
