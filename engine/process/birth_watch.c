/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at the oldest birth.
 *
 * The fork server serves one request after the other, so only the oldest one is watched. Its time is counted in looks at
 * the channels, like the hang of a queue process: after a pause of the machine or of the supervisor the first look counts
 * as one, and the fork server has the rest of its time. Each look takes what has arrived before it counts.
 *
 * Three processes have to do with a birth: the fork server, the one between, and the worker until it has said hello. A
 * look does not count if one of them is ready to run and has had less than half a CPU since the look before. There is a
 * bound for how many looks do not count, since code of a plugin may run in each of the three. Process: [supervisor].
 */
#include "process/birth_watch.h"

#include "base/clock.h"
#include "process/births.h"
#include "process/child_list.h"
#include "process/cpu_use.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXCUSED_TIMES 7 /* the time for a birth that may pass beside it while others have the CPU */
#define DOUBLED_MAX 2   /* how often it is doubled */

static unsigned timeout_ms(const struct children *children)
{
    unsigned given_up = children->birth_watch.given_up;

    return children->forkserver.birth_timeout_ms << (given_up < DOUBLED_MAX ? given_up : DOUBLED_MAX);
}

/* ---- whether it gets CPU time ------------------------------------------------------------------------------------ */

/* What a look has found so far. */
struct finding {
    const struct children *children;
    uint64_t passed_ns; /* since the look before */
    struct birth_process seen[BIRTH_WATCH_SEEN];
    unsigned count;
    bool kept; /* one of them was kept from running */
    pid_t *known; /* queue processes and workers, and 0, sorted; NULL: no memory */
    size_t known_count;
};

/* The CPU time of a process at the look before; 0: it was not there. */
static uint64_t used_before(const struct birth_watch *watch, pid_t pid)
{
    for (unsigned i = 0; i < watch->seen_count; i++) {
        if (watch->seen[i].pid == pid) {
            return watch->seen[i].used_ns;
        }
    }
    return 0;
}

/* Returns whether there is room for another process. */
static bool look_at(void *context, pid_t pid)
{
    struct finding *finding = context;
    struct cpu_use use;

    if (finding->count == BIRTH_WATCH_SEEN) {
        return false;
    }
    use = cpu_use_read(pid);
    finding->kept |=
        use.ready && use.used_ns - used_before(&finding->children->birth_watch, pid) < finding->passed_ns / 2;
    finding->seen[finding->count++] = (struct birth_process){.pid = pid, .used_ns = use.used_ns};
    return finding->count < BIRTH_WATCH_SEEN;
}

/* The process between, and the worker, which is its child at first. */
static bool look_at_between(void *context, pid_t pid)
{
    const struct finding *finding = context;

    if (look_at(context, pid)) {
        child_list_each(pid, look_at, context);
    }
    return finding->count < BIRTH_WATCH_SEEN;
}

static int compare(const void *a, const void *b)
{
    const pid_t *left = a;
    const pid_t *right = b;

    return (*left > *right) - (*left < *right);
}

/* There may be thousands, each of which would be searched for among all others. */
static void collect_known(struct finding *finding)
{
    const struct children *children = finding->children;
    size_t queues = children->engine->queue_count;
    size_t workers = queues * children->places;

    finding->known = malloc((queues + workers) * sizeof(*finding->known));
    if (finding->known == NULL) {
        return;
    }
    for (size_t i = 0; i < queues; i++) {
        finding->known[finding->known_count++] = children->queues[i].process.pid;
    }
    for (size_t i = 0; i < workers; i++) {
        finding->known[finding->known_count++] = children->workers[i].process.pid;
    }
    qsort(finding->known, finding->known_count, sizeof(*finding->known), compare);
}

/* The worker is our child when the process between has exited, but is not known before its hello. */
static bool look_at_unknown(void *context, pid_t pid)
{
    const struct finding *finding = context;

    return pid == finding->children->forkserver.process.pid ||
           bsearch(&pid, finding->known, finding->known_count, sizeof(pid), compare) != NULL || look_at(context, pid);
}

