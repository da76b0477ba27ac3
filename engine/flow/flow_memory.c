/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The index of a flow table in shared memory: hash buckets with chains of entries, and lists of entries in the order of
 * their last use.
 *
 * What a process that died left may be damaged. So a link is checked whenever it is followed, a walk has at most
 * CHAIN_MAX steps, and sizes and pointers come from private memory. What contradicts itself sets `damaged`, and
 * nothing is looked up until the table is repaired. A change is announced in `changing` before the first store and
 * withdrawn after the last, so that the next process knows if this one died in between.
 *
 * Allocates nothing. Process: [queue process].
 */
#include "flow/flow_memory.h"

#include <string.h>

#define BUCKETS_MIN 16 /* one cache line, so that the entries after them are aligned */
#define CHAIN_MAX 64   /* entries; with two buckets a flow, more than about 10 are never seen */
#define PROGRESS_STEPS 4096

_Static_assert(sizeof(struct flow_entry) == 64, "an entry is a cache line");
_Static_assert(sizeof(struct flow_memory_header) == 128, "the head is two, and lists are in the first");
_Static_assert(offsetof(struct flow_memory_header, totals) == 64, "the head is two, and lists are in the first");

/* At least two buckets a flow, so that chains are short. */
static uint32_t bucket_count(uint32_t capacity)
{
    uint32_t count = BUCKETS_MIN;

    while (count < capacity * 2) {
        count *= 2;
    }
    return count;
}

size_t flow_memory_size(uint32_t capacity)
{
    return sizeof(struct flow_memory_header) + bucket_count(capacity) * sizeof(uint32_t) +
           capacity * sizeof(struct flow_entry);
}

void flow_memory_attach(struct flow_memory *index, void *memory, uint32_t capacity)
{
    uint32_t buckets = bucket_count(capacity);

    *index = (struct flow_memory){.header = memory, .capacity = capacity, .bucket_mask = buckets - 1};
    index->buckets = (uint32_t *)(index->header + 1);
    index->entries = (struct flow_entry *)(index->buckets + buckets);
}

void flow_memory_found_damage(struct flow_memory *index)
{
    index->damaged = true;
    atomic_store_explicit(&index->header->changing, 1, memory_order_relaxed);
}

struct flow_entry *flow_memory_find(struct flow_memory *index, const struct flow_key *key, uint32_t hash, bool *room)
{
    uint32_t link = *flow_memory_bucket(index, hash);

    for (unsigned steps = 0; steps < CHAIN_MAX; steps++) {
        struct flow_entry *entry = flow_memory_entry(index, link);

        if (entry == NULL || (entry->hash == hash && flow_key_same(&entry->key, key))) {
            *room = true;
            return entry;
        }
        link = entry->next;
    }
    *room = false;
    return NULL;
}

void flow_memory_bucket_insert(const struct flow_memory *index, struct flow_entry *entry)
{
    uint32_t *chain = flow_memory_bucket(index, entry->hash);

    entry->next = *chain;
    *chain = flow_memory_link(index, entry);
}

void flow_memory_bucket_remove(struct flow_memory *index, const struct flow_entry *entry)
{
    uint32_t *link = flow_memory_bucket(index, entry->hash);

    for (unsigned steps = 0; steps < CHAIN_MAX; steps++) {
        struct flow_entry *other = flow_memory_entry(index, *link);

        if (other == NULL) {
            break;
        }
        if (other == entry) {
            *link = entry->next;
            return;
        }
        link = &other->next;
    }
    flow_memory_found_damage(index);
}

static inline void take_out(struct flow_memory *index, struct flow_order *order, const struct flow_entry *entry)
{
    struct flow_entry *newer = flow_memory_entry(index, entry->newer);
    struct flow_entry *older = flow_memory_entry(index, entry->older);

    *(newer != NULL ? &newer->older : &order->newest) = entry->older;
    *(older != NULL ? &older->newer : &order->oldest) = entry->newer;
}

static inline void put_first(struct flow_memory *index, struct flow_order *order, struct flow_entry *entry)
{
    struct flow_entry *older = flow_memory_entry(index, order->newest);

    entry->newer = FLOW_NO_ENTRY;
    entry->older = order->newest;
    order->newest = flow_memory_link(index, entry);
    *(older != NULL ? &older->newer : &order->oldest) = order->newest;
}

void flow_memory_lru_unlink(struct flow_memory *index, const struct flow_entry *entry)
{
    struct flow_order *order = &index->header->orders[flow_memory_list(index, entry)];

    take_out(index, order, entry);
    order->count--;
}

void flow_memory_lru_push_front(struct flow_memory *index, struct flow_entry *entry, enum flow_list list)
{
    entry->list = (uint8_t)list;
    put_first(index, &index->header->orders[list], entry);
    index->header->orders[list].count++;
}

void flow_memory_lru_make_newest(struct flow_memory *index, struct flow_entry *entry, enum flow_list list)
{
    take_out(index, &index->header->orders[list], entry);
    put_first(index, &index->header->orders[list], entry);
}

void flow_memory_make_progress(_Atomic uint32_t *progress, uint32_t step)
{
    *progress += step % PROGRESS_STEPS == 0;
}

void flow_memory_clear(struct flow_memory *index, _Atomic uint32_t *progress)
{
    index->damaged = false;
    for (uint32_t i = 0; i <= index->bucket_mask; i++) {
        index->buckets[i] = FLOW_NO_ENTRY;
        flow_memory_make_progress(progress, i);
    }
    index->header->used = index->capacity; /* each entry will be in a list */
    memset(index->header->orders, 0, sizeof(index->header->orders));
}
