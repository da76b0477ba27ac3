/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of queue processes.
 *
 * What they say of a worker that is not in the table any more is skipped: it was dismissed meanwhile. Outages are
 * control words, so that one which begins and ends between two looks is not missed by its end, and costs one line at
 * most. Process: [supervisor].
 */
#include "process/queue_news.h"

#include "base/channel.h"
#include "base/fd.h"
#include "base/log.h"
#include "process/births.h"
#include "process/losses.h"
#include "process/queue_cpus.h"

#include <errno.h>
#include <inttypes.h>

static void close_fds(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int fd = fds[i];

        close_fd(&fd);
    }
}

/* One that was born before the queue was given up gets no packets, so it does not end that. */
static void opened(struct children_worker *worker)
{
    struct children_queue *queue = worker->queue;

    worker->opened = true;
    worker->answered = journal_answered(queue->queue->shm.journal);
    if (queue->given_up && !worker->lost && worker->number > queue->queue->control->retired) {
        queue->given_up = false;
        queue->queue->control->give_up = 0;
        children_wake(queue);
    }
}

static void note_outage(struct children_queue *queue)
{
    const struct queue_group *group = queue->children->engine->generation->group;
    bool outage = queue->queue->control->outage != 0;

    if (outage == queue->outage) {
        return;
    }
    queue->outage = outage;
    if (!outage) {
        log_line("queue %u: the outage is over, a worker has opened its plugins", children_number(queue));
        return;
    }
    queue->queue->control->outages++;
    if (group->on_outage == OUTAGE_STOP) {
        log_line("queue %u: outage, no worker decides; the engine stops, as --on-outage says", children_number(queue));
        queue->children->stop_wanted = true;
    } else if (queue->given_up) {
        log_line("queue %u: outage, packets get verdict %s; a worker is tried again in %" PRIu64 " ms",
                 children_number(queue), group->on_outage == OUTAGE_ACCEPT ? "accept" : "drop", group->outage_retry_ms);
    } else {
        log_line("queue %u: outage, there was no worker for %" PRIu64 " ms; packets get verdict %s until there is one",
                 children_number(queue), group->outage_timeout_ms,
                 group->on_outage == OUTAGE_ACCEPT ? "accept" : "drop");
    }
}

static void take_message(struct children_queue *queue, const struct queue_message *message, const int *fds)
{
    struct children_worker *worker = children_worker_find(queue, message->worker);

    if (message->kind == QUEUE_CHANGED) {
        note_outage(queue);
        queue_cpus_take_request(queue);
    } else if (worker == NULL) {
        return;
    } else if (message->kind == QUEUE_RING) {
        births_pass_ring(worker, fds);
    } else if (message->kind == QUEUE_WORKER_OPENED) {
        opened(worker);
    } else {
        losses_lost(worker, message);
    }
}

bool queue_news_receive(struct children_queue *queue, unsigned max)
{
    for (unsigned i = 0; i < max && queue->channel.fd >= 0; i++) {
        struct queue_message message;
        int fds[RING_FDS];
        ssize_t len = channel_take(queue->channel.fd, &message, sizeof(message), fds, RING_FDS);

        if (len == -EAGAIN) {
            return false;
        }
        if (len <= 0) {
            return true;
        }
        if (queue_message_check(&message, (size_t)len, QUEUE_FROM_PROCESS) == 0) {
            take_message(queue, &message, fds);
        }
        close_fds(fds, RING_FDS);
    }
    return false;
}
