/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's delay of a process. One that sleeps, waits for a lock or is stopped is not ready to run, so its delay
 * does not grow then; the CPU time alone would not tell these apart. Process: [queue process].
 */
#include "process/run_delay.h"

#include "base/proc_stat.h"

bool run_delay_read(pid_t pid, uint64_t *ns)
{
    struct proc_schedstat schedstat;

    if (proc_schedstat_read(pid, &schedstat) < 0) {
        return false;
    }
    *ns = schedstat.delay_ns;
    return true;
}
