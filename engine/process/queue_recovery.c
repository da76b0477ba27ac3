/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the journal of a dead process to bursts in flight.
 *
 * Some of the predecessor's messages may be lost, so until everything that it left is answered nothing is sent that
 * answers more than one id, in whichever burst. Packets that a worker of the predecessor had are submitted again: its
 * workers are dead.
 *
 * If several processes in a row have died before they answered a packet, what is in flight is taken to be the cause.
 * Then none of it is decoded or submitted, and its verdicts go out by id alone. Process: [queue process].
 */
#include "process/queue_recovery.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/probe.h"
#include "burst/recovery.h"
#include "process/queue_steps.h"

/* The flows that were decided before. */
static void attach_flows(struct queue_loop *loop)
{
    const struct plan *plan = &loop->engine->generation->plan;
    uint32_t kept;

    if (plan->flows == 0) {
        return;
    }
    flow_table_attach(&loop->flow_table, loop->queue->shm.flows, plan->flows, plan->flow_timeout_ms,
                      &loop->engine->flow_seed);
    loop->flows = &loop->flow_table;
    if (flow_table_need_repair(&loop->flow_table)) {
        kept = flow_table_repair(&loop->flow_table, monotonic_coarse_ns(), &loop->journal->bursts[0].progress);
        log_line("queue %u: the flow table was left half changed; %u flows in it are whole and kept",
                 loop->queue->kernel.number, kept);
    }
}

/*
 * The ids of a burst that the predecessor received are outstanding: those of its packets, as far as they are not yet,
 * and those that are missing before and between them.
 */
static int add_received_ids(struct queue_loop *loop, unsigned index, struct error *error)
{
    const struct burst *burst = &loop->journal->bursts[index];
    int code = 0;

    for (unsigned i = 0; i < burst->packets && code == 0; i++) {
        uint32_t id = burst->entries[i].id;
        struct outstanding_range lost;

        if (outstanding_has(&loop->outstanding, id)) {
            continue;
        }
        if (outstanding_missing(&loop->outstanding, id, &lost)) {
            lost.first = lost.last - lost.first >= RECOVERED_IDS_MAX ? id - RECOVERED_IDS_MAX : lost.first;
            code = queue_steps_add_lost_ids(loop, lost, error);
        }
        if (code == 0) {
            code = outstanding_add(&loop->outstanding, (struct outstanding_range){id, id});
        }
    }
    return code;
}

/* Commits the burst that the predecessor was receiving. */
static int recover_receive(struct queue_loop *loop, unsigned index, struct error *error)
{
    int code;

    loop->delta = (struct queue_stats){.bursts = 1};
    queue_steps_number(loop, index);
    queue_steps_decode(loop, index, QUEUE_RECEIVED);
    code = add_received_ids(loop, index, error);
    if (code == 0) {
        queue_steps_commit_receive(loop, index);
    }
    return code;
}

/* Whether a packet of a burst in flight has this id. */
static bool is_packet(const struct queue_loop *loop, uint32_t id)
{
    for (unsigned i = 0; i < loop->order_count; i++) {
        const struct burst *burst = &loop->journal->bursts[loop->order[i]];

        for (unsigned packet = 0; packet < burst->packets; packet++) {
            if (burst->entries[packet].id == id) {
                return true;
            }
        }
    }
    return false;
}

/* How many ids from `first` on, of `left`, are a packet of a burst in flight, or are none, as `first` is. */
static uint32_t run_of(const struct queue_loop *loop, uint32_t first, uint32_t left, bool packet)
{
    uint32_t count = 1;

    while (count < left && is_packet(loop, first + count) == packet) {
        count++;
    }
    return count;
}

/* Sends a verdict for outstanding ids that are no packet of a burst: their messages were lost. */
static int send_lost_ids(struct queue_loop *loop, struct error *error)
{
    const struct outstanding found = loop->outstanding;
    int code = 0;

    for (uint32_t i = 0; i < found.count && code == 0; i++) {
        uint32_t id = found.ranges[i].first;
        uint32_t left = found.ranges[i].last - id + 1;

        while (left > 0 && code == 0) {
            bool packet = is_packet(loop, id);
            uint32_t count = run_of(loop, id, left, packet);

            if (!packet) {
                code = queue_steps_send_lost_ids(loop, (struct outstanding_range){id, id + count - 1}, error);
            }
            id += count;
            left -= count;
        }
    }
    return code;
}

