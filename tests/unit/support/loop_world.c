/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of queue process and workers, and their deaths. The kernel is in loop_world_kernel.c.
 */
/* Longer than 500 lines: the steps, and who dies at them, are one thing. */
#include "loop_world.h"

#include "burst/recovery.h"
#include "kernel_messages.h"
#include "process/queue_recovery.h"
#include "queue/nfqueue_decode.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CAPACITY 64
#define ROUNDS_MAX 100000

struct world world;
uint32_t world_id_base;
bool world_changes;

void __wrap_log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_log_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(world.log, sizeof(world.log), format, arguments);
    va_end(arguments);
}

/* ---- steps at which the queue process can die -------------------------------------------------------------- */

static __attribute__((noreturn)) void die(void)
{
    world.queue_lives = false;
    longjmp(world.queue_death, 1);
}

void world_queue_step(void)
{
    if (world.queue_lives && world.queue_steps++ == world.queue_dies_at) {
        die();
    }
}

/* A function of the engine, with a step before it and one after it. */
#define STEPS(type, name, parameters, arguments)                                                                       \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        type result;                                                                                                   \
                                                                                                                       \
        world_queue_step();                                                                                            \
        result = __real_##name arguments;                                                                              \
        world_queue_step();                                                                                            \
        return result;                                                                                                 \
    }

#define VOID_STEPS(name, parameters, arguments)                                                                        \
    void __real_##name parameters;                                                                                     \
    void __wrap_##name parameters;                                                                                     \
    void __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        world_queue_step();                                                                                            \
        __real_##name arguments;                                                                                       \
        world_queue_step();                                                                                            \
    }

VOID_STEPS(journal_begin_receive, (struct journal * journal, unsigned index), (journal, index))
VOID_STEPS(journal_end_receive, (struct journal * journal), (journal))
VOID_STEPS(journal_commit_receive,
           (struct journal * journal, const struct queue_stats *delta, const struct outstanding *outstanding),
           (journal, delta, outstanding))
VOID_STEPS(journal_begin_send, (struct journal * journal), (journal))
VOID_STEPS(journal_commit_send,
           (struct journal * journal, const struct queue_stats *delta, const struct reason_tally *tally,
            const struct outstanding *outstanding),
           (journal, delta, tally, outstanding))
VOID_STEPS(journal_end_id_recovery, (struct journal * journal), (journal))
VOID_STEPS(burst_begin_receive, (struct burst * burst), (burst))
VOID_STEPS(decide_again, (const struct decide *decide, unsigned packet), (decide, packet))
VOID_STEPS(flow_table_end_accepted, (struct flow_table * flows, const struct flow_lookup *lookup), (flows, lookup))
STEPS(nfqe_verdict, flow_table_find, (struct flow_table * flows, struct flow_burst *burst, unsigned index),
      (flows, burst, index))
STEPS(bool, flow_table_add, (struct flow_table * flows, struct flow_burst *burst, unsigned index, nfqe_verdict verdict),
      (flows, burst, index, verdict))
STEPS(int, ring_take, (struct ring_submit * ring, struct ring_answered *answered), (ring, answered))
STEPS(int, ring_copy_made, (const struct ring_submit *ring, const struct ring_answered *answered, void *to),
      (ring, answered, to))
STEPS(int, outstanding_remove, (struct outstanding * set, struct outstanding_range range), (set, range))

enum nfqueue_kind __real_nfqueue_decode(const void *data, size_t len, bool cut, uint16_t queue,
                                        struct nfqe_packet *packet, struct nfqueue_conntrack *conntrack,
                                        struct nfqueue_answer *answer);
enum nfqueue_kind __wrap_nfqueue_decode(const void *data, size_t len, bool cut, uint16_t queue,
                                        struct nfqe_packet *packet, struct nfqueue_conntrack *conntrack,
                                        struct nfqueue_answer *answer);

enum nfqueue_kind __wrap_nfqueue_decode(const void *data, size_t len, bool cut, uint16_t queue,
                                        struct nfqe_packet *packet, struct nfqueue_conntrack *conntrack,
                                        struct nfqueue_answer *answer)
{
    enum nfqueue_kind kind;

    world_queue_step();
    kind = __real_nfqueue_decode(data, len, cut, queue, packet, conntrack, answer);
    if (world.poison != 0 && kind == NFQUEUE_PACKET && packet->id == world_id_base + world.poison) {
        die();
    }
    world_queue_step();
    return kind;
}

/* ---- steps at which a worker can die -------------------------------------------------------------------------- */

static void worker_step(void)
{
    if (world.worker_steps++ == world.worker_dies_at) {
        longjmp(world.worker_death, 1);
    }
}

