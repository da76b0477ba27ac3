/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lost workers, and plugins that lose too many.
 *
 * What is said of a crash needs both the queue process's word, which knows the packet, and the exit status. A worker that
 * was given up is reported at once, since it may never end. A crash counts when it is reported. Process: [supervisor].
 */
#include "process/losses.h"

#include "base/clock.h"
#include "base/log.h"
#include "process/births.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

/* It was asked to leave. */
static bool is_dismissed(const struct children_worker *worker)
{
    return worker->queue->requested == QUEUE_EXIT || worker->number <= worker->queue->queue->control->retired;
}

static struct worker_exit exit_of(const struct children_worker *worker)
{
    return (struct worker_exit){.queue = children_index(worker->queue),
                                .pid = worker->pid,
                                .status = worker->status,
                                .opened = worker->opened,
                                .leaving = is_dismissed(worker),
                                .loss = &worker->loss};
}

/* ---- too many ---------------------------------------------------------------------------------------------------- */

/* Its workers leave when they have answered what they have, and all others that come run the plugins that are left. */
static void retire_workers(struct children_queue *queue)
{
    queue->queue->control->retired = queue->children->births;
    for (unsigned i = 0; i < queue->children->places; i++) {
        if (queue->workers[i].requested) {
            births_drop(&queue->workers[i]);
        }
    }
    children_wake(queue);
}

static void give_up(struct children_queue *queue)
{
    queue->given_up = true;
    queue->queue->control->give_up = 1;
    retire_workers(queue);
    births_retry(queue);
}

static bool can_skip(const struct children_queue *queue, unsigned plugin)
{
    unsigned count = queue->children->engine->generation->plugin_count;
    uint64_t all = count == PLUGINS_MAX ? UINT64_MAX : (UINT64_C(1) << count) - 1;

    return plugin < count && (queue->skipped | UINT64_C(1) << plugin) != all;
}

static void reach_limit(struct children_queue *queue, unsigned plugin)
{
    struct children *children = queue->children;
    const struct generation *generation = children->engine->generation;
    const struct queue_group *group = generation->group;
    const char *id = plugin < generation->plugin_count ? generation->plugins[plugin].id : "(unknown)";
    enum crash_limit_action action = group->on_crash_limit;
    const char *consequence = "the queue has an outage";

    if (action == CRASH_LIMIT_SKIP && !can_skip(queue, plugin)) {
        action = CRASH_LIMIT_OUTAGE;
    }
    if (action == CRASH_LIMIT_SKIP) {
        consequence = "it is left out of the plugin chain until the engine is started again";
        queue->skipped |= UINT64_C(1) << plugin;
        retire_workers(queue);
        births_fill(queue); /* in place of those that had been asked for; the others leave one by one */
    } else if (action == CRASH_LIMIT_OUTAGE) {
        give_up(queue);
    } else {
        consequence = "the engine stops, as --on-crash-limit says";
        children->stop_wanted = true;
    }
    log_line("queue %u: plugin %s has crashed, hung or failed to open %" PRIu64 " times within %" PRIu64
             " ms, the --crash-limit; %s",
             children_number(queue), id, group->crash_limit.count, group->crash_limit.window_ms, consequence);
}

/* By another program, or for want of memory. */
static bool was_killed(const struct children_worker *worker)
{
    return worker->loss.loss == QUEUE_LOSS_ENDED && WIFSIGNALED(worker->status) && WTERMSIG(worker->status) == SIGKILL;
}

/* A worker that was killed between two packets says nothing of a plugin. */
static void count(struct children_worker *worker)
{
    struct children_queue *queue = worker->queue;
    const struct queue_message *loss = &worker->loss;
    unsigned plugin = loss->plugin < queue->children->engine->generation->plugin_count
                          ? loss->plugin
                          : queue->children->engine->generation->plugin_count;
    bool by_plugin = worker->opened
                         ? loss->in_plugin || loss->loss == QUEUE_LOSS_HUNG || loss->loss == QUEUE_LOSS_BROKEN
                         : loss->loss != QUEUE_LOSS_REFUSED && !was_killed(worker);

    if (by_plugin && !is_dismissed(worker) && queue->children->exit_report.running && !queue->given_up &&
        !queue->children->stop_wanted &&
        crash_limits_reached(&queue->children->crash_limits, children_index(queue), plugin, monotonic_ns())) {
        reach_limit(queue, plugin);
    }
}

/* ---- reported -------------------------------------------------------------------------------------------------------- */

static void report(struct children_worker *worker)
{
    const struct worker_exit exit = exit_of(worker);

    if (!worker->end_reported) {
        worker->end_reported = true;
        exit_report_worker(&worker->queue->children->exit_report, &exit);
        count(worker);
    }
}

/* The place is free when nothing more can come of the worker. */
static void conclude(struct children_worker *worker)
{
    if (worker->lost && worker->ended) {
        report(worker);
        worker->number = 0;
    }
}

/* ---- lost -------------------------------------------------------------------------------------------------------- */

static void replace(struct children_worker *worker)
{
    struct children_queue *queue = worker->queue;

    if (queue->births_ns != 0) {
        return;
    }
    if (worker->opened &&
        (worker->loss.in_plugin != 0 || journal_answered(queue->queue->shm.journal) != worker->answered)) {
        backoff_reset(&queue->births_backoff);
        births_fill(queue);
    } else if (is_dismissed(worker)) {
        births_fill(queue);
    } else {
        births_retry(queue);
    }
}

/* It is killed, and until it has ended it may write. The next worker in its slot gets other memory. */
static void abandon_areas(const struct children_worker *worker)
{
    areas_abandon(&worker->queue->children->forkserver.areas, children_index(worker->queue), worker->slot);
}

void losses_lost(struct children_worker *worker, const struct queue_message *loss)
{
    struct children_queue *queue = worker->queue;

    if (worker->lost) {
        return;
    }
    worker->lost = true;
    worker->loss = *loss;
    if (!is_dismissed(worker)) {
        queue->queue->control->restarts += queue->children->exit_report.running;
    }
    if (loss->loss != QUEUE_LOSS_ENDED) {
        abandon_areas(worker);
        child_kill(&worker->process, monotonic_ns());
        report(worker);
    }
    replace(worker);
    conclude(worker);
}

void losses_take_counters(struct children_worker *worker)
{
    const struct children_queue *queue = worker->queue;

    if (queue->queue->counted != NULL) { /* the counters are not shown yet */
        counter_cells_add(&worker->cells, queue->children->engine->counters.first, queue->queue->counted);
    }
    counter_cells_done(&worker->cells);
}

void losses_ended(struct children_worker *worker, int status)
{
    losses_take_counters(worker);
    worker->ended = true;
    worker->status = status;
    conclude(worker);
}

void losses_dismiss(struct children_worker *worker)
{
    births_drop(worker);
    if (worker->number != 0) {
        if (!worker->lost) {
            abandon_areas(worker);
        }
        worker->end_reported |= !worker->lost; /* one that was lost before is reported when its process was reaped */
        worker->lost = true;
        child_kill(&worker->process, monotonic_ns());
        conclude(worker);
    }
}