/*
 * Everything that can be answered now, in one commit: after it, a verdict that the predecessor may have sent and that
 * is sent again later would count as sent for the first time.
 */
static int send_what_is_decided(struct queue_loop *loop, struct error *error)
{
    int code;

    journal_begin_send(loop->journal);
    code = send_lost_ids(loop, error);
    queue_loop_release(loop);
    if (code == 0 && queue_loop_has_verdicts(loop)) {
        code = queue_loop_send(loop, error);
    } else if (code == 0) {
        queue_steps_commit_send(loop);
    }
    return code;
}

/* ---- giving up -------------------------------------------------------------------------------------------- */

/* Outstanding packets get the --on-crash verdict, whatever they had, and are counted with it. Returns how many. */
static uint32_t force_verdicts(struct queue_loop *loop)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        struct burst *burst = &loop->journal->bursts[i];

        for (unsigned packet = 0; packet < burst->packets; packet++) {
            const struct burst_entry *entry = &burst->entries[packet];

            if (outstanding_has(&loop->outstanding, entry->id)) {
                burst_set_verdict(burst, packet, loop->policy.on_crash, entry->mark, BURST_CRASHED);
                burst_count_verdict(entry, &loop->delta);
                count++;
            }
        }
    }
    return count;
}

/*
 * The burst that was being received is forgotten: the supervisor has asked for the recovery of its ids, so they are
 * answered as lost ones at the next receive. Until the commit at the end, a process that dies here has changed nothing
 * that its successor does not do again.
 */
static int give_up(struct queue_loop *loop, unsigned receiving, struct error *error)
{
    struct journal *journal = loop->journal;
    const struct outstanding left = loop->outstanding;
    uint32_t received = receiving != JOURNAL_NO_BURST ? burst_received(&journal->bursts[receiving]) : 0;
    uint32_t packets = force_verdicts(loop);
    uint32_t ids;
    int code = 0;

    journal_end_receive(journal);
    journal_begin_send(journal);
    for (uint32_t i = 0; i < left.count && code == 0; i++) {
        code = queue_steps_send_lost_ids(loop, left.ranges[i], error);
    }
    if (code < 0) {
        return code;
    }
    ids = (uint32_t)loop->delta.recovered_ids;
    loop->delta.recovered_ids -= packets; /* these are counted by their verdict */
    queue_steps_commit_send(loop);
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        journal->bursts[i].packets = 0;
    }
    log_line("queue %u: %u queue processes in a row ended without having answered a packet; the %u packets that they "
             "had get verdict %s unread",
             loop->queue->kernel.number, journal->deaths, ids + received,
             queue_group_verdict_name(loop->policy.on_crash));
    journal->deaths = 0;
    return 0;
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

int queue_recover(struct queue_loop *loop, uint64_t now_ns, struct error *error)
{
    unsigned order[BURSTS_IN_FLIGHT];
    unsigned receiving;
    unsigned count;
    int code = 0;

    queue_shm_prepare(&loop->queue->shm, loop->queue->kernel.number, BURSTS_IN_FLIGHT);
    receiving = journal_recover(loop->journal, &loop->outstanding);
    loop->resending = journal_is_sending(loop->journal);
    attach_flows(loop);
    if (loop->journal->deaths >= QUEUE_DEATHS_MAX) {
        code = give_up(loop, receiving, error);
        loop->resending = false;
        return code;
    }
    if (receiving != JOURNAL_NO_BURST) {
        code = recover_receive(loop, receiving, error);
    }
    if (code < 0) {
        return code;
    }
    count = journal_in_use(loop->journal, &loop->outstanding, order);
    for (unsigned i = 0; i < count; i++) {
        probe_burst_begin(loop->queue->kernel.number, burst_received(&loop->journal->bursts[order[i]]));
        queue_steps_decode(loop, order[i], QUEUE_COMMITTED);
        queue_loop_begin_flight(loop, order[i], now_ns);
        loop->recovering |= 1U << order[i];
    }
    if (loop->outstanding.count > 0 || loop->resending) {
        code = send_what_is_decided(loop, error);
    }
    loop->resending = false;
    if (code == 0) {
        queue_loop_submit(loop, now_ns);
    }
    return code;
}