void __real_ring_put(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index, nfqe_verdict answer,
                     uint32_t plugin);
void __wrap_ring_put(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index, nfqe_verdict answer,
                     uint32_t plugin);

void __wrap_ring_put(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index, nfqe_verdict answer,
                     uint32_t plugin)
{
    worker_step();
    __real_ring_put(ring, frame, index, answer, plugin);
    if (world.with_plugin != 0 && world.with_plugin == frame->packets[index].packet.id - world_id_base &&
        index + 1 < frame->count) {
        world.with_plugin = 0; /* it is published before the next step */
    }
}

void __real_ring_frame_handled(struct ring_answer *ring);
void __wrap_ring_frame_handled(struct ring_answer *ring);

/* No plugin has anything any more. */
void __wrap_ring_frame_handled(struct ring_answer *ring)
{
    world.with_plugin = 0;
    worker_step();
    __real_ring_frame_handled(ring);
    worker_step();
}

static void change_packet(struct nfqe_packet *packet, uint32_t number)
{
    uint8_t bytes[8];

    memset(bytes, (int)(number & 0xff), sizeof(bytes));
    assert_int_equal(nfqe_splice(packet, packet->len, 0, bytes, world_added(number)),
                     (packet->flags & NFQE_PACKET_FRAGMENT) != 0 ? -EOPNOTSUPP : 0);
}

static nfqe_verdict answer_packet(struct nfqe_packet *packet)
{
    struct world_packet *shown = &world.packets[packet->id - world_id_base];

    assert_in_range(packet->id - world_id_base, 1, world.count);
    assert_int_equal(shown->verdict, 0);
    shown->shown++;
    world.shown_last = packet->id - world_id_base;
    assert_int_equal(packet->flags & NFQE_PACKET_MODIFIED, 0); /* as it was received, also for the second time */
    if (shown->changes) {
        change_packet(packet, packet->id - world_id_base);
    }
    if (world.in_plugin != NULL) {
        world.in_plugin();
    }
    return shown->answer;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    nfqe_verdict answer;

    (void)self;
    world.with_plugin = packet->id - world_id_base;
    worker_step();
    answer = answer_packet(packet);
    worker_step();
    return answer;
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    (void)self;
    for (size_t i = 0; i < n; i++) {
        worker_step();
        out[i] = answer_packet(packets[i]);
    }
    worker_step();
}

/* ---- begin and end -------------------------------------------------------------------------------------------------- */

void world_init(unsigned places, bool flows, bool batch)
{
    struct engine_queue *queue = &world.engine.queues[0];
    const struct queue_shm_layout layout = {.control_version = 1,
                                            .control_size = 64,
                                            .slot_size = WORLD_SLOT,
                                            .changes = world_changes,
                                            .flows_size = flows ? flow_memory_size(CAPACITY) : 0};
    uint64_t random = 1442695040888963407;

    memset(&world, 0, sizeof(world));
    world.batch = batch;
    world.queue_dies_at = WORLD_NEVER;
    world.worker_dies_at = WORLD_NEVER;
    world.next = 1;
    world.receive_max = BURST_MAX;
    world.places = places;
    world.group.workers = places;
    world.group.default_verdict = NFQE_ACCEPT;
    world.group.on_crash = NFQE_DROP;
    world.group.bypass_mark = (struct mark_setting){WORLD_BYPASS_BITS, WORLD_BYPASS_MASK};
    generation_init(&world.generation, 1, &world.group);
    world.generation.plan.flows = flows ? CAPACITY : 0;
    world.generation.plan.flow_timeout_ms = 60 * 1000;
    world.generation.plan.changes = world_changes;
    world.generation.plugins[0] =
        (struct plugin){.id = "judge",
                        .version = "1.0",
                        .needs = (flows ? NFQE_NEED_FLOW : 0) | (world_changes ? NFQE_NEED_MODIFY : 0)};
    world.generation.plugin_count = 1;
    world.engine.generation = &world.generation;
    world.engine.queue_count = 1;
    for (size_t i = 0; i < sizeof(world.engine.flow_seed); i++) {
        ((uint8_t *)&world.engine.flow_seed)[i] = (uint8_t)(unit_random(&random) >> 32);
    }
    *queue = (struct engine_queue){.kernel.number = MESSAGES_QUEUE};
    queue_shm_init(&queue->shm);
    assert_int_equal(queue_shm_new(MESSAGES_QUEUE, &layout, &queue->shm), 0);
    ((struct journal_totals *)(uintptr_t)journal_totals(queue->shm.journal))->outstanding.last_id = world_id_base;
}

static void end_worker(struct world_worker *worker)
{
    ring_answer_done(&worker->ring);
    worker_frames_done(&worker->frames);
    worker->alive = false;
}

