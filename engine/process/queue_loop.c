/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a packet through the queue process.
 *
 * Packets are routed in the order in which they came, and the answers of a worker come in the order in which it got
 * them, so the packets of a flow, which all have the same worker, are decided in order. The flow table is asked twice:
 * when a packet is routed, and when its answer has come, since earlier packets of its flow may have been answered in
 * between. What it says counts.
 *
 * Verdicts are sent in id order, as far as they are there. A batch verdict would also answer packets that a worker
 * still has, so the encoder is given the set of outstanding ids. Process: [queue process].
 */
#include "process/queue_loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/probe.h"
#include "process/queue_changes.h"
#include "process/queue_messages.h"
#include "process/queue_routes.h"
#include "process/queue_steps.h"

#include <errno.h>
#include <string.h>

#define LOG_BURST 5
#define LOG_PERIOD_NS (10 * NS_PER_S)

void queue_loop_learn_reasons(struct queue_loop *loop)
{
    for (unsigned i = 0; i < loop->engine->generation->plugin_count; i++) {
        uint32_t first = loop->queue->control->reasons[i];

        loop->rights[i].first_reason = first;
        loop->rights[i].reasons = loop->queue->control->reasons[i + 1] - first;
    }
}

/* ---- receiving ---------------------------------------------------------------------------------------- */

/* The index of a burst that is not in flight. There is one. */
static unsigned free_burst(const struct queue_loop *loop)
{
    unsigned used = 0;
    unsigned index = 0;

    for (unsigned i = 0; i < loop->order_count; i++) {
        used |= 1U << loop->order[i];
    }
    while ((used & (1U << index)) != 0) {
        index++;
    }
    return index;
}

void queue_loop_begin_flight(struct queue_loop *loop, unsigned index, uint64_t now_ns)
{
    const struct burst *burst = &loop->journal->bursts[index];
    struct queue_flight *flight = &loop->flights[index];

    flight->undecided = 0;
    flight->submitted = 0;
    memset(flight->suspicion, 0, sizeof(flight->suspicion));
    flight->waiting = 0;
    flight->unsent = 0;
    flight->one_by_one = false;
    flight->hung = false;
    if (queue_routes_by_flow(loop)) {
        flow_table_begin_burst(&loop->flow_table, &flight->flows, flight->packets, burst->packets, now_ns);
    }
    for (unsigned i = 0; i < burst->packets; i++) {
        flight->flow_numbers[i] = FLOW_IN_FLIGHT_NONE;
        if (!outstanding_has(&loop->outstanding, burst->entries[i].id)) {
            continue;
        }
        if (burst_is_decided(burst, i)) {
            flight->waiting |= QUEUE_BIT(i);
            loop->waiting++;
        } else {
            flight->undecided |= QUEUE_BIT(i);
        }
    }
    loop->order[loop->order_count++] = index;
}

