/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table, its events, and its clock. How processes come to be is in queue_births.c and births.c, what queue processes
 * say in queue_news.c, what follows from an end in ends.c and losses.c, how a queue process that hangs is found in hangs.c.
 *
 * Only the supervisor reaps its children, so a pid in the table is that child's until child_reap() has reaped it. The end
 * of a child comes as an event of its pidfd; SIGCHLD tells of those that are not in the table, and of stops. A tick, a
 * timer of the event loop, checks deadlines and waits that are over, and samples the queue processes for the watchdog.
 * Process: [supervisor].
 */
#include "process/children.h"

#include "base/channel.h"
#include "base/clock.h"
#include "process/births.h"
#include "process/ends.h"
#include "process/hangs.h"
#include "process/losses.h"
#include "process/overdue.h"
#include "process/queue_births.h"
#include "process/queue_news.h"
#include "process/strays.h"
#include "process/watched_channel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000 /* a service that a plugin needs and that comes back is found again within a second */
#define QUEUE_BACKOFF_MAX_MS 100 /* for a queue process, without which its queue is not answered at all */
#define MESSAGES_A_TURN 64  /* of a queue process, whose workers may die at any rate */
#define STRAYS_A_TURN 64    /* of processes that plugins have left, which may be made faster than they are reaped */
#define BIRTHS_END_MS 1000  /* at the end, for workers on their way */
#define STRAYS_END_MS 100   /* the same, if there were none; what plugins left may stay for ever */

/* ---- control words --------------------------------------------------------------------------------------------- */

/* If the channel is full, the queue process has something to read, and looks at the control words after it. */
void children_wake(struct children_queue *queue)
{
    const struct queue_message message = queue_message_make(QUEUE_CHANGED, 0);

    if (queue->channel.fd >= 0) {
        channel_send(queue->channel.fd, &message, sizeof(message), NULL, 0);
    }
}

void children_request(struct children *children, unsigned queue, enum queue_request request)
{
    children->queues[queue].requested = request;
    children->engine->queues[queue].control->request = request;
    children_wake(&children->queues[queue]);
}

void children_run(struct children *children)
{
    children->exit_report.running = true;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        children_request(children, i, QUEUE_RUN);
    }
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

static void kill_left_over(void *context)
{
    strays_kill(context);
}

/* One that has ended and cannot be reaped, since another process traces it, would be an event for ever. */
static void worker_end_ready(void *context, uint32_t events)
{
    struct children_worker *worker = context;

    (void)events;
    if (!ends_reap_worker(worker)) {
        event_loop_unwatch(worker->queue->children->loop, &worker->process.end);
    }
    children_schedule_tick(worker->queue->children);
}

static void queue_end_ready(void *context, uint32_t events)
{
    struct children_queue *queue = context;

    (void)events;
    if (!ends_reap_queue(queue)) {
        event_loop_unwatch(queue->children->loop, &queue->process.end);
    }
    children_schedule_tick(queue->children);
}

static void forkserver_end_ready(void *context, uint32_t events)
{
    struct children *children = context;

    (void)events;
    if (!ends_reap_forkserver(children)) {
        event_loop_unwatch(children->loop, &children->forkserver.process.end);
        child_kill(&children->forkserver.process, monotonic_ns()); /* and is as good as killed */
    }
    children_schedule_tick(children);
}

static void worker_channel_ready(void *context, uint32_t events)
{
    struct children_worker *worker = context;

    (void)events;
    births_receive(worker);
    children_schedule_tick(worker->queue->children);
}

static void queue_channel_ready(void *context, uint32_t events)
{
    struct children_queue *queue = context;

    (void)events;
    if (queue_news_receive(queue, MESSAGES_A_TURN)) {
        event_loop_unwatch(queue->children->loop, &queue->channel); /* its process ends */
    }
    children_schedule_tick(queue->children);
}