/* A verdict that is not in the journal was not given. */
static void forget_guilt(void)
{
    for (uint32_t i = 1; i <= world.count; i++) {
        const struct burst_entry *entry = world_entry_of(world_id_base + i);

        if (world.packets[i].verdict == 0 && entry != NULL && (burst_entry_flags(entry) & BURST_DECIDED) == 0) {
            world.packets[i].guilty = false;
            world.packets[i].suspicion = 0;
        }
    }
}

/* The queue process is gone, and its workers. */
static void end_queue(void)
{
    forget_guilt();
    for (unsigned i = 0; i < WORLD_WORKERS; i++) {
        if (world.workers[i].alive) {
            ring_submit_done(&world.workers[i].theirs->ring);
            end_worker(&world.workers[i]);
        }
    }
    world.queue_lives = false;
}

void world_done(void)
{
    end_queue();
    queue_shm_done(&world.engine.queues[0].shm);
}

/* What the supervisor does when a queue process has died. */
static void supervise(struct journal *journal)
{
    uint64_t answered = journal_answered(journal);

    if (!journal_is_idle(journal)) {
        journal_request_id_recovery(journal, world_id_base + world.queued);
    }
    journal_note_death(journal, !world.count_deaths || answered != world.answered);
    world.answered = answered;
    if (journal->deaths >= QUEUE_DEATHS_MAX) {
        world_expect_unread();
    }
}

void world_start_queue(void)
{
    struct error error;

    supervise(world.engine.queues[0].shm.journal);
    memset(&world.loop, 0, sizeof(world.loop));
    world.queue_lives = true;
    world.group.on_outage = world.on_outage == NFQE_ACCEPT ? OUTAGE_ACCEPT : OUTAGE_DROP;
    queue_loop_init(&world.loop, &world.engine, &world.engine.queues[0]);
    if (queue_recover(&world.loop, world.now_ns, &error) < 0) {
        fail_msg("%s", error.text);
    }
}

bool world_survives(void (*play)(void))
{
    if (setjmp(world.queue_death) == 0) {
        play();
        return true;
    }
    end_queue();
    return false;
}

/* ---- workers ----------------------------------------------------------------------------------------------------------- */

static void attach(struct world_worker *worker)
{
    int passed[RING_FDS];

    assert_int_equal(world_changes ? ring_submit_new_changing(&worker->theirs->ring, WORLD_SLOT)
                                   : ring_submit_new(&worker->theirs->ring, WORLD_SLOT),
                     0);
    ring_worker_fds(&worker->theirs->ring, passed);
    for (unsigned i = 0; i < RING_FDS; i++) {
        passed[i] = dup(passed[i]);
        assert_true(passed[i] >= 0);
    }
    ring_submit_passed(&worker->theirs->ring);
    assert_int_equal(ring_answer_attach(&worker->ring, passed), 0);
}

unsigned world_add_worker(void)
{
    unsigned index = 0;
    struct world_worker *worker;

    while (world.workers[index].alive) {
        index++;
        assert_true(index < WORLD_WORKERS);
    }
    worker = &world.workers[index];
    *worker = (struct world_worker){.alive = true, .number = ++world.born};
    worker->theirs = queue_workers_add(&world.loop.workers, worker->number);
    assert_non_null(worker->theirs);
    attach(worker);
    assert_int_equal(worker_frames_init(&worker->frames, &worker->ring), 0);
    plugin_chain_add(&worker->frames.chain,
                     &(struct plugin_chain_member){.handle = handle,
                                                   .handle_batch = world.batch ? handle_batch : NULL,
                                                   .rights.needs = world.generation.plugins[0].needs});
    worker_frames_begin(&worker->frames, world.group.default_verdict, world.group.on_crash, 0);
    ring_say_state(&worker->ring, world.batch ? RING_OPENED_BATCH : RING_OPENED);
    assert_true(ring_is_sealed(&worker->theirs->ring));
    worker->theirs->opened = true;
    worker->theirs->has_batch = world.batch;
    if (queue_workers_fill(&world.loop.workers)) {
        world.loop.outage = false;
        queue_loop_submit(&world.loop, world.now_ns);
    }
    return index;
}

bool world_run_worker(unsigned index)
{
    struct world_worker *worker = &world.workers[index];

    if (!worker->alive || worker->killed) {
        return false;
    }
    world.with_plugin = 0;
    /* A process has one worker: its operations are about this one. */
    packet_set_begin(&worker->frames.set, worker->frames.set.operations, worker->frames.set.engine_mark);
    packet_edits_begin(worker->frames.run.edits);
    if (setjmp(world.worker_death) == 0) {
        return worker_frames_handle(&worker->frames);
    }
    worker->killed = true;
    world.worker_dies_at = WORLD_NEVER;
    return true;
}

