/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests, hellos, rings. How long a birth may take is in birth_watch.c.
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
#include "process/watched_channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS_MAX 64 /* that are not answered, of all queues: the fork server's channel has room for 200 */

static void report(struct children_queue *queue, const char *what, int code)
{
    exit_report_report(&queue->children->exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: %s: %s",
                       children_number(queue), what, strerror(-code));
}

void births_retry(struct children_queue *queue)
{
    uint64_t wait_ms = queue->given_up ? queue->children->engine->generation->group->outage_retry_ms
                                       : backoff_next(&queue->births_backoff);

    queue->births_ns = monotonic_ns() + wait_ms * NS_PER_MS;
}

/* The request is answered, or given up. */
static void end_request(struct children_worker *worker)
{
    worker->requested = false;
    worker->queue->children->requests--;
}

void births_drop(struct children_worker *worker)
{
    if (worker->requested) {
        end_request(worker);
        watched_channel_close(&worker->channel, worker->queue->children->loop);
        worker->number = 0;
    }
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

/* A place for one more; NULL: too many linger. */
static struct children_worker *new_worker(struct children_queue *queue, unsigned slot)
{
    struct children *children = queue->children;

    for (unsigned i = 0; i < children->places; i++) {
        struct children_worker *worker = &queue->workers[i];

        if (worker->number == 0) {
            children->births += children->births == UINT32_MAX ? 2 : 1; /* 0 is no number */
            worker->number = children->births;
            worker->slot = slot;
            worker->areas = children->forkserver.areas.number;
            worker->uid = privileges_worker_uid(&children->engine->privileges, children->engine->generation->number,
                                                children_index(queue), slot, queue->turns[slot]++);
            worker->requested = worker->opened = worker->lost = worker->ended = worker->end_reported = false;
            return worker;
        }
    }
    return NULL;
}

/* Every place is taken. That is no news while those who were just killed, perhaps all at once, are on their way out. */
static void report_lingering(struct children_queue *queue)
{
    for (unsigned i = 0; i < queue->children->places; i++) {
        if (queue->workers[i].process.overdue) {
            exit_report_report(
                &queue->children->exit_report, EXIT_CODE_RUN_TIME, NULL,
                "queue %u: %d workers were killed and have not ended, perhaps in system calls that cannot be "
                "interrupted; no more are started until one has",
                children_number(queue), CHILDREN_LINGERING_MAX);
            return;
        }
    }
}

/* Returns whether it was asked for. */
static bool request(struct children_queue *queue, unsigned slot)
{
    struct children *children = queue->children;
    struct children_worker *worker = new_worker(queue, slot);
    struct process_message message = process_message_make(FORKSERVER_FORK, children_index(queue));
    int theirs = -1;
    int code;

    if (worker == NULL) {
        report_lingering(queue);
        return false;
    }
    code = watched_channel_open(&worker->channel, children->loop, &theirs);
    if (code < 0) {
        worker->number = 0;
        report(queue, "no channel for a worker", code);
        return false;
    }
    worker->requested = true;
    children->requests++;
    message.slot = slot;
    message.uid = worker->uid;
    message.skipped = queue->skipped;
    if (!forkserver_client_request(&children->forkserver, &message, theirs)) {
        births_drop(worker);
        close_fd(&theirs);
        return false;
    }
    close_fd(&theirs);
    birth_watch_begin(children);
    return true;
}

static bool slot_is_taken(const struct children_queue *queue, unsigned slot)
{
    for (unsigned i = 0; i < queue->children->places; i++) {
        const struct children_worker *worker = &queue->workers[i];

        if (worker->number != 0 && worker->slot == slot && !worker->lost) {
            return true;
        }
    }
    return false;
}

static void report_stillborn(struct children_queue *queue)
{
    if (queue->stillborn) {
        queue->stillborn = false;
        queue->queue->control->restarts += queue->children->exit_report.running;
        exit_report_report(&queue->children->exit_report, EXIT_CODE_RUN_TIME, NULL,
                           "queue %u: the new worker ended before it said hello", children_number(queue));
    }
}

void births_fill(struct children_queue *queue)
{
    struct children *children = queue->children;

    if (!children->forkserver.ready || queue->process.pid == 0 || queue->births_ns != 0 || children->ending ||
        queue->requested == QUEUE_EXIT) {
        return;
    }
    report_stillborn(queue);
    for (unsigned slot = 0; slot < children->slots && children->requests < REQUESTS_MAX; slot++) {
        if (!slot_is_taken(queue, slot) && !request(queue, slot)) {
            births_retry(queue);
            return;
        }
    }
}

void births_fill_all(struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        births_fill(&children->queues[i]);
    }
}

/* ---- a worker that is there ------------------------------------------------------------------------------------ */

/* The queue process is told, and can wait for its end. */
static int announce(const struct children_worker *worker)
{
    struct queue_message message = queue_message_make(QUEUE_NEW_WORKER, worker->number);

    message.pid = (uint32_t)worker->pid;
    return channel_send(worker->queue->channel.fd, &message, sizeof(message), &worker->process.end.fd, 1);
}

