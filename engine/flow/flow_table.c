/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table: lookup, insertion, expiry, replacement, and repair after a process died. flow_memory.c has the index.
 *
 * The table stays usable whenever its process is killed: an entry's verdict is written last, after the rest of the
 * entry, and cleared first, so that an entry with a verdict is complete; and a half-made change of the index is known by
 * `changing`, after which the index is rebuilt from the entries.
 *
 * The flow keys of a burst are computed first and their memory is prefetched, since lookups in a large table are bound
 * by cache misses. Runs for every packet; allocates nothing and reads no clock. Process:
 * [queue process].
 */
#include "flow/flow_table.h"

#include "base/arith.h"
#include "base/clock.h"
#include "packet/checksum.h"
#include "packet/reject_part.h"

#include <netinet/in.h>
#include <string.h>

#define ORDER_TICKS 80 /* 10 s, the inexactness of the order in a large table; at most a 32nd of the idle time-out */

/* An eighth of a full table each. Of 65,536 flows, it keeps a new one for 0.18 s among 44,000 others a second. */
#define FRESH_SHARE 8
#define YOUNG_SHARE 8
#define DROPPED_SHARE 8

/* 2 s, as connection tracking has it: a question and its answers are over by then. */
#define YOUNG_TICKS 16

void flow_table_attach(struct flow_table *flows, void *memory, uint32_t capacity, uint64_t idle_ms,
                       const struct flow_seed *seed)
{
    *flows = (struct flow_table){.seed = *seed};
    flow_memory_attach(&flows->index, memory, capacity);
    flows->idle_ticks = (uint32_t)min_u64((idle_ms * NS_PER_MS + FLOW_TICK_NS - 1) / FLOW_TICK_NS, FLOW_IDLE_TICKS_MAX);
    if (capacity > FLOW_EXACT_MAX) {
        flows->order_ticks = (uint32_t)min_u64(flows->idle_ticks / 32, ORDER_TICKS);
    }
    flows->shares[FLOW_FRESH] = capacity / FRESH_SHARE;
    flows->shares[FLOW_YOUNG] = capacity / YOUNG_SHARE;
    flows->shares[FLOW_DROPPED] = capacity / DROPPED_SHARE;
    flows->shares[FLOW_ESTABLISHED] =
        capacity - flows->shares[FLOW_FRESH] - flows->shares[FLOW_YOUNG] - flows->shares[FLOW_DROPPED];
}

/* The idle time in ticks; 0 if an earlier process saw the flow later than `now`. */
static uint32_t age_of(const struct flow_table *flows, uint32_t seen)
{
    return (int32_t)(flows->now - seen) < 0 ? 0 : flows->now - seen;
}

/*
 * Whether YOUNG_TICKS have passed since it was accepted. `since` wraps after 256 ticks, but a pause that long says so, too,
 * and whatever ends one sets it (move()).
 */
static bool has_lasted(const struct flow_table *flows, const struct flow_entry *entry)
{
    return age_of(flows, entry->seen) >= YOUNG_TICKS || (uint8_t)(flows->now - entry->since) >= YOUNG_TICKS;
}

/* Makes the entry the newest of a list; a part of a change. */
static void move(struct flow_table *flows, struct flow_entry *entry, enum flow_list list)
{
    if (has_lasted(flows, entry)) {
        entry->since = (uint8_t)(flows->now - YOUNG_TICKS);
    }
    entry->seen = flows->now;
    flow_memory_lru_unlink(&flows->index, entry);
    flow_memory_lru_push_front(&flows->index, entry, list);
}

/* Whether it has no handshake, so that only time tells a conversation from a question. */
static bool is_datagram(const struct flow_key *key)
{
    return key->protocol == NFQE_PROTOCOL_UDP || key->protocol == IPPROTO_UDPLITE ||
           key->protocol == NFQE_PROTOCOL_ICMP || key->protocol == NFQE_PROTOCOL_ICMPV6;
}

/* The list for an accepted flow that is not established and shows a further packet, which is no reset. */
static enum flow_list list_after(const struct flow_table *flows, const struct flow_entry *entry)
{
    bool answered = entry->list == FLOW_YOUNG; /* SYN, SYN with ACK: this is at least the third packet */

    return (answered && !is_datagram(&entry->key)) || has_lasted(flows, entry) ? FLOW_ESTABLISHED : FLOW_YOUNG;
}

/* A flow that is not established. A host also answers with a reset to packets of no connection. */
static __attribute__((noinline)) void touch_new(struct flow_table *flows, struct flow_entry *entry, bool resets)
{
    enum flow_list list = resets ? flow_memory_list(&flows->index, entry) : list_after(flows, entry);

    if (list == entry->list && flows->order_ticks > 0 && entry->seen == flows->now) {
        return;
    }
    flow_memory_begin_change(&flows->index);
    move(flows, entry, list);
    flow_memory_end_change(&flows->index);
}

