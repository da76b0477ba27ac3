/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules by which an answer becomes a verdict, one function a rule.
 *
 * A verdict for a flow is stored in the flow table first, and counts for the flow only if that succeeds. If the packet
 * has no flow or the table no room, only the packet gets the verdict, without the mark: to the kernel an ICMP error
 * belongs to the connection that it is about, and the firewall would save the mark there. Process: [worker].
 */
#include "burst/decide.h"

/* An accepted packet of a flow carries the mark by which the firewall knows the flow. */
static void decide_flow(const struct decide *decide, unsigned packet, nfqe_verdict verdict, uint32_t flags)
{
    const struct decide_policy *policy = decide->policy;
    uint32_t mark = decide->burst->entries[packet].mark;

    if (verdict == NFQE_ACCEPT && policy->bypass_mask != 0) {
        mark = (mark & ~policy->bypass_mask) | policy->bypass_mark;
        flags |= BURST_SETS_MARK;
    }
    burst_set_verdict(decide->burst, packet, verdict, mark, flags);
}

bool decide_by_flow(const struct decide *decide, unsigned packet)
{
    nfqe_verdict verdict =
        decide->flows != NULL ? flow_table_find(decide->flows, decide->flow_burst, packet) : NFQE_CONTINUE;

    if (verdict == NFQE_CONTINUE) {
        return false;
    }
    decide_flow(decide, packet, verdict, BURST_BY_FLOW);
    return true;
}

/* The packet alone is accepted. It must not leave with a mark that says that its flow is. */
static void accept_alone(const struct decide *decide, unsigned packet, uint32_t flags)
{
    uint32_t mask = decide->policy->bypass_mask;
    uint32_t mark = decide->burst->entries[packet].mark;

    if ((mark & mask) != 0) {
        mark &= ~mask;
        flags |= BURST_SETS_MARK;
    }
    if (decide->flows != NULL) {
        flow_table_accepted(decide->flows, decide->flow_burst, packet);
    }
    burst_set_verdict(decide->burst, packet, NFQE_ACCEPT, mark, flags);
}

static void count_invalid(struct decide_invalid *invalid, const struct plugin_answer *answer, uint32_t packet_id)
{
    if (invalid->count++ == 0) {
        invalid->plugin = answer->plugin;
        invalid->answer = answer->verdict;
        invalid->packet_id = packet_id;
    }
}

void decide_by_answer(const struct decide *decide, unsigned packet, struct plugin_answer answer, bool may_give_flow,
                      struct decide_invalid *invalid)
{
    nfqe_verdict verdict = answer.verdict;
    uint32_t flags = 0;

    if (may_give_flow && plugin_verdict_is_for_flow(verdict)) {
        verdict &= ~NFQE_FLOW;
        if (flow_table_add(decide->flows, decide->flow_burst, packet, verdict)) {
            decide_flow(decide, packet, verdict, BURST_FOR_FLOW);
            return;
        }
        flags = BURST_FLOW_NOT_STORED;
    } else if (verdict == NFQE_CONTINUE) {
        verdict = decide->policy->default_verdict;
    } else if (verdict != NFQE_ACCEPT && verdict != NFQE_DROP) {
        count_invalid(invalid, &answer, decide->burst->entries[packet].id);
        verdict = decide->policy->on_crash;
    }
    if (verdict == NFQE_ACCEPT) {
        accept_alone(decide, packet, flags);
    } else {
        burst_set_verdict(decide->burst, packet, verdict, decide->burst->entries[packet].mark, flags);
    }
}

void decide_again(const struct decide *decide, unsigned packet)
{
    const struct burst_entry *entry = &decide->burst->entries[packet];
    uint32_t flags = burst_entry_flags(entry);

    if ((flags & BURST_BY_FLOW) != 0) {
        return;
    }
    if (decide->flows != NULL && (flags & BURST_FOR_FLOW) != 0) {
        flow_table_add(decide->flows, decide->flow_burst, packet, entry->verdict);
        return;
    }
    if (decide->flows != NULL) {
        flow_table_find(decide->flows, decide->flow_burst, packet); /* it may begin a connection */
    }
    if (entry->verdict == NFQE_ACCEPT) {
        accept_alone(decide, packet, flags);
    }
}
