/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker does first: it finishes the burst that its predecessor left in flight.
 *
 * A worker that dies on the way leaves a journal from which the next one begins with the same steps. Process: [worker].
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
    kept = flow_table_repair(&loop->flows, monotonic_coarse_ns(), &loop->burst->progress);
    log_line("queue %u: the flow table was left half changed or damaged; %u flows in it are whole and kept",
             queue->kernel.number, kept);
}

/*
 * Answers the ids that are missing in a recovered burst, before and between its packets. An id that the kernel had not
 * given out is damaged; one that is not after the newest was answered before.
 */
static int recover_gaps(struct worker_loop *loop, struct error *error)
{
    const struct burst *burst = loop->burst;
    int code = 0;

    for (unsigned i = 0; i < loop->packet_count && code == 0; i++) {
        uint32_t id = burst->entries[i].id;
        struct outstanding_range lost;

        if (!outstanding_is_after(id, loop->outstanding.last_id) ||
            (burst->recover_ids != 0 && outstanding_is_after(id, burst->recover_to))) {
            continue;
        }
        if (outstanding_missing(&loop->outstanding, id, &lost)) {
            code = worker_answer_lost_ids(loop, lost, error);
        }
        outstanding_advance(&loop->outstanding, id);
    }
    return code;
}

/*
 * Some of the predecessor's messages may be damaged or lost, so nothing is sent that answers more than one id, and
 * ids that did not turn up are answered. Those that may be missing after the burst are answered before the next one.
 */
int worker_loop_recover(struct worker_loop *loop, struct error *error)
{
    enum burst_phase phase = burst_recover(loop->burst);
    int pipeline_code = 0;
    int code;

    burst_recover_outstanding(loop->burst, &loop->outstanding);
    attach_flows(loop);
    if (phase == BURST_IDLE) {
        return 0;
    }
    probe_burst_begin(loop->queue->kernel.number, burst_received(loop->burst));
    worker_decode_burst(loop, phase != BURST_RECEIVING);
    if (loop->packet_count > 0) {
        pipeline_code = worker_decide_burst(loop);
        code = worker_send_burst(loop, NULL, error);
        if (code == 0) {
            code = recover_gaps(loop, error);
        }
        if (code < 0) {
            return code;
        }
    }
    code = worker_commit(loop, pipeline_code, error);
    probe_burst_end(loop->queue->kernel.number, loop->packet_count);
    return code;
}
