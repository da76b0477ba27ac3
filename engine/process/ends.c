/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reaping, and what follows from the end of a worker or of the fork server.
 *
 * The end of a worker that served decides over the packet that a plugin had, and asks for the next worker. A dead
 * process left what it was doing in memory that its plugins could write to, so that decides what is reported; who owned
 * the queue the supervisor knows itself. At the end of the engine, ends have no consequences. Process: [supervisor].
 */
#include "process/ends.h"

#include "base/fd.h"
#include "base/probe.h"
#include "process/births.h"
#include "queue/nfqueue_proc.h"

#include <sys/wait.h>

static void worker_ended(struct children *children, unsigned queue, pid_t pid, int status)
{
    struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct children_worker *worker = &children->workers[queue];
    struct worker_control *control = engine_queue->control;
    struct journal *journal = engine_queue->shm.journal;
    struct nfqueue_status kernel;
    struct burst_guilt guilt;
    struct worker_exit exit;

    probe_worker_exit(engine_queue->kernel.number, pid, status);
    exit = (struct worker_exit){queue, pid, status, worker->hung, worker->generation};
    if (worker->requested_state == WORKER_EXIT && (!worker->owner || journal_is_idle(journal))) {
        worker->exited = true;
        if (status != 0) {
            exit_report_leaving(&children->exit_report, &exit);
        }
        return;
    }
    control->restarts += children->exit_report.running;
    /* A plugin can write the state; but if there is a packet at the cursor, the worker was past open(). */
    if (!worker->owner || (control->state == WORKER_STARTING && !journal_is_in_plugin(journal))) {
        exit_report_start(&children->exit_report, &exit);
        births_retry(children, queue);
        return;
    }
    if (!journal_is_idle(journal)) {
        bool known = nfqueue_read_status(engine_queue->kernel.number, &kernel) == 0;

        journal_request_id_recovery(journal, known ? kernel.last_id : journal_totals(journal)->outstanding.last_id);
    }
    journal_assign_guilt(journal, children->engine->generation->plugin_count,
                         children->engine->generation->group->on_crash, &guilt);
    exit_report_worker(&children->exit_report, &exit, &guilt);
    if (journal_answered(journal) != worker->answered) {
        backoff_reset(&worker->backoff);
        births_request(children, queue);
    } else {
        births_retry(children, queue);
    }
}

static void forkserver_ended(struct children *children, int status)
{
    struct forkserver_client *forkserver = &children->forkserver;

    forkserver_client_ended(forkserver);
    child_logs_end_process(children->logs, CHILD_LOG_FORKSERVER);
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        births_receive(children, i); /* a worker may have said hello */
        if (!children->ending) {
            births_drop(children, i);
        }
    }
    if (children->ending) {
        char reason[EXIT_REPORT_REASON_MAX];

        if (forkserver->leaving && !forkserver->hung && status != 0) {
            exit_report_unload(&children->exit_report, exit_report_reason(status, reason));
        }
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
    bool ended = child_reap(&children->forkserver.process, children->loop, &status);

    if (ended) {
        forkserver_ended(children, status);
    }
    return ended;
}

bool ends_reap_worker(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];
    pid_t pid = worker->process.pid;
    int status;

    if (!child_reap(&worker->process, children->loop, &status)) {
        return false;
    }
    event_loop_unwatch(children->loop, &worker->channel);
    close_fd(&worker->channel.fd);
    child_logs_end_process(children->logs, queue);
    worker->suspected = false;
    worker->silent_ns = 0;
    if (!children->ending) {
        worker_ended(children, queue, pid, status);
    }
    return true;
}

static bool reap_known(struct children *children, pid_t pid)
{
    if (pid == children->forkserver.process.pid) {
        return ends_reap_forkserver(children);
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].process.pid == pid) {
            return ends_reap_worker(children, i);
        }
    }
    return false;
}

bool ends_know(const struct children *children, pid_t pid)
{
    bool found = pid == children->forkserver.process.pid;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        found = found || children->workers[i].process.pid == pid;
    }
    return found;
}

/* A child that is not known may be a worker whose hello has not been read: then it becomes known, and has its end. */
bool ends_reap_any(struct children *children)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) {
        return false;
    }
    for (unsigned i = 0; !ends_know(children, info.si_pid) && i < children->engine->queue_count; i++) {
        births_receive(children, i);
    }
    return ends_know(children, info.si_pid) ? reap_known(children, info.si_pid)
                                            : waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG) == 0;
}