static void look_at_children(struct finding *finding)
{
    collect_known(finding);
    if (finding->known != NULL && finding->count < BIRTH_WATCH_SEEN) {
        child_list_each(getpid(), look_at_unknown, finding);
    }
    free(finding->known);
}

/* Since the look before, if that has seen the same birth. */
static bool was_kept_from_running(struct children *children, uint64_t now_ns)
{
    struct birth_watch *watch = &children->birth_watch;
    pid_t forkserver = children->forkserver.process.pid;
    struct finding finding = {.children = children, .passed_ns = now_ns - watch->looked_ns};

    look_at(&finding, forkserver);
    child_list_each(forkserver, look_at_between, &finding);
    look_at_children(&finding);
    memcpy(watch->seen, finding.seen, sizeof(watch->seen));
    watch->seen_count = finding.count;
    return finding.kept;
}

static bool is_excused(struct children *children, uint32_t oldest, uint64_t now_ns)
{
    struct birth_watch *watch = &children->birth_watch;
    unsigned ms = timeout_ms(children);

    if (oldest != watch->watchdog.progress) {
        watch->excused = 0;
        watch->seen_count = 0;
        was_kept_from_running(children, now_ns); /* keeps the times for the next look */
        return false;
    }
    if (!was_kept_from_running(children, now_ns) || watch->excused >= EXCUSED_TIMES * ms / watchdog_interval_ms(ms)) {
        return false;
    }
    watch->excused++;
    return true;
}

/* ---- looks -------------------------------------------------------------------------------------------------------- */

static void schedule(struct children *children)
{
    unsigned ms = watchdog_interval_ms(timeout_ms(children));

    event_loop_start_timer(children->loop, &children->birth_watch.timer, monotonic_ns() + ms * NS_PER_MS);
}

/* The number of the oldest request that is not answered; 0: there is none. */
static uint32_t oldest_birth(const struct children *children)
{
    uint32_t oldest = 0;

    for (unsigned i = 0; i < children->engine->queue_count * children->places && children->requests > 0; i++) {
        const struct children_worker *worker = &children->workers[i];

        if (worker->requested && (oldest == 0 || (int32_t)(worker->number - oldest) < 0)) {
            oldest = worker->number;
        }
    }
    return oldest;
}

static void give_up(struct children *children)
{
    children->birth_watch.given_up++;
    children->birth_watch.over_birth = true;
    forkserver_client_give_up(&children->forkserver);
}

static void look(void *context)
{
    struct children *children = context;
    struct birth_watch *watch = &children->birth_watch;
    uint64_t now_ns = event_loop_now(children->loop);
    struct watchdog_sample sample;
    bool stalled;
    bool excused;

    births_receive_all(children);
    children_schedule_tick(children);
    sample.progress = oldest_birth(children);
    sample.busy = sample.progress != 0;
    excused = sample.busy && is_excused(children, sample.progress, now_ns);
    watch->looked_ns = now_ns;
    if (!excused && watchdog_check(&watch->watchdog, &sample, timeout_ms(children), &stalled)) {
        give_up(children);
    } else if (sample.busy) {
        schedule(children);
    }
}

void birth_watch_init(struct birth_watch *watch, struct children *children)
{
    *watch = (struct birth_watch){.timer = {.expired = look, .context = children}};
}

void birth_watch_begin(struct children *children)
{
    if (children->birth_watch.timer.link == NULL) {
        schedule(children);
    }
}

void birth_watch_succeed(struct children *children)
{
    children->birth_watch.given_up = 0;
}

bool birth_watch_forgives(struct children *children)
{
    bool over_birth = children->birth_watch.over_birth;

    children->birth_watch.over_birth = false;
    return over_birth && children->birth_watch.given_up < BIRTH_WATCH_START_TRIES;
}
