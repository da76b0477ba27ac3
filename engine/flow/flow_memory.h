/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a flow table: entries, and an index of hash chains and of the order of use.
 *
 * Memory that is all zero is an empty table: a link to an entry is its index plus one, and 0 is no entry. An entry that
 * holds a flow is in one hash chain. Every entry that was ever used is in one of a few lists, doubly linked from the
 * newest to the oldest: that of its kind of flow, or that of the free entries.
 *
 * A change of chains or lists is announced in `changing`, so that the next queue process finds out if this one dies in
 * between. What it left may be damaged, so every link is checked when it is followed and every walk is bounded; an
 * impossible value sets `damaged`. Does not depend on packets, verdicts or time. Process: [queue process].
 */
#ifndef ENGINE_FLOW_FLOW_MEMORY_H
#define ENGINE_FLOW_FLOW_MEMORY_H

#include "flow/flow_key.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_MEMORY_VERSION 3 /* of the layout of header, buckets and entries */
#define FLOW_NO_ENTRY 0

/* The lists of entries. flow_table.h says which flows are in which. */
enum flow_list {
    FLOW_FREE, /* they hold no flow */
    FLOW_FRESH,
    FLOW_YOUNG,
    FLOW_ESTABLISHED,
    FLOW_DROPPED,
    FLOW_LISTS,
};

struct flow_entry {
    struct flow_key key;
    uint32_t hash;
    _Atomic uint16_t verdict; /* 0: the entry is free. Written last, so that an entry with a verdict is complete */
    uint8_t list;             /* enum flow_list */
    uint8_t since;            /* the low bits of the tick in which it was accepted */
    uint32_t seen;            /* tick */
    uint32_t next;            /* link, in its chain */
    uint32_t older;
    uint32_t newer;
};

/* Since the table was made. They are kept in it, so that a process that dies loses at most one count. */
struct flow_totals {
    uint64_t added;
    uint64_t replaced; /* flows removed for a new one because the table was full */
    uint64_t expired;  /* flows found to have been idle for longer than the time-out */
};

struct flow_memory_header {
    _Atomic uint32_t changing; /* not 0: chains and lists are being changed */
    struct flow_order {
        uint32_t newest;
        uint32_t oldest;
        uint32_t count;
    } orders[FLOW_LISTS];
    struct flow_totals totals;
    uint32_t used; /* entries that ever held a flow; the others are in no list */
    uint32_t zero[9];
    /* after it: the buckets, each a link to the first entry of its chain; then the entries */
};

/* Where the parts of a table are; in private memory. */
struct flow_memory {
    struct flow_memory_header *header;
    uint32_t *buckets;
    struct flow_entry *entries;
    uint32_t capacity;
    uint32_t bucket_mask;
    bool damaged;
};

/* The bytes of a table with room for `capacity` flows; a multiple of 64. */
size_t flow_memory_size(uint32_t capacity);

/* memory: flow_memory_size(capacity) bytes, aligned to 64. */
void flow_memory_attach(struct flow_memory *index, void *memory, uint32_t capacity);

/* To be called before the first and after the last store that changes the index. */
static inline void flow_memory_begin_change(const struct flow_memory *index)
{
    atomic_store_explicit(&index->header->changing, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static inline void flow_memory_end_change(const struct flow_memory *index)
{
    if (!index->damaged) {
        atomic_store_explicit(&index->header->changing, 0, memory_order_release);
    }
}

/* Notes that the table was damaged: sets `damaged`, and `changing` until it is repaired. */
void flow_memory_found_damage(struct flow_memory *index);

/* The entry that a link leads to. NULL: the link is FLOW_NO_ENTRY, or impossible, which is noted as damage. */
static inline struct flow_entry *flow_memory_entry(struct flow_memory *index, uint32_t link)
{
    if (link - 1 < index->capacity) {
        return &index->entries[link - 1];
    }
    if (link != FLOW_NO_ENTRY) {
        flow_memory_found_damage(index);
    }
    return NULL;
}

/* The list that an entry is in. An impossible one is noted as damage. */
static inline enum flow_list flow_memory_list(struct flow_memory *index, const struct flow_entry *entry)
{
    if (entry->list < FLOW_LISTS) {
        return (enum flow_list)entry->list;
    }
    flow_memory_found_damage(index);
    return FLOW_FREE;
}

/* The entry of a list that was used longest ago. NULL: the list is empty, or there is damage. */
static inline struct flow_entry *flow_memory_oldest(struct flow_memory *index, enum flow_list list)
{
    return flow_memory_entry(index, index->header->orders[list].oldest);
}

/* The link to an entry. */
static inline uint32_t flow_memory_link(const struct flow_memory *index, const struct flow_entry *entry)
{
    return (uint32_t)(entry - index->entries) + 1;
}

/* The bucket of the chain for this hash. */
static inline uint32_t *flow_memory_bucket(const struct flow_memory *index, uint32_t hash)
{
    return &index->buckets[hash & index->bucket_mask];
}

/* The entry of a flow, or NULL. *room: whether its chain has room for another entry. */
struct flow_entry *flow_memory_find(struct flow_memory *index, const struct flow_key *key, uint32_t hash, bool *room);

/* These change the index. */
void flow_memory_bucket_insert(const struct flow_memory *index, struct flow_entry *entry);
void flow_memory_bucket_remove(struct flow_memory *index, const struct flow_entry *entry);
/* entry->list says from which list it is taken. */
void flow_memory_lru_unlink(struct flow_memory *index, const struct flow_entry *entry);
/* As the newest of the list. Sets entry->list. */
void flow_memory_lru_push_front(struct flow_memory *index, struct flow_entry *entry, enum flow_list list);
/* The same for an entry that is in the list already. */
void flow_memory_lru_make_newest(struct flow_memory *index, struct flow_entry *entry, enum flow_list list);

/* Empties the index, whatever was in it. progress: as for flow_table_repair(). */
void flow_memory_clear(struct flow_memory *index, _Atomic uint32_t *progress);

/* Increments *progress every few thousand steps. */
void flow_memory_make_progress(_Atomic uint32_t *progress, uint32_t step);

#endif
