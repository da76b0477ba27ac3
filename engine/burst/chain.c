/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running the chain over a burst; see chain.h.
 *
 * There are two orders. Without handle_batch in the chain, each packet goes through all plugins before the
 * next one starts. With it, each plugin takes what is unanswered of the whole burst before the next plugin
 * does, and the answers become verdicts afterwards, in the order of the packets. After a crash the rest of the
 * burst always goes packet by packet, so that the next crash has exactly one packet to blame.
 */
#include "burst/chain.h"

#include "base/probe.h"

static void call_begins(struct arena *arena, uint32_t packet, uint32_t plugin)
{
    atomic_store_explicit(&arena->cursor, packet, memory_order_release);
    atomic_store_explicit(&arena->plugin, plugin, memory_order_release);
}

/* Tells the supervisor's watch that a plugin returned. Only the worker writes it: no atomic addition needed. */
static void call_ended(struct arena *arena)
{
    uint32_t progress = atomic_load_explicit(&arena->progress, memory_order_relaxed);

    atomic_store_explicit(&arena->progress, progress + 1, memory_order_release);
}

/* Stores the verdict of the packet's flow; an accepted one carries the mark by which the kernel will know the flow. */
static void decide_flow(const struct chain *chain, struct arena *arena, unsigned packet, nfqe_verdict verdict,
                        uint32_t flags)
{
    uint32_t mark = arena->verdicts[packet].mark;

    if (verdict == NFQE_ACCEPT && chain->bypass_mask != 0) {
        mark = (mark & ~chain->bypass_mask) | chain->bypass_mark;
        flags |= ARENA_SETS_MARK;
    }
    arena_set_verdict(arena, packet, verdict, mark, flags);
}

/* Decides the packet if its flow is decided. */
static bool flow_decides(const struct chain *chain, struct arena *arena, unsigned packet)
{
    nfqe_verdict verdict = chain->flows != NULL ? flow_table_find(chain->flows, packet) : NFQE_CONTINUE;

    if (verdict == NFQE_CONTINUE) {
        return false;
    }
    decide_flow(chain, arena, packet, verdict, ARENA_BY_FLOW);
    return true;
}

/* Whether it is the verdict of a flow, and the plugin one that may give it. */
static bool is_for_flow(const struct chain *chain, unsigned plugin, nfqe_verdict answer)
{
    return (answer == (NFQE_ACCEPT | NFQE_FLOW) || answer == (NFQE_DROP | NFQE_FLOW)) && plugin < chain->count &&
           chain->members[plugin].gives_flows;
}

/* The packet alone is accepted. It must not leave with a mark that says that its flow is. */
static void accept_alone(const struct chain *chain, struct arena *arena, unsigned packet, uint32_t flags)
{
    uint32_t mark = arena->verdicts[packet].mark;

    if ((mark & chain->bypass_mask) != 0) {
        mark &= ~chain->bypass_mask;
        flags |= ARENA_SETS_MARK;
    }
    if (chain->flows != NULL) {
        flow_table_accepted(chain->flows, packet);
    }
    arena_set_verdict(arena, packet, NFQE_ACCEPT, mark, flags);
}

/* Turns a plugin's answer into the packet's verdict. plugin: who answered; chain->count: nobody. */
static void decide(const struct chain *chain, struct arena *arena, unsigned packet, unsigned plugin,
                   nfqe_verdict answer, struct chain_report *report)
{
    uint32_t flags = 0;

    if (is_for_flow(chain, plugin, answer)) {
        answer &= ~NFQE_FLOW;
        if (flow_table_add(chain->flows, packet, answer)) {
            decide_flow(chain, arena, packet, answer, ARENA_FOR_FLOW);
            return;
        }
        /* Unmarked: to the kernel, an ICMP error belongs to the connection that it is about. */
        flags = ARENA_FLOW_NOT_STORED;
    } else if (answer == NFQE_CONTINUE) {
        answer = chain->default_verdict;
    } else if (answer != NFQE_ACCEPT && answer != NFQE_DROP) {
        if (report->invalid++ == 0) {
            report->plugin = plugin;
            report->verdict = answer;
            report->packet_id = arena->verdicts[packet].id;
        }
        answer = chain->on_crash;
    }
    if (answer == NFQE_ACCEPT) {
        accept_alone(chain, arena, packet, flags);
    } else {
        arena_set_verdict(arena, packet, answer, arena->verdicts[packet].mark, flags);
    }
}

static void run_packet(const struct chain *chain, struct arena *arena, struct nfqe_packet *packets, unsigned packet,
                       struct chain_report *report)
{
    nfqe_verdict answer = NFQE_CONTINUE;
    unsigned plugin = 0;

    if (flow_decides(chain, arena, packet)) {
        return;
    }
    for (; plugin < chain->count; plugin++) {
        const struct chain_member *member = &chain->members[plugin];

        call_begins(arena, packet, plugin);
        probe_plugin_call_begin(plugin, packets[packet].id);
        answer = member->handle(member->self, &packets[packet]);
        probe_plugin_call_end(plugin, packets[packet].id);
        call_ended(arena);
        if (answer != NFQE_CONTINUE) {
            break;
        }
    }
    decide(chain, arena, packet, plugin, answer, report);
}

/* The packets of a burst that no plugin has decided yet. */
struct pending {
    struct nfqe_packet *packets[BURST_MAX];
    unsigned index[BURST_MAX]; /* in the burst */
    nfqe_verdict answers[BURST_MAX];
    unsigned count;
};

