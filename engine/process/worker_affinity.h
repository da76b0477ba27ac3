/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which CPU a worker runs on, where --cpu does not say it: that of its queue process, if that one has settled
 * (queue_affinity.h) and the plugin chain is short. A chain that takes long gains more from a CPU of its own: its worker runs
 * where the scheduler puts it. The worker does this itself, between two frames. Process: [worker].
 */
#ifndef ENGINE_PROCESS_WORKER_AFFINITY_H
#define ENGINE_PROCESS_WORKER_AFFINITY_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKER_AFFINITY_SHORT_NS 20000 /* CPU time of a frame up to which a chain is short, */
#define WORKER_AFFINITY_LONG_NS 30000  /* and from which on it is long; in between, it is what it was */
#define WORKER_AFFINITY_FRAMES 64      /* of which the average counts */

struct worker_affinity {
    bool fixed;        /* it is never changed */
    bool is_long;      /* the chain takes long */
    uint32_t cpu;      /* that it keeps to, or RING_CPU_ANY */
    unsigned frames;   /* since the CPU time was read */
    uint64_t used_ns;  /* CPU time then */
    cpu_set_t allowed; /* at the beginning */
};

/* fixed: stay where this process is now. */
void worker_affinity_init(struct worker_affinity *affinity, bool fixed);

/* A frame was handled. Reads the clock of CPU time once in WORKER_AFFINITY_FRAMES. */
void worker_affinity_frame(struct worker_affinity *affinity);

/* Nothing is to be handled: the time to go to another CPU. named: by the queue process, a CPU or RING_CPU_ANY. */
void worker_affinity_follow(struct worker_affinity *affinity, uint32_t named);

#endif