/*
 * Notes that a packet of an accepted flow was seen; moves the entry to the front unless the order is exact enough
 * without.
 */
static void touch(struct flow_table *flows, struct flow_entry *entry, bool resets)
{
    if (entry->list != FLOW_ESTABLISHED) {
        touch_new(flows, entry, resets);
        return;
    }
    if (flows->index.header->orders[FLOW_ESTABLISHED].newest == flow_memory_link(&flows->index, entry) ||
        (flows->order_ticks > 0 && entry->seen / flows->order_ticks == flows->now / flows->order_ticks)) {
        entry->seen = flows->now;
        return;
    }
    flow_memory_begin_change(&flows->index);
    entry->seen = flows->now;
    flow_memory_lru_make_newest(&flows->index, entry, FLOW_ESTABLISHED);
    flow_memory_end_change(&flows->index);
}

/* Also with what senders are told. */
static bool is_drop(nfqe_verdict verdict)
{
    return verdict == NFQE_DROP ||
           ((verdict & NFQE_ACTION_MASK) == NFQE_DROP && reject_part_is_valid(verdict ^ NFQE_DROP));
}

/* The verdict; NFQE_CONTINUE: the entry is free. */
static nfqe_verdict verdict_of(const struct flow_entry *entry)
{
    return atomic_load_explicit(&entry->verdict, memory_order_relaxed);
}

static bool is_expired(const struct flow_table *flows, const struct flow_entry *entry)
{
    return age_of(flows, entry->seen) > flows->idle_ticks;
}

/* Removes the flow; its entry is the next that is used for a new one. */
static void forget(struct flow_table *flows, struct flow_entry *entry)
{
    flow_memory_begin_change(&flows->index);
    atomic_store_explicit(&entry->verdict, NFQE_CONTINUE, memory_order_release);
    flow_memory_bucket_remove(&flows->index, entry);
    flow_memory_lru_unlink(&flows->index, entry);
    flow_memory_lru_push_front(&flows->index, entry, FLOW_FREE);
    flow_memory_end_change(&flows->index);
}

/* The flow that a new one, for this list, replaces: the oldest one of a list. NULL: damage. */
static struct flow_entry *find_replaced(struct flow_table *flows, enum flow_list list)
{
    struct flow_entry *replaced = NULL;
    int64_t most = INT64_MIN;

    for (unsigned i = FLOW_FRESH; i < FLOW_LISTS; i++) {
        struct flow_entry *oldest = flow_memory_oldest(&flows->index, (enum flow_list)i);
        int64_t above = (int64_t)flows->index.header->orders[i].count - flows->shares[i] + (i == list);

        if (oldest != NULL && is_expired(flows, oldest)) {
            return oldest;
        }
        if (oldest != NULL && above > most) {
            replaced = oldest;
            most = above;
        }
    }
    return replaced;
}

/* An entry for a new flow, taken out of all lists: a freed one, a never used one, or one of a flow that it replaces. */
static struct flow_entry *take_entry(struct flow_table *flows, enum flow_list list)
{
    struct flow_entry *entry = flow_memory_entry(&flows->index, flows->index.header->orders[FLOW_FREE].newest);
    uint32_t used = flows->index.header->used;

    if (entry != NULL) {
        flow_memory_lru_unlink(&flows->index, entry);
        return entry;
    }
    if (used < flows->index.capacity) {
        flows->index.header->used = used + 1;
        return &flows->index.entries[used];
    }
    entry = find_replaced(flows, list);
    if (entry == NULL) {
        flow_memory_found_damage(&flows->index);
        return NULL;
    }
    if (is_expired(flows, entry)) {
        flows->index.header->totals.expired++;
    } else {
        flows->index.header->totals.replaced++;
    }
    flow_memory_bucket_remove(&flows->index, entry);
    flow_memory_lru_unlink(&flows->index, entry);
    return entry;
}

