/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker does first: it finishes what its predecessor left in flight.
 *
 * In three steps: the burst that was being received is committed, every packet in flight is decided, and then the
 * verdicts of all are sent and committed at once. A worker that dies on the way leaves a journal from which the next one
 * begins with the same steps. Process: [worker].
 */
#include "process/worker_loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/probe.h"
#include "burst/recovery.h"
#include "process/worker_steps.h"

/* The flows that earlier workers of this queue decided. */
static void attach_flows(struct worker_loop *loop)
{
    const struct engine_queue *queue = loop->queue;
    const struct plan *plan = &loop->engine->generation->plan;
    uint32_t kept;

    if (plan->flows == 0) {
        return;
    }
    flow_table_attach(&loop->flows, queue->shm.flows, plan->flows, plan->flow_timeout_ms, &loop->engine->flow_seed);
    loop->pipeline.flows = &loop->flows;
    if (!flow_table_need_repair(&loop->flows)) {
        return;
    }
    kept = flow_table_repair(&loop->flows, monotonic_coarse_ns(), &loop->journal->bursts[0].progress);
    log_line("queue %u: the flow table was left half changed or damaged; %u flows in it are whole and kept",
             queue->kernel.number, kept);
}

/*
 * The ids of a burst that the predecessor received are outstanding: its packets, as far as they are not outstanding already, and the ids
 * that are missing before and between them.
 */
static int add_received_ids(struct worker_loop *loop, struct error *error)
{
    int code = 0;

    for (unsigned i = 0; i < loop->packet_count && code == 0; i++) {
        uint32_t id = loop->burst->entries[i].id;
        struct outstanding_range lost;

        if (outstanding_has(&loop->outstanding, id)) {
            continue;
        }
        if (outstanding_missing(&loop->outstanding, id, &lost)) {
            lost.first = lost.last - lost.first >= RECOVERED_IDS_MAX ? id - RECOVERED_IDS_MAX : lost.first;
            code = worker_add_lost_ids(loop, lost, error);
        }
        if (code == 0) {
            outstanding_add(&loop->outstanding, (struct outstanding_range){id, id});
        }
    }
    return code;
}

/* Commits the burst that the predecessor was receiving. */
static int recover_receive(struct worker_loop *loop, unsigned index, struct error *error)
{
    int code;

    loop->burst = &loop->journal->bursts[index];
    loop->delta = (struct queue_stats){.bursts = 1};
    worker_number_burst(loop);
    worker_decode_burst(loop, WORKER_RECEIVED);
    code = add_received_ids(loop, error);
    if (code == 0) {
        worker_commit_receive(loop);
    }
    return code;
}

/* Has every packet of a committed burst decided. */
static int recover_verdicts(struct worker_loop *loop, unsigned index)
{
    struct queue_stats decided = {0}; /* of no use: verdicts are counted as they are sent */

    loop->burst = &loop->journal->bursts[index];
    probe_burst_begin(loop->queue->kernel.number, burst_received(loop->burst));
    worker_decode_burst(loop, WORKER_COMMITTED);
    return worker_decide_burst(loop, &decided);
}

/* Sends the verdicts of those packets of the burst that are outstanding. */
static int resend_burst(struct worker_loop *loop, unsigned index, bool resent, struct error *error)
{
    int code = 0;

    loop->burst = &loop->journal->bursts[index];
    for (unsigned next = 0; next < loop->burst->packets && code == 0;) {
        unsigned first = next;

        while (next < loop->burst->packets && outstanding_has(&loop->outstanding, loop->burst->entries[next].id)) {
            burst_count_verdict(&loop->burst->entries[next++], &loop->delta);
        }
        if (next > first) {
            code = worker_send_entries(loop, first, next, true, resent, error);
        } else {
            next++;
        }
    }
    return code;
}

/*
 * Some of the predecessor's messages may be damaged or lost, so nothing is sent that answers more than one id, and
 * ids that did not turn up are answered. Those that may be missing after the bursts are answered before the next one.
 */
int worker_loop_recover(struct worker_loop *loop, struct error *error)
{
    unsigned receiving = journal_recover(loop->journal, &loop->outstanding);
    bool resent = journal_is_sending(loop->journal);
    unsigned order[BURSTS_IN_FLIGHT];
    int pipeline_code = 0;
    unsigned count;
    int code = 0;

    attach_flows(loop);
    if (receiving != JOURNAL_NO_BURST) {
        code = recover_receive(loop, receiving, error);
    }
    count = journal_in_use(loop->journal, &loop->outstanding, order);
    for (unsigned i = 0; i < count && code == 0; i++) {
        int decided = recover_verdicts(loop, order[i]);

        pipeline_code = decided < 0 ? decided : pipeline_code;
    }
    if (code == 0 && loop->outstanding.count > 0) {
        journal_begin_send(loop->journal);
    }
    for (unsigned i = 0; i < count && code == 0; i++) {
        code = resend_burst(loop, order[i], resent, error);
    }
    while (loop->outstanding.count > 0 && code == 0) {
        code = worker_send_lost_ids(loop, loop->outstanding.ranges[0], error);
    }
    if (code < 0) {
        return code;
    }
    worker_commit_send(loop);
    for (unsigned i = 0; i < count; i++) {
        probe_burst_end(loop->queue->kernel.number, loop->journal->bursts[order[i]].packets);
    }
    return worker_check_flow_table(pipeline_code, error);
}
