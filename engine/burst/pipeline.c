/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order in which plugins are called.
 *
 * There are two orders. If no plugin of the chain has handle_batch(), each packet goes through all plugins before the
 * next packet. If one has it, each plugin gets all undecided packets of the burst before the next plugin is called; the
 * answers become verdicts afterwards, in the order of the packets. After a crash the rest of the burst always goes
 * packet by packet, so that the next crash has exactly one guilty packet. Process: [worker].
 */
#include "burst/pipeline.h"

#include "base/probe.h"

#include <errno.h>

static void run_packet(const struct pipeline *pipeline, const struct decide *decide, struct nfqe_packet *packets,
                       unsigned packet, struct decide_invalid *invalid)
{
    nfqe_verdict answer = NFQE_CONTINUE;
    bool may_give_flow = false;
    unsigned plugin = 0;

    if (decide_by_flow(decide, packet)) {
        return;
    }
    for (; plugin < pipeline->chain.count; plugin++) {
        const struct plugin_chain_member *member = &pipeline->chain.members[plugin];

        burst_set_cursor(decide->burst, packet, plugin);
        probe_plugin_call_begin(plugin, packets[packet].id);
        answer = member->handle(member->self, &packets[packet]);
        probe_plugin_call_end(plugin, packets[packet].id);
        burst_make_progress(decide->burst);
        if (answer != NFQE_CONTINUE) {
            may_give_flow = member->gives_flows;
            break;
        }
    }
    decide_by_answer(decide, packet, plugin, answer, may_give_flow, invalid);
}

static void run_one_by_one(const struct pipeline *pipeline, const struct decide *decide, struct nfqe_packet *packets,
                           unsigned n, struct decide_invalid *invalid)
{
    for (unsigned i = 0; i < n; i++) {
        if (burst_is_decided(decide->burst, i)) {
            decide_again(decide, i);
        } else {
            run_packet(pipeline, decide, packets, i, invalid);
        }
    }
}

/* The packets of a burst that no plugin has decided yet. */
struct pending {
    struct nfqe_packet *packets[BURST_MAX];
    unsigned index[BURST_MAX]; /* in the burst */
    nfqe_verdict answers[BURST_MAX];
    unsigned count;
};

/* What the plugins answered, by position in the burst; plugin: chain.count: none did. */
struct answers {
    nfqe_verdict answers[BURST_MAX];
    unsigned plugins[BURST_MAX];
    bool for_flows; /* one of them is for a flow: until then, looking for flows again finds nothing new */
};

static void call_batch(struct burst *burst, const struct plugin_chain_member *member, unsigned plugin,
                       struct pending *pending)
{
    for (unsigned i = 0; i < pending->count; i++) {
        pending->answers[i] = NFQE_CONTINUE;
    }
    burst_set_cursor(burst, BURST_NONE, plugin);
    probe_plugin_call_begin(plugin, 0);
    member->handle_batch(member->self, pending->packets, pending->count, pending->answers);
    probe_plugin_call_end(plugin, 0);
    burst_make_progress(burst);
}

static void call_each(struct burst *burst, const struct plugin_chain_member *member, unsigned plugin,
                      struct pending *pending)
{
    for (unsigned i = 0; i < pending->count; i++) {
        burst_set_cursor(burst, pending->index[i], plugin);
        probe_plugin_call_begin(plugin, pending->packets[i]->id);
        pending->answers[i] = member->handle(member->self, pending->packets[i]);
        probe_plugin_call_end(plugin, pending->packets[i]->id);
        burst_make_progress(burst);
    }
}

/* Moves what was answered to the answers, and keeps the rest pending, in order. */
static void collect(const struct plugin_chain_member *member, unsigned plugin, struct pending *pending,
                    struct answers *answers)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < pending->count; i++) {
        unsigned packet = pending->index[i];

        if (pending->answers[i] != NFQE_CONTINUE) {
            answers->answers[packet] = pending->answers[i];
            answers->plugins[packet] = plugin;
            answers->for_flows |= member->gives_flows && decide_is_for_flow(pending->answers[i]);
            continue;
        }
        pending->packets[kept] = pending->packets[i];
        pending->index[kept] = packet;
        kept++;
    }
    pending->count = kept;
}