static void add_entry(struct flow_table *flows, const struct flow_lookup *lookup, nfqe_verdict verdict)
{
    enum flow_list list = is_drop(verdict) ? FLOW_DROPPED : FLOW_FRESH;
    struct flow_entry *entry;

    flow_memory_begin_change(&flows->index);
    entry = take_entry(flows, list);
    if (entry != NULL) {
        atomic_store_explicit(&entry->verdict, NFQE_CONTINUE, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
        entry->key = lookup->key;
        entry->hash = lookup->hash;
        entry->seen = flows->now;
        entry->since = (uint8_t)flows->now;
        atomic_store_explicit(&entry->verdict, (uint16_t)verdict, memory_order_release);
        flow_memory_bucket_insert(&flows->index, entry);
        flow_memory_lru_push_front(&flows->index, entry, list);
        flows->index.header->totals.added++;
    }
    flow_memory_end_change(&flows->index);
}

/* ---- a burst --------------------------------------------------------------------------------------- */

static const struct flow_entry *head_of(const struct flow_table *flows, uint32_t hash)
{
    uint32_t link = *flow_memory_bucket(&flows->index, hash);

    return &flows->index.entries[link - 1 < flows->index.capacity ? link - 1 : 0];
}

/*
 * Prefetches what flow_table_find() and touch() will read. Each pass reads what the one before it prefetched. Always
 * inlined: gcc treats a function that only prefetches as one without effects, and removes the call.
 */
static inline __attribute__((always_inline)) void prefetch(const struct flow_table *flows,
                                                           const struct flow_burst *burst, unsigned n)
{
    const struct flow_lookup *lookups = burst->lookups;

    for (unsigned i = 0; i < n; i++) {
        if (lookups[i].has_flow) {
            __builtin_prefetch(flow_memory_bucket(&flows->index, lookups[i].hash));
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (lookups[i].has_flow) {
            __builtin_prefetch(head_of(flows, lookups[i].hash));
        }
    }
    for (unsigned i = 0; i < n; i++) {
        const struct flow_entry *head = head_of(flows, lookups[i].hash);

        if (lookups[i].has_flow && head->hash != lookups[i].hash && head->next - 1 < flows->index.capacity) {
            __builtin_prefetch(&flows->index.entries[head->next - 1]);
        }
    }
}

void flow_table_begin_burst(struct flow_table *flows, struct flow_burst *burst, const struct nfqe_packet *packets,
                            unsigned n, uint64_t now_ns)
{
    flows->now = (uint32_t)(now_ns / FLOW_TICK_NS);
    burst->packets = packets;
    burst->begun_count = 0;
    for (unsigned i = 0; i < n; i++) {
        struct flow_lookup *lookup = &burst->lookups[i];

        lookup->hash = 0;
        lookup->has_flow = flow_key_find(&packets[i], &lookup->key, &lookup->traits);
        if (lookup->has_flow) {
            lookup->hash = flow_key_hash(&flows->seed, &lookup->key);
        }
    }
    if (flows->index.header != NULL) {
        prefetch(flows, burst, n);
    }
}

nfqe_verdict flow_table_find(struct flow_table *flows, struct flow_burst *burst, unsigned index)
{
    const struct flow_lookup *lookup = &burst->lookups[index];
    struct flow_entry *entry = NULL;
    nfqe_verdict verdict;
    bool room;

    if (lookup->has_flow && !flows->index.damaged) {
        entry = flow_memory_find(&flows->index, &lookup->key, lookup->hash, &room);
    }
    if (entry == NULL) {
        return NFQE_CONTINUE;
    }
    if (is_expired(flows, entry)) {
        flows->index.header->totals.expired++;
        forget(flows, entry);
        return NFQE_CONTINUE;
    }
    verdict = verdict_of(entry);
    if (is_drop(verdict)) {
        return verdict;
    }
    if (verdict != NFQE_ACCEPT) {
        flow_memory_found_damage(&flows->index);
        return NFQE_CONTINUE;
    }
    if (flow_burst_has_begun(burst, index)) {
        return NFQE_CONTINUE;
    }
    if (lookup->traits.begins) { /* each flow is entered once, so there is room */
        burst->begun[burst->begun_count++] = (uint8_t)index;
        return NFQE_CONTINUE;
    }
    if (lookup->traits.alone) {
        return NFQE_CONTINUE;
    }
    touch(flows, entry, lookup->traits.resets);
    return NFQE_ACCEPT;
}

/* Another verdict for a flow that has one. */
static void set_verdict(struct flow_table *flows, struct flow_entry *entry, nfqe_verdict verdict)
{
    enum flow_list list = flow_memory_list(&flows->index, entry);

    flow_memory_begin_change(&flows->index);
    atomic_store_explicit(&entry->verdict, (uint16_t)verdict, memory_order_release);
    move(flows, entry, is_drop(verdict) ? FLOW_DROPPED : list == FLOW_DROPPED ? FLOW_FRESH : list);
    if (list == FLOW_DROPPED) {
        entry->since = (uint8_t)flows->now;
    }
    flow_memory_end_change(&flows->index);
}

bool flow_table_add(struct flow_table *flows, struct flow_burst *burst, unsigned index, nfqe_verdict verdict)
{
    const struct flow_lookup *lookup = &burst->lookups[index];
    struct flow_entry *entry;
    bool room;

    if (!lookup->has_flow || lookup->traits.alone || flows->index.damaged ||
        packet_checksum_is_wrong(&burst->packets[index])) {
        return false;
    }
    flow_burst_end_begun(burst, index);
    entry = flow_memory_find(&flows->index, &lookup->key, lookup->hash, &room);
    if (entry != NULL) {
        set_verdict(flows, entry, verdict);
    } else if (room && !flows->index.damaged) {
        add_entry(flows, lookup, verdict);
    }
    return room;
}

/* The flow's entry, if it is accepted. */
static struct flow_entry *find_accepted(struct flow_table *flows, const struct flow_lookup *lookup)
{
    struct flow_entry *entry = NULL;
    bool room;

    if (!flows->index.damaged) {
        entry = flow_memory_find(&flows->index, &lookup->key, lookup->hash, &room);
    }
    return entry != NULL && verdict_of(entry) == NFQE_ACCEPT ? entry : NULL;
}

bool flow_table_is_accepted(struct flow_table *flows, const struct flow_lookup *lookup)
{
    const struct flow_entry *entry = lookup->has_flow ? find_accepted(flows, lookup) : NULL;

    return entry != NULL && !is_expired(flows, entry);
}

void flow_table_end_accepted(struct flow_table *flows, const struct flow_lookup *lookup)
{
    struct flow_entry *entry = find_accepted(flows, lookup);

    if (entry != NULL) {
        forget(flows, entry);
    }
}

/* ---- repair ---------------------------------------------------------------------------------------- */

/* Whether the entry holds a flow and is complete. */
static bool is_whole(const struct flow_table *flows, const struct flow_entry *entry)
{
    uint32_t verdict = atomic_load_explicit(&entry->verdict, memory_order_acquire);

    return (verdict == NFQE_ACCEPT || is_drop(verdict)) && entry->hash == flow_key_hash(&flows->seed, &entry->key);
}

bool flow_table_need_repair(const struct flow_table *flows)
{
    return atomic_load_explicit(&flows->index.header->changing, memory_order_relaxed) != 0;
}

/* The list of an entry that is whole. */
static enum flow_list list_of(const struct flow_entry *entry)
{
    if (is_drop(verdict_of(entry))) {
        return FLOW_DROPPED;
    }
    return entry->list == FLOW_ESTABLISHED || entry->list == FLOW_YOUNG ? (enum flow_list)entry->list : FLOW_FRESH;
}

/*
 * Inserts an entry into the index, as the newest. If its flow has an entry already, that one gets the verdict and this
 * one is freed; it is also freed if its chain is full. Returns whether there is one more flow.
 */
static bool take_back(struct flow_table *flows, struct flow_entry *entry)
{
    bool room;
    struct flow_entry *same = flow_memory_find(&flows->index, &entry->key, entry->hash, &room);

    if (same == NULL && room) {
        flow_memory_bucket_insert(&flows->index, entry);
        flow_memory_lru_push_front(&flows->index, entry, list_of(entry));
        return true;
    }
    if (same != NULL) {
        flow_memory_lru_unlink(&flows->index, same);
        atomic_store_explicit(&same->verdict, entry->verdict, memory_order_release);
        same->seen = entry->seen;
        flow_memory_lru_push_front(&flows->index, same, list_of(entry));
    }
    atomic_store_explicit(&entry->verdict, NFQE_CONTINUE, memory_order_release);
    flow_memory_lru_push_front(&flows->index, entry, FLOW_FREE);
    return false;
}

uint32_t flow_table_repair(struct flow_table *flows, uint64_t now_ns, _Atomic uint32_t *progress)
{
    static uint32_t same_age[FLOW_IDLE_TICKS_MAX + 1]; /* lists of entries, linked by `older` */
    uint32_t steps = 0;
    uint32_t count = 0;

    flows->now = (uint32_t)(now_ns / FLOW_TICK_NS);
    memset(same_age, 0, (flows->idle_ticks + 1) * sizeof(*same_age));
    flow_memory_clear(&flows->index, progress);
    for (uint32_t i = 0; i < flows->index.capacity; i++) {
        struct flow_entry *entry = &flows->index.entries[i];
        uint32_t age = age_of(flows, entry->seen);

        if (is_whole(flows, entry) && age <= flows->idle_ticks) {
            entry->older = same_age[age];
            same_age[age] = i + 1;
        } else {
            atomic_store_explicit(&entry->verdict, NFQE_CONTINUE, memory_order_relaxed);
            flow_memory_lru_push_front(&flows->index, entry, FLOW_FREE);
        }
        flow_memory_make_progress(progress, i);
    }
    for (uint32_t age = flows->idle_ticks + 1; age-- > 0;) {
        struct flow_entry *entry = flow_memory_entry(&flows->index, same_age[age]);

        while (entry != NULL && steps++ < flows->index.capacity) {
            struct flow_entry *next = flow_memory_entry(&flows->index, entry->older);

            count += take_back(flows, entry);
            flow_memory_make_progress(progress, steps);
            entry = next;
        }
    }
    flow_memory_end_change(&flows->index);
    return count;
}
