/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a plugin's answer to the verdict of a packet: what the ABI allows, what becomes of its flow, and which mark the
 * packet leaves with.
 *
 * An accepted packet of a decided flow leaves with the bypass mark, by which the firewall lets the rest of the flow
 * pass; a packet that is accepted for itself alone leaves without it; one that this machine sends keeps its own mark.
 * A packet for which the rules are to be run again carries in its mark how often that was so; when it is accepted, the
 * count is taken out.
 *
 * No plugin is called here. A packet is decided in two steps: decide_by_flow() when it was received, and if its flow is
 * not decided, decide_by_answer() when the answer is there. Other packets of the flow may have been answered in
 * between; then decide_answered() looks the flow up once more, and what the table says counts, not the answer. Each
 * burst has its own struct decide, so several bursts can be in flight and be answered in any order; the packets of one
 * flow are to be decided in the order in which they came.
 *
 * What every packet goes through is in this header, so that it is compiled into the loop over the packets: as calls it
 * took a tenth more instructions for a chain of one plugin. Never allocates, blocks or logs. Process: [queue process].
 */
#ifndef ENGINE_BURST_DECIDE_H
#define ENGINE_BURST_DECIDE_H

#include "burst/burst.h"
#include "flow/flow_table.h"
#include "packet/packet_changes.h"
#include "plugin/plugin_chain.h"
#include "plugin/verdict.h"

#include <nfqe/plugin.h>

#include <stdbool.h>

/* What the user configured for verdicts and marks. It does not change while the process runs. */
struct decide_policy {
    uint32_t default_verdict; /* when no plugin decides */
    uint32_t on_crash;        /* in place of an answer that the ABI does not know */
    uint32_t bypass_mark;     /* the bits of bypass_mask that mark an accepted flow's packets */
    uint32_t bypass_mask;     /* 0: they are not marked */
    uint32_t repeat_mask;     /* bits of the mark in which REPEAT is counted, side by side; 0: no plugin needs them */
    uint32_t queue;           /* whose packets these are */
};

/* One burst, and what decides its packets. */
struct decide {
    const struct decide_policy *policy;
    struct flow_table *flows; /* NULL: no plugin gives verdicts for flows */
    struct flow_burst *flow_burst; /* of the burst's packets; not looked at without flows */
    struct burst *burst;
};

/* Answers that were invalid, for the process to count and to log. */
struct decide_invalid {
    unsigned count;
    unsigned plugin;    /* of the first of them: position in the plugin chain, */
    uint32_t answer;    /* what it answered, */
    uint32_t packet_id; /* and for which packet */
    const char *change; /* what is wrong with the packet as it was changed: change_rule_text(); NULL: the answer is */
};

/*
 * The bits of the mark that the packet's verdict sets. None on the output hook: if they change there, the kernel
 * chooses the packet's route again, by the new mark.
 */
static inline uint32_t decide_mark_mask(const struct decide *decide, unsigned packet)
{
    bool local_output = (burst_entry_flags(&decide->burst->entries[packet]) & BURST_LOCAL_OUTPUT) != 0;

    return local_output ? 0 : decide->policy->bypass_mask;
}

/*
 * An accepted packet of a flow carries the mark by which the firewall knows the flow. Of one from the output hook, the
 * next packet from elsewhere does.
 */
static inline void decide_with_flow(const struct decide *decide, unsigned packet, nfqe_verdict verdict, uint32_t flags)
{
    uint32_t mask = decide_mark_mask(decide, packet);
    uint32_t mark = decide->burst->entries[packet].mark;

    if (verdict == NFQE_ACCEPT && mask != 0) {
        mark = (mark & ~mask) | decide->policy->bypass_mark;
        flags |= BURST_SETS_MARK;
    }
    if (verdict == NFQE_ACCEPT && (mark & decide->policy->repeat_mask) != 0) {
        mark &= ~decide->policy->repeat_mask;
        flags |= BURST_SETS_MARK;
    }
    burst_set_verdict(decide->burst, packet, verdict, mark, flags);
}

