/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking the processes of a queue from a CPU on which they starve.
 *
 * A queue process and its workers keep to one CPU while there is time (queue_affinity.h). If something takes that CPU for
 * itself, a flood of interrupts or a real-time process, they cannot leave it, since that needs the CPU. The supervisor, which
 * runs on any, gives them all of its CPUs. A process whose CPUs another program has set is left alone. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_QUEUE_CPUS_H
#define ENGINE_PROCESS_QUEUE_CPUS_H

#include "process/children.h"

/* The queue process has asked for it, since a worker gets no CPU: takes the workers from it. */
void queue_cpus_take_request(struct children_queue *queue);

/* The queue process gets no CPU: takes it and its workers from the one that they keep to. */
void queue_cpus_release(struct children_queue *queue);

#endif
