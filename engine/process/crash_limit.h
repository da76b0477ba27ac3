/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --crash-limit: how often a plugin may crash, hang or fail to open within a time, on one queue.
 *
 * The times of the last crashes are kept for each plugin of each queue, so the answer is exact: the limit is reached when
 * so many lie within the time that ends now. Which plugin it was a worker has said, whose plugins could make it lie.
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CRASH_LIMIT_H
#define ENGINE_PROCESS_CRASH_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct crash_limits {
    uint64_t count;     /* 0: there is no limit */
    uint64_t window_ns;
    unsigned plugins;   /* kinds of crashes on a queue */
    uint64_t *times;    /* for each queue and plugin the last `count`, in turn */
    uint32_t *next;     /* which of them is the oldest */
};

/* For so many queues, with so many plugins on each. Returns 0 or -ENOMEM. count 0: no limit. */
int crash_limits_init(struct crash_limits *limits, uint64_t count, uint64_t window_ms, unsigned queues,
                      unsigned plugins);

void crash_limits_done(struct crash_limits *limits);

/* A plugin has crashed, now. Returns whether the limit is reached. */
bool crash_limits_reached(struct crash_limits *limits, unsigned queue, unsigned plugin, uint64_t now_ns);

#endif
