/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the plugin chain over packets: packets in, answers out.
 *
 * The first answer other than NFQE_CONTINUE is the packet's, and no later plugin sees the packet. Packets go through
 * the chain in one of two orders: each packet through all plugins, chain_run_packet(); or each plugin gets all packets
 * before the next plugin is called, chain_run_batch(), if one of them has handle_batch().
 *
 * An answer is what a plugin returned, whatever that is, or that it has changed the packet to what no kernel takes. What
 * becomes of it is decided elsewhere: nothing here knows verdicts, flow table, journal or policy. Before each call, three words of the caller's say which packet is with
 * which plugin, so that a crash has a guilty packet; after it, that there was progress.
 *
 * Never allocates, blocks or logs; reads no clock. Process: [worker].
 */
#ifndef ENGINE_PLUGIN_CHAIN_RUN_H
#define ENGINE_PLUGIN_CHAIN_RUN_H

#include "base/limits.h"
#include "base/probe.h"
#include "plugin/chain_flows.h"
#include "plugin/packet_edits.h"
#include "plugin/plugin_chain.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CHAIN_NONE UINT32_MAX /* no packet, or no plugin */

/* Where the calls are, in memory that other processes read. */
struct chain_position {
    _Atomic uint32_t *packet;   /* the place of the packet that is with handle(), or CHAIN_NONE */
    _Atomic uint32_t *plugin;   /* the position of the plugin that is running, or CHAIN_NONE */
    _Atomic uint32_t *progress; /* changes whenever a plugin returned */
};

struct chain_run {
    const struct plugin_chain *chain;
    struct chain_position position;
    nfqe_verdict *verdicts_end; /* before it, room for BURST_MAX verdicts; of n, the last one ends here */
    struct chain_flows *flows;  /* NULL: no answers are kept for flows */
    struct packet_edits *edits; /* NULL: no plugin changes packets */
};

/* The packets of a burst that the plugins are to be asked about, in order. */
struct chain_batch {
    struct nfqe_packet *packets[BURST_MAX];
    unsigned places[BURST_MAX]; /* of the packets in the burst */
    unsigned count;
};

/* Says which packet plugins are called for, and which plugin runs, in this order. CHAIN_NONE: none. */
static inline void chain_set_packet(const struct chain_position *position, uint32_t place)
{
    atomic_store_explicit(position->packet, place, memory_order_release);
}

static inline void chain_set_plugin(const struct chain_position *position, uint32_t plugin)
{
    atomic_store_explicit(position->plugin, plugin, memory_order_release);
}

/* Only this process writes the word, so no atomic addition is needed. */
static inline void chain_make_progress(const struct chain_position *position)
{
    uint32_t progress = atomic_load_explicit(position->progress, memory_order_relaxed);

    atomic_store_explicit(position->progress, progress + 1, memory_order_release);
}

/* One call of handle(), of the plugin at position `plugin`. The caller has said which packet it gets. */
static inline nfqe_verdict chain_call(const struct chain_run *run, const struct plugin_chain_member *member,
                                      uint32_t plugin, struct nfqe_packet *packet)
{
    nfqe_verdict verdict;

    chain_set_plugin(&run->position, plugin);
    probe_plugin_call_begin(plugin, packet->id);
    verdict = member->handle(member->self, packet);
    probe_plugin_call_end(plugin, packet->id);
    chain_make_progress(&run->position);
    return (member->rights.needs & NFQE_NEED_MODIFY) == 0 ? verdict : packet_edits_look(run->edits, packet, verdict);
}

/* One packet through all plugins. After the last packet of a burst: chain_run_end(). */
static inline struct plugin_answer chain_run_packet(const struct chain_run *run, struct nfqe_packet *packet,
                                                    uint32_t place)
{
    const struct plugin_chain *chain = run->chain;
    const struct plugin_chain_member *member = chain->members;
    nfqe_verdict verdict = NFQE_CONTINUE;
    uint32_t plugin;

    chain_set_packet(&run->position, place);
    for (plugin = 0; plugin < chain->count; plugin++, member++) {
        verdict = chain_call(run, member, plugin, packet);
        if (verdict != NFQE_CONTINUE) {
            break;
        }
    }
    return (struct plugin_answer){.verdict = verdict, .plugin = plugin};
}

/*
 * The same, but no plugin is called if the packet's flow is answered already. run->flows is not NULL. Before the first
 * packet of a burst: chain_flows_begin_burst().
 */
struct plugin_answer chain_run_flow_packet(const struct chain_run *run, struct nfqe_packet *packet, uint32_t place,
                                           const struct chain_flow *flow);

/* Says that no plugin has a packet. */
static inline void chain_run_end(const struct chain_run *run)
{
    chain_set_packet(&run->position, CHAIN_NONE);
    chain_set_plugin(&run->position, CHAIN_NONE);
}

/*
 * The batch through the chain, plugin by plugin, and what chain_run_end() does. answers: by the place of the packet;
 * those of other places are not touched. *batch is used up. flows: of the packets, by their place; NULL if run->flows
 * is NULL, else chain_flows_begin_burst() comes first. A packet of a flow that was answered in an earlier burst is given
 * to no plugin; one of a flow that an earlier packet of this batch is answered for gets that answer, although plugins
 * were asked about it.
 *
 * Returns whether a plugin that may do so answered for a flow in this batch.
 */
bool chain_run_batch(const struct chain_run *run, struct chain_batch *batch, const struct chain_flow *flows,
                     struct plugin_answer *answers);

#endif
