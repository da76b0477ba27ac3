/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running the chain over a burst; see chain.h.
 *
 * There are two orders. Without handle_batch in the chain, each packet goes through all plugins before the
 * next one starts. With it, each plugin takes what is undecided of the whole burst before the next plugin
 * does. After a crash the rest of the burst always goes packet by packet, so that the next
 * crash has exactly one packet to blame.
 */
#include "chain.h"

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

/* Turns a plugin's answer into the packet's verdict. */
static void decide(const struct chain *chain, struct arena *arena, unsigned packet, unsigned plugin,
                   nfqe_verdict answer, struct chain_report *report)
{
    if (answer == NFQE_CONTINUE) {
        answer = chain->default_verdict;
    } else if (answer != NFQE_ACCEPT && answer != NFQE_DROP) {
        if (report->invalid++ == 0) {
            report->plugin = plugin;
            report->verdict = answer;
            report->packet_id = arena->verdicts[packet].id;
        }
        answer = chain->on_crash;
    }
    arena_decide(arena, packet, answer);
}

static void run_packet(const struct chain *chain, struct arena *arena, struct nfqe_packet *packets, unsigned packet,
                       struct chain_report *report)
{
    nfqe_verdict answer = NFQE_CONTINUE;
    unsigned plugin = 0;

    for (; plugin < chain->count; plugin++) {
        const struct chain_member *member = &chain->members[plugin];

        call_begins(arena, packet, plugin);
        answer = member->handle(member->self, &packets[packet]);
        call_ended(arena);
        if (answer != NFQE_CONTINUE) {
            break;
        }
    }
    decide(chain, arena, packet, plugin, answer, report);
}

/* The packets of a burst that no plugin has decided yet. */
struct pending {
    struct nfqe_packet *packets[ARENA_BURST];
    unsigned index[ARENA_BURST]; /* in the burst */
    nfqe_verdict answers[ARENA_BURST];
    unsigned count;
};

static void ask_batch(struct arena *arena, const struct chain_member *member, unsigned plugin, struct pending *pending)
{
    for (unsigned i = 0; i < pending->count; i++) {
        pending->answers[i] = NFQE_CONTINUE;
    }
    call_begins(arena, ARENA_NOBODY, plugin);
    member->handle_batch(member->self, pending->packets, pending->count, pending->answers);
    call_ended(arena);
}

static void ask_each(struct arena *arena, const struct chain_member *member, unsigned plugin, struct pending *pending)
{
    for (unsigned i = 0; i < pending->count; i++) {
        call_begins(arena, pending->index[i], plugin);
        pending->answers[i] = member->handle(member->self, pending->packets[i]);
        call_ended(arena);
    }
}

/* Decides what has an answer and keeps the rest, in order. */
static void settle(const struct chain *chain, struct arena *arena, unsigned plugin, struct pending *pending,
                   struct chain_report *report)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < pending->count; i++) {
        if (pending->answers[i] != NFQE_CONTINUE) {
            decide(chain, arena, pending->index[i], plugin, pending->answers[i], report);
            continue;
        }
        pending->packets[kept] = pending->packets[i];
        pending->index[kept] = pending->index[i];
        kept++;
    }
    pending->count = kept;
}

static void run_burst(const struct chain *chain, struct arena *arena, struct nfqe_packet *packets, unsigned n,
                      struct chain_report *report)
{
    struct pending pending;

    pending.count = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!arena_decided(arena, i)) {
            pending.packets[pending.count] = &packets[i];
            pending.index[pending.count] = i;
            pending.count++;
        }
    }
    for (unsigned plugin = 0; plugin < chain->count && pending.count > 0; plugin++) {
        const struct chain_member *member = &chain->members[plugin];

        if (member->handle_batch != NULL) {
            ask_batch(arena, member, plugin, &pending);
        } else {
            ask_each(arena, member, plugin, &pending);
        }
        settle(chain, arena, plugin, &pending, report);
    }
    for (unsigned i = 0; i < pending.count; i++) {
        decide(chain, arena, pending.index[i], 0, NFQE_CONTINUE, report);
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
            if (!arena_decided(arena, i)) {
                run_packet(chain, arena, packets, i, report);
            }
        }
    }
    call_begins(arena, ARENA_NOBODY, ARENA_NOBODY);
}
