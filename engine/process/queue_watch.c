/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One reading of the kernel's table for all queues. A queue that is not in it, or has the port id of another socket, gives
 * no packet to the engine and takes no verdict from it; its packets are decided by the firewall's rule, or by another
 * program. That does not end by itself, so the engine has to. Process: [supervisor].
 */
#include "process/queue_watch.h"

#include "queue/nfqueue_config.h"
#include "queue/nfqueue_proc.h"

#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

struct watch {
    struct children *children;
    bool owned[QUEUES_MAX]; /* by index */
};

static bool is_as_set(const struct queue_settings *settings, const struct nfqueue_status *status)
{
    if (!settings->copy_packet) {
        return status->copy_mode == NFQNL_COPY_META;
    }
    return status->copy_mode == NFQNL_COPY_PACKET && status->copy_range == settings->copy_range;
}

static void set_again(struct children_queue *queue, const struct nfqueue_status *status)
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

static void look_at_status(void *context, const struct nfqueue_status *status)
{
    struct watch *watch = context;
    const struct engine *engine = watch->children->engine;

    for (unsigned i = 0; i < engine->queue_count; i++) {
        const struct queue *kernel = &engine->queues[i].kernel;

        if (kernel->number == status->queue && kernel->port_id == status->port_id) {
            watch->owned[i] = true;
            if (!is_as_set(&kernel->settings, status)) {
                set_again(&watch->children->queues[i], status);
            }
        }
    }
}

/* Nothing of it can be answered any more, so a stop does not wait for it. */
static void give_up(struct children *children, unsigned index)
{
    exit_report_report(&children->exit_report, EXIT_CODE_QUEUE, NULL,
                       "queue %u: another program has unbound it with the engine's own socket; the engine stops",
                       children->engine->queues[index].kernel.number);
    children->queue_lost = true;
    children_need_no_process(children, index);
}

void queue_watch_look(struct children *children)
{
    struct watch watch = {.children = children};

    if (nfqueue_each_status(look_at_status, &watch) < 0) {
        return;
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        const struct children_queue *queue = &children->queues[i];

        if (queue->queue->kernel.bound && !watch.owned[i] && queue->requested == QUEUE_RUN && !queue->exited) {
            give_up(children, i);
        }
    }
}
