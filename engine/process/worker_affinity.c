/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker follows its queue process from CPU to CPU.
 *
 * Where a change is refused (a plugin or the administrator has restricted the CPUs), the worker stays where it is for good.
 * Process: [worker].
 */
#include "process/worker_affinity.h"

#include "base/clock.h"
#include "base/cpu_set.h"
#include "process/ring.h"

#include <time.h>

_Static_assert(RING_CPU_ANY == CPU_SET_ALL, "what is named is what is taken");

/* Of this thread: what a plugin's own threads do elsewhere is not what the chain takes. */
static uint64_t cpu_time_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

void worker_affinity_init(struct worker_affinity *affinity, bool fixed)
{
    *affinity = (struct worker_affinity){.fixed = fixed, .cpu = RING_CPU_ANY};
    if (!fixed && sched_getaffinity(0, sizeof(affinity->allowed), &affinity->allowed) < 0) {
        affinity->fixed = true; /* more CPUs than the set has room for */
    }
    affinity->used_ns = cpu_time_ns();
}

void worker_affinity_frame(struct worker_affinity *affinity)
{
    uint64_t now_ns;
    uint64_t frame_ns;

    if (affinity->fixed || ++affinity->frames < WORKER_AFFINITY_FRAMES) {
        return;
    }
    now_ns = cpu_time_ns();
    frame_ns = (now_ns - affinity->used_ns) / affinity->frames;
    affinity->used_ns = now_ns;
    affinity->frames = 0;
    affinity->is_long = frame_ns > (affinity->is_long ? WORKER_AFFINITY_SHORT_NS : WORKER_AFFINITY_LONG_NS);
}

void worker_affinity_follow(struct worker_affinity *affinity, uint32_t named)
{
    uint32_t cpu = affinity->is_long || named >= CPU_SETSIZE ? RING_CPU_ANY : named;
    cpu_set_t set;

    if (affinity->fixed || cpu == affinity->cpu) {
        return;
    }
    set = cpu_set_of(&affinity->allowed, cpu);
    affinity->fixed = cpu_set_take(&set) < 0;
    affinity->cpu = cpu;
}