static void ask_batch(struct arena *arena, const struct chain_member *member, unsigned plugin, struct pending *pending)
{
    for (unsigned i = 0; i < pending->count; i++) {
        pending->answers[i] = NFQE_CONTINUE;
    }
    call_begins(arena, ARENA_NOBODY, plugin);
    probe_plugin_call_begin(plugin, 0);
    member->handle_batch(member->self, pending->packets, pending->count, pending->answers);
    probe_plugin_call_end(plugin, 0);
    call_ended(arena);
}

static void ask_each(struct arena *arena, const struct chain_member *member, unsigned plugin, struct pending *pending)
{
    for (unsigned i = 0; i < pending->count; i++) {
        call_begins(arena, pending->index[i], plugin);
        probe_plugin_call_begin(plugin, pending->packets[i]->id);
        pending->answers[i] = member->handle(member->self, pending->packets[i]);
        probe_plugin_call_end(plugin, pending->packets[i]->id);
        call_ended(arena);
    }
}

/* What the plugins answered, by position in the burst; plugin: chain->count: nobody. */
struct answers {
    nfqe_verdict answers[BURST_MAX];
    unsigned plugins[BURST_MAX];
    bool for_flows; /* one of them is for a flow: until then, looking for flows again finds nothing new */
};

/* Keeps, in order, what is still unanswered. */
static void collect(const struct chain *chain, unsigned plugin, struct pending *pending, struct answers *answers)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < pending->count; i++) {
        unsigned packet = pending->index[i];

        if (pending->answers[i] != NFQE_CONTINUE) {
            answers->answers[packet] = pending->answers[i];
            answers->plugins[packet] = plugin;
            answers->for_flows = answers->for_flows || is_for_flow(chain, plugin, pending->answers[i]);
            continue;
        }
        pending->packets[kept] = pending->packets[i];
        pending->index[kept] = packet;
        kept++;
    }
    pending->count = kept;
}

/* What stands already, from a predecessor or its death, bears on flow and mark as if it were decided now. */
static void replay_verdict(const struct chain *chain, struct arena *arena, unsigned packet)
{
    const struct arena_verdict *verdict = &arena->verdicts[packet];
    uint32_t flags = atomic_load_explicit(&verdict->flags, memory_order_relaxed);

    if ((flags & ARENA_BY_FLOW) != 0) {
        return;
    }
    if (chain->flows != NULL && (flags & ARENA_FOR_FLOW) != 0) {
        flow_table_add(chain->flows, packet, verdict->verdict);
        return;
    }
    if (chain->flows != NULL) {
        flow_table_find(chain->flows, packet); /* it may begin a connection */
    }
    if (verdict->verdict == NFQE_ACCEPT) {
        accept_alone(chain, arena, packet, flags);
    }
}

/* What flows decide needs no plugin. */
static void find_pending(const struct chain *chain, struct arena *arena, struct nfqe_packet *packets, unsigned n,
                         struct pending *pending)
{
    pending->count = 0;
    for (unsigned i = 0; i < n; i++) {
        if (arena_decided(arena, i)) {
            replay_verdict(chain, arena, i);
        } else if (!flow_decides(chain, arena, i)) {
            pending->packets[pending->count] = &packets[i];
            pending->index[pending->count] = i;
            pending->count++;
        }
    }
}

/*
 * The answers count in the order of the packets, whichever plugin gave them: so a verdict for a flow decides its later
 * packets, whatever was answered there, and a SYN ends what was decided before it, as they would have one by one.
 */
static void run_burst(const struct chain *chain, struct arena *arena, struct nfqe_packet *packets, unsigned n,
                      struct chain_report *report)
{
    struct pending pending;
    struct answers answers;

    find_pending(chain, arena, packets, n, &pending);
    answers.for_flows = false;
    for (unsigned i = 0; i < n; i++) {
        answers.answers[i] = NFQE_CONTINUE;
        answers.plugins[i] = chain->count;
    }
    for (unsigned plugin = 0; plugin < chain->count && pending.count > 0; plugin++) {
        const struct chain_member *member = &chain->members[plugin];

        if (member->handle_batch != NULL) {
            ask_batch(arena, member, plugin, &pending);
        } else {
            ask_each(arena, member, plugin, &pending);
        }
        collect(chain, plugin, &pending, &answers);
    }
    call_begins(arena, ARENA_NOBODY, ARENA_NOBODY);
    if (chain->flows != NULL) {
        flow_table_begin_again(chain->flows);
    }
    for (unsigned i = 0; i < n; i++) {
        if (arena_decided(arena, i)) {
            replay_verdict(chain, arena, i);
        } else if (!answers.for_flows || !flow_decides(chain, arena, i)) {
            decide(chain, arena, i, answers.plugins[i], answers.answers[i], report);
        }
    }
}

void chain_add(struct chain *chain, const struct chain_member *member)
{
    chain->members[chain->count++] = *member;
    chain->has_batch = chain->has_batch || member->handle_batch != NULL;
}

void chain_run(const struct chain *chain, struct arena *arena, struct nfqe_packet *packets, unsigned n,
               struct chain_report *report)
{
    *report = (struct chain_report){0};
    if (chain->has_batch && atomic_load_explicit(&arena->one_by_one, memory_order_relaxed) == 0) {
        run_burst(chain, arena, packets, n, report);
    } else {
        for (unsigned i = 0; i < n; i++) {
            if (arena_decided(arena, i)) {
                replay_verdict(chain, arena, i);
            } else {
                run_packet(chain, arena, packets, i, report);
            }
        }
    }
    call_begins(arena, ARENA_NOBODY, ARENA_NOBODY);
}
