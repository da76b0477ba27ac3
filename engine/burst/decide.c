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
    nfqe_verdict verdict = verdict_action(answer.verdict);
    uint32_t reject = burst_reject_flags(answer.verdict);
    bool repeats = verdict_action(answer.verdict) == NFQE_REPEAT;

    if (!verdict_is_allowed(answer.verdict, rights, decide->policy->queue) ||
        (repeats && (burst_entry_flags(&decide->burst->entries[packet]) & BURST_SETS_MARK) == 0)) {
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
    if (repeats) {
        decide_pass_alone(decide, packet, verdict, 0);
    } else if (!verdict_is_for_flow(answer.verdict)) {
        decide_alone(decide, packet, verdict, reject);
    } else if (flow_table_add(decide->flows, decide->flow_burst, packet, verdict | burst_reject_part(reject))) {
        decide_with_flow(decide, packet, verdict, BURST_FOR_FLOW | reject);
    } else {
        decide_alone(decide, packet, verdict, BURST_FLOW_NOT_STORED | reject);
    }
}

/* The changes of a worker that its plugins' operations would not have made. */
static bool are_allowed(const struct decide *decide, const struct packet_changes *changes)
{
    uint32_t ours = decide->policy->bypass_mask | decide->policy->repeat_mask;

    return (changes->mark_bits & ~changes->mark_mask) == 0 && (changes->mark_mask & ours) == 0;
}

/*
 * The packet's mark if the rules are run again: with a count that is one higher. False: with the mark that it has they
 * would end in the queue again, or they were run too often.
 */
static bool count_repeat(const struct decide *decide, uint32_t received, uint32_t *mark)
{
    uint32_t mask = decide->policy->repeat_mask;
    uint32_t one = mask & -mask;
    uint32_t count = mask != 0 ? (received & mask) / one : REPEATS_MAX;

    if (*mark == received || count >= REPEATS_MAX) {
        return false;
    }
    *mark = (*mark & ~mask) | (count + 1) * one;
    return true;
}

void decide_changed(const struct decide *decide, unsigned packet, struct plugin_answer answer,
                    const struct packet_changes *changes, const struct plugin_rights *rights,
                    struct decide_invalid *invalid)
{
    uint32_t received = decide->burst->entries[packet].mark;
    uint32_t mark = packet_changes_mark(changes, received);

    if (decide_by_flow(decide, packet)) {
        return;
    }
    if (!are_allowed(decide, changes) || !verdict_is_allowed(answer.verdict, rights, decide->policy->queue) ||
        (verdict_action(answer.verdict) == NFQE_REPEAT && !count_repeat(decide, received, &mark))) {
        decide_invalid_answer(decide, packet, &answer, invalid);
        return;
    }
    if (verdict_action(answer.verdict) != NFQE_DROP) {
        burst_set_mark(decide->burst, packet, mark);
    }
    decide_by_answer(decide, packet, answer, rights, invalid);
}

void decide_again(const struct decide *decide, unsigned packet)
{
    const struct burst_entry *entry = &decide->burst->entries[packet];
    uint32_t flags = burst_entry_flags(entry);
    uint32_t verdict = (flags & BURST_REJECT) != 0 ? NFQE_DROP : entry->verdict; /* also if it was left to a rule */

    if ((flags & BURST_BY_FLOW) != 0) {
        return;
    }
    if (decide->flows != NULL && (flags & BURST_FOR_FLOW) != 0) {
        flow_table_add(decide->flows, decide->flow_burst, packet, verdict | burst_reject_part(flags));
        return;
    }
    if (decide->flows != NULL) {
        flow_table_find(decide->flows, decide->flow_burst, packet); /* it may begin a connection */
    }
    if (verdict != NFQE_DROP) {
        decide_pass_alone(decide, packet, entry->verdict, flags);
    }
}
