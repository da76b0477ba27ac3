/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A batch of packets through the plugin chain, plugin by plugin.
 *
 * What a plugin leaves undecided stays in the batch, in order, and goes to the next plugin. handle_batch() writes its
 * verdicts to the end of the caller's room for them. So one verdict too many lies after that room, where the caller can
 * have a page that cannot be written. Answers for flows are noted after the last plugin, in the order of the
 * packets, so that they are the same as packet by packet. Process: [worker].
 */
#include "plugin/chain_run.h"

static void call_batch(const struct chain_run *run, uint32_t plugin, const struct chain_batch *batch,
                       nfqe_verdict *verdicts)
{
    const struct plugin_chain_member *member = &run->chain->members[plugin];

    for (unsigned i = 0; i < batch->count; i++) {
        verdicts[i] = NFQE_CONTINUE;
    }
    chain_set_packet(&run->position, CHAIN_NONE);
    chain_set_plugin(&run->position, plugin);
    probe_plugin_call_begin(plugin, 0);
    member->handle_batch(member->self, batch->packets, batch->count, verdicts);
    probe_plugin_call_end(plugin, 0);
    chain_make_progress(&run->position);
    for (unsigned i = 0; (member->rights.needs & NFQE_NEED_MODIFY) != 0 && i < batch->count; i++) {
        verdicts[i] = packet_edits_look(run->edits, batch->packets[i], verdicts[i]);
    }
}

static void call_each(const struct chain_run *run, uint32_t plugin, const struct chain_batch *batch,
                      nfqe_verdict *verdicts)
{
    for (unsigned i = 0; i < batch->count; i++) {
        chain_set_packet(&run->position, batch->places[i]);
        verdicts[i] = chain_call(run, &run->chain->members[plugin], plugin, batch->packets[i]);
    }
}

/* Moves what was answered to the answers, and keeps the rest in the batch. Returns whether one is for a flow. */
static bool collect(const struct chain_run *run, uint32_t plugin, struct chain_batch *batch,
                    const nfqe_verdict *verdicts, struct plugin_answer *answers)
{
    const struct plugin_rights *rights = &run->chain->members[plugin].rights;
    bool for_flows = false;
    unsigned kept = 0;

    for (unsigned i = 0; i < batch->count; i++) {
        if (verdicts[i] != NFQE_CONTINUE) {
            answers[batch->places[i]] = (struct plugin_answer){.verdict = verdicts[i], .plugin = plugin};
            for_flows |=
                verdict_is_for_flow(verdicts[i]) && verdict_is_allowed(verdicts[i], rights, batch->packets[i]->queue);
            continue;
        }
        batch->packets[kept] = batch->packets[i];
        batch->places[kept] = batch->places[i];
        kept++;
    }
    batch->count = kept;
    return for_flows;
}

static bool ask_plugins(const struct chain_run *run, struct chain_batch *batch, struct plugin_answer *answers)
{
    bool for_flows = false;

    for (unsigned i = 0; i < batch->count; i++) {
        answers[batch->places[i]] = (struct plugin_answer){.verdict = NFQE_CONTINUE, .plugin = run->chain->count};
    }
    for (uint32_t plugin = 0; plugin < run->chain->count && batch->count > 0; plugin++) {
        nfqe_verdict *verdicts = run->verdicts_end - batch->count;

        if (run->chain->members[plugin].handle_batch != NULL) {
            call_batch(run, plugin, batch, verdicts);
        } else {
            call_each(run, plugin, batch, verdicts);
        }
        for_flows |= collect(run, plugin, batch, verdicts, answers);
    }
    chain_run_end(run);
    return for_flows;
}

/* Answers the packets whose flows are answered already, and takes them out of the batch. */
static void answer_by_flow(const struct chain_run *run, struct chain_batch *batch, const struct chain_flow *flows,
                           struct plugin_answer *answers)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < batch->count; i++) {
        unsigned place = batch->places[i];

        if (!chain_flows_find(run->flows, &flows[place], &answers[place])) {
            batch->packets[kept] = batch->packets[i];
            batch->places[kept] = place;
            kept++;
        }
    }
    batch->count = kept;
}

/*
 * asked: the packets that the plugins were asked about. If the flow of one was answered before the batch, the packet
 * that began a connection comes before it here, too.
 */
static void note_flows(const struct chain_run *run, const struct chain_batch *asked, const struct chain_flow *flows,
                       struct plugin_answer *answers)
{
    for (unsigned i = 0; i < asked->count; i++) {
        unsigned place = asked->places[i];

        if (!chain_flows_find(run->flows, &flows[place], &answers[place])) {
            chain_flows_note(run->flows, &flows[place], packet_edits_received(run->edits, asked->packets[i]),
                             &answers[place], plugin_chain_rights(run->chain, answers[place].plugin));
        }
    }
}

bool chain_run_batch(const struct chain_run *run, struct chain_batch *batch, const struct chain_flow *flows,
                     struct plugin_answer *answers)
{
    struct chain_batch asked;
    bool for_flows;

    if (run->flows == NULL) {
        return ask_plugins(run, batch, answers);
    }
    answer_by_flow(run, batch, flows, answers);
    asked.count = batch->count;
    for (unsigned i = 0; i < asked.count; i++) {
        asked.packets[i] = batch->packets[i];
        asked.places[i] = batch->places[i];
    }
    for_flows = ask_plugins(run, batch, answers);
    note_flows(run, &asked, flows, answers);
    return for_flows;
}

struct plugin_answer chain_run_flow_packet(const struct chain_run *run, struct nfqe_packet *packet, uint32_t place,
                                           const struct chain_flow *flow)
{
    struct plugin_answer answer;

    if (!chain_flows_find(run->flows, flow, &answer)) {
        answer = chain_run_packet(run, packet, place);
        chain_flows_note(run->flows, flow, packet_edits_received(run->edits, packet), &answer,
                         plugin_chain_rights(run->chain, answer.plugin));
    }
    return answer;
}
