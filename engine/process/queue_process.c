/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages of a queue process.
 *
 * They are those of enum queue_state, and go by what the supervisor has requested so far: a successor finds a later
 * request, and goes through all of them at once. Only from QUEUE_RUN on does it touch the socket and the journal; before,
 * its workers open their plugins. The supervisor starts a successor when its predecessor is reaped, so there is never a
 * second process that would.
 *
 * Before it has any packet, it has given up what it does not need: descriptors and rights. Process: [queue process].
 */
#include "process/queue_process.h"

#include "base/arith.h"
#include "base/close_fds.h"
#include "base/log.h"
#include "base/process_title.h"
#include "process/priority.h"
#include "process/privileges.h"
#include "process/process.h"
#include "process/queue_turns.h"
#include "queue/nfqueue_config.h"
#include "queue/raw_sockets.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct queue_process {
    struct engine *engine;
    struct engine_queue *queue;
    struct queue_turns turns;
    bool stopped; /* the kernel queues nothing more */
};

/* Static: one a process, and too large for the stack. */
static struct queue_process state;

/* ---- stages ---------------------------------------------------------------------------------------------- */

static void set_state(const struct queue_process *process, enum queue_state reached)
{
    queue_tell_word(&process->turns.tell, &process->queue->control->state, reached);
}

static uint32_t requested(const struct queue_process *process)
{
    return atomic_load_explicit(&process->queue->control->request, memory_order_acquire);
}

/* The queue is not bound yet, but the workers may open their plugins. */
static void wait_for_run(struct queue_process *process)
{
    set_state(process, QUEUE_OPENED);
    while (requested(process) == QUEUE_OPEN) {
        queue_turns_next(&process->turns);
    }
}

/* Whether there can be a packet. The request to leave can follow on that to open: then there was no queue. */
static bool has_queue(const struct queue_process *process)
{
    return requested(process) != QUEUE_EXIT || process->queue->kernel.bound ||
           !journal_is_idle(process->queue->shm.journal);
}

/* Packets that were queued before are still answered. A predecessor may have done it; then nothing changes. */
static void stop_queueing(struct queue_process *process)
{
    int code = nfqueue_stop_queueing(process->queue->kernel.socket, process->queue->kernel.number,
                                     process->engine->generation->group->on_stop == NFQE_ACCEPT);

    if (code < 0) {
        queue_tell_failure(&process->turns.tell, "the queue's length cannot be set: %s", strerror(-code));
    }
    process->stopped = true;
    process->turns.readable = true;
    set_state(process, QUEUE_DRAINING);
}

static void serve(struct queue_process *process)
{
    queue_turns_begin(&process->turns);
    set_state(process, QUEUE_SERVING);
    for (;;) {
        uint32_t request = requested(process);

        if (request >= QUEUE_STOP && !process->stopped) {
            stop_queueing(process);
        }
        if (request == QUEUE_EXIT && queue_turns_are_done(&process->turns)) {
            return;
        }
        queue_turns_next(&process->turns);
    }
}

static void close_workers(struct queue_process *process)
{
    set_state(process, QUEUE_CLOSING);
    queue_turns_end(&process->turns);
    while (queue_lives_any(&process->turns.lives)) {
        queue_turns_next(&process->turns);
    }
}

/* ---- begin ----------------------------------------------------------------------------------------------- */

/* What belongs to other queues, to the supervisor and to the plugins is closed. */
static void keep_own_queue(struct engine *engine, unsigned queue)
{
    const struct raw_sockets *raw = engine->raw;
    const int kept[] = {engine->channel, engine->queues[queue].kernel.socket, engine->queues[queue].shm.fd,
                        raw != NULL ? raw->ipv4 : -1, raw != NULL ? raw->ipv6 : -1};

    close_fds_but(kept, ARRAY_SIZE(kept));
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        engine->generation->plugins[i].memfd = -1;
    }
}

/* Its CPU, its priority, its rights. */
static void take_place(const struct engine *engine, unsigned queue, const struct queue_tell *tell)
{
    int cpu = queue_group_cpu(engine->generation->group, queue, 0);
    struct error error;
    int code = process_pin(cpu);

    if (code < 0) {
        log_line("queue %u: its process cannot run on CPU %d: %s; it runs on any", engine->queues[queue].kernel.number,
                 cpu, strerror(-code));
    }
    priority_take_queue(); /* without the right to do so it is as fast as others */
    if (engine->generation->group->priority == PRIORITY_REALTIME) {
        code = priority_take_realtime();
        if (code < 0) {
            queue_tell_failure(tell,
                               "--priority realtime: %s; it needs CAP_SYS_NICE, or a limit on real-time priorities "
                               "(ulimit -r) that is not 0",
                               strerror(-code));
        }
    }
    if (privileges_drop_queue(privileges_queue_uid(&engine->privileges, queue), &error) < 0) {
        queue_tell_failure(tell, "%s", error.text);
    }
    process_tie_to_supervisor(engine->supervisor);
}

/* Several workers of a queue want CPUs of their own, and a process with real-time priority would keep them from theirs. */
static void keep_cpu(struct queue_process *process, unsigned queue)
{
    const struct queue_group *group = process->engine->generation->group;

    if (group->priority != PRIORITY_REALTIME && group->workers == 1 &&
        queue_group_cpu(group, queue, 0) == QUEUE_GROUP_NO_CPU) {
        queue_turns_keep_cpu(&process->turns);
    }
}

void queue_process_run(struct engine *engine, unsigned queue)
{
    struct queue_process *process = &state;
    char name[16];

    process->engine = engine;
    process->queue = &engine->queues[queue];
    snprintf(name, sizeof(name), "nfqe-q%u", process->queue->kernel.number);
    process_begin(name, engine->supervisor);
    process_title_set("queue %u", process->queue->kernel.number);
    keep_own_queue(engine, queue);
    queue_turns_init(&process->turns, engine, process->queue);
    take_place(engine, queue, &process->turns.tell);
    keep_cpu(process, queue);
    wait_for_run(process);
    if (has_queue(process)) {
        serve(process);
    }
    close_workers(process);
    _exit(0);
}
