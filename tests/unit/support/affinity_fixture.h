/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPUs of a test that moves itself: those that it began with, and each change, which the test can have refused.
 *
 * For programs that are linked with --wrap=sched_setaffinity: a change is counted, and made by the kernel.
 */
#ifndef UNIT_AFFINITY_FIXTURE_H
#define UNIT_AFFINITY_FIXTURE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct affinity_fixture {
    cpu_set_t machine; /* CPUs of the test */
    unsigned changes; /* that the code under test has asked for */
    bool refused;     /* each change is, with EPERM */
};

extern struct affinity_fixture affinity_fixture;

/* Notes the CPUs that the test has now; nothing was changed or is refused. Returns 0 or -1. */
int affinity_set_up(void);

/* Gives the test its CPUs back; not counted. Returns 0 or -1. */
int affinity_restore(void);

/* Fails the running test unless it runs on this CPU alone, or, for CPU_SET_ALL, on all that it began with. */
void assert_affinity(uint32_t cpu);

#endif
