/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deadlines of open(), samples, and the second look.
 *
 * A stopped worker is between two instructions, so its progress word does not change while it is compared. What a
 * worker says there is in memory that its plugins can write to: it decides how long to wait, nothing else. Ticks are
 * counted, not the clock, so a pause of the machine is one tick. Process: [supervisor].
 */
#include "process/hangs.h"

#include "base/clock.h"
#include "queue/nfqueue_socket.h"

#include <signal.h>

#define STOP_TICKS 10 /* for SIGSTOP to take effect: 100 ms */

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void check_opening(struct children *children, unsigned queue, uint64_t now_ns)
{
    struct children_worker *worker = &children->workers[queue];
    const struct worker_control *control = children->engine->queues[queue].control;

    if (worker->deadline_ns == 0 || worker->process.pid == 0) {
        return;
    }
    if (control->state != WORKER_STARTING) {
        worker->deadline_ns = 0;
    } else if (!plugin_ref_equal(worker->opening, control->plugin)) {
        worker->opening = control->plugin;
        worker->deadline_ns = monotonic_ns() + children->engine->generation->group->load_timeout_ms * NS_PER_MS;
    } else if (now_ns >= worker->deadline_ns) {
        worker->deadline_ns = 0;
        worker->hung = true;
        child_kill(&worker->process, now_ns);
    }
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* It has stopped, or it does not stop. */
static void decide(struct children *children, unsigned queue, bool stopped)
{
    struct children_worker *worker = &children->workers[queue];

    worker->suspected = false;
    if (stopped && journal_progress(children->engine->queues[queue].shm.journal) != worker->suspect_progress) {
        child_signal(&worker->process, SIGCONT);
        watchdog_reset(&worker->watchdog);
        return;
    }
    worker->hung = true;
    child_kill(&worker->process, monotonic_ns());
}

void hangs_look(struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].suspected && child_has_stopped(&children->workers[i].process)) {
            decide(children, i, true);
        }
    }
}

bool hangs_pending(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].suspected) {
            return true;
        }
    }
    return false;
}

static void suspect(struct children *children, unsigned queue, uint32_t progress)
{
    struct children_worker *worker = &children->workers[queue];

    worker->suspected = true;
    worker->suspect_progress = progress;
    worker->suspect_ticks = 0;
    child_signal(&worker->process, SIGSTOP);
}

static void sample_worker(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];
    const struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct watchdog_sample sample = {.progress = journal_progress(engine_queue->shm.journal)};
    bool stalled;

    sample.busy = !journal_is_idle(engine_queue->shm.journal) || nfqueue_has_unread(engine_queue->kernel.socket);
    if (watchdog_check(&worker->watchdog, &sample, children->engine->generation->group->handle_timeout_ms, &stalled)) {
        suspect(children, queue, sample.progress);
    }
    children->stalled |= stalled;
}

void hangs_sample(struct children *children)
{
    children->stalled = false;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        const struct children_worker *worker = &children->workers[i];

        if (children->exit_report.running && worker->process.pid != 0 && worker->deadline_ns == 0 && !worker->hung &&
            !worker->suspected) {
            sample_worker(children, i);
        }
    }
}

void hangs_tick(struct children *children, uint64_t now_ns)
{
    hangs_look(children);
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        struct children_worker *worker = &children->workers[i];

        if (worker->suspected && ++worker->suspect_ticks > STOP_TICKS) {
            decide(children, i, false);
        }
        check_opening(children, i, now_ns);
    }
}
