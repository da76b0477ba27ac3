/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's life: give up all rights, say hello to the supervisor, take the ring, open the plugins, answer frames,
 * leave.
 *
 * Always: no code of a plugin runs in it before it has given up its rights and mapped its ring; and it has nothing but
 * this ring, its log, the counters and areas of its plugins, and what they have opened: no socket of the queue, no
 * journal, no other queue. What it says of itself (its state, the plugin that runs, why it cannot go on) is in the ring,
 * where the queue process reads it. While it has no ring, the reason is in the log.
 *
 * If the queue process is gone, there is no one to answer: the supervisor kills it, without close() of the plugins, since
 * its successor is on its way already. Process: [worker].
 */
#include "process/worker.h"

#include "base/channel.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process_title.h"
#include "plugin/plugin_load.h"
#include "process/counter_cells.h"
#include "process/plugin_areas.h"
#include "process/plugin_services.h"
#include "process/priority.h"
#include "process/process.h"
#include "process/ring_answer.h"
#include "process/worker_affinity.h"
#include "process/worker_frames.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct worker {
    struct engine *engine;
    struct worker_birth birth;
    unsigned queue_number;
    struct ring_answer ring;
    struct worker_frames frames;
    struct worker_affinity affinity;
    struct stat answered; /* what the ring signals with */
    int cells; /* memory file of the counter cells; -1: no plugin declares a counter, or it is mapped */
    int areas[AREAS_MAX]; /* the same of its areas */
    uint32_t fresh; /* bit i: no worker had area i before */
};

/* Static: one worker a process, and too large for the stack. */
static struct worker worker_state;

