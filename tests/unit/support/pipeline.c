/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls and decisions, one packet after the other.
 *
 * If no plugin of the chain has handle_batch(), each packet is looked up, answered and decided before the next one. If
 * one has it, all undecided packets of the burst go through the chain as a batch, and the answers become verdicts
 * afterwards, in the order of the packets. With `one_by_one` it goes packet by packet in any case.
 */
#include "pipeline.h"

#include "plugin/chain_run.h"

#include <errno.h>

static void run_packet(const struct chain_run *run, const struct decide *decide, struct nfqe_packet *packets,
                       unsigned packet, struct decide_invalid *invalid)
{
    struct plugin_answer answer;

    if (!decide_by_flow(decide, packet)) {
        answer = chain_run_packet(run, &packets[packet], packet);
        decide_by_answer(decide, packet, answer, plugin_chain_rights(run->chain, answer.plugin), invalid);
    }
}

static void run_one_by_one(const struct chain_run *run, const struct decide *decide, struct nfqe_packet *packets,
                           unsigned n, struct decide_invalid *invalid)
{
    for (unsigned i = 0; i < n; i++) {
        if (burst_is_decided(decide->burst, i)) {
            decide_again(decide, i);
        } else {
            run_packet(run, decide, packets, i, invalid);
        }
    }
    chain_run_end(run);
}

/* Finds the packets that have no verdict, nor get one by the flow table. */
static void find_undecided(const struct decide *decide, struct nfqe_packet *packets, unsigned n,
                           struct chain_batch *batch)
{
    batch->count = 0;
    for (unsigned i = 0; i < n; i++) {
        if (burst_is_decided(decide->burst, i)) {
            decide_again(decide, i);
        } else if (!decide_by_flow(decide, i)) {
            batch->packets[batch->count] = &packets[i];
            batch->places[batch->count] = i;
            batch->count++;
        }
    }
}

/*
 * Answers become verdicts in the order of the packets, whichever plugin gave them. So the result is the same as packet
 * by packet: a verdict for a flow decides the later packets of the flow, whatever plugins answered to those, and an
 * accepted SYN ends an earlier verdict for its flow.
 */
static void run_by_plugin(const struct chain_run *run, const struct decide *decide, struct nfqe_packet *packets,
                          unsigned n, struct decide_invalid *invalid)
{
    struct plugin_answer answers[BURST_MAX];
    struct chain_batch batch;
    bool for_flows;

    find_undecided(decide, packets, n, &batch);
    for_flows = chain_run_batch(run, &batch, NULL, answers);
    if (decide->flows != NULL) {
        flow_burst_begin_again(decide->flow_burst);
    }
    for (unsigned i = 0; i < n; i++) {
        if (burst_is_decided(decide->burst, i)) {
            decide_again(decide, i);
        } else if (for_flows) {
            decide_answered(decide, i, answers[i], plugin_chain_rights(run->chain, answers[i].plugin), invalid);
        } else { /* looking for flows again would find nothing new */
            decide_by_answer(decide, i, answers[i], plugin_chain_rights(run->chain, answers[i].plugin), invalid);
        }
    }
}

int pipeline_run(const struct pipeline *pipeline, struct burst *burst, struct nfqe_packet *packets, unsigned n,
                 uint64_t now_ns, struct queue_stats *stats, struct decide_invalid *invalid)
{
    static _Atomic uint32_t words[3];
    nfqe_verdict verdicts[BURST_MAX];
    struct flow_burst flow_burst;
    const struct chain_run run = {.chain = &pipeline->chain,
                                  .position = {.packet = &words[0], .plugin = &words[1], .progress = &words[2]},
                                  .verdicts_end = verdicts + BURST_MAX};
    const struct decide decide = {
        .policy = &pipeline->policy, .flows = pipeline->flows, .flow_burst = &flow_burst, .burst = burst};

    invalid->count = 0;
    if (pipeline->flows != NULL) {
        flow_table_begin_burst(pipeline->flows, &flow_burst, packets, n, now_ns);
    }
    if (pipeline->chain.has_batch && !pipeline->one_by_one) {
        run_by_plugin(&run, &decide, packets, n, invalid);
    } else {
        run_one_by_one(&run, &decide, packets, n, invalid);
    }
    for (unsigned i = 0; i < n; i++) {
        burst_count_verdict(&burst->entries[i], stats);
    }
    return pipeline->flows != NULL && flow_table_damaged(pipeline->flows) ? -EUCLEAN : 0;
}
