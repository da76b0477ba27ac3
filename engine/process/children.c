/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts, ends and time-outs of the children.
 *
 * Only the supervisor reaps its children, so a pid is safe to signal until children_reap() has reaped it. What a
 * worker says of itself (its state, the plugin in open(), its progress) is in memory that its plugins can write to: it
 * decides what is reported and how long to wait, never who owns a queue. The supervisor's own copies decide that.
 *
 * A tick, a timer of the event loop, checks deadlines and waits that are over, and samples the workers for the
 * watchdog. Process: [supervisor].
 */
#include "process/children.h"

#include "base/clock.h"
#include "base/eventfd.h"
#include "base/probe.h"
#include "queue/nfqueue_proc.h"
#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_WAIT_MS 100   /* for SIGSTOP to take effect */
#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000 /* a service that a plugin needs and that comes back is found again within a second */

static void schedule_tick(struct children *children);

static uint64_t after_ms(uint64_t ms)
{
    return monotonic_ns() + ms * NS_PER_MS;
}

/* ---- asking for workers ------------------------------------------------------------------------------------ */

void children_start_forkserver(struct children *children)
{
    struct error error;

    if (forkserver_client_start(&children->forkserver, &error) != 0) {
        exit_report_error(&children->exit_report, &error);
    }
}

static void retry_worker(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];

    worker->retry_ns = after_ms(backoff_next(&worker->backoff));
}

static void request_worker(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];
    struct worker_control *control = children->engine->queues[queue].control;

    if (!children->forkserver.ready || worker->pid != 0 || worker->requested || worker->exited || children->ending) {
        return;
    }
    worker->owner = false;
    control->owner = 0;
    control->request = worker->requested_state;
    control->state = WORKER_STARTING;
    control->plugin = PLUGIN_REF_NONE;
    control->message[0] = '\0';
    worker->retry_ns = 0;
    worker->hung = false;
    worker->generation = children->engine->generation->number;
    worker->requested = forkserver_client_request(&children->forkserver, queue);
    if (!worker->requested) {
        retry_worker(children, queue);
        return;
    }
    worker->deadline_ns = after_ms(children->engine->generation->group->load_timeout_ms);
}

static void worker_ended(struct children *children, unsigned queue, pid_t pid, int status)
{
    struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct children_worker *worker = &children->workers[queue];
    struct worker_control *control = engine_queue->control;
    struct journal *journal = engine_queue->shm.journal;
    struct nfqueue_status kernel;
    struct burst_guilt guilt;
    struct worker_exit exit;

    worker->pid = 0;
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
        retry_worker(children, queue);
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
        request_worker(children, queue);
    } else {
        retry_worker(children, queue);
    }
}

static void admit(struct children *children, unsigned queue)
{
    struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct children_worker *worker = &children->workers[queue];

    worker->answered = journal_answered(engine_queue->shm.journal);
    watchdog_reset(&worker->watchdog);
    worker->owner = true;
    engine_queue->control->owner = (uint32_t)worker->pid;
    eventfd_signal(engine_queue->wake);
}

void children_request(struct children *children, unsigned queue, enum worker_request requested_state)
{
    children->workers[queue].requested_state = requested_state;
    children->engine->queues[queue].control->request = requested_state;
    eventfd_signal(children->engine->queues[queue].wake);
}

/* ---- events ------------------------------------------------------------------------------------------------ */

/* Of two entries with the same pid, one would keep it when the process has been reaped and the pid is another's. */
static bool is_in_table(const struct children *children, pid_t pid)
{
    bool found = pid == children->forkserver.pid;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        found = found || children->workers[i].pid == pid;
    }
    return found;
}

static void worker_forked(struct children *children, unsigned queue, int32_t pid)
{
    struct children_worker *worker = &children->workers[queue];
    bool is_other = is_in_table(children, pid);
    int status = PROCESS_EXIT_FAILED << 8; /* if it is not known */

    if (!worker->requested) {
        return; /* from a plugin, which has the fork server's end of the channel too */
    }
    worker->requested = false;
    if (pid <= 0) {
        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: no process for a worker: %s",
                           children->engine->queues[queue].kernel.number, strerror(-pid));
        retry_worker(children, queue);
        return;
    }
    worker->pid = pid;
    probe_worker_start(children->engine->queues[queue].kernel.number, pid);
    worker->opening = PLUGIN_REF_NONE;
    worker->deadline_ns = after_ms(children->engine->generation->group->load_timeout_ms);
    if (is_other || waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) < 0) {
        /* It was reaped before it was known; or the pid is that of another child, or of none. */
        forkserver_client_find_exit(&children->forkserver, pid, &status);
        worker_ended(children, queue, pid, status);
    } else if (children->exit_report.running && !children->ending) {
        admit(children, queue);
    }
}

