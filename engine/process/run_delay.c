/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second number of /proc/PID/schedstat (Documentation/scheduler/sched-stats.rst). A process that sleeps, waits for a lock
 * or is stopped is not ready to run, so it does not grow then; the CPU time alone would not tell these apart. Reading it
 * takes no lock that the process could hold. Process: [queue process].
 */
#include "process/run_delay.h"

#include <inttypes.h>
#include <stdio.h>

bool run_delay_read(pid_t pid, uint64_t *ns)
{
    uint64_t delay_ns;
    bool read = false;
    char path[40];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
    file = fopen(path, "re");
    if (file != NULL) {
        read = fscanf(file, "%*u %" SCNu64, &delay_ns) == 1;
        fclose(file);
    }
    if (read) {
        *ns = delay_ns;
    }
    return read;
}
