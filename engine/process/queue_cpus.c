/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPUs of queue processes and workers, set from outside.
 *
 * Which CPU it is, the queue process has written into its control words, so that a process which an administrator keeps to
 * another one is not touched. A process that ends meanwhile is no failure, nor is one that cannot be moved: it goes on when
 * it gets its CPU. Process: [supervisor].
 */
#include "process/queue_cpus.h"

#include "base/cpu_set.h"

static void release(pid_t pid, uint32_t cpu)
{
    cpu_set_t all;
    cpu_set_t now;
    cpu_set_t kept;

    if (pid == 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(all), &all) < 0 ||
        sched_getaffinity(pid, sizeof(now), &now) < 0) {
        return;
    }
    kept = cpu_set_one(cpu);
    if (CPU_EQUAL(&now, &kept)) {
        sched_setaffinity(pid, sizeof(all), &all);
    }
}

static void release_workers(const struct children_queue *queue, uint32_t cpu)
{
    for (unsigned i = 0; i < queue->children->places; i++) {
        release(queue->workers[i].process.pid, cpu);
    }
}

void queue_cpus_take_request(struct children_queue *queue)
{
    uint32_t starved = atomic_exchange(&queue->queue->control->starved, 0);

    if (starved != 0) {
        release_workers(queue, starved - 1);
    }
}

void queue_cpus_release(struct children_queue *queue)
{
    uint32_t cpu = queue->queue->control->cpu;

    release(queue->process.pid, cpu);
    release_workers(queue, cpu);
}
