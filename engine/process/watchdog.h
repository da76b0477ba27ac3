/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watchdog: finds a process that makes no progress, from samples. The supervisor has one for each queue process,
 * whose journal has a word of progress, and one for the births of the fork server.
 *
 * It counts its own samples, not the clock: when the machine was paused, or the supervisor got no CPU, one sample comes
 * late, and no process is killed for it. A process hangs when, over a whole time-out's worth of samples, its progress
 * did not change although there was something to do. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_WATCHDOG_H
#define ENGINE_PROCESS_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#define WATCHDOG_IDLE_MS 250   /* between samples, while every queue process makes progress */
#define WATCHDOG_STALLED_MS 25 /* once one does not */

struct watchdog {
    uint32_t progress;
    uint32_t still; /* samples in a row without progress */
};

/* What a sample sees. */
struct watchdog_sample {
    uint32_t progress; /* journal_progress() */
    bool busy;         /* a burst is in flight, or packets wait */
};

/* How far apart samples are once a queue process makes no progress; a time-out has at least four of them. */
uint32_t watchdog_interval_ms(uint64_t timeout_ms);

/* Takes a sample. Returns whether it hangs. *stalled: the next sample should come after watchdog_interval_ms(). */
bool watchdog_check(struct watchdog *watchdog, const struct watchdog_sample *sample, uint64_t timeout_ms,
                    bool *stalled);

/* For a new queue process. */
void watchdog_reset(struct watchdog *watchdog);

#endif
