/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring of times for each plugin: as long as the limit, so the entry that is overwritten next is the crash that was so
 * many ago. Process: [supervisor].
 */
#include "process/crash_limit.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

int crash_limits_init(struct crash_limits *limits, uint64_t count, uint64_t window_ms, unsigned queues,
                      unsigned plugins)
{
    size_t rings = (size_t)queues * plugins;

    *limits = (struct crash_limits){.count = count, .window_ns = window_ms * NS_PER_MS, .plugins = plugins};
    if (count == 0) {
        return 0;
    }
    limits->times = calloc(rings * count, sizeof(*limits->times));
    limits->next = calloc(rings, sizeof(*limits->next));
    if (limits->times == NULL || limits->next == NULL) {
        crash_limits_done(limits);
        return -ENOMEM;
    }
    return 0;
}

void crash_limits_done(struct crash_limits *limits)
{
    free(limits->times);
    free(limits->next);
    *limits = (struct crash_limits){.count = 0};
}

bool crash_limits_reached(struct crash_limits *limits, unsigned queue, unsigned plugin, uint64_t now_ns)
{
    size_t ring = (size_t)queue * limits->plugins + plugin;
    uint64_t *times;
    uint64_t oldest;

    if (limits->count == 0) {
        return false;
    }
    times = &limits->times[ring * limits->count];
    times[limits->next[ring]] = now_ns;
    limits->next[ring] = (uint32_t)((limits->next[ring] + 1) % limits->count);
    oldest = times[limits->next[ring]];
    return oldest != 0 && now_ns - oldest <= limits->window_ns;
}