static void read_channel(struct children *children)
{
    struct forkserver_message message;

    while (forkserver_client_receive(&children->forkserver, &message)) {
        if (message.kind == FORKSERVER_FORKED) {
            worker_forked(children, message.queue, message.pid);
            continue;
        }
        for (unsigned i = 0; i < children->engine->queue_count; i++) {
            request_worker(children, i);
        }
    }
}

static void forkserver_ended(struct children *children, int status)
{
    bool hung = children->forkserver.hung;

    read_channel(children); /* it may have told of workers before it died */
    forkserver_client_ended(&children->forkserver);
    exit_report_forkserver(&children->exit_report, status, hung);
    if (children->exit_report.running) {
        unsigned wait_ms = forkserver_client_retry(&children->forkserver);

        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL,
                           "the fork server is started again in %u ms; the workers go on", wait_ms);
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        children->workers[i].requested = false;
    }
}

static void child_ended(struct children *children, pid_t pid, int status)
{
    if (pid == children->forkserver.pid) {
        forkserver_ended(children, status);
        return;
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].pid == pid) {
            worker_ended(children, i, pid, status);
            return;
        }
    }
    forkserver_client_note_exit(&children->forkserver, pid, status);
}

void children_reap(struct children *children)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        child_ended(children, pid, status);
    }
    forkserver_client_forget_exits(&children->forkserver);
    schedule_tick(children);
}

bool children_all_opened(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].pid == 0 || children->engine->queues[i].control->state != WORKER_OPENED) {
            return false;
        }
    }
    return true;
}

void children_run(struct children *children)
{
    children->exit_report.running = true;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        admit(children, i);
    }
}

bool children_has_worker(const struct children *children, unsigned queue)
{
    return children->workers[queue].pid != 0;
}

bool children_exited(const struct children *children, unsigned queue)
{
    return children->workers[queue].exited;
}

void children_need_no_worker(struct children *children, unsigned queue)
{
    children->workers[queue].exited = true;
}

bool children_all_exited(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (!children->workers[i].exited) {
            return false;
        }
    }
    return true;
}

/* ---- time ---------------------------------------------------------------------------------------- */

/* Whether the process stopped, or ended, within STOP_WAIT_MS. */
static bool wait_until_stopped(pid_t pid)
{
    for (unsigned i = 0; i < STOP_WAIT_MS; i++) {
        siginfo_t info = {0};

        if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid) {
            return true;
        }
        poll(NULL, 0, 1);
    }
    return false;
}

/* It seems to hang. It may have made progress just now, so it is stopped and looked at again before it is killed. */
static void confirm_hang(struct children *children, unsigned queue, uint32_t progress)
{
    struct children_worker *worker = &children->workers[queue];

    kill(worker->pid, SIGSTOP);
    if (wait_until_stopped(worker->pid) && journal_progress(children->engine->queues[queue].shm.journal) != progress) {
        kill(worker->pid, SIGCONT);
        watchdog_reset(&worker->watchdog);
        return;
    }
    worker->hung = true;
    kill(worker->pid, SIGKILL);
}

static void watch_worker(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];
    const struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct watchdog_sample sample = {.progress = journal_progress(engine_queue->shm.journal)};
    bool stalled;

    sample.busy = !journal_is_idle(engine_queue->shm.journal) || nfqueue_has_unread(engine_queue->kernel.socket);
    if (watchdog_check(&worker->watchdog, &sample, children->engine->generation->group->handle_timeout_ms, &stalled)) {
        confirm_hang(children, queue, sample.progress);
    }
    children->stalled |= stalled;
}

static void watch_workers(struct children *children)
{
    children->stalled = false;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        const struct children_worker *worker = &children->workers[i];

        if (children->exit_report.running && worker->pid != 0 && worker->deadline_ns == 0 && !worker->hung) {
            watch_worker(children, i);
        }
    }
}

/* Between two samples. */
static unsigned watching_ms(const struct children *children)
{
    return children->exit_report.running && !children->stalled
               ? WATCHDOG_IDLE_MS
               : watchdog_interval_ms(children->engine->generation->group->handle_timeout_ms);
}