int queue_loop_receive(struct queue_loop *loop, uint64_t now_ns, struct error *error)
{
    unsigned index = free_burst(loop);
    unsigned count;
    int code = queue_steps_receive(loop, index, &count, error);

    if (code < 0 || count == 0) {
        return code;
    }
    if (loop->alone_places != 0) {
        queue_loop_submit(loop, now_ns); /* packets that wait for their turn come first */
    }
    if (loop->journal->bursts[index].packets > 0) {
        queue_loop_begin_flight(loop, index, now_ns);
        queue_routes_burst(loop, loop->order_count - 1, now_ns);
    } else {
        probe_burst_end(loop->queue->kernel.number, 0);
    }
    return count == BURST_MAX;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static void take_answer(struct queue_loop *loop, const struct ring_submit *ring, const struct ring_answered *answered,
                        struct decide_invalid *invalid)
{
    struct queue_flight *flight = &loop->flights[answered->origin.burst];
    unsigned packet = answered->origin.entry;
    const struct decide decide = queue_routes_decide(loop, answered->origin.burst);
    const struct plugin_rights *rights = &loop->rights[answered->plugin];
    struct plugin_answer answer = {answered->answer, answered->plugin};
    const char *wrong = NULL;
    unsigned before = invalid->count;

    if ((answered->made.len | answered->made.refused) != 0) {
        wrong = queue_changes_take(loop, ring, answered);
        answer.verdict = wrong != NULL ? VERDICT_FORBIDDEN_CHANGE : answer.verdict;
    }
    if (answered->changes.mark_mask == 0) {
        decide_answered(&decide, packet, answer, rights, invalid);
    } else {
        decide_changed(&decide, packet, answer, &answered->changes, rights, invalid);
    }
    if (before == 0 && invalid->count == 1) {
        invalid->change = wrong;
    }
    queue_routes_leave_flow(loop, flight, packet);
    flight->undecided &= ~QUEUE_BIT(packet);
    flight->submitted &= ~QUEUE_BIT(packet);
    flight->unsent |= QUEUE_BIT(packet);
    if (loop->waiting > 0) {
        queue_loop_release(loop);
    }
}

static int take_answers(struct queue_loop *loop, struct queue_worker *worker, uint64_t now_ns)
{
    struct decide_invalid invalid = {0};
    struct ring_answered answered;
    int code;

    while ((code = ring_take(&worker->ring, &answered)) > 0) {
        take_answer(loop, &worker->ring, &answered, &invalid);
        worker->since_ns = now_ns;
    }
    if (invalid.count > 0) {
        queue_steps_log_invalid(loop, &invalid);
    }
    return code;
}

int queue_loop_take_answers(struct queue_loop *loop, struct queue_worker *worker, uint64_t now_ns)
{
    bool had_packets = ring_in_flight(&worker->ring);
    int code = take_answers(loop, worker, now_ns);

    if (code == 0 && loop->alone_places != 0 && had_packets && !ring_in_flight(&worker->ring)) {
        queue_loop_submit(loop, now_ns);
    }
    return code;
}

/* ---- sending ------------------------------------------------------------------------------------------- */

bool queue_loop_should_send(const struct queue_loop *loop)
{
    for (unsigned i = 0; i < loop->order_count; i++) {
        const struct queue_flight *flight = &loop->flights[loop->order[i]];

        if (flight->unsent != 0 && (flight->undecided | flight->waiting) == 0) {
            return true;
        }
    }
    return false;
}

/* Encodes and sends the runs of verdicts that are there in one burst. */
static int send_flight(struct queue_loop *loop, unsigned index, struct error *error)
{
    struct queue_flight *flight = &loop->flights[index];
    int code = 0;

    while (flight->unsent != 0 && code == 0) {
        unsigned from = (unsigned)__builtin_ctzll(flight->unsent);
        uint64_t rest = ~(flight->unsent >> from);
        unsigned count = rest == 0 ? BURST_MAX - from : (unsigned)__builtin_ctzll(rest);
        uint64_t run = count == BURST_MAX ? UINT64_MAX : (QUEUE_BIT(count) - 1) << from;

        code = queue_steps_send_entries(loop, index, from, from + count, error);
        flight->unsent &= ~run;
    }
    return code;
}

/* Bursts that are answered leave the order. */
static void retire(struct queue_loop *loop)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < loop->order_count; i++) {
        unsigned index = loop->order[i];
        const struct queue_flight *flight = &loop->flights[index];

        if ((flight->undecided | flight->waiting | flight->unsent) == 0) {
            probe_burst_end(loop->queue->kernel.number, loop->journal->bursts[index].packets);
            loop->journal->bursts[index].packets = 0;
            loop->recovering &= ~(1U << index);
        } else {
            loop->order[kept++] = index;
        }
    }
    loop->order_count = kept;
}

bool queue_loop_has_verdicts(const struct queue_loop *loop)
{
    for (unsigned i = 0; i < loop->order_count; i++) {
        if (loop->flights[loop->order[i]].unsent != 0) {
            return true;
        }
    }
    return false;
}

int queue_loop_send(struct queue_loop *loop, struct error *error)
{
    int code = 0;

    if (!queue_loop_has_verdicts(loop)) {
        return 0;
    }
    journal_begin_send(loop->journal);
    for (unsigned i = 0; i < loop->order_count && code == 0; i++) {
        code = send_flight(loop, loop->order[i], error);
    }
    if (code == 0) {
        queue_steps_commit_send(loop);
        retire(loop);
    }
    return code;
}

/* ---- the end of a worker ------------------------------------------------------------------------------- */

/* What the worker ended over gets the --on-crash verdict. */
static void punish(struct queue_loop *loop, struct ring_origin guilty)
{
    struct queue_flight *flight = &loop->flights[guilty.burst];
    const struct decide decide = queue_routes_decide(loop, guilty.burst);

    decide_alone(&decide, guilty.entry, loop->policy.on_crash, BURST_CRASHED);
    queue_routes_leave_flow(loop, flight, guilty.entry);
    flight->undecided &= ~QUEUE_BIT(guilty.entry);
    flight->submitted &= ~QUEUE_BIT(guilty.entry);
    flight->unsent |= QUEUE_BIT(guilty.entry);
}