/* Whom the queue process has to find guilty; 0: none. The worker's answers that it can see are taken. */
static uint32_t guilty_packet(const struct world_worker *worker)
{
    const struct ring_flight *oldest = ring_oldest(&worker->theirs->ring);
    const struct queue_group *group = world.engine.generation->group;
    struct ring_origin origin;
    uint32_t number;
    bool alone;

    if (oldest == NULL || (world.batch && !oldest->one_by_one)) {
        return 0;
    }
    origin = oldest->origins[__builtin_ctzll(oldest->unanswered)];
    number = world.engine.queues[0].shm.journal->bursts[origin.burst].entries[origin.entry].id - world_id_base;
    alone = ring_one_in_flight(&worker->theirs->ring) && (oldest->unanswered & (oldest->unanswered - 1)) == 0;
    if (number == world.with_plugin || (world.packets[number].suspicion >= group->workers + group->spares && alone)) {
        return number;
    }
    world.packets[number].suspicion++;
    return 0;
}

void world_lose_worker(unsigned index)
{
    struct world_worker *worker = &world.workers[index];
    struct queue_guilt guilt;
    uint32_t guilty;

    world_take(index);
    guilty = guilty_packet(worker);
    world.packets[guilty].guilty = true;
    queue_loop_lose_worker(&world.loop, worker->theirs, world.now_ns, &guilt);
    assert_int_equal(guilt.packet_known, guilty != 0);
    if (guilty != 0) {
        assert_true(guilt.in_plugin);
        assert_int_equal(guilt.packet_id, world_id_base + guilty);
    }
    end_worker(worker);
}

/* ---- the queue process's steps ------------------------------------------------------------------------------------------- */

void world_receive(void)
{
    struct error error;

    if (queue_loop_has_room(&world.loop) && queue_loop_receive(&world.loop, world.now_ns, &error) < 0) {
        fail_msg("%s", error.text);
    }
}

void world_take(unsigned index)
{
    struct world_worker *worker = &world.workers[index];

    if (worker->alive) {
        assert_int_equal(queue_loop_take_answers(&world.loop, worker->theirs, world.now_ns), 0);
    }
}

/* As queue_process.c does, but for the time. */
void world_send(void)
{
    struct error error;

    if (queue_loop_has_verdicts(&world.loop) && queue_loop_send(&world.loop, &error) < 0) {
        fail_msg("%s", error.text);
    }
}

static bool is_settled(void)
{
    for (uint32_t i = 1; i <= world.queued; i++) {
        if (world.packets[i].verdict == 0) {
            return false;
        }
    }
    return world.loop.order_count == 0;
}

void world_settle(void)
{
    for (unsigned round = 0; !is_settled(); round++) {
        assert_true(round < ROUNDS_MAX);
        world_receive();
        for (unsigned i = 0; i < WORLD_WORKERS; i++) {
            world_run_worker(i);
            world_take(i);
            if (world.workers[i].alive && world.workers[i].killed) {
                world_lose_worker(i);
                world_add_worker();
            }
        }
        world_send();
    }
}

void world_assert_settled(void)
{
    const struct journal *journal = world.engine.queues[0].shm.journal;
    const struct queue_stats *stats = &journal_totals(journal)->stats;
    uint64_t lost = 0;
    uint64_t guilty = 0;

    for (uint32_t i = 1; i <= world.queued; i++) {
        assert_int_not_equal(world.packets[i].verdict, 0);
        lost += world.packets[i].lost;
        guilty += world.packets[i].guilty;
    }
    assert_true(journal_is_idle(journal));
    assert_int_equal(world.loop.order_count, 0);
    assert_int_equal(world.loop.waiting, 0);
    assert_int_equal(stats->packets, world.queued - lost);
    assert_int_equal(stats->accepted + stats->dropped, world.queued - lost);
    assert_true(stats->recovered_ids >= lost);
    assert_int_equal(stats->crash_verdicts, guilty);
    for (unsigned i = 0; i < FLOWS_IN_FLIGHT_MAX; i++) {
        assert_int_equal(world.loop.in_flight.entries[i].packets, 0);
    }
}

int world_run_tests(const char *name, const struct CMUnitTest *tests, size_t count)
{
    static const uint32_t bases[] = {UINT32_MAX - 10, 0, INT32_MAX - 10};
    int failed = 0;

    for (size_t i = 0; i < unit_cases(sizeof(bases) / sizeof(bases[0]), 1); i++) {
        world_id_base = bases[i];
        failed += _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    }
    return failed;
}