/* Finds the packets that neither a process that died nor the flow table has decided. */
static void find_pending(const struct decide *decide, struct nfqe_packet *packets, unsigned n, struct pending *pending)
{
    pending->count = 0;
    for (unsigned i = 0; i < n; i++) {
        if (burst_is_decided(decide->burst, i)) {
            decide_again(decide, i);
        } else if (!decide_by_flow(decide, i)) {
            pending->packets[pending->count] = &packets[i];
            pending->index[pending->count] = i;
            pending->count++;
        }
    }
}

static void ask_plugins(const struct plugin_chain *chain, struct burst *burst, unsigned n, struct pending *pending,
                        struct answers *answers)
{
    answers->for_flows = false;
    for (unsigned i = 0; i < n; i++) {
        answers->answers[i] = NFQE_CONTINUE;
        answers->plugins[i] = chain->count;
    }
    for (unsigned plugin = 0; plugin < chain->count && pending->count > 0; plugin++) {
        const struct plugin_chain_member *member = &chain->members[plugin];

        if (member->handle_batch != NULL) {
            call_batch(burst, member, plugin, pending);
        } else {
            call_each(burst, member, plugin, pending);
        }
        collect(member, plugin, pending, answers);
    }
    burst_set_cursor(burst, BURST_NONE, BURST_NONE);
}

/*
 * Answers become verdicts in the order of the packets, whichever plugin gave them. So the result is the same as packet
 * by packet: a verdict for a flow decides the later packets of the flow, whatever plugins answered to those, and an
 * accepted SYN ends an earlier verdict for its flow.
 */
static void run_by_plugin(const struct pipeline *pipeline, const struct decide *decide, struct nfqe_packet *packets,
                          unsigned n, struct decide_invalid *invalid)
{
    const struct plugin_chain *chain = &pipeline->chain;
    struct pending pending;
    struct answers answers;

    find_pending(decide, packets, n, &pending);
    ask_plugins(chain, decide->burst, n, &pending, &answers);
    if (decide->flows != NULL) {
        flow_burst_begin_again(decide->flow_burst);
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned plugin = answers.plugins[i];

        if (burst_is_decided(decide->burst, i)) {
            decide_again(decide, i);
        } else if (!answers.for_flows || !decide_by_flow(decide, i)) {
            decide_by_answer(decide, i, plugin, answers.answers[i],
                             plugin < chain->count && chain->members[plugin].gives_flows, invalid);
        }
    }
}

static void count_verdict(const struct burst_entry *entry, struct queue_stats *stats)
{
    uint32_t flags = burst_entry_flags(entry);

    if (entry->verdict == NFQE_ACCEPT) {
        stats->accepted++;
    } else {
        stats->dropped++;
    }
    stats->flow_packets += (flags & BURST_BY_FLOW) != 0;
    stats->flow_not_stored += (flags & BURST_FLOW_NOT_STORED) != 0;
    probe_verdict(entry->id, entry->verdict);
}

int pipeline_run(const struct pipeline *pipeline, struct burst *burst, struct nfqe_packet *packets, unsigned n,
                 uint64_t now_ns, struct queue_stats *stats, struct decide_invalid *invalid)
{
    struct flow_burst flow_burst;
    const struct decide decide = {
        .policy = &pipeline->policy, .flows = pipeline->flows, .flow_burst = &flow_burst, .burst = burst};

    invalid->count = 0;
    if (pipeline->flows != NULL) {
        flow_table_begin_burst(pipeline->flows, &flow_burst, packets, n, now_ns);
    }
    if (pipeline->chain.has_batch && atomic_load_explicit(&burst->one_by_one, memory_order_relaxed) == 0) {
        run_by_plugin(pipeline, &decide, packets, n, invalid);
    } else {
        run_one_by_one(pipeline, &decide, packets, n, invalid);
        burst_set_cursor(burst, BURST_NONE, BURST_NONE);
    }
    stats->invalid += invalid->count;
    for (unsigned i = 0; i < n; i++) {
        count_verdict(&burst->entries[i], stats);
    }
    return pipeline->flows != NULL && flow_table_damaged(pipeline->flows) ? -EUCLEAN : 0;
}
