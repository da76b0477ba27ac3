/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which CPU a queue process runs on, where --cpu does not say it.
 *
 * Waking a process on another CPU that sleeps takes four times as long as on the own one: 12 us there and back, against
 * 3 us. So while there is time, a queue process keeps to the CPU that it is on, and its worker follows it there
 * (worker_affinity.h). When they would have to wait for each other, or for other programs, both run where the scheduler
 * puts them, and it is tried again after a while. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_AFFINITY_H
#define ENGINE_PROCESS_QUEUE_AFFINITY_H

#include "base/backoff.h"
#include "base/clock.h"
#include "base/proc_stat.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define QUEUE_AFFINITY_LOOK_NS (50 * NS_PER_MS) /* between two looks, while there are packets */
/* Percent of the time between two looks. It settles on a CPU if it used it, and waited for it, no more than this; */
#define QUEUE_AFFINITY_SETTLE_USED 25
#define QUEUE_AFFINITY_SETTLE_DELAY 5
/* and leaves the CPU if one of them is more than that. */
#define QUEUE_AFFINITY_LEAVE_USED 40
#define QUEUE_AFFINITY_LEAVE_DELAY 15
#define QUEUE_AFFINITY_RETRY_MIN_MS 250 /* after it left a CPU; twice as long each time, */
#define QUEUE_AFFINITY_RETRY_MAX_MS 8000
#define QUEUE_AFFINITY_GOOD_NS (10 * NS_PER_S) /* unless it was there for so long */

struct queue_affinity {
    bool fixed;        /* its CPUs are never changed */
    uint32_t cpu;      /* that it keeps to, or RING_CPU_ANY */
    cpu_set_t allowed; /* at the beginning */
    uint64_t looked_ns; /* the last look: when, */
    struct proc_schedstat schedstat; /* and what was read then */
    uint64_t moved_ns;
    uint64_t retry_ns; /* until then it does not settle */
    struct backoff backoff;
};

/* fixed: stay on the CPUs that this process is on now. */
void queue_affinity_init(struct queue_affinity *affinity, bool fixed);

/* To be called in each turn; does nothing in most. Returns whether `cpu` has changed. */
bool queue_affinity_look(struct queue_affinity *affinity, uint64_t now_ns);

/* Leaves its CPU, if it keeps to one, as after a look. Returns whether `cpu` has changed. */
bool queue_affinity_leave(struct queue_affinity *affinity, uint64_t now_ns);

#endif
