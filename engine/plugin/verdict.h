/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which verdicts a plugin may give: the parts of a verdict, and what each of them requires.
 *
 * Used twice, with the same result: a worker looks at what its plugins answer, for the flows in flight; and a queue
 * process at what a worker claims that a plugin answered, before the answer counts. Reads nothing but its arguments.
 * Process: [worker] [queue process].
 */
#ifndef ENGINE_PLUGIN_VERDICT_H
#define ENGINE_PLUGIN_VERDICT_H

#include "packet/reject_part.h"

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <stdint.h>

/* What a plugin has declared. All zero: it may answer CONTINUE, ACCEPT and DROP. */
struct plugin_rights {
    uint64_t needs;        /* NFQE_NEED_..., also of what it uses */
    uint32_t reasons;      /* that it declares */
    uint32_t first_reason; /* the cell of its first one, for who counts them */
};

/* A worker's answer in place of the plugin's, which changed the packet to what no kernel takes. Never allowed. */
#define VERDICT_FORBIDDEN_CHANGE UINT32_MAX

static inline nfqe_verdict verdict_action(nfqe_verdict verdict)
{
    return verdict & NFQE_ACTION_MASK;
}

static inline uint32_t verdict_argument(nfqe_verdict verdict)
{
    return verdict >> NFQE_ARGUMENT_SHIFT;
}

/* Of a verdict that is allowed and is not TO_QUEUE. */
static inline nfqe_verdict verdict_without_reason(nfqe_verdict verdict)
{
    return verdict & (NFQE_ACTION_MASK | NFQE_FLAG_MASK);
}

static inline bool verdict_flags_are_allowed(nfqe_verdict verdict, const struct plugin_rights *rights)
{
    uint32_t flags = verdict & NFQE_FLAG_MASK;
    uint32_t reject = flags & ~NFQE_FLOW;

    if ((flags & NFQE_FLOW) != 0 && (rights->needs & NFQE_NEED_FLOW) == 0) {
        return false;
    }
    return reject == 0 || (verdict_action(verdict) == NFQE_DROP && reject_part_is_valid(reject) &&
                           (rights->needs & NFQE_NEED_INJECT) != 0);
}

/* Whether it is the plugin's to give, of a packet in this queue. REPEAT has conditions of the packet, too: decide.h. */
static inline bool verdict_is_allowed(nfqe_verdict verdict, const struct plugin_rights *rights, uint32_t queue)
{
    uint32_t flags = verdict & NFQE_FLAG_MASK;

    switch (verdict_action(verdict)) {
    case NFQE_CONTINUE:
        return verdict == NFQE_CONTINUE;
    case NFQE_ACCEPT:
    case NFQE_DROP:
        return verdict_argument(verdict) <= rights->reasons && verdict_flags_are_allowed(verdict, rights);
    case NFQE_REPEAT:
        return verdict_argument(verdict) <= rights->reasons && flags == 0 && (rights->needs & NFQE_NEED_REQUEUE) != 0;
    case NFQE_TO_QUEUE_ACTION:
        return (flags & ~NFQE_QUEUE_BYPASS) == 0 && (rights->needs & NFQE_NEED_REQUEUE) != 0 &&
               verdict_argument(verdict) != queue;
    default:
        return false;
    }
}

/* Whether it is for the packet's flow: of a verdict that is allowed. */
static inline bool verdict_is_for_flow(nfqe_verdict verdict)
{
    return (verdict & NFQE_FLOW) != 0;
}

#endif