/* Leaves the reason where it is found, and exits. */
static void fail(struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

static void fail(struct worker *worker, const char *format, ...)
{
    char text[RING_TEXT_SIZE] = "";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (worker->ring.ours == NULL) {
        log_line("queue %u: a new worker: %s", worker->queue_number, text);
    } else {
        ring_say_text(&worker->ring, text);
        ring_say_state(&worker->ring, RING_FAILED);
    }
    _exit(PROCESS_EXIT_FAILED);
}

/* ---- before plugins run ---------------------------------------------------------------------------------------- */

/* The supervisor looks at the rights that are left when the hello comes. */
static void drop_rights(struct worker *worker)
{
    const struct engine *engine = worker->engine;
    struct error error;

    if (privileges_drop_worker(worker->birth.uid, privileges_worker_processes(&engine->privileges), &error) != 0) {
        fail(worker, "%s", error.text);
    }
    process_tie_to_supervisor(engine->supervisor); /* the change of uid has untied it */
}

static void say_hello(const struct worker *worker)
{
    const struct process_message message = process_message_make(WORKER_HELLO, 0);

    if (channel_send(worker->engine->channel, &message, sizeof(message), NULL, 0) < 0) {
        _exit(PROCESS_EXIT_FAILED); /* it is not wanted any more */
    }
}

static bool has_counters(const struct generation *generation)
{
    size_t counters = 0;

    for (unsigned i = 0; i < generation->plugin_count; i++) {
        counters += generation->plugins[i].lists.counter_count;
    }
    return counters > 0;
}

/* Waits for the ring, which the supervisor passes once it knows this process. Nothing else is said on the channel. */
static void take_ring(struct worker *worker)
{
    struct process_message message;
    int fds[WORKER_FDS_MAX + 1];
    ssize_t len = channel_wait(worker->engine->channel, &message, sizeof(message), fds, WORKER_FDS_MAX);
    unsigned next = RING_FDS;
    int code;

    if (len <= 0) {
        _exit(PROCESS_EXIT_FAILED); /* it is not wanted any more */
    }
    if (process_message_check(&message, (size_t)len, FROM_SUPERVISOR, worker->engine->queue_count) < 0 ||
        message.kind != WORKER_DESCRIPTORS || fds[RING_FDS - 1] < 0) {
        fail(worker, "the descriptors of its ring have not arrived");
    }
    close_fd(&worker->engine->channel);
    fds[WORKER_FDS_MAX] = -1;
    worker->cells = has_counters(worker->engine->generation) ? fds[next++] : -1;
    memcpy(worker->areas, &fds[next], plugin_areas_passed() * sizeof(int));
    next += plugin_areas_passed();
    worker->fresh = message.value;
    process_enter_log(&fds[next]); /* without one, it prints where the fork server does */
    code = ring_answer_attach(&worker->ring, fds);
    if (code < 0) {
        fail(worker, "its ring cannot be mapped: %s", strerror(-code));
    }
    fstat(worker->ring.answered, &worker->answered);
}

/* Which of the places a worker will have is not known while it is a spare; its slot divides the CPUs as well. */
static void pin(struct worker *worker)
{
    const struct queue_group *group = worker->engine->generation->group;
    int cpu = queue_group_cpu(group, worker->birth.queue, worker->birth.slot % group->workers);
    int code = process_pin(cpu);

    if (code < 0) { /* a cpuset can take a CPU away while the engine runs */
        log_line("queue %u: a worker cannot run on CPU %d: %s; it runs on any", worker->queue_number, cpu,
                 strerror(-code));
    }
    worker_affinity_init(&worker->affinity, cpu != QUEUE_GROUP_NO_CPU || group->workers > 1);
}

/* ---- plugins ---------------------------------------------------------------------------------------------------- */

/* In place of a plugin that is left out, so that the others keep their positions. */
static nfqe_verdict pass_on(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

static bool is_skipped(const struct worker *worker, unsigned position)
{
    return (worker->birth.skipped >> position & 1) != 0;
}

static void begin_services(const struct worker *worker)
{
    char place[32];

    snprintf(place, sizeof(place), "queue %u: ", worker->queue_number);
    plugin_services_begin(worker->engine->generation->group->plugin_log, place);
}

/* Their cells are this worker's alone. */
static void give_counters(struct worker *worker)
{
    struct generation *generation = worker->engine->generation;
    uint32_t first[PLUGINS_MAX + 1] = {0};
    uint64_t *places[PLUGINS_MAX] = {NULL};
    int code;

    if (!has_counters(generation)) {
        return;
    }
    for (unsigned i = 0; i < PLUGINS_MAX; i++) {
        first[i + 1] =
            first[i] + (i < generation->plugin_count ? (uint32_t)generation->plugins[i].lists.counter_count : 0);
    }
    code = counter_cells_enter(worker->cells, first, places);
    close_fd(&worker->cells);
    if (code < 0) {
        fail(worker, "the counters of its plugins cannot be mapped: %s", strerror(-code));
    }
    for (unsigned i = 0; i < generation->plugin_count; i++) {
        plugin_host_give_counters(&generation->plugins[i].host, places[i], first[i + 1] - first[i]);
    }
}

static void give_areas(struct worker *worker)
{
    int code = plugin_areas_enter(worker->areas, worker->fresh);

    if (code < 0) {
        fail(worker, "the areas of its plugins cannot be mapped: %s", strerror(-code));
    }
}

static void open_plugin(struct worker *worker, struct plugin *plugin)
{
    const struct queue_group *group = worker->engine->generation->group;
    struct error error;
    const char *loss;

    plugin_host_place(&plugin->host, worker->queue_number, worker->birth.slot, group->workers + group->spares);
    if (plugin_open(plugin, &error) != 0) {
        fail(worker, "%s", error.text);
    }
    loss = process_check_intact(worker->engine, &worker->ring.answered, 1);
    if (loss != NULL) {
        fail(worker, "open() %s", loss);
    }
    plugin_chain_add(&worker->frames.chain,
                     &(struct plugin_chain_member){
                         .handle = plugin->table.handle,
                         .handle_batch = plugin->table.handle_batch,
                         .self = plugin->self,
                         .rights = {.needs = plugin_wants(plugin), .reasons = (uint32_t)plugin->lists.reason_count}});
}

static void open_plugins(struct worker *worker)
{
    const struct engine *engine = worker->engine;
    const struct queue_group *group = engine->generation->group;

    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        if (is_skipped(worker, i)) {
            plugin_chain_add(&worker->frames.chain, &(struct plugin_chain_member){.handle = pass_on});
            continue;
        }
        ring_say_position(&worker->ring, i, CHAIN_NONE);
        open_plugin(worker, &engine->generation->plugins[i]);
    }
    ring_say_position(&worker->ring, PLUGINS_MAX, CHAIN_NONE);
    process_tie_to_supervisor(engine->supervisor); /* a plugin may have untied it */
    worker_frames_begin(&worker->frames, group->default_verdict, group->on_crash,
                        group->bypass_mark.mask | engine->generation->plan.repeat_mask);
}

static void close_plugins(struct worker *worker)
{
    const struct engine *engine = worker->engine;

    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        if (!is_skipped(worker, i)) {
            ring_say_position(&worker->ring, i, CHAIN_NONE);
            plugin_close(&engine->generation->plugins[i]);
        }
    }
}