/*
 * The packet alone goes on its way: verdict is NFQE_ACCEPT, or REPEAT, or that of another queue, whose program may
 * accept it. It must not leave with a mark that says that its flow is accepted.
 */
static inline void decide_pass_alone(const struct decide *decide, unsigned packet, nfqe_verdict verdict, uint32_t flags)
{
    uint32_t mask = decide_mark_mask(decide, packet) | (verdict == NFQE_ACCEPT ? decide->policy->repeat_mask : 0);
    uint32_t mark = decide->burst->entries[packet].mark;

    if ((mark & mask) != 0) {
        mark &= ~mask;
        flags |= BURST_SETS_MARK;
    }
    if (decide->flows != NULL) {
        flow_table_accepted(decide->flows, decide->flow_burst, packet);
    }
    burst_set_verdict(decide->burst, packet, verdict, mark, flags);
}

/* verdict: NFQE_ACCEPT or NFQE_DROP. */
static inline void decide_alone(const struct decide *decide, unsigned packet, nfqe_verdict verdict, uint32_t flags)
{
    if (verdict == NFQE_ACCEPT) {
        decide_pass_alone(decide, packet, verdict, flags);
    } else {
        burst_set_verdict(decide->burst, packet, verdict, decide->burst->entries[packet].mark, flags);
    }
}

/* Decides the packet if its flow is decided already; returns whether it is. */
static inline bool decide_by_flow(const struct decide *decide, unsigned packet)
{
    nfqe_verdict verdict = NFQE_CONTINUE;

    if (decide->flows != NULL) {
        verdict = flow_table_find(decide->flows, decide->flow_burst, packet);
    }
    if (verdict == NFQE_CONTINUE) {
        return false;
    }
    decide_with_flow(decide, packet, verdict_action(verdict), BURST_BY_FLOW | burst_reject_flags(verdict));
    return true;
}

/* An answer other than NFQE_CONTINUE, NFQE_ACCEPT and NFQE_DROP: decide_by_answer() calls it. */
void decide_by_rare_answer(const struct decide *decide, unsigned packet, struct plugin_answer answer,
                           const struct plugin_rights *rights, struct decide_invalid *invalid);

/*
 * Turns an answer into the packet's verdict. rights: of the plugin that gave it. *invalid: counts the answer if the
 * plugin may not give it.
 */
static inline void decide_by_answer(const struct decide *decide, unsigned packet, struct plugin_answer answer,
                                    const struct plugin_rights *rights, struct decide_invalid *invalid)
{
    if (answer.verdict == NFQE_CONTINUE) {
        decide_alone(decide, packet, decide->policy->default_verdict, 0);
    } else if (answer.verdict == NFQE_ACCEPT || answer.verdict == NFQE_DROP) {
        decide_alone(decide, packet, answer.verdict, 0);
    } else {
        decide_by_rare_answer(decide, packet, answer, rights, invalid);
    }
}

/* The same, if packets of the flow may have been answered since decide_by_flow() looked for it. */
static inline void decide_answered(const struct decide *decide, unsigned packet, struct plugin_answer answer,
                                   const struct plugin_rights *rights, struct decide_invalid *invalid)
{
    if (!decide_by_flow(decide, packet)) {
        decide_by_answer(decide, packet, answer, rights, invalid);
    }
}

/*
 * The same for an answer with changes that plugins made: they are the packet's if it goes on its way. If they, or the
 * answer, are not valid, it gets the --on-crash verdict as it was received.
 */
void decide_changed(const struct decide *decide, unsigned packet, struct plugin_answer answer,
                    const struct packet_changes *changes, const struct plugin_rights *rights,
                    struct decide_invalid *invalid);

/*
 * For a packet that has its verdict already, from a process that died or since it died: gives the verdict the effect on
 * flow and mark that it would have if it were given now.
 */
void decide_again(const struct decide *decide, unsigned packet);

#endif
