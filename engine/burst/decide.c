/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules by which an answer becomes a verdict, as far as few packets need them.
 *
 * A verdict for a flow is stored in the flow table first, and counts for the flow only if that succeeds. If the packet
 * has no flow, or may not decide it, or the table has no room, only the packet gets the verdict, without the mark: to
 * the kernel an ICMP error belongs to the connection that it is about, and the firewall would save the mark there.
 * Process: [queue process].
 */
#include "burst/decide.h"

static void count_invalid(struct decide_invalid *invalid, const struct plugin_answer *answer, uint32_t packet_id)
{
    if (invalid->count++ == 0) {
        invalid->plugin = answer->plugin;
        invalid->answer = answer->verdict;
        invalid->packet_id = packet_id;
    }
}

static void decide_invalid_answer(const struct decide *decide, unsigned packet, const struct plugin_answer *answer,
                                  struct decide_invalid *invalid)
{
    count_invalid(invalid, answer, decide->burst->entries[packet].id);
    decide_alone(decide, packet, decide->policy->on_crash, BURST_INVALID);
}

void decide_by_rare_answer(const struct decide *decide, unsigned packet, struct plugin_answer answer,
                           const struct plugin_rights *rights, struct decide_invalid *invalid)
{
    nfqe_verdict verdict = verdict_without_reason(answer.verdict) & ~NFQE_FLOW;

    if (!verdict_is_allowed(answer.verdict, rights, decide->policy->queue)) {
        decide_invalid_answer(decide, packet, &answer, invalid);
        return;
    }
    if (verdict_action(answer.verdict) == NFQE_TO_QUEUE_ACTION) {
        decide_pass_alone(decide, packet, answer.verdict, 0);
        return;
    }
    if (verdict_argument(answer.verdict) != 0) {
        decide->burst->entries[packet].reason = rights->first_reason + verdict_argument(answer.verdict);
    }
    if (!verdict_is_for_flow(answer.verdict)) {
        decide_alone(decide, packet, verdict, 0);
    } else if (flow_table_add(decide->flows, decide->flow_burst, packet, verdict)) {
        decide_with_flow(decide, packet, verdict, BURST_FOR_FLOW);
    } else {
        decide_alone(decide, packet, verdict, BURST_FLOW_NOT_STORED);
    }
}

/* The changes of a worker that its plugins' operations would not have made. */
static bool are_allowed(const struct decide *decide, const struct packet_changes *changes)
{
    return (changes->mark_bits & ~changes->mark_mask) == 0 && (changes->mark_mask & decide->policy->bypass_mask) == 0;
}

void decide_changed(const struct decide *decide, unsigned packet, struct plugin_answer answer,
                    const struct packet_changes *changes, const struct plugin_rights *rights,
                    struct decide_invalid *invalid)
{
    if (decide_by_flow(decide, packet)) {
        return;
    }
    if (!are_allowed(decide, changes) || !verdict_is_allowed(answer.verdict, rights, decide->policy->queue)) {
        decide_invalid_answer(decide, packet, &answer, invalid);
        return;
    }
    if (verdict_action(answer.verdict) != NFQE_DROP) {
        burst_set_mark(decide->burst, packet, packet_changes_mark(changes, decide->burst->entries[packet].mark));
    }
    decide_by_answer(decide, packet, answer, rights, invalid);
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
    if (entry->verdict != NFQE_DROP) {
        decide_pass_alone(decide, packet, entry->verdict, flags);
    }
}
