/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's delay of a process. One that sleeps, waits for a lock or is stopped is not ready to run, so its delay
 * does not grow then; the CPU time alone would not tell these apart.
 *
 * The kernel counts a wait when it is over. Of a process that is ready to run now, which may have waited all the time, the
 * delay is whatever it did not use. Process: [queue process].
 */
#include "process/run_delay.h"

#include "base/arith.h"
#include "base/clock.h"
#include "base/proc_stat.h"

bool run_delay_read(pid_t pid, struct run_delay *reading)
{
    struct proc_schedstat schedstat;
    struct proc_stat stat;

    if (proc_schedstat_read(pid, &schedstat) < 0 || proc_stat_read(pid, &stat) < 0) {
        return false;
    }
    *reading = (struct run_delay){.read_ns = monotonic_ns(),
                                  .delay_ns = schedstat.delay_ns,
                                  .used_ns = schedstat.used_ns,
                                  .ready = stat.state == 'R'};
    return true;
}

uint64_t run_delay_between(const struct run_delay *from, const struct run_delay *to)
{
    uint64_t counted_ns = to->delay_ns - from->delay_ns;
    uint64_t passed_ns = to->read_ns - from->read_ns;
    uint64_t used_ns = min_u64(to->used_ns - from->used_ns, passed_ns);

    return to->ready && passed_ns - used_ns > counted_ns ? passed_ns - used_ns : counted_ns;
}
