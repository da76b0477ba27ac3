/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pipeline: from the decoded packets of a burst to one verdict for each, by the flow table and the plugin chain.
 *
 * Exactly one verdict for each packet, whatever the plugins do. The first answer other than CONTINUE decides; a packet
 * that no plugin decided gets the default verdict; an answer that the ABI does not know gets the --on-crash verdict.
 * Before each call the journal says which packet is with which plugin, so that a crash has a guilty packet.
 *
 * A plugin that declared NFQE_NEED_FLOW may decide for the rest of a flow. From then on, packets of that flow, also
 * those of the same burst, get the verdict without any plugin being called.
 *
 * It joins two halves that do not know each other: the calls of plugins (plugin/chain_run.h) and the decisions
 * (decide.h). Knows nothing of netlink, processes and shared memory: the worker, the benchmark and the tests run this
 * same code. Never allocates, blocks, logs or exits; reads no clock.
 */
#ifndef ENGINE_BURST_PIPELINE_H
#define ENGINE_BURST_PIPELINE_H

#include "burst/burst.h"
#include "burst/decide.h"
#include "burst/stats.h"
#include "flow/flow_table.h"
#include "plugin/plugin_chain.h"

struct pipeline {
    struct plugin_chain chain;
    struct decide_policy policy;
    struct flow_table *flows; /* NULL: no member gives verdicts for flows */
};

/*
 * Decides every packet of the burst that is not decided yet. packets: n of them (at most BURST_MAX), in the order of
 * arrival; of packet i, entry i of the journal has the id and the mark, and gets the verdict. now_ns: monotonic clock,
 * for the idle times of flows; not looked at without flows. *stats: its counters of verdicts are increased.
 *
 * Returns 0, or -EUCLEAN: a plugin wrote to the flow table, which has to be repaired before the next burst. Every
 * packet has its verdict in either case.
 */
int pipeline_run(const struct pipeline *pipeline, struct burst *burst, struct nfqe_packet *packets, unsigned n,
                 uint64_t now_ns, struct queue_stats *stats, struct decide_invalid *invalid);

#endif
