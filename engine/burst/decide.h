/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a plugin's answer to the verdict of a packet: what the ABI allows, what becomes of its flow, and which mark the
 * packet leaves with. No plugin is called here.
 *
 * An accepted packet of a decided flow leaves with the bypass mark, by which the firewall lets the rest of the flow
 * pass; a packet that is accepted for itself alone leaves without it. Never allocates, blocks or logs. Process: [worker].
 */
#ifndef ENGINE_BURST_DECIDE_H
#define ENGINE_BURST_DECIDE_H

#include "burst/burst.h"
#include "flow/flow_table.h"
#include "plugin/plugin_chain.h"

#include <nfqe/plugin.h>

#include <stdbool.h>

/* What the user configured for verdicts and marks. It does not change while the worker runs. */
struct decide_policy {
    uint32_t default_verdict; /* when no plugin decides */
    uint32_t on_crash;        /* in place of an answer that the ABI does not know */
    uint32_t bypass_mark;     /* the bits of bypass_mask that mark an accepted flow's packets */
    uint32_t bypass_mask;     /* 0: they are not marked */
};

struct decide {
    const struct decide_policy *policy;
    struct flow_table *flows;      /* NULL: no plugin gives verdicts for flows */
    struct flow_burst *flow_burst; /* of the burst's packets; not looked at without flows */
    struct burst *burst;
};

/* Answers that were invalid, for the process to count and to log. */
struct decide_invalid {
    unsigned count;
    unsigned plugin;    /* of the first of them: position in the plugin chain, */
    uint32_t answer;    /* what it answered, */
    uint32_t packet_id; /* and for which packet */
};

/* Decides the packet if its flow is decided already; returns whether it is. */
bool decide_by_flow(const struct decide *decide, unsigned packet);

/*
 * Turns an answer into the packet's verdict. may_give_flow: the plugin that gave it has declared NFQE_NEED_FLOW.
 * *invalid: counts the answer if it is not valid.
 */
void decide_by_answer(const struct decide *decide, unsigned packet, struct plugin_answer answer, bool may_give_flow,
                      struct decide_invalid *invalid);

/*
 * For a packet that has its verdict already, from a process that died or since it died: gives the verdict the effect on
 * flow and mark that it would have if it were given now.
 */
void decide_again(const struct decide *decide, unsigned packet);

#endif
