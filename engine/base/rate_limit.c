/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting events against a limit.
 *
 * A period begins with an event, not at a multiple of its length, so `burst` events may pass just before a period ends
 * and as many again after it. The time is a parameter: nothing here reads a clock, and a test can choose any time.
 * Process: any.
 */
#include "base/rate_limit.h"

static bool period_is_over(const struct rate_limit *limit, uint64_t now_ns)
{
    return limit->period_start_ns == 0 || now_ns - limit->period_start_ns >= limit->period_ns;
}

bool rate_limit_pass(struct rate_limit *limit, uint64_t now_ns, unsigned *missed)
{
    *missed = 0;
    if (period_is_over(limit, now_ns)) {
        *missed = limit->suppressed;
        limit->period_start_ns = now_ns;
        limit->passed = 0;
        limit->suppressed = 0;
    }
    if (limit->passed >= limit->burst) {
        limit->suppressed++;
        return false;
    }
    limit->passed++;
    return true;
}

unsigned rate_limit_flush(struct rate_limit *limit, uint64_t now_ns, bool now)
{
    unsigned suppressed = limit->suppressed;

    if (!now && !period_is_over(limit, now_ns)) {
        return 0;
    }
    limit->suppressed = 0;
    return suppressed;
}