/* ---- what it signals with --------------------------------------------------------------------------------------- */

/* A plugin can close it, or put another file in its place, which would be signalled then. */
static bool is_answered_intact(const struct worker *worker)
{
    struct stat now;

    return fstat(worker->ring.answered, &now) == 0 && now.st_dev == worker->answered.st_dev &&
           now.st_ino == worker->answered.st_ino;
}

static void check_answered(struct worker *worker)
{
    const struct generation *generation = worker->engine->generation;
    bool one = generation->plugin_count == 1;

    if (!is_answered_intact(worker)) {
        fail(worker, "it cannot signal its answers any more; %s%s must not close or replace what it did not open",
             one ? "plugin " : "a plugin", one ? generation->plugins[0].id : "");
    }
}

/* ---- packets ---------------------------------------------------------------------------------------------------- */

static void wait_for_frame(struct worker *worker)
{
    int code;

    check_answered(worker);
    if (!ring_answer_sleep(&worker->ring)) {
        return;
    }
    code = ring_answer_wait(&worker->ring);
    if (code < 0) {
        fail(worker, "it cannot wait for packets: %s", strerror(-code));
    }
    ring_answer_awake(&worker->ring);
}

/* Until the worker is to leave and has answered every frame. */
static void serve(struct worker *worker)
{
    do {
        while (worker_frames_handle(&worker->frames)) {
            worker_affinity_frame(&worker->affinity);
        }
        worker_affinity_follow(&worker->affinity, ring_cpu(&worker->ring));
        if (ring_requested(&worker->ring) != RING_LEAVE) {
            wait_for_frame(worker);
        }
    } while (ring_requested(&worker->ring) != RING_LEAVE || ring_next_frame(&worker->ring) != NULL);
}

void worker_run(struct engine *engine, const struct worker_birth *birth)
{
    struct worker *worker = &worker_state;
    char name[16];
    int code;

    worker->engine = engine;
    worker->birth = *birth;
    worker->queue_number = engine->queues[birth->queue].kernel.number;
    ring_answer_init(&worker->ring);
    snprintf(name, sizeof(name), "nfqe-w%u", worker->queue_number);
    process_begin(name, engine->supervisor);
    process_title_set("worker queue %u.%u", worker->queue_number, birth->slot);
    begin_services(worker);
    priority_take_worker(); /* without, packets wait longer while CPUs are busy */
    drop_rights(worker);
    say_hello(worker);
    take_ring(worker);
    code = worker_frames_init(&worker->frames, &worker->ring);
    if (code < 0) {
        fail(worker, "it has no memory for verdicts: %s", strerror(-code));
    }
    pin(worker);
    give_counters(worker);
    give_areas(worker);
    open_plugins(worker);
    ring_say_state(&worker->ring, worker->frames.chain.has_batch ? RING_OPENED_BATCH : RING_OPENED);
    serve(worker);
    ring_say_state(&worker->ring, RING_CLOSING);
    close_plugins(worker);
    _exit(0);
}
