/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Forking queue processes.
 *
 * A queue process has by fork what it needs: the queue's socket, the descriptor of its shared memory, which a successor
 * goes on with, and the generation. Its workers come later, one after the other, over its channel. Process: [supervisor].
 */
#include "process/queue_births.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "process/births.h"
#include "process/hangs.h"
#include "process/process.h"
#include "process/watched_channel.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void prepare_control(const struct children_queue *queue)
{
    struct queue_control *control = queue->queue->control;

    control->request = queue->requested;
    control->give_up = queue->given_up;
    control->state = QUEUE_STARTING;
    control->closing = PLUGINS_MAX;
    control->text[0] = '\0';
}

/* In the new process. The memory of queues is not inherited; its own it maps again. */
static void run(const struct children_queue *queue, int channel, int log) __attribute__((noreturn));

static void run(const struct children_queue *queue, int channel, int log)
{
    struct engine *engine = queue->children->engine;
    unsigned index = children_index(queue);
    struct engine_queue *own = &engine->queues[index];
    const struct queue_shm_layout layout = own->shm.layout;
    int code;

    process_reset_signals();
    process_enter_log(&log);
    code = queue_shm_attach(own->shm.fd, own->kernel.number, &layout, &own->shm);
    if (code < 0) {
        log_line("queue %u: its memory cannot be mapped: %s", own->kernel.number, strerror(-code));
        _exit(PROCESS_EXIT_FAILED);
    }
    own->control = own->shm.control;
    for (unsigned i = 0; i < engine->queue_count; i++) {
        if (i != index) {
            queue_init(&engine->queues[i].kernel, engine->queues[i].kernel.number);
            queue_shm_init(&engine->queues[i].shm);
            engine->queues[i].control = NULL;
        }
    }
    engine->channel = channel;
    queue->children->programs->queue_run(engine, index);
}

static int start(struct children_queue *queue)
{
    int ends[2];
    int log = -1;
    char name[32];
    int code = channel_new_pair(ends);

    if (code < 0) {
        return code;
    }
    queue->channel.fd = ends[0];
    code = event_loop_watch(queue->children->loop, &queue->channel, EPOLLIN);
    if (code == 0) {
        snprintf(name, sizeof(name), "queue %u", children_number(queue));
        code = child_log_open(&queue->log, queue->children->logs, name, &log);
    }
    if (code == 0) {
        prepare_control(queue);
        code = child_fork(&queue->process, queue->children->loop);
        if (code == 0) {
            run(queue, ends[1], log);
        }
    }
    close(ends[1]);
    close_fd(&log);
    if (code < 0) {
        watched_channel_close(&queue->channel, queue->children->loop);
        child_log_close(&queue->log);
    }
    return code < 0 ? code : 0;
}

void queue_births_retry(struct children_queue *queue)
{
    queue->retry_ns = monotonic_ns() + backoff_next(&queue->backoff) * NS_PER_MS;
}

void queue_births_start(struct children_queue *queue)
{
    int code;

    queue->retry_ns = 0;
    if (queue->process.pid != 0 || queue->exited || queue->children->ending) {
        return;
    }
    code = start(queue);
    if (code < 0) {
        exit_report_report(&queue->children->exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: no queue process: %s",
                           children_number(queue), strerror(-code));
        queue_births_retry(queue);
        return;
    }
    queue->hung = false;
    queue->suspected = false;
    queue->answered = journal_answered(queue->queue->shm.journal);
    hangs_reset(queue);
    births_fill(queue);
}
