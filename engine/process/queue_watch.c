/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One reading of the kernel's table for all queues. A queue that is not in it, or has the port id of another socket, gives
 * no packet to the engine and takes no verdict from it; its packets are decided by the firewall's rule, or by another
 * program. That does not end by itself, so the engine has to.
 *
 * A line can be missing from one reading though the queue is bound (nfqueue_proc.c). So a queue is given up only if the
 * next reading, a moment later, does not have it either. A reading that fails says nothing.
 *
 * Only what is served is touched: in a stop, settings would start the queueing again. Process: [supervisor].
 */
#include "process/queue_watch.h"

#include "base/arith.h"
#include "base/clock.h"
#include "base/log.h"
#include "queue/nfqueue_config.h"

#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

#define LOOK_NS NS_PER_S
#define SOON_NS (100 * NS_PER_MS) /* after the look before, at the soonest */

static bool is_served(const struct children_queue *queue)
{
    return queue->queue->kernel.bound && queue->requested == QUEUE_RUN && !queue->exited;
}

static bool is_as_set(const struct queue_settings *settings, const struct nfqueue_status *status)
{
    if (!settings->copy_packet) {
        return status->copy_mode == NFQNL_COPY_META;
    }
    return status->copy_mode == NFQNL_COPY_PACKET && status->copy_range == settings->copy_range;
}

static void set_again(const struct children_queue *queue, const struct nfqueue_status *status)
{
    const struct queue *kernel = &queue->queue->kernel;
    int code = nfqueue_configure(kernel->socket, kernel->number, &kernel->settings);

    exit_report_report(
        &queue->children->exit_report, EXIT_CODE_RUN_TIME, NULL,
        "queue %u: another program has changed its settings in the kernel, to copy mode %u with %u bytes; "
        "%s%s",
        kernel->number, status->copy_mode, status->copy_range,
        code < 0 ? "they cannot be set again: " : "they are set again", code < 0 ? strerror(-code) : "");
}

static void check_found(struct queue_watch *watch)
{
    for (unsigned i = 0; i < watch->children->engine->queue_count; i++) {
        const struct children_queue *queue = &watch->children->queues[i];
        const struct nfqueue_status *status = &watch->kernel.status[i];

        if (!watch->kernel.found[i]) {
            continue;
        }
        figures_note(watch->figures, i, status);
        if (is_served(queue) && !is_as_set(&queue->queue->kernel.settings, status)) {
            set_again(queue, status);
        }
    }
}

/* Its line has no limit: it comes once, and says why the engine ends. A stop does not wait for what cannot be answered. */
static void give_up(struct children *children, unsigned index)
{
    log_line("queue %u: another program has unbound it with the engine's own socket; the engine stops",
             children->engine->queues[index].kernel.number);
    children->queue_lost = true;
    children_need_no_process(children, index);
}

/* Returns whether some queue is to be looked for again. */
static bool check_missing(struct queue_watch *watch)
{
    struct children *children = watch->children;
    bool again = false;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        bool missing = is_served(&children->queues[i]) && !watch->kernel.found[i];

        if (missing && watch->missed[i]) {
            give_up(children, i);
        }
        watch->missed[i] = missing;
        again = again || missing;
    }
    return again;
}

static void look(void *context)
{
    struct queue_watch *watch = context;
    struct event_loop *loop = watch->children->loop;
    bool known;
    bool again;

    queues_read_status(watch->children->engine, &watch->kernel);
    known = watch->kernel.code == 0;
    check_found(watch);
    figures_look(watch->figures, known);
    again = known && check_missing(watch);
    watch->looked_ns = event_loop_now(loop);
    event_loop_start_timer(loop, &watch->timer, watch->looked_ns + (again ? SOON_NS : LOOK_NS));
}

void queue_watch_begin(struct queue_watch *watch, struct children *children, struct figures *figures)
{
    *watch = (struct queue_watch){
        .children = children,
        .figures = figures,
        .timer = {.expired = look, .context = watch},
        .looked_ns = event_loop_now(children->loop),
    };
    event_loop_start_timer(children->loop, &watch->timer, watch->looked_ns + LOOK_NS);
}

void queue_watch_soon(struct queue_watch *watch)
{
    if (watch != NULL && watch->timer.link != NULL) {
        struct event_loop *loop = watch->children->loop;
        uint64_t due_ns = max_u64(event_loop_now(loop), watch->looked_ns + SOON_NS);

        event_loop_start_timer(loop, &watch->timer, min_u64(due_ns, watch->timer.due_ns));
    }
}

void queue_watch_end(struct queue_watch *watch)
{
    if (watch->children != NULL) {
        event_loop_stop_timer(watch->children->loop, &watch->timer);
    }
}
