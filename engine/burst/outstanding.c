/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ranges of ids in a small sorted array.
 *
 * Ids come in order, so a new range is always the last one; if it touches the one before, the two become one. Removing
 * shortens a range, splits it, or takes it out. A burst whose ids have no gap is one range from its receive to its
 * send. Process: [queue process]; the supervisor reads the newest id.
 */
#include "burst/outstanding.h"

#include <errno.h>
#include <string.h>

bool outstanding_is_sound(const struct outstanding *set)
{
    if (set->count > OUTSTANDING_RANGES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        const struct outstanding_range *range = &set->ranges[i];

        if (outstanding_is_after(range->first, range->last) || outstanding_is_after(range->last, set->last_id)) {
            return false;
        }
        if (i > 0 && !outstanding_is_after(range->first, range[-1].last + 1)) {
            return false;
        }
    }
    return true;
}

bool outstanding_has(const struct outstanding *set, uint32_t id)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (!outstanding_is_after(set->ranges[i].first, id) && !outstanding_is_after(id, set->ranges[i].last)) {
            return true;
        }
    }
    return false;
}

void outstanding_copy(struct outstanding *to, const struct outstanding *from)
{
    to->last_id = from->last_id;
    to->count = from->count;
    for (uint32_t i = 0; i < from->count; i++) {
        to->ranges[i] = from->ranges[i];
    }
}

bool outstanding_missing(const struct outstanding *set, uint32_t next, struct outstanding_range *missing)
{
    if (!outstanding_is_after(next, set->last_id + 1)) {
        return false;
    }
    *missing = (struct outstanding_range){.first = set->last_id + 1, .last = next - 1};
    return true;
}

int outstanding_add(struct outstanding *set, struct outstanding_range range)
{
    struct outstanding_range *newest = set->count > 0 ? &set->ranges[set->count - 1] : NULL;

    if (outstanding_is_after(range.first, range.last) ||
        (newest != NULL && !outstanding_is_after(range.first, newest->last))) {
        return -EINVAL;
    }
    if (newest != NULL && range.first == newest->last + 1) {
        newest->last = range.last;
    } else if (set->count == OUTSTANDING_RANGES_MAX) {
        return -ENOSPC;
    } else {
        set->ranges[set->count++] = range;
    }
    if (outstanding_is_after(range.last, set->last_id)) {
        set->last_id = range.last;
    }
    return 0;
}

/* Moves the ranges from `index` on by `by` places, forwards (1) or backwards (-1). */
static void shift(struct outstanding *set, uint32_t index, int by)
{
    uint32_t moved = set->count - index;

    memmove(&set->ranges[index] + by, &set->ranges[index], moved * sizeof(set->ranges[0]));
    set->count = (uint32_t)((int)set->count + by);
}

/* The range that holds all of these ids; NULL: none does. */
static struct outstanding_range *find(struct outstanding *set, struct outstanding_range ids)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct outstanding_range *range = &set->ranges[i];

        if (!outstanding_is_after(range->first, ids.first) && !outstanding_is_after(ids.last, range->last)) {
            return range;
        }
    }
    return NULL;
}

int outstanding_remove(struct outstanding *set, struct outstanding_range range)
{
    struct outstanding_range *within = outstanding_is_after(range.first, range.last) ? NULL : find(set, range);
    uint32_t index;

    if (within == NULL) {
        return -ENOENT;
    }
    index = (uint32_t)(within - set->ranges);
    if (within->first == range.first && within->last == range.last) {
        shift(set, index + 1, -1);
    } else if (within->first == range.first) {
        within->first = range.last + 1;
    } else if (within->last == range.last) {
        within->last = range.first - 1;
    } else {
        if (set->count == OUTSTANDING_RANGES_MAX) {
            return -ENOSPC;
        }
        shift(set, index, 1);
        within[0].last = range.first - 1;
        within[1].first = range.last + 1;
    }
    return 0;
}
