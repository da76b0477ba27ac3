/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reaping, and what follows from the end of a queue process, a worker or the fork server.
 *
 * A queue process that dies leaves the journal; its successor finishes what is in it, with workers of its own, since the
 * rings have died with it. At the end of the engine, ends have no consequences. Process: [supervisor].
 */
#include "process/ends.h"

#include "base/log.h"
#include "base/probe.h"
#include "burst/recovery.h"
#include "process/births.h"
#include "process/losses.h"
#include "process/queue_births.h"
#include "process/queue_news.h"
#include "process/queue_watch.h"
#include "process/strays.h"
#include "process/watched_channel.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- queue processes -------------------------------------------------------------------------------------------- */

/* Everything that it has said is heard first: it may have given up workers, whose ends are then explained. */
static void close_channel(struct children_queue *queue)
{
    queue_news_receive(queue, UINT32_MAX);
    watched_channel_close(&queue->channel, queue->children->loop);
}

static void request_id_recovery(const struct children_queue *queue)
{
    struct journal *journal = queue->queue->shm.journal;
    struct nfqueue_status kernel;
    bool known = queue_read_status(&queue->queue->kernel, &kernel) == 0;

    journal_request_id_recovery(journal, known ? kernel.last_id : journal_totals(journal)->outstanding.last_id);
}

/* By another program, or for want of memory: not by a packet. */
static bool was_killed(const struct children_queue *queue, int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !queue->hung;
}

static void queue_ended(struct children_queue *queue, pid_t pid, int status)
{
    struct children *children = queue->children;
    const struct queue_control *control = queue->queue->control;
    struct journal *journal = queue->queue->shm.journal;
    bool answered = journal_answered(journal) != queue->answered;

    if (queue->requested == QUEUE_EXIT && control->state == QUEUE_CLOSING && journal_is_idle(journal)) {
        queue->exited = true;
        return;
    }
    exit_report_queue(&children->exit_report, children_index(queue), pid, status, queue->hung, !queue->exited);
    if (queue->exited) {
        return;
    }
    queue->queue->control->restarts += children->exit_report.running;
    queue_watch_soon(children->watch);
    if (!journal_is_idle(journal)) {
        request_id_recovery(queue);
    }
    if (!was_killed(queue, status)) {
        journal_note_death(journal, answered);
    }
    if (answered) {
        backoff_reset(&queue->backoff);
        queue_births_start(queue);
    } else {
        queue_births_retry(queue);
    }
}

bool ends_reap_queue(struct children_queue *queue)
{
    pid_t pid = queue->process.pid;
    int status;

    if (!child_reap(&queue->process, queue->children->loop, &status)) {
        return false;
    }
    queue->suspected = false;
    close_channel(queue);
    child_log_close(&queue->log);
    children_dismiss_workers(queue);
    if (!queue->children->ending) {
        queue_ended(queue, pid, status);
    }
    return true;
}

/* ---- workers ------------------------------------------------------------------------------------------------------ */

bool ends_reap_worker(struct children_worker *worker)
{
    struct children_queue *queue = worker->queue;
    int status;

    if (!child_reap(&worker->process, queue->children->loop, &status)) {
        return false;
    }
    child_log_close(&worker->log);
    probe_worker_exit(children_number(queue), worker->pid, status);
    watched_channel_close(&worker->channel, queue->children->loop);
    losses_ended(worker, status);
    strays_look_soon(queue->children);
    return true;
}

/* ---- the fork server --------------------------------------------------------------------------------------------- */

/* Workers that were asked for do not come any more. One that has said hello does. */
static void drop_requests(struct children *children)
{
    births_receive_all(children);
    for (unsigned i = 0; i < children->engine->queue_count * children->places; i++) {
        births_drop(&children->workers[i]);
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        children->queues[i].stillborn = false;
    }
}

static void forkserver_ended(struct children *children, int status)
{
    struct forkserver_client *forkserver = &children->forkserver;
    bool forgiven;

    forkserver_client_ended(forkserver);
    if (children->logs != NULL) {
        child_log_drain(children->forkserver_log);
    }
    if (children->ending) {
        char reason[EXIT_REPORT_REASON_MAX];

        if (forkserver->leaving && !forkserver->hung && status != 0) {
            exit_report_unload(&children->exit_report, exit_report_reason(status, reason));
        }
        return;
    }
    drop_requests(children);
    forgiven = birth_watch_forgives(children) && !children->exit_report.running;
    if (forgiven) {
        log_line("the fork server did not answer in time and was killed; it is started again in %u ms",
                 forkserver_client_retry(forkserver));
        return;
    }
    exit_report_forkserver(&children->exit_report, status, forkserver->hung);
    if (children->exit_report.running) {
        unsigned wait_ms = forkserver_client_retry(forkserver);

        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL,
                           "the fork server is started again in %u ms; the workers go on", wait_ms);
    }
}

bool ends_reap_forkserver(struct children *children)
{
    int status;
    bool ended = forkserver_client_reap(&children->forkserver, &status);

    if (ended) {
        forkserver_ended(children, status);
    }
    return ended;
}

/* One that was killed never runs again, so nothing comes of it, but its memory stays until it ends. */
bool ends_leave_forkserver(struct children *children)
{
    for (unsigned i = 0; i < CHILDREN_FORKSERVERS_LEFT_MAX; i++) {
        if (children->forkservers_left[i] == 0) {
            children->forkservers_left[i] = children->forkserver.process.pid;
            forkserver_client_forget(&children->forkserver);
            forkserver_ended(children, W_EXITCODE(0, SIGKILL));
            return true;
        }
    }
    return false;
}

static void forget_left(struct children *children, pid_t pid)
{
    for (unsigned i = 0; i < CHILDREN_FORKSERVERS_LEFT_MAX; i++) {
        if (children->forkservers_left[i] == pid) {
            children->forkservers_left[i] = 0;
        }
    }
}

/* ---- any ---------------------------------------------------------------------------------------------------------- */

static struct children_queue *find_queue(const struct children *children, pid_t pid)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->queues[i].process.pid == pid) {
            return &children->queues[i];
        }
    }
    return NULL;
}

static struct children_worker *find_worker(const struct children *children, pid_t pid)
{
    for (unsigned i = 0; i < children->engine->queue_count * children->places; i++) {
        if (children->workers[i].process.pid == pid) {
            return &children->workers[i];
        }
    }
    return NULL;
}

bool ends_know(const struct children *children, pid_t pid)
{
    return pid == children->forkserver.process.pid || find_queue(children, pid) != NULL ||
           find_worker(children, pid) != NULL;
}

static bool reap_known(struct children *children, pid_t pid)
{
    struct children_queue *queue = find_queue(children, pid);
    struct children_worker *worker = find_worker(children, pid);

    if (queue != NULL) {
        return ends_reap_queue(queue);
    }
    return worker != NULL ? ends_reap_worker(worker) : ends_reap_forkserver(children);
}

/* A child that is not known may be a worker whose hello has not been read: then it becomes known, and has its end. */
bool ends_reap_any(struct children *children)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) {
        return false;
    }
    if (!ends_know(children, info.si_pid)) {
        births_receive_all(children);
    }
    if (ends_know(children, info.si_pid)) {
        return reap_known(children, info.si_pid);
    }
    if (waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG) < 0) {
        return false;
    }
    forget_left(children, info.si_pid);
    strays_look_soon(children); /* what it has started is ours now */
    return true;
}
