/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chain: runs the plugins over a burst and leaves one verdict per packet in the arena.
 *
 * Exactly one verdict per packet, whatever the plugins do. The first answer other than CONTINUE decides;
 * what nobody decided gets the default verdict; an answer that the ABI does not know gets the on-crash
 * verdict. Before each call the arena says which packet and which plugin it is, so that a crash has an owner.
 *
 * A plugin that declared NFQE_NEED_FLOW may decide for the rest of a flow. From then on, packets of that flow
 * get the verdict without any plugin of the chain being called; those of the same burst, too.
 *
 * Knows nothing of netlink. Never allocates, blocks or logs. Process: [worker].
 */
#ifndef ENGINE_BURST_CHAIN_H
#define ENGINE_BURST_CHAIN_H

#include "burst/arena.h"
#include "config/options.h"
#include "flow/flow_table.h"

#include <nfqe/plugin.h>

struct chain_member {
    nfqe_verdict (*handle)(void *self, struct nfqe_packet *packet);
    void (*handle_batch)(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out);
    void *self;
    bool gives_flows; /* it may answer NFQE_FLOW */
};

struct chain {
    struct chain_member members[PLUGINS_MAX];
    unsigned count;
    bool has_batch; /* at least one member takes whole bursts */
    uint32_t default_verdict;
    uint32_t on_crash;
    struct flow_table *flows;  /* NULL: no member gives verdicts for flows */
    uint32_t bypass_mark; /* the bits of bypass_mask that mark an accepted flow's packets */
    uint32_t bypass_mask; /* 0: they are not marked */
};

/* What a run found wrong, for the process to log. */
struct chain_report {
    unsigned invalid; /* verdicts that the ABI does not know */
    unsigned plugin;  /* of the first of them: position in the chain, */
    uint32_t verdict; /* what it answered, */
    uint32_t packet_id; /* and for which packet */
};

void chain_add(struct chain *chain, const struct chain_member *member);

/*
 * Decides every packet of the burst that is not decided yet. packets: n of them (at most BURST_MAX), in the
 * order of arrival; packet i has its mark, and then its verdict, in arena->verdicts[i]. With flows, flow_table_begin_burst() has had
 * these packets.
 */
void chain_run(const struct chain *chain, struct arena *arena, struct nfqe_packet *packets, unsigned n,
               struct chain_report *report);

#endif
