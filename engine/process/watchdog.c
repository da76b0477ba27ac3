/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting samples without progress.
 *
 * The progress word may wrap and may be any value, so only a change of it counts. The interval between samples follows
 * from the time-out, and so does the number of samples: a hang is found after the time-out and at most one interval
 * more, if the samples come in time. Process: [supervisor].
 */
#include "process/watchdog.h"

#define SAMPLES_MIN 4

uint32_t watchdog_interval_ms(uint64_t timeout_ms)
{
    uint64_t interval = timeout_ms / SAMPLES_MIN;

    return interval < 1 ? 1 : interval > WATCHDOG_STALLED_MS ? WATCHDOG_STALLED_MS : (uint32_t)interval;
}

bool watchdog_check(struct watchdog *watchdog, const struct watchdog_sample *sample, uint64_t timeout_ms, bool *stalled)
{
    uint64_t samples = timeout_ms / watchdog_interval_ms(timeout_ms);

    if (!sample->busy || sample->progress != watchdog->progress) {
        watchdog->progress = sample->progress;
        watchdog->still = 0;
        *stalled = false;
        return false;
    }
    watchdog->still++;
    *stalled = true;
    return watchdog->still > samples;
}

void watchdog_reset(struct watchdog *watchdog)
{
    *watchdog = (struct watchdog){0};
}
