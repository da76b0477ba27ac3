/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See watchdog.h. No clock is read here.
 */
#include "process/watchdog.h"

#define SAMPLES_MIN 4

uint32_t watchdog_interval_ms(uint64_t timeout_ms)
{
    uint64_t interval = timeout_ms / SAMPLES_MIN;

    return interval < 1 ? 1 : interval > WATCHDOG_STALLED_MS ? WATCHDOG_STALLED_MS : (uint32_t)interval;
}

bool watchdog_check(struct watchdog *watch, const struct watchdog_sample *sample, uint64_t timeout_ms, bool *stalled)
{
    uint64_t samples = timeout_ms / watchdog_interval_ms(timeout_ms);

    if (!sample->busy || sample->progress != watch->progress) {
        watch->progress = sample->progress;
        watch->still = 0;
        *stalled = false;
        return false;
    }
    watch->still++;
    *stalled = true;
    return watch->still > samples;
}

void watchdog_reset(struct watchdog *watch)
{
    *watch = (struct watchdog){0};
}
