/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a flow table: entries, and the index around them: chains by hash, and the order of use.
 *
 * Memory that is all zero is an empty table: a link between entries is an index plus one, and 0 is nobody. An entry is
 * in one chain, by its hash, if it holds a flow, and always in the order of use: a doubly linked list from the newest
 * to the oldest, at whose old end the freed entries are.
 *
 * Whoever changes chains or order announces it in `changing` first, so what a worker that dies in between leaves is
 * found by the next one. Others can write to this memory, so every link is checked when it is followed, and every
 * walk is bounded; what cannot be is `damaged`. Knows nothing of packets, verdicts and time.
 */
#ifndef ENGINE_FLOW_FLOW_MEMORY_H
#define ENGINE_FLOW_FLOW_MEMORY_H

#include "flow/flow_key.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_MEMORY_VERSION 1 /* of the layout of header, buckets and entries */
#define FLOW_NO_ENTRY 0

struct flow_entry {
    struct flow_key key;
    uint32_t hash;
    _Atomic uint32_t verdict; /* 0: the entry is free. Written last: a verdict says that the rest is whole */
    uint32_t seen;            /* tick */
    uint32_t next;            /* in its chain */
    uint32_t older;
    uint32_t newer;
};

/* Since the table was made. Kept in it, so that the death of a worker costs at most one count. */
struct flow_totals {
    uint64_t added;
    uint64_t replaced; /* flows that made room for newer ones, since the table was full */
    uint64_t expired;  /* flows found to have been idle for too long */
};

struct flow_memory_header {
    _Atomic uint32_t changing; /* chains and order are being changed */
    uint32_t used;             /* entries that ever held a flow; the rest is in no list */
    uint32_t newest;
    uint32_t oldest;
    struct flow_totals totals;
    uint32_t zero[6];
    /* then the buckets: the first entry of each chain; then the entries */
};

/* Where the parts are, in private memory. */
struct flow_memory {
    struct flow_memory_header *header;
    uint32_t *buckets;
    struct flow_entry *entries;
    uint32_t capacity;
    uint32_t bucket_mask;
    bool damaged;
};

/* Bytes that a table of so many flows takes, a multiple of 64. */
size_t flow_memory_size(uint32_t capacity);

/* memory: flow_memory_size(capacity) bytes, aligned to 64. */
void flow_memory_attach(struct flow_memory *index, void *memory, uint32_t capacity);

/* Between the two, the index may be wrong. */
void flow_memory_begin_change(const struct flow_memory *index);
void flow_memory_end_change(const struct flow_memory *index);

/* Somebody else wrote to the table: `damaged`, and `changing` until it is repaired. */
void flow_memory_found_damage(struct flow_memory *index);

/* The entry behind a link. NULL: nobody, or nothing that can be an entry. */
struct flow_entry *flow_memory_entry(struct flow_memory *index, uint32_t link);

/* The link that leads to an entry. */
static inline uint32_t flow_memory_link(const struct flow_memory *index, const struct flow_entry *entry)
{
    return (uint32_t)(entry - index->entries) + 1;
}

/* The bucket in which the chain of this hash begins. */
static inline uint32_t *flow_memory_bucket(const struct flow_memory *index, uint32_t hash)
{
    return &index->buckets[hash & index->bucket_mask];
}

/* The entry of a flow, or NULL. *room: whether its chain takes another entry. */
struct flow_entry *flow_memory_find(struct flow_memory *index, const struct flow_key *key, uint32_t hash, bool *room);

/* The rest changes the index. */
void flow_memory_bucket_insert(const struct flow_memory *index, struct flow_entry *entry);
void flow_memory_bucket_remove(struct flow_memory *index, const struct flow_entry *entry);
void flow_memory_lru_unlink(struct flow_memory *index, const struct flow_entry *entry);
void flow_memory_lru_push_front(struct flow_memory *index, struct flow_entry *entry);
void flow_memory_lru_push_back(struct flow_memory *index, struct flow_entry *entry);

/* Takes all entries out of the index, whatever it was. What `progress` is for: see flow_table_repair(). */
void flow_memory_clear(struct flow_memory *index, _Atomic uint32_t *progress);

/* A sign of life every few thousand steps. */
void flow_memory_make_progress(_Atomic uint32_t *progress, uint32_t step);

#endif
