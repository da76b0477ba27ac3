/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a stop, looked at every few milliseconds: no event tells that the kernel's queue is empty.
 *
 * The order of a look is what makes it safe. First the queue processes' states are read, then the kernel's figures: a
 * figure from before the queueing was stopped would miss what was queued in between. A queue whose process has died has
 * its queueing stopped by the supervisor, again at each look, because the process may have died before it did so; the
 * figures of the look that first did so do not count.
 *
 * Where /proc cannot be read, the socket tells: the kernel puts a packet into its queue and the message into the socket
 * under one lock, so once its length is 0, every packet that waits has its message in the socket or was received. Then
 * it is in the journal until it is answered. The socket is looked at before the journal: in the other order, a message
 * that is received in between would be in neither.
 *
 * A look reads the kernel's table once, whatever follows from it: with 256 queues it has 256 lines. So the last figures
 * of a queue are from just before it is unbound.
 */
#include "process/drain.h"

#include "base/clock.h"
#include "base/log.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_socket.h"

#include <nfqe/plugin.h>

#define POLL_MS 5
#define NOT_LEFT_LINES 5 /* there can be 256 queues */

static void wake_up(void *context)
{
    struct drain *drain = context;

    event_loop_start_timer(drain->loop, &drain->poll, event_loop_now(drain->loop) + POLL_MS * NS_PER_MS);
}

void drain_begin(struct drain *drain, struct engine *engine, struct children *children, struct event_loop *loop)
{
    *drain = (struct drain){
        .engine = engine,
        .children = children,
        .loop = loop,
        .poll = {.expired = wake_up, .context = drain},
        .deadline_ns = event_loop_now(loop) + engine->generation->group->drain_timeout_ms * NS_PER_MS,
    };
    for (unsigned i = 0; i < engine->queue_count; i++) {
        children_request(children, i, QUEUE_STOP);
    }
    wake_up(drain);
}

void drain_hurry(struct drain *drain)
{
    drain->deadline_ns = event_loop_now(drain->loop);
}

static void look(struct drain *drain)
{
    for (unsigned i = 0; i < drain->engine->queue_count; i++) {
        drain->queues[i].draining = drain->engine->queues[i].control->state == QUEUE_DRAINING;
    }
    queues_read_status(drain->engine, &drain->kernel);
}

/* Whether every packet is answered. It counts only if nothing more was queued since before the look. */
static bool nothing_waits(const struct drain *drain, unsigned index)
{
    const struct engine_queue *queue = &drain->engine->queues[index];

    if (queue->kernel.unbound) {
        return true;
    }
    if (drain->kernel.code == 0) {
        return drain->kernel.found[index] && drain->kernel.status[index].waiting == 0;
    }
    return !nfqueue_has_unread(queue->kernel.socket) && journal_is_idle(queue->shm.journal);
}

/* No process reads the socket, so the setting is the supervisor's to make. */
static void check_without_process(struct drain *drain, unsigned index, bool late)
{
    const struct engine_queue *queue = &drain->engine->queues[index];
    struct drain_queue *state = &drain->queues[index];

    nfqueue_stop_queueing(queue->kernel.socket, queue->kernel.number,
                          drain->engine->generation->group->on_stop == NFQE_ACCEPT);
    if (!late && state->stopped && nothing_waits(drain, index)) {
        children_need_no_process(drain->children, index);
    }
    state->stopped = true;
}

static void log_not_left(struct drain *drain, unsigned index)
{
    const struct engine_queue *queue = &drain->engine->queues[index];
    const struct generation *generation = drain->engine->generation;
    uint32_t plugin = queue->control->closing;

    if (drain->not_left++ >= NOT_LEFT_LINES) {
        return;
    }
    if (plugin < generation->plugin_count) {
        log_line("queue %u: every packet is answered, but close() of plugin %s has not returned; the worker is killed",
                 queue->kernel.number, generation->plugins[plugin].id);
    } else {
        log_line("queue %u: every packet is answered, but the workers have not left; they are killed",
                 queue->kernel.number);
    }
}

static void check_with_process(struct drain *drain, unsigned index, bool late)
{
    struct drain_queue *state = &drain->queues[index];

    state->stopped = false;
    if (!nothing_waits(drain, index)) {
        return;
    }
    if (late) {
        if (state->leaving) {
            log_not_left(drain, index);
        }
    } else if (state->draining) {
        children_request(drain->children, index, QUEUE_EXIT);
        state->leaving = true;
    }
}

/* No process answers its packets any more, and it has none. */
static bool is_drained(const struct drain *drain, unsigned index)
{
    return children_exited(drain->children, index) ||
           (drain->queues[index].leaving && drain->engine->queues[index].control->state == QUEUE_CLOSING);
}

bool drain_check(struct drain *drain)
{
    bool late = event_loop_now(drain->loop) >= drain->deadline_ns;

    look(drain);
    for (unsigned i = 0; i < drain->engine->queue_count; i++) {
        if (is_drained(drain, i)) {
            queues_unbind_one(drain->engine, i, &drain->kernel);
        }
        if (children_exited(drain->children, i)) {
            continue;
        }
        if (children_has_process(drain->children, i)) {
            check_with_process(drain, i, late);
        } else {
            check_without_process(drain, i, late);
        }
    }
    if (late && drain->not_left > NOT_LEFT_LINES) {
        log_line("... %u more queues whose workers have not left", drain->not_left - NOT_LEFT_LINES);
    }
    return late || children_all_exited(drain->children);
}
