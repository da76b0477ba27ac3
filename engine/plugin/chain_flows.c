/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps answers for flows, in an array with a place for each number.
 *
 * The epoch at a place says which flow it was last used for, so nothing has to be cleared when a number gets another
 * meaning; the number of a burst makes `begun` void in the same way when the next burst begins. The flow table applies
 * the same rules when it learns of the answers, and what it says counts. If the two differ, since the table was full or
 * damaged, a plugin is called once more or once less than needed. Process: [worker].
 */
#include "plugin/chain_flows.h"

#include "packet/checksum.h"

#include <string.h>

#define ACCEPT_FLOW (NFQE_ACCEPT | NFQE_FLOW)

void chain_flows_init(struct chain_flows *flows, const struct plugin_chain *chain, nfqe_verdict default_verdict,
                      nfqe_verdict on_crash)
{
    memset(flows, 0, sizeof(*flows));
    flows->default_verdict = default_verdict;
    flows->on_crash = on_crash;
    while (flows->giver < chain->count && (chain->members[flows->giver].rights.needs & NFQE_NEED_FLOW) == 0) {
        flows->giver++;
    }
}

void chain_flows_begin_burst(struct chain_flows *flows)
{
    flows->burst++;
    flows->burst += flows->burst == 0;
}

/* The place of the flow's answer. NULL: the packet has no flow. */
static struct chain_flow_kept *place_of(struct chain_flows *flows, const struct chain_flow *flow)
{
    return flow->number < FLOWS_IN_FLIGHT_MAX ? &flows->kept[flow->number] : NULL;
}

bool chain_flows_find(struct chain_flows *flows, const struct chain_flow *flow, struct plugin_answer *answer)
{
    struct chain_flow_kept *kept = place_of(flows, flow);

    if (kept == NULL) {
        return false;
    }
    if (kept->epoch != flow->epoch) {
        *kept = (struct chain_flow_kept){.epoch = flow->epoch, .answer.plugin = flows->giver};
        kept->answer.verdict = flow->accepted ? ACCEPT_FLOW : NFQE_CONTINUE;
    }
    if (kept->answer.verdict == ACCEPT_FLOW && flow->begins) {
        kept->begun = flows->burst;
    }
    if (kept->answer.verdict == NFQE_CONTINUE || kept->begun == flows->burst ||
        (kept->answer.verdict == ACCEPT_FLOW && flow->alone)) {
        return false;
    }
    *answer = kept->answer;
    return true;
}

/* Whether the packet goes on its way, alone, if it is answered so. */
static bool lets_packet_pass(const struct chain_flows *flows, nfqe_verdict verdict, bool allowed)
{
    if (!allowed) {
        return flows->on_crash == NFQE_ACCEPT;
    }
    return verdict == NFQE_CONTINUE ? flows->default_verdict == NFQE_ACCEPT : verdict_action(verdict) != NFQE_DROP;
}

void chain_flows_note(struct chain_flows *flows, const struct chain_flow *flow, const struct nfqe_packet *packet,
                      const struct plugin_answer *answer, const struct plugin_rights *rights)
{
    struct chain_flow_kept *kept = place_of(flows, flow);
    bool allowed = verdict_is_allowed(answer->verdict, rights, packet->queue);
    bool for_flow = allowed && verdict_is_for_flow(answer->verdict);

    if (kept == NULL) {
        return;
    }
    if (for_flow && !flow->alone && !packet_checksum_is_wrong(packet)) {
        kept->answer = *answer;
        kept->answer.verdict = verdict_without_reason(answer->verdict); /* it was this packet's */
        kept->begun = 0;
    } else if (flow->begins && lets_packet_pass(flows, answer->verdict, allowed)) {
        kept->answer.verdict = NFQE_CONTINUE;
    }
}
