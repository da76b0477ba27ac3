/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hash chains of entries that never move, since an entry's index is the flow's number.
 *
 * Links are an entry's number plus one, in 16 bits, so buckets and heads of 256 flows stay in the cache. The entry that
 * was freed last is used next, for the same reason, and one that was never used only when none was freed: a queue whose
 * plugins give no verdicts for flows has no memory for them. An entry's epoch grows each time it is used for a flow, and is
 * never 0, so that zeroed memory of a worker knows no flow. Process: [queue process].
 */
#include "flow/flow_in_flight.h"

#include <string.h>

_Static_assert(FLOWS_IN_FLIGHT_MAX < UINT16_MAX, "a link is a number plus one");
_Static_assert((FLOW_IN_FLIGHT_BUCKETS & (FLOW_IN_FLIGHT_BUCKETS - 1)) == 0, "a power of two");

void flow_in_flight_init(struct flow_in_flight *flows)
{
    memset(flows->buckets, 0, sizeof(flows->buckets));
    flows->free = 0;
    flows->used = 0;
}

static uint16_t *bucket_of(struct flow_in_flight *flows, uint32_t hash)
{
    return &flows->buckets[hash % FLOW_IN_FLIGHT_BUCKETS];
}

uint32_t flow_in_flight_find(const struct flow_in_flight *flows, const struct flow_lookup *lookup)
{
    uint16_t link = lookup->has_flow ? flows->buckets[lookup->hash % FLOW_IN_FLIGHT_BUCKETS] : 0;

    while (link != 0) {
        const struct flow_in_flight_entry *entry = &flows->entries[link - 1];

        if (entry->hash == lookup->hash && flow_key_same(&entry->key, &lookup->key)) {
            return link - 1u;
        }
        link = entry->next;
    }
    return FLOW_IN_FLIGHT_NONE;
}

/* Takes an entry that is free. Returns the link to it, or 0: there is none. */
static uint16_t take_free(struct flow_in_flight *flows)
{
    uint16_t link = flows->free;

    if (link != 0) {
        flows->free = flows->entries[link - 1].next;
    } else if (flows->used < FLOWS_IN_FLIGHT_MAX) {
        flows->entries[flows->used] = (struct flow_in_flight_entry){0};
        link = ++flows->used;
    }
    return link;
}

/* Takes a free entry for the flow. FLOW_IN_FLIGHT_NONE: there is none. */
static uint32_t add(struct flow_in_flight *flows, const struct flow_lookup *lookup)
{
    uint16_t *bucket = bucket_of(flows, lookup->hash);
    uint16_t link = take_free(flows);
    struct flow_in_flight_entry *entry;

    if (link == 0) {
        return FLOW_IN_FLIGHT_NONE;
    }
    entry = &flows->entries[link - 1];
    entry->key = lookup->key;
    entry->hash = lookup->hash;
    entry->epoch++;
    entry->epoch += entry->epoch == 0;
    entry->next = *bucket;
    *bucket = link;
    return link - 1u;
}

uint32_t flow_in_flight_acquire(struct flow_in_flight *flows, const struct flow_lookup *lookup)
{
    uint32_t number = flow_in_flight_find(flows, lookup);

    if (number == FLOW_IN_FLIGHT_NONE && lookup->has_flow) {
        number = add(flows, lookup);
    }
    if (number != FLOW_IN_FLIGHT_NONE) {
        flows->entries[number].packets++;
    }
    return number;
}

void flow_in_flight_release(struct flow_in_flight *flows, uint32_t number)
{
    struct flow_in_flight_entry *entry;
    uint16_t *link;

    if (number == FLOW_IN_FLIGHT_NONE) {
        return;
    }
    entry = &flows->entries[number];
    if (--entry->packets > 0) {
        return;
    }
    for (link = bucket_of(flows, entry->hash); *link != number + 1; link = &flows->entries[*link - 1].next) {
    }
    *link = entry->next;
    entry->next = flows->free;
    flows->free = (uint16_t)(number + 1);
}
