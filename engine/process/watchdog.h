/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watch: finds a worker that makes no progress, from samples of its journal.
 *
 * It counts its own samples, not the clock: a machine that was paused, or a supervisor that got no CPU, makes
 * one late sample and blames nobody. A worker is stuck when, over a whole time-out's worth of samples,
 * nothing moved although there was something to do: a burst in flight, or packets waiting in the kernel.
 */
#ifndef ENGINE_PROCESS_WATCHDOG_H
#define ENGINE_PROCESS_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#define WATCHDOG_IDLE_MS 250 /* between samples, while everything moves */
#define WATCHDOG_STALLED_MS 25    /* once something did not */

struct watchdog {
    uint32_t progress;
    uint32_t still; /* samples in a row without a movement */
};

/* What a sample sees. */
struct watchdog_sample {
    uint32_t progress; /* burst.progress */
    bool busy;         /* a burst is in flight, or packets wait */
};

/* How far apart samples are while something stands still; a time-out has at least four of them. */
uint32_t watchdog_interval_ms(uint64_t timeout_ms);

/* Takes a sample. True: stuck. *stalled: the next sample should come after watchdog_interval_ms(). */
bool watchdog_check(struct watchdog *watch, const struct watchdog_sample *sample, uint64_t timeout_ms, bool *stalled);

/* Forgets everything: a new worker. */
void watchdog_reset(struct watchdog *watch);

#endif