/* A process that says it is the worker. Returns 0, or a negative errno: it is not, or it cannot be watched. */
static int take(struct children_worker *worker, pid_t pid, struct error *error)
{
    struct children *children = worker->queue->children;
    int code = ends_know(children, pid) ? -ECHILD : child_open(&worker->process, pid, children->loop);

    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "%s", strerror(-code));
    }
    end_request(worker);
    birth_watch_succeed(children);
    event_loop_unwatch(children->loop, &worker->channel);
    worker->pid = pid;
    probe_worker_start(children_number(worker->queue), pid);
    code = privileges_check(pid, worker->uid, 0, error);
    if (code < 0 && code != -ESRCH) {
        exit_report_error(&children->exit_report, error);
    }
    if (code < 0 || children->ending || announce(worker) < 0) {
        close_fd(&worker->channel.fd);
        worker->end_reported = worker->lost = true;
        child_kill(&worker->process, monotonic_ns());
        births_retry(worker->queue);
    }
    return 0;
}

/* Without a pipe, which is reported, it prints where the fork server does: that costs no traffic. */
static void open_log(struct children_worker *worker, int *write_end)
{
    char name[32];
    int code;

    snprintf(name, sizeof(name), "worker queue %u", children_number(worker->queue));
    code = child_log_open(&worker->log, worker->queue->children->logs, name, write_end);
    if (code < 0) {
        report(worker->queue, "no pipe for what a worker prints", code);
    }
}

/* Returns whether it has what its plugins need to count; if none counts, it needs nothing. */
static bool make_cells(struct children_worker *worker)
{
    size_t size = counter_cells_size(worker->queue->children->engine->counters.first);
    int code = size > 0 ? counter_cells_new(size, &worker->cells) : 0;

    if (code < 0) {
        report(worker->queue, "no memory for the counters of a worker's plugins", code);
    }
    return code == 0;
}

/* Returns whether they are there. Those of another fork server than that of the worker are not what it expects. */
static bool get_areas(const struct children_worker *worker, struct areas_passed *passed)
{
    struct areas *areas = &worker->queue->children->forkserver.areas;
    int code = areas_get(areas, children_index(worker->queue), worker->slot, passed);

    if (code < 0) {
        report(worker->queue, "no memory for the areas of a worker's plugins", code);
    }
    return code == 0 && worker->areas == areas->number;
}

static int pass_descriptors(const struct children_worker *worker, const int ring[RING_FDS], int log)
{
    struct process_message message = process_message_make(WORKER_DESCRIPTORS, 0);
    struct areas_passed areas;
    int fds[WORKER_FDS_MAX];
    unsigned count = RING_FDS;

    if (!get_areas(worker, &areas)) {
        return -ENOMEM;
    }
    message.value = areas.fresh;
    memcpy(fds, ring, RING_FDS * sizeof(int));
    if (worker->cells.fd >= 0) {
        fds[count++] = worker->cells.fd;
    }
    memcpy(&fds[count], areas.fds, areas.count * sizeof(int));
    count += areas.count;
    if (log >= 0) {
        fds[count++] = log;
    }
    return channel_send(worker->channel.fd, &message, sizeof(message), fds, count);
}

void births_pass_ring(struct children_worker *worker, const int ring[RING_FDS])
{
    int log = -1;

    if (worker->channel.fd < 0) {
        return;
    }
    open_log(worker, &log);
    if (!make_cells(worker) || pass_descriptors(worker, ring, log) < 0) {
        child_kill(&worker->process, monotonic_ns());
    } else {
        areas_note_passed(&worker->queue->children->forkserver.areas, children_index(worker->queue), worker->slot);
    }
    close_fd(&log);
    close_fd(&worker->channel.fd);
}

void births_receive(struct children_worker *worker)
{
    struct children_queue *queue = worker->queue;
    struct process_message message;
    struct error error;
    pid_t sender = 0;
    bool stillborn = false;
    ssize_t len;

    if (!worker->requested) {
        return;
    }
    len = channel_receive(worker->channel.fd, &message, sizeof(message), &sender);
    if (len == -EAGAIN) {
        return;
    }
    if (len <= 0 ||
        process_message_check(&message, (size_t)len, FROM_BIRTH, queue->children->engine->queue_count) < 0) {
        stillborn = !queue->children->ending;
    } else if (message.kind == WORKER_NOT_FORKED) {
        report(queue, "no process for a worker", -(int)message.value);
    } else if (take(worker, sender, &error) == 0) {
        births_fill_all(queue->children); /* there may be requests that had to wait */
        return;
    } else {
        exit_report_report(&queue->children->exit_report, EXIT_CODE_RUN_TIME, NULL,
                           "queue %u: a process that is no new worker, or cannot be watched, said that it is one: %s",
                           children_number(queue), error.text);
    }
    births_drop(worker);
    queue->stillborn = stillborn;
    births_retry(queue);
}

void births_receive_all(struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count * children->places && children->requests > 0; i++) {
        births_receive(&children->workers[i]);
    }
}
