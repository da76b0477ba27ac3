/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See watch.h. No clock is read here.
 */
#include "process/watchdog.h"

#define SAMPLES_MIN 4

uint32_t watch_interval_ms(uint64_t timeout_ms)
{
    uint64_t interval = timeout_ms / SAMPLES_MIN;

    return interval < 1 ? 1 : interval > WATCH_CLOSE_MS ? WATCH_CLOSE_MS : (uint32_t)interval;
}

bool watch_take(struct watch *watch, const struct watch_sample *sample, uint64_t timeout_ms, bool *suspicious)
{
    uint64_t samples = timeout_ms / watch_interval_ms(timeout_ms);

    if (!sample->busy || sample->progress != watch->progress) {
        watch->progress = sample->progress;
        watch->still = 0;
        *suspicious = false;
        return false;
    }
    watch->still++;
    *suspicious = true;
    return watch->still > samples;
}

void watch_reset(struct watch *watch)
{
    *watch = (struct watch){0};
}