/* Kills a worker that takes too long to open a plugin, and a fork server that takes too long to make a worker. */
static void check_deadline(struct children *children, unsigned queue, uint64_t now)
{
    struct children_worker *worker = &children->workers[queue];
    const struct worker_control *control = children->engine->queues[queue].control;

    if (worker->deadline_ns == 0) {
        return;
    }
    if (worker->pid != 0 && control->state != WORKER_STARTING) {
        worker->deadline_ns = 0;
    } else if (worker->pid != 0 && !plugin_ref_equal(worker->opening, control->plugin)) {
        worker->opening = control->plugin;
        worker->deadline_ns = after_ms(children->engine->generation->group->load_timeout_ms);
    } else if (now >= worker->deadline_ns) {
        worker->deadline_ns = 0;
        if (worker->pid != 0) {
            worker->hung = true;
            kill(worker->pid, SIGKILL);
        } else if (worker->requested) {
            forkserver_client_give_up(&children->forkserver);
        }
    }
}

static unsigned interval_ms(const struct children *children)
{
    bool waiting = children->forkserver.retry_ns != 0;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        waiting = waiting || children->workers[i].retry_ns != 0;
    }
    return waiting ? BACKOFF_MIN_MS : watching_ms(children);
}

/* After whatever may have brought the next tick nearer. */
static void schedule_tick(struct children *children)
{
    event_loop_start_timer(children->loop, &children->tick, children->ticked_ns + interval_ms(children) * NS_PER_MS);
}

static void tick(void *context)
{
    struct children *children = context;
    uint64_t now = event_loop_now(children->loop);

    forkserver_client_check_deadline(&children->forkserver, now);
    if (children->forkserver.retry_ns != 0 && now >= children->forkserver.retry_ns) {
        children_start_forkserver(children);
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        check_deadline(children, i, now);
        if (children->workers[i].retry_ns != 0 && now >= children->workers[i].retry_ns) {
            request_worker(children, i);
        }
    }
    if (now >= children->sample_ns) {
        watch_workers(children);
        children->sample_ns = now + watching_ms(children) * NS_PER_MS;
    }
    exit_report_flush(&children->exit_report, false);
    children->ticked_ns = now;
    schedule_tick(children);
}

static void channel_ready(void *context, uint32_t events)
{
    struct children *children = context;

    (void)events;
    read_channel(children);
    schedule_tick(children);
}

void children_init(struct children *children, struct engine *engine, const struct engine_programs *programs,
                   struct event_loop *loop, const int *close_in_child)
{
    *children = (struct children){
        .engine = engine,
        .loop = loop,
        .tick = {.expired = tick, .context = children},
        .ticked_ns = event_loop_now(loop),
    };
    for (unsigned i = 0; i < QUEUES_MAX; i++) {
        children->workers[i].backoff = (struct backoff){.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS};
    }
    forkserver_client_init(&children->forkserver, engine, programs, loop, close_in_child);
    children->forkserver.channel.ready = channel_ready;
    children->forkserver.channel.context = children;
    exit_report_init(&children->exit_report, engine);
    schedule_tick(children);
}

/* ---- the end ------------------------------------------------------------------------------------- */

static void leave_forkserver(struct children *children)
{
    char reason[EXIT_REPORT_REASON_MAX];
    int status;

    if (forkserver_client_leave(&children->forkserver, &status) == -ETIMEDOUT) {
        snprintf(reason, sizeof(reason), "did not return within %d ms", FORKSERVER_LEAVE_WAIT_MS);
        exit_report_unload(&children->exit_report, reason);
    } else if (status != 0) {
        exit_report_unload(&children->exit_report, exit_report_reason(status, reason));
    }
}

static void kill_workers(struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        struct children_worker *worker = &children->workers[i];

        if (worker->pid != 0) {
            kill(worker->pid, SIGKILL);
            waitpid(worker->pid, NULL, 0);
            worker->pid = 0;
        }
    }
}

void children_end(struct children *children)
{
    children->ending = true;
    event_loop_stop_timer(children->loop, &children->tick);
    kill_workers(children);
    leave_forkserver(children);
    read_channel(children); /* it may have told of workers before that */
    kill_workers(children);
    forkserver_client_done(&children->forkserver);
    exit_report_flush(&children->exit_report, true);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}