static void forkserver_channel_ready(void *context, uint32_t events)
{
    struct children *children = context;

    (void)events;
    if (forkserver_client_receive(&children->forkserver)) {
        births_fill_all(children);
    }
    children_schedule_tick(children);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

struct children_worker *children_worker_find(struct children_queue *queue, uint32_t number)
{
    for (unsigned i = 0; i < queue->children->places && number != 0; i++) {
        if (queue->workers[i].number == number) {
            return &queue->workers[i];
        }
    }
    return NULL;
}

void children_dismiss_workers(struct children_queue *queue)
{
    for (unsigned i = 0; i < queue->children->places; i++) {
        if (queue->workers[i].number != 0) {
            losses_dismiss(&queue->workers[i]);
        }
    }
}

static unsigned count_opened(const struct children_queue *queue)
{
    unsigned count = 0;

    for (unsigned i = 0; i < queue->children->places; i++) {
        const struct children_worker *worker = &queue->workers[i];

        count += worker->number != 0 && worker->opened && !worker->lost;
    }
    return count;
}

bool children_all_opened(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (count_opened(&children->queues[i]) < children->engine->generation->group->workers) {
            return false;
        }
    }
    return true;
}

bool children_has_process(const struct children *children, unsigned queue)
{
    return children->queues[queue].process.pid != 0;
}

bool children_exited(const struct children *children, unsigned queue)
{
    return children->queues[queue].exited;
}

void children_need_no_process(struct children *children, unsigned queue)
{
    children->queues[queue].exited = true;
    children->queues[queue].retry_ns = 0;
}

bool children_all_exited(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (!children->queues[i].exited) {
            return false;
        }
    }
    return true;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* Between two samples. */
static unsigned watching_ms(const struct children *children)
{
    return children->stalled ? watchdog_interval_ms(HANGS_TIMEOUT_MS) : WATCHDOG_IDLE_MS;
}

/* Until a wait of the queue is over; UINT64_MAX: none. One that nothing follows would be over at each look, for ever. */
static uint64_t next_wait_ns(const struct children_queue *queue)
{
    uint64_t next = queue->retry_ns != 0 ? queue->retry_ns : UINT64_MAX;

    if (queue->exited || queue->children->ending) {
        return UINT64_MAX;
    }
    return queue->births_ns != 0 && queue->births_ns < next ? queue->births_ns : next;
}

static bool looks_often(const struct children *children)
{
    return children->forkserver.process.pid == 0 || children->forkserver.timeout_ns != 0 || children->ending ||
           hangs_pending(children);
}

void children_schedule_tick(struct children *children)
{
    unsigned ms = looks_often(children) ? HANGS_TICK_MS : watching_ms(children);
    uint64_t due_ns = children->ticked_ns + ms * NS_PER_MS;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        uint64_t next_ns = next_wait_ns(&children->queues[i]);

        due_ns = next_ns < due_ns ? next_ns : due_ns;
    }
    event_loop_start_timer(children->loop, &children->tick, due_ns);
}

static void start_forkserver(struct children *children)
{
    struct error error;

    if (forkserver_client_start(&children->forkserver, &error) != 0) {
        exit_report_error(&children->exit_report, &error);
    }
}

static void check_forkserver(struct children *children, uint64_t now_ns)
{
    struct forkserver_client *forkserver = &children->forkserver;

    if (forkserver_client_look(forkserver, now_ns) && forkserver->leaving) {
        char reason[EXIT_REPORT_REASON_MAX];

        snprintf(reason, sizeof(reason), "did not return within %d ms", FORKSERVER_LEAVE_WAIT_MS);
        exit_report_unload(&children->exit_report, reason);
    }
    if (forkserver->retry_ns != 0 && now_ns >= forkserver->retry_ns) {
        start_forkserver(children);
    }
}

static void check_queue(struct children_queue *queue, uint64_t now_ns)
{
    if (queue->retry_ns != 0 && now_ns >= queue->retry_ns) {
        queue_births_start(queue);
    }
    if (queue->births_ns != 0 && now_ns >= queue->births_ns) {
        queue->births_ns = 0;
        births_fill(queue);
    }
}

