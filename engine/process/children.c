/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table, its events, and its clock. How a worker comes to be is in births.c, what follows from an end in ends.c, how
 * one that hangs is found in hangs.c.
 *
 * Only the supervisor reaps its children, so a pid in the table is that child's until child_reap() has reaped it. What a
 * worker says of itself (its state, the plugin in open(), its progress) is in memory that its plugins can write to: it
 * decides what is reported and how long to wait, never who owns a queue. The supervisor's own copies decide that.
 *
 * The end of a child comes as an event of its pidfd; SIGCHLD tells of those that are not in the table, and of stops. A
 * tick, a timer of the event loop, checks deadlines and waits that are over, and samples the workers for the watchdog.
 * Process: [supervisor].
 */
#include "process/children.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "process/births.h"
#include "process/ends.h"
#include "process/hangs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000 /* a service that a plugin needs and that comes back is found again within a second */
#define MESSAGES_A_TURN 16  /* of a worker, whose plugins may write faster than they are read */
#define STRAYS_A_TURN 64    /* of processes that plugins have left, which may be made faster than they are reaped */
#define STRAYS_END_MS 100   /* at the end, for workers on their way; what plugins left may stay for ever */
#define SILENCE_MS 100      /* for a worker whose channel is closed to end by itself, with a reason of its own */

void children_start_forkserver(struct children *children)
{
    struct error error;

    if (forkserver_client_start(&children->forkserver, &error) != 0) {
        exit_report_error(&children->exit_report, &error);
    }
}

/* ---- control words --------------------------------------------------------------------------------------------- */

/* If the channel is full, the worker has something to read, and looks at the control words after it. */
static void wake(const struct children_worker *worker)
{
    const struct process_message message = process_message_make(WORKER_WAKE, 0);

    if (worker->process.pid != 0 && channel_send(worker->channel.fd, &message, sizeof(message), NULL, 0) < 0) {
        return; /* it is dead, or full */
    }
}

void children_admit(struct children *children, unsigned queue)
{
    struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct children_worker *worker = &children->workers[queue];

    worker->answered = journal_answered(engine_queue->shm.journal);
    watchdog_reset(&worker->watchdog);
    worker->owner = true;
    engine_queue->control->owner = (uint32_t)worker->process.pid;
    wake(worker);
}

void children_request(struct children *children, unsigned queue, enum worker_request requested_state)
{
    children->workers[queue].requested_state = requested_state;
    children->engine->queues[queue].control->request = requested_state;
    wake(&children->workers[queue]);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

void children_reap(struct children *children)
{
    unsigned reaped = 0;

    hangs_look(children);
    while (reaped < STRAYS_A_TURN && ends_reap_any(children)) {
        reaped++;
    }
    if (reaped == STRAYS_A_TURN) {
        event_loop_start_timer(children->loop, &children->strays, event_loop_now(children->loop));
    }
    children_schedule_tick(children);
}

static void reap_strays(void *context)
{
    children_reap(context);
}

/* One that has ended and cannot be reaped, since another process traces it, would be an event for ever. */
static void worker_end_ready(void *context, uint32_t events)
{
    struct children_worker *worker = context;

    (void)events;
    if (!ends_reap_worker(worker->children, children_queue_of(worker))) {
        event_loop_unwatch(worker->children->loop, &worker->process.end);
    }
    children_schedule_tick(worker->children);
}

static void forkserver_end_ready(void *context, uint32_t events)
{
    struct children *children = context;

    (void)events;
    if (!ends_reap_forkserver(children)) {
        event_loop_unwatch(children->loop, &children->forkserver.process.end);
    }
    children_schedule_tick(children);
}

/* What a worker says is that its control words have changed: the supervisor looks at them after each turn. */
static void worker_channel_ready(void *context, uint32_t events)
{
    struct children_worker *worker = context;
    struct children *children = worker->children;
    struct process_message message;
    pid_t sender;
    ssize_t len = 1;

    (void)events;
    if (worker->requested) {
        births_receive(children, children_queue_of(worker));
        children_schedule_tick(children);
        return;
    }
    for (unsigned i = 0; i < MESSAGES_A_TURN && len > 0; i++) {
        len = channel_receive(worker->channel.fd, &message, sizeof(message), &sender);
    }
    if (len <= 0 && len != -EAGAIN) {
        event_loop_unwatch(children->loop, &worker->channel);
        worker->silent_ns = event_loop_now(children->loop);
        children_schedule_tick(children);
    }
}

static void forkserver_channel_ready(void *context, uint32_t events)
{
    struct children *children = context;

    (void)events;
    if (forkserver_client_receive(&children->forkserver)) {
        for (unsigned i = 0; i < children->engine->queue_count; i++) {
            births_request(children, i);
        }
    }
    children_schedule_tick(children);
}

bool children_all_opened(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].process.pid == 0 || children->engine->queues[i].control->state != WORKER_OPENED) {
            return false;
        }
    }
    return true;
}

