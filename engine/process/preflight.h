/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is checked against this machine before anything is opened: plugin files, CPUs, memory, system calls, capability,
 * descriptors; and the wait for owners of the queues that are ending.
 *
 * A start that fails here has disturbed no traffic: no queue is bound. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_PREFLIGHT_H
#define ENGINE_PROCESS_PREFLIGHT_H

#include "base/error.h"
#include "process/generation.h"

/*
 * Checks and copies the plugin files of the generation's group, makes the plan of its queues, and checks that this
 * machine can do it; raises the limit on descriptors as far as it may be. If it can, waits up to 3 seconds for each
 * queue whose owner was killed but has not ended; one that is still owned after that is refused when it is opened.
 * Returns 0, or a negative errno with the first reason in *error; the copies made so far are closed by
 * generation_done().
 */
int preflight_check(struct generation *generation, struct error *error);

#endif
