/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two halves that turn packets into verdicts, plugin/chain_run.h and burst/decide.h, joined in the plainest way: one
 * process, one burst at a time, and no packet is looked at before the one ahead of it is decided.
 *
 * Exactly one verdict for each packet, whatever the plugins do. The first answer other than CONTINUE decides; a packet
 * that no plugin decided gets the default verdict; an answer that the ABI does not know gets the --on-crash verdict.
 * From a verdict for a flow on, packets of that flow, also those of the same burst, get the verdict without any plugin
 * being called. Tests assert this of the two halves, and compare with it what becomes of several bursts in flight.
 */
#ifndef UNIT_PIPELINE_H
#define UNIT_PIPELINE_H

#include "burst/burst.h"
#include "burst/decide.h"
#include "burst/stats.h"
#include "flow/flow_table.h"
#include "plugin/plugin_chain.h"

#include <stdbool.h>

struct pipeline {
    struct plugin_chain chain;
    struct decide_policy policy;
    struct flow_table *flows; /* NULL: no member gives verdicts for flows */
    bool one_by_one;          /* handle() is called although a member has handle_batch() */
};

/*
 * Decides every packet of the burst that is not decided yet. packets: n of them (at most BURST_MAX), in the order of
 * arrival; of packet i, entry i of the journal has the id and the mark, and gets the verdict. now_ns: monotonic clock,
 * for the idle times of flows; not looked at without flows. *stats: its counters of verdicts are increased.
 *
 * Returns 0, or -EUCLEAN: the flow table is damaged, and has to be repaired before the next burst. Every
 * packet has its verdict in either case.
 */
int pipeline_run(const struct pipeline *pipeline, struct burst *burst, struct nfqe_packet *packets, unsigned n,
                 uint64_t now_ns, struct queue_stats *stats, struct decide_invalid *invalid);

#endif
