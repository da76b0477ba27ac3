/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process settles on a CPU and leaves it again.
 *
 * It is judged by what the kernel counts for this process: CPU time, and run delay. A worker on the same CPU shows as run
 * delay, as other programs do. Where a change is refused, or another program has set the CPUs meanwhile (taskset, a cpuset),
 * this process changes nothing any more. Process: [queue process].
 */
#include "process/queue_affinity.h"

#include "base/cpu_set.h"
#include "process/ring.h"

#include <unistd.h>

_Static_assert(RING_CPU_ANY == CPU_SET_ALL, "what is named is what is taken");

/* Of the time between two looks, in percent. */
struct shares {
    uint64_t used;
    uint64_t delay;
};

void queue_affinity_init(struct queue_affinity *affinity, bool fixed)
{
    *affinity = (struct queue_affinity){
        .fixed = fixed,
        .cpu = RING_CPU_ANY,
        .backoff = {.min_ms = QUEUE_AFFINITY_RETRY_MIN_MS, .max_ms = QUEUE_AFFINITY_RETRY_MAX_MS},
    };
    if (sched_getaffinity(0, sizeof(affinity->allowed), &affinity->allowed) < 0 || /* more CPUs than it has room for */
        proc_schedstat_read(getpid(), &affinity->schedstat) < 0) {
        affinity->fixed = true;
    }
}

/* ---- its CPU -------------------------------------------------------------------------------------------------- */

/* Whether the CPUs of this process are those that it has set itself. The supervisor may have changed them, too. */
static bool is_where_it_was(const struct queue_affinity *affinity)
{
    const cpu_set_t expected = cpu_set_of(&affinity->allowed, affinity->cpu);
    cpu_set_t now;

    return sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &expected);
}

static bool move(struct queue_affinity *affinity, uint32_t cpu, uint64_t now_ns)
{
    const cpu_set_t set = cpu_set_of(&affinity->allowed, cpu);

    affinity->fixed = !is_where_it_was(affinity) || cpu_set_take(&set) < 0;
    affinity->cpu = affinity->fixed ? RING_CPU_ANY : cpu;
    affinity->moved_ns = now_ns;
    return true;
}

static bool settle(struct queue_affinity *affinity, uint64_t now_ns)
{
    int cpu = sched_getcpu();

    return cpu >= 0 && cpu < CPU_SETSIZE && move(affinity, (uint32_t)cpu, now_ns);
}

bool queue_affinity_leave(struct queue_affinity *affinity, uint64_t now_ns)
{
    if (affinity->cpu == RING_CPU_ANY) {
        return false;
    }
    if (now_ns - affinity->moved_ns >= QUEUE_AFFINITY_GOOD_NS) {
        backoff_reset(&affinity->backoff);
    }
    affinity->retry_ns = now_ns + backoff_next(&affinity->backoff) * NS_PER_MS;
    return move(affinity, RING_CPU_ANY, now_ns);
}

static bool choose_cpu(struct queue_affinity *affinity, struct shares shares, uint64_t now_ns)
{
    if (affinity->cpu != RING_CPU_ANY) {
        return (shares.used > QUEUE_AFFINITY_LEAVE_USED || shares.delay > QUEUE_AFFINITY_LEAVE_DELAY) &&
               queue_affinity_leave(affinity, now_ns);
    }
    return shares.used <= QUEUE_AFFINITY_SETTLE_USED && shares.delay <= QUEUE_AFFINITY_SETTLE_DELAY &&
           now_ns >= affinity->retry_ns && settle(affinity, now_ns);
}

/* ---- looks -------------------------------------------------------------------------------------------------------- */

static struct shares read_shares(struct queue_affinity *affinity, uint64_t now_ns)
{
    uint64_t passed_ns = now_ns - affinity->looked_ns;
    struct proc_schedstat last = affinity->schedstat;

    proc_schedstat_read(getpid(), &affinity->schedstat); /* if it fails, the shares are 0 */
    affinity->looked_ns = now_ns;
    return (struct shares){.used = (affinity->schedstat.used_ns - last.used_ns) * 100 / passed_ns,
                           .delay = (affinity->schedstat.delay_ns - last.delay_ns) * 100 / passed_ns};
}

bool queue_affinity_look(struct queue_affinity *affinity, uint64_t now_ns)
{
    struct shares shares;

    if (now_ns - affinity->looked_ns < QUEUE_AFFINITY_LOOK_NS || affinity->fixed) {
        return false;
    }
    shares = read_shares(affinity, now_ns);
    return choose_cpu(affinity, shares, now_ns);
}
