/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Samples, and the second look.
 *
 * A stopped process is between two instructions, so its progress word does not change while it is compared. Ticks are
 * counted, not the clock, so a pause of the machine is one tick. Process: [supervisor].
 */
#include "process/hangs.h"

#include "base/clock.h"
#include "process/cpu_use.h"
#include "process/queue_cpus.h"
#include "queue/nfqueue_socket.h"

#include <signal.h>

#define STOP_TICKS 10 /* for SIGSTOP to take effect: 100 ms */
#define EXCUSED_TIMES 7 /* the time-out that may pass beside it while others have the CPU */

/* ---- whether it gets CPU time ------------------------------------------------------------------------------------ */

/* It is ready to run, and has had less than half a CPU since the look before. */
static bool was_kept_from_running(struct children_queue *queue)
{
    const struct cpu_use use = cpu_use_read(queue->process.pid);
    const uint64_t now_ns = monotonic_ns();
    bool kept = queue->cpu_looked_ns != 0 && use.ready &&
                use.used_ns - queue->cpu_used_ns < (now_ns - queue->cpu_looked_ns) / 2;

    queue->cpu_used_ns = use.used_ns;
    queue->cpu_looked_ns = now_ns;
    return kept;
}

static bool is_excused(struct children_queue *queue)
{
    if (!was_kept_from_running(queue) ||
        queue->cpu_excused >= EXCUSED_TIMES * HANGS_TIMEOUT_MS / watchdog_interval_ms(HANGS_TIMEOUT_MS)) {
        return false;
    }
    queue_cpus_release(queue);
    queue->cpu_excused++;
    return true;
}

static void forget_cpu_use(struct children_queue *queue)
{
    queue->cpu_looked_ns = 0;
    queue->cpu_excused = 0;
}

void hangs_reset(struct children_queue *queue)
{
    watchdog_reset(&queue->watchdog);
    forget_cpu_use(queue);
}

/* ---- the second look ---------------------------------------------------------------------------------------------- */

/* It has stopped, or it does not stop. */
static void decide(struct children_queue *queue, bool stopped)
{
    queue->suspected = false;
    if (stopped && journal_progress(queue->queue->shm.journal) != queue->suspect_progress) {
        child_signal(&queue->process, SIGCONT);
        hangs_reset(queue);
        return;
    }
    queue->hung = true;
    child_kill(&queue->process, monotonic_ns());
}

void hangs_look(struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->queues[i].suspected && child_has_stopped(&children->queues[i].process)) {
            decide(&children->queues[i], true);
        }
    }
}

bool hangs_pending(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->queues[i].suspected) {
            return true;
        }
    }
    return false;
}

/* ---- samples ------------------------------------------------------------------------------------------------------ */

static void suspect(struct children_queue *queue, uint32_t progress)
{
    queue->suspected = true;
    queue->suspect_progress = progress;
    queue->suspect_ticks = 0;
    child_signal(&queue->process, SIGSTOP);
}

/* It was asked to stop, or to leave, and can do so as soon as it runs. */
static bool has_a_request(const struct children_queue *queue)
{
    uint32_t reached = queue->queue->control->state;

    return (queue->requested >= QUEUE_STOP && reached == QUEUE_SERVING) ||
           (queue->requested == QUEUE_EXIT && reached == QUEUE_DRAINING);
}

static void sample(struct children_queue *queue)
{
    const struct journal *journal = queue->queue->shm.journal;
    struct watchdog_sample seen = {.progress = journal_progress(journal)};
    bool stalled;

    seen.busy = !journal_is_idle(journal) || nfqueue_has_unread(queue->queue->kernel.socket) || has_a_request(queue);
    if (!seen.busy || seen.progress != queue->watchdog.progress) {
        forget_cpu_use(queue);
    } else if (is_excused(queue)) {
        queue->children->stalled = true;
        return;
    }
    if (watchdog_check(&queue->watchdog, &seen, HANGS_TIMEOUT_MS, &stalled)) {
        suspect(queue, seen.progress);
    }
    queue->children->stalled |= stalled;
}

void hangs_sample(struct children *children)
{
    children->stalled = false;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        struct children_queue *queue = &children->queues[i];

        if (children->exit_report.running && queue->process.pid != 0 && !queue->hung && !queue->suspected) {
            sample(queue);
        }
    }
}

void hangs_tick(struct children *children)
{
    hangs_look(children);
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        struct children_queue *queue = &children->queues[i];

        if (queue->suspected && !is_excused(queue) && ++queue->suspect_ticks > STOP_TICKS) {
            decide(queue, false);
        }
    }
}
