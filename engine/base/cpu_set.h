/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPUs that a thread may run on: one of them, or all that it was given.
 */
#ifndef ENGINE_BASE_CPU_SET_H
#define ENGINE_BASE_CPU_SET_H

#include <errno.h>
#include <sched.h>
#include <stdint.h>

#define CPU_SET_ALL UINT32_MAX /* in place of a CPU */

/* This CPU alone, below CPU_SETSIZE. */
static inline cpu_set_t cpu_set_one(uint32_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return set;
}

/* The same; CPU_SET_ALL: all that are in `given`. */
static inline cpu_set_t cpu_set_of(const cpu_set_t *given, uint32_t cpu)
{
    return cpu == CPU_SET_ALL ? *given : cpu_set_one(cpu);
}

/* Has this thread run on these from now on. Returns 0 or a negative errno. */
static inline int cpu_set_take(const cpu_set_t *set)
{
    return sched_setaffinity(0, sizeof(*set), set) < 0 ? -errno : 0;
}

#endif
