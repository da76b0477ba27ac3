/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The set of packet ids for which the kernel still waits for a verdict.
 *
 * The kernel numbers the packets of a queue one after the other, and they are received in that order. So the set is the
 * newest id that was received, and the few ranges of ids before it that have no verdict yet; every other id up to
 * the newest has one. If an id was not received although a later one was, its message was lost:
 * outstanding_missing() finds it.
 *
 * It also says where a batch verdict must stop: a batch message answers every queued id up to its own, hence also
 * those of the set (nfnetlink_queue.c, nfqnl_recv_verdict_batch()).
 *
 * Ids are 32 bits and wrap; which of two comes first is the sign of their difference, as in the kernel. Never
 * allocates. Pure data, copied by assignment or with outstanding_copy(). Any process.
 */
#ifndef ENGINE_BURST_OUTSTANDING_H
#define ENGINE_BURST_OUTSTANDING_H

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* One for each packet in flight, since there may be a gap before each; and one for ids that were lost with a process. */
#define OUTSTANDING_RANGES_MAX (BURST_MAX * BURSTS_IN_FLIGHT + 1)

/* All ids from first to last. */
struct outstanding_range {
    uint32_t first;
    uint32_t last;
};

struct outstanding {
    uint32_t last_id; /* the newest id received; before the first packet, the one before it */
    uint32_t count; /* of ranges in use */
    struct outstanding_range ranges[OUTSTANDING_RANGES_MAX]; /* in order, up to last_id, none touching the next */
};

/* Whether id `a` comes after id `b`. */
static inline bool outstanding_is_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

/* Whether what another process wrote can be such a set. */
bool outstanding_is_sound(const struct outstanding *set);

/* Whether `id` is in the set. */
bool outstanding_has(const struct outstanding *set, uint32_t id);

/* Copies only the ranges in use. from: sound. */
void outstanding_copy(struct outstanding *to, const struct outstanding *from);

/*
 * The ids after the newest one and before `next`, which is the next id that was received. False, and *missing is
 * untouched: there are none, or `next` is not after the newest.
 */
bool outstanding_missing(const struct outstanding *set, uint32_t next, struct outstanding_range *missing);

/* `id` is the newest id now. Ids between it and the one before it count as answered unless they are added. */
static inline void outstanding_advance(struct outstanding *set, uint32_t id)
{
    set->last_id = id;
}

/*
 * Adds ids that come after all of the set; the newest id becomes at least the range's last. Returns 0; -EINVAL: they do
 * not; -ENOSPC: OUTSTANDING_RANGES_MAX ranges are in use.
 */
int outstanding_add(struct outstanding *set, struct outstanding_range range);

/*
 * The ids of the range have their verdict. Returns 0; -ENOENT: some of them are not in the set, which stays as it was;
 * -ENOSPC: it would fall into more than OUTSTANDING_RANGES_MAX ranges.
 */
int outstanding_remove(struct outstanding *set, struct outstanding_range range);

/* Whether a batch message up to `id` answers no id of the set. */
static inline bool outstanding_allows_batch(const struct outstanding *set, uint32_t id)
{
    return set->count == 0 || outstanding_is_after(set->ranges[0].first, id);
}

#endif