/* A worker ended over a packet without a word of a plugin. Returns whether that has happened too often. */
static bool suspect(const struct queue_loop *loop, struct queue_flight *flight, unsigned entry)
{
    const struct queue_group *group = loop->engine->generation->group;

    if (flight->suspicion[entry] >= group->workers + group->spares) {
        return true;
    }
    flight->suspicion[entry]++;
    return false;
}

/* Whether the worker had one packet alone. */
static bool had_one(const struct queue_worker *worker, const struct ring_flight *oldest)
{
    return (oldest->unanswered & (oldest->unanswered - 1)) == 0 && ring_one_in_flight(&worker->ring);
}

/* All bursts in flight are under suspicion. */
static void begin_alone(struct queue_loop *loop, unsigned place)
{
    for (unsigned i = 0; i < loop->order_count; i++) {
        loop->alone[place] |= 1U << loop->order[i];
    }
    loop->alone_places |= 1U << place;
}

/* Of the packets that it had, the first that is not answered can be guilty. */
static void find_guilt(struct queue_loop *loop, const struct queue_worker *worker, struct queue_guilt *guilt)
{
    const struct ring_flight *oldest = ring_oldest(&worker->ring);
    struct queue_flight *flight;
    struct ring_origin origin;

    *guilt = (struct queue_guilt){.plugin = ring_plugin(&worker->ring)};
    if (oldest == NULL) {
        return;
    }
    guilt->in_plugin = guilt->plugin != PLUGINS_MAX;
    origin = oldest->origins[__builtin_ctzll(oldest->unanswered)];
    flight = &loop->flights[origin.burst];
    if (worker->has_batch && !oldest->one_by_one) {
        flight->one_by_one = true;
        flight->hung = worker->hung;
    } else if (ring_packet_with_plugin(&worker->ring) ||
               (suspect(loop, flight, origin.entry) && had_one(worker, oldest))) {
        guilt->in_plugin = true;
        guilt->packet_known = true;
        guilt->packet_id = loop->journal->bursts[origin.burst].entries[origin.entry].id;
        punish(loop, origin);
    } else {
        guilt->in_plugin = false;
        begin_alone(loop, worker->place);
    }
}

/* What the worker still had has no worker now. */
static void take_back(struct queue_loop *loop, struct queue_worker *worker)
{
    const struct ring_flight *oldest;

    while ((oldest = ring_oldest(&worker->ring)) != NULL) {
        for (uint64_t left = oldest->unanswered; left != 0; left &= left - 1) {
            struct ring_origin origin = oldest->origins[__builtin_ctzll(left)];

            loop->flights[origin.burst].submitted &= ~QUEUE_BIT(origin.entry);
        }
        ring_retire_oldest(&worker->ring);
    }
}

void queue_loop_init(struct queue_loop *loop, const struct engine *engine, const struct engine_queue *queue)
{
    const struct queue_group *group = engine->generation->group;

    loop->engine = engine;
    loop->queue = queue;
    loop->journal = queue->shm.journal;
    loop->encoder.queue = queue->kernel.number;
    loop->invalid_log = (struct rate_limit){.burst = LOG_BURST, .period_ns = LOG_PERIOD_NS};
    loop->error_log = loop->invalid_log;
    loop->policy = (struct decide_policy){.default_verdict = group->default_verdict,
                                          .on_crash = group->on_crash,
                                          .bypass_mark = group->bypass_mark.bits,
                                          .bypass_mask = group->bypass_mark.mask,
                                          .repeat_mask = engine->generation->plan.repeat_mask,
                                          .queue = queue->kernel.number};
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        loop->rights[i].needs = plugin_wants(&engine->generation->plugins[i]);
    }
    queue_rejects_init(&loop->rejects, engine->raw, &group->reject_by_rule, engine->generation->plan.reject_rate,
                       queue->kernel.number);
    loop->on_outage = group->on_outage == OUTAGE_ACCEPT ? NFQE_ACCEPT : NFQE_DROP;
    loop->flow_table.seed = engine->flow_seed;
    flow_in_flight_init(&loop->in_flight);
    queue_workers_init(&loop->workers, group->workers);
}

void queue_loop_lose_worker(struct queue_loop *loop, struct queue_worker *worker, uint64_t now_ns,
                            struct queue_guilt *guilt)
{
    take_answers(loop, worker, now_ns);
    find_guilt(loop, worker, guilt);
    take_back(loop, worker);
    queue_workers_remove(&loop->workers, worker);
    queue_workers_fill(&loop->workers);
    queue_loop_submit(loop, now_ns);
}