static void tick(void *context)
{
    struct children *children = context;
    uint64_t now_ns = event_loop_now(children->loop);

    check_forkserver(children, now_ns);
    overdue_check(children, now_ns);
    if (!children->ending) {
        for (unsigned i = 0; i < children->engine->queue_count; i++) {
            check_queue(&children->queues[i], now_ns);
        }
        hangs_tick(children);
        if (now_ns >= children->sample_ns) {
            hangs_sample(children);
            children->sample_ns = now_ns + watching_ms(children) * NS_PER_MS;
        }
    }
    exit_report_flush(&children->exit_report, false);
    children->ticked_ns = now_ns;
    children_schedule_tick(children);
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static void init_queue(struct children *children, unsigned index)
{
    struct children_queue *queue = &children->queues[index];

    queue->children = children;
    queue->queue = &children->engine->queues[index];
    queue->workers = &children->workers[index * children->places];
    queue->births_backoff = (struct backoff){.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS};
    queue->backoff = (struct backoff){.min_ms = BACKOFF_MIN_MS, .max_ms = QUEUE_BACKOFF_MAX_MS};
    queue->channel = (struct event_watch){.fd = -1, .ready = queue_channel_ready, .context = queue};
    child_init(&queue->process, queue_end_ready, queue);
    for (unsigned i = 0; i < children->places; i++) {
        struct children_worker *worker = &queue->workers[i];

        worker->queue = queue;
        worker->channel = (struct event_watch){.fd = -1, .ready = worker_channel_ready, .context = worker};
        child_init(&worker->process, worker_end_ready, worker);
        counter_cells_init(&worker->cells);
    }
}

int children_init(struct children *children, struct engine *engine, const struct engine_programs *programs,
                  struct event_loop *loop)
{
    const struct queue_group *group = engine->generation->group;
    const unsigned slots = group->workers + group->spares;

    *children = (struct children){
        .engine = engine,
        .programs = programs,
        .loop = loop,
        .tick = {.expired = tick, .context = children},
        .strays = {.expired = reap_strays, .context = children},
        .left_over = {.expired = kill_left_over, .context = children},
        .ticked_ns = event_loop_now(loop),
        .slots = slots,
        .places = slots + CHILDREN_LINGERING_MAX,
    };
    forkserver_client_init(&children->forkserver, engine, programs, loop);
    child_init(&children->forkserver.process, forkserver_end_ready, children);
    children->forkserver.channel.ready = forkserver_channel_ready;
    children->forkserver.channel.context = children;
    birth_watch_init(&children->birth_watch, children);
    exit_report_init(&children->exit_report, engine);
    children->queues = calloc(engine->queue_count, sizeof(*children->queues));
    children->workers = calloc((size_t)engine->queue_count * children->places, sizeof(*children->workers));
    if (children->queues == NULL || children->workers == NULL ||
        crash_limits_init(&children->crash_limits, group->crash_limit.count, group->crash_limit.window_ms,
                          engine->queue_count, engine->generation->plugin_count + 1) < 0) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < engine->queue_count; i++) {
        init_queue(children, i);
    }
    return 0;
}

void children_start(struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        queue_births_start(&children->queues[i]);
    }
    start_forkserver(children);
    children_schedule_tick(children);
}

void children_collect_counters(struct children *children)
{
    for (unsigned i = 0; children->workers != NULL && i < children->engine->queue_count * children->places; i++) {
        losses_take_counters(&children->workers[i]);
    }
}

void children_end(struct children *children)
{
    children->ending = true;
    children->births_dropped = children->requests > 0;
    for (unsigned i = 0; i < children->engine->queue_count && children->queues != NULL; i++) {
        child_kill(&children->queues[i].process, monotonic_ns());
        children_dismiss_workers(&children->queues[i]);
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
        ended = ended && !is_waited_for(&children->queues[i].process);
    }
    for (unsigned i = 0; i < children->engine->queue_count * children->places; i++) {
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
        children->strays_end_ns = now_ns + (children->births_dropped ? BIRTHS_END_MS : STRAYS_END_MS) * NS_PER_MS;
    }
    return now_ns >= children->strays_end_ns || waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0;
}

static void forget(struct event_loop *loop, struct event_watch *channel, struct child *process)
{
    watched_channel_close(channel, loop);
    child_done(process, loop);
}

void children_done(struct children *children)
{
    event_loop_stop_timer(children->loop, &children->tick);
    event_loop_stop_timer(children->loop, &children->strays);
    event_loop_stop_timer(children->loop, &children->left_over);
    event_loop_stop_timer(children->loop, &children->birth_watch.timer);
    for (unsigned i = 0; i < children->engine->queue_count && children->queues != NULL; i++) {
        child_log_close(&children->queues[i].log);
        forget(children->loop, &children->queues[i].channel, &children->queues[i].process);
    }
    for (unsigned i = 0; i < children->engine->queue_count * children->places && children->workers != NULL; i++) {
        child_log_close(&children->workers[i].log);
        forget(children->loop, &children->workers[i].channel, &children->workers[i].process);
    }
    forkserver_client_done(&children->forkserver);
    crash_limits_done(&children->crash_limits);
    free(children->workers);
    free(children->queues);
    children->workers = NULL;
    children->queues = NULL;
    exit_report_flush(&children->exit_report, true);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}