void children_run(struct children *children)
{
    children->exit_report.running = true;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        children_admit(children, i);
    }
}

bool children_has_worker(const struct children *children, unsigned queue)
{
    return children->workers[queue].process.pid != 0;
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

/* Between two samples. */
static unsigned watching_ms(const struct children *children)
{
    return children->exit_report.running && !children->stalled
               ? WATCHDOG_IDLE_MS
               : watchdog_interval_ms(children->engine->generation->group->handle_timeout_ms);
}

static unsigned interval_ms(const struct children *children)
{
    bool waiting = children->forkserver.retry_ns != 0 || children->ending || hangs_pending(children);

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        const struct children_worker *worker = &children->workers[i];

        waiting = waiting || worker->retry_ns != 0 || worker->silent_ns != 0;
    }
    return waiting ? BACKOFF_MIN_MS : watching_ms(children);
}

void children_schedule_tick(struct children *children)
{
    event_loop_start_timer(children->loop, &children->tick, children->ticked_ns + interval_ms(children) * NS_PER_MS);
}

/* A worker that cannot be woken up any more would not notice a stop. */
static void check_silence(struct children *children, unsigned queue, uint64_t now_ns)
{
    struct children_worker *worker = &children->workers[queue];

    if (worker->silent_ns == 0 || now_ns - worker->silent_ns < SILENCE_MS * NS_PER_MS) {
        return;
    }
    worker->silent_ns = 0;
    if (worker->process.pid != 0 && worker->process.killed_ns == 0) {
        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL,
                           "queue %u: worker %d has closed its channel and is killed; a plugin must not close what it "
                           "did not open",
                           children->engine->queues[queue].kernel.number, worker->process.pid);
        child_kill(&worker->process, now_ns);
    }
}

/* It holds the queue's socket, so there is no other one until it has ended. */
static void check_overdue(struct children *children, uint64_t now_ns)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        struct children_worker *worker = &children->workers[i];

        if (child_becomes_overdue(&worker->process, now_ns) && !ends_reap_worker(children, i)) {
            log_line("queue %u: worker %d was killed but is still there, perhaps in a system call that cannot be "
                     "interrupted; its queue waits for its end",
                     children->engine->queues[i].kernel.number, worker->process.pid);
        }
    }
    if (child_becomes_overdue(&children->forkserver.process, now_ns) && !ends_reap_forkserver(children)) {
        log_line("the fork server %d was killed but is still there, perhaps in a system call that cannot be "
                 "interrupted",
                 children->forkserver.process.pid);
    }
}

