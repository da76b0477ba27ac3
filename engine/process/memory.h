/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory this process can have: what the machine has, and what the limits of its cgroups leave.
 *
 * Process: [supervisor], at start.
 */
#ifndef ENGINE_PROCESS_MEMORY_H
#define ENGINE_PROCESS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#define MEMORY_OWNER_MAX 512

struct memory_available {
    uint64_t bytes;               /* without swapping; UINT64_MAX: unknown */
    char owner[MEMORY_OWNER_MAX]; /* whose they are: "this machine", or the file with the limit of a cgroup */
    bool is_limit;                /* the latter: it can be raised */
};

/*
 * The least of what the machine and each cgroup of this process, up to the root, have left. What cannot be found out
 * limits nothing.
 */
void memory_find_available(struct memory_available *available);

#endif
