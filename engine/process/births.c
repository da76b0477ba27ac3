/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests, hellos, and the time that a birth may take.
 *
 * The fork server serves one request after the other, so only the oldest one has a deadline. It is counted in looks at
 * the channels, like the hang of a worker: after a pause of the machine or of the supervisor the first look counts as
 * one, and the fork server has the rest of its time. Each look takes what has arrived before it counts.
 *
 * A worker that ends before its hello leaves only an end-of-file. The same comes of a fork server that is dying, which
 * explains more, so the worker's end is reported when the next one is asked for. Process: [supervisor].
 */
#include "process/births.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/probe.h"
#include "process/ends.h"

#include <errno.h>
#include <string.h>

static unsigned queue_number(const struct children *children, unsigned queue)
{
    return children->engine->queues[queue].kernel.number;
}

static void report(struct children *children, unsigned queue, const char *what, int code)
{
    exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: %s: %s",
                       queue_number(children, queue), what, strerror(-code));
}

void births_retry(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];

    worker->retry_ns = monotonic_ns() + backoff_next(&worker->backoff) * NS_PER_MS;
}

void births_drop(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];

    if (worker->requested) {
        event_loop_unwatch(children->loop, &worker->channel);
        close_fd(&worker->channel.fd);
        worker->requested = false;
    }
    worker->stillborn = false;
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

static void schedule_look(struct children *children)
{
    unsigned ms = watchdog_interval_ms(children->forkserver.birth_timeout_ms);

    event_loop_start_timer(children->loop, &children->birth_timer, monotonic_ns() + ms * NS_PER_MS);
}

/* Opens the worker's channel. *theirs gets its end. */
static int open_channel(struct children *children, struct children_worker *worker, int *theirs)
{
    int code = channel_new(&worker->channel.fd, theirs);

    if (code < 0) {
        return code;
    }
    code = event_loop_watch(children->loop, &worker->channel, EPOLLIN);
    if (code < 0) {
        close_fd(&worker->channel.fd);
        close_fd(theirs);
    }
    return code;
}

void births_request(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];
    int theirs = -1;
    int code;

    if (!children->forkserver.ready || worker->process.pid != 0 || worker->requested || worker->exited ||
        children->ending) {
        return;
    }
    if (worker->stillborn) {
        worker->stillborn = false;
        children->engine->queues[queue].control->restarts += children->exit_report.running;
        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL,
                           "queue %u: the new worker ended before it said hello", queue_number(children, queue));
    }
    worker->retry_ns = 0;
    code = open_channel(children, worker, &theirs);
    if (code < 0) {
        report(children, queue, "no channel for a worker", code);
        births_retry(children, queue);
        return;
    }
    worker->requested = true;
    worker->birth = ++children->births;
    if (!forkserver_client_request(&children->forkserver, queue, theirs)) {
        births_drop(children, queue);
        births_retry(children, queue);
    } else if (children->birth_timer.link == NULL) {
        schedule_look(children);
    }
    close_fd(&theirs);
}

/* ---- a worker that is there ------------------------------------------------------------------------------------ */

/* Passes the worker what belongs to its queue, as a new worker needs it, whatever plugins wrote there before. */
static void pass_queue(struct children *children, unsigned queue)
{
    const struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct children_worker *worker = &children->workers[queue];
    const struct process_message message = process_message_make(WORKER_DESCRIPTORS, 0);
    int fds[] = {engine_queue->kernel.socket, engine_queue->shm.fd, -1};
    int code = child_logs_begin_worker(children->logs, queue, &fds[2]);

    if (code < 0) {
        report(children, queue, "no pipe for what its worker prints", code); /* it prints where the fork server does */
    }
    queue_shm_restore_table(&engine_queue->shm, engine_queue->kernel.number);
    engine_queue->control->owner = 0;
    engine_queue->control->request = worker->requested_state;
    engine_queue->control->state = WORKER_STARTING;
    engine_queue->control->plugin = PLUGIN_REF_NONE;
    engine_queue->control->message[0] = '\0';
    if (channel_send(worker->channel.fd, &message, sizeof(message), fds, fds[2] >= 0 ? 3 : 2) < 0) {
        child_kill(&worker->process, monotonic_ns());
    }
    close_fd(&fds[2]);
}

/* A process that says it is the worker. Returns 0, or a negative errno: it is not, or it cannot be watched. */
static int take(struct children *children, unsigned queue, pid_t pid)
{
    struct children_worker *worker = &children->workers[queue];
    int code = ends_know(children, pid) ? -ECHILD : child_open(&worker->process, pid, children->loop);

    if (code < 0) {
        return code;
    }
    probe_worker_start(queue_number(children, queue), pid);
    worker->requested = false;
    worker->owner = false;
    worker->hung = false;
    worker->suspected = false;
    worker->silent_ns = 0;
    worker->generation = children->engine->generation->number;
    worker->opening = PLUGIN_REF_NONE;
    worker->deadline_ns = monotonic_ns() + children->engine->generation->group->load_timeout_ms * NS_PER_MS;
    if (children->ending) {
        child_kill(&worker->process, monotonic_ns());
        return 0;
    }
    pass_queue(children, queue);
    if (children->exit_report.running) {
        children_admit(children, queue);
    }
    return 0;
}

void births_receive(struct children *children, unsigned queue)
{
    const struct children_worker *worker = &children->workers[queue];
    struct process_message message;
    pid_t sender = 0;
    bool stillborn = false;
    ssize_t len;
    int code;

    if (!worker->requested) {
        return;
    }
    len = channel_receive(worker->channel.fd, &message, sizeof(message), &sender);
    if (len == -EAGAIN) {
        return;
    }
    if (len <= 0 || process_message_check(&message, (size_t)len, FROM_BIRTH, children->engine->queue_count) < 0) {
        stillborn = !children->ending;
    } else if (message.kind == WORKER_NOT_FORKED) {
        report(children, queue, "no process for a worker", -(int)message.value);
    } else {
        code = take(children, queue, sender);
        if (code == 0) {
            return;
        }
        report(children, queue, "a process that is no new worker, or cannot be watched, said that it is one", code);
    }
    births_drop(children, queue);
    children->workers[queue].stillborn = stillborn;
    births_retry(children, queue);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* The number of the oldest request that is not answered; 0: there is none. */
static uint64_t oldest_birth(const struct children *children)
{
    uint64_t oldest = 0;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        const struct children_worker *worker = &children->workers[i];

        if (worker->requested && (oldest == 0 || worker->birth < oldest)) {
            oldest = worker->birth;
        }
    }
    return oldest;
}

static void look(void *context)
{
    struct children *children = context;
    struct watchdog_sample sample;
    bool stalled;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        births_receive(children, i);
    }
    children_schedule_tick(children);
    sample.progress = (uint32_t)oldest_birth(children);
    sample.busy = sample.progress != 0;
    if (watchdog_check(&children->birth_watchdog, &sample, children->forkserver.birth_timeout_ms, &stalled)) {
        forkserver_client_give_up(&children->forkserver);
    } else if (sample.busy) {
        schedule_look(children);
    }
}

void births_init(struct children *children)
{
    children->birth_timer = (struct event_timer){.expired = look, .context = children};
}