static void check_forkserver(struct children *children, uint64_t now_ns)
{
    struct forkserver_client *forkserver = &children->forkserver;

    if (forkserver_client_check_deadline(forkserver, now_ns) && forkserver->leaving) {
        char reason[EXIT_REPORT_REASON_MAX];

        snprintf(reason, sizeof(reason), "did not return within %d ms", FORKSERVER_LEAVE_WAIT_MS);
        exit_report_unload(&children->exit_report, reason);
    }
    if (forkserver->retry_ns != 0 && now_ns >= forkserver->retry_ns) {
        children_start_forkserver(children);
    }
}

static void tick(void *context)
{
    struct children *children = context;
    uint64_t now_ns = event_loop_now(children->loop);

    check_forkserver(children, now_ns);
    check_overdue(children, now_ns);
    for (unsigned i = 0; i < children->engine->queue_count && !children->ending; i++) {
        check_silence(children, i, now_ns);
        if (children->workers[i].retry_ns != 0 && now_ns >= children->workers[i].retry_ns) {
            births_request(children, i);
        }
    }
    if (!children->ending) {
        hangs_tick(children, now_ns);
    }
    if (now_ns >= children->sample_ns && !children->ending) {
        hangs_sample(children);
        children->sample_ns = now_ns + watching_ms(children) * NS_PER_MS;
    }
    exit_report_flush(&children->exit_report, false);
    children->ticked_ns = now_ns;
    children_schedule_tick(children);
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

void children_init(struct children *children, struct engine *engine, const struct engine_programs *programs,
                   struct event_loop *loop)
{
    *children = (struct children){
        .engine = engine,
        .loop = loop,
        .tick = {.expired = tick, .context = children},
        .strays = {.expired = reap_strays, .context = children},
        .ticked_ns = event_loop_now(loop),
    };
    for (unsigned i = 0; i < QUEUES_MAX; i++) {
        struct children_worker *worker = &children->workers[i];

        worker->children = children;
        child_init(&worker->process, worker_end_ready, worker);
        worker->channel = (struct event_watch){.fd = -1, .ready = worker_channel_ready, .context = worker};
        worker->backoff = (struct backoff){.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS};
    }
    forkserver_client_init(&children->forkserver, engine, programs, loop);
    child_init(&children->forkserver.process, forkserver_end_ready, children);
    children->forkserver.channel.ready = forkserver_channel_ready;
    children->forkserver.channel.context = children;
    births_init(children);
    exit_report_init(&children->exit_report, engine);
    children_schedule_tick(children);
}

void children_end(struct children *children)
{
    children->ending = true;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        struct children_worker *worker = &children->workers[i];

        if (worker->process.pid != 0) {
            child_kill(&worker->process, monotonic_ns());
        }
    }
    forkserver_client_leave(&children->forkserver);
    children_schedule_tick(children);
}

static bool is_waited_for(const struct child *child)
{
    return child->pid != 0 && !child->overdue;
}

bool children_workers_ended(const struct children *children)
{
    bool ended = true;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        ended = ended && !is_waited_for(&children->workers[i].process);
    }
    return ended;
}

bool children_ended(struct children *children)
{
    uint64_t now_ns = event_loop_now(children->loop);
    siginfo_t info;

    if (!children_workers_ended(children) || is_waited_for(&children->forkserver.process)) {
        return false;
    }
    if (children->strays_end_ns == 0) {
        children->strays_end_ns = now_ns + STRAYS_END_MS * NS_PER_MS;
    }
    return now_ns >= children->strays_end_ns || waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0;
}

void children_done(struct children *children)
{
    event_loop_stop_timer(children->loop, &children->tick);
    event_loop_stop_timer(children->loop, &children->strays);
    event_loop_stop_timer(children->loop, &children->birth_timer);
    for (unsigned i = 0; i < QUEUES_MAX; i++) {
        event_loop_unwatch(children->loop, &children->workers[i].channel);
        close_fd(&children->workers[i].channel.fd);
        child_done(&children->workers[i].process, children->loop);
    }
    forkserver_client_done(&children->forkserver);
    exit_report_flush(&children->exit_report, true);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}
