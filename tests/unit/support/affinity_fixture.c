/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sched_setaffinity(2) between the code under test and the kernel.
 */
#include "affinity_fixture.h"

#include "unit.h"

#include "base/cpu_set.h"

struct affinity_fixture affinity_fixture;

int __real_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);
int __wrap_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);

int __wrap_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
    affinity_fixture.changes++;
    if (affinity_fixture.refused) {
        errno = EPERM;
        return -1;
    }
    return __real_sched_setaffinity(pid, size, set);
}

int affinity_set_up(void)
{
    affinity_fixture.changes = 0;
    affinity_fixture.refused = false;
    return sched_getaffinity(0, sizeof(affinity_fixture.machine), &affinity_fixture.machine);
}

int affinity_restore(void)
{
    return __real_sched_setaffinity(0, sizeof(affinity_fixture.machine), &affinity_fixture.machine);
}

void assert_affinity(uint32_t cpu)
{
    cpu_set_t set;

    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    if (cpu == CPU_SET_ALL) {
        assert_true(CPU_EQUAL(&set, &affinity_fixture.machine));
    } else {
        assert_int_equal(CPU_COUNT(&set), 1);
        assert_true(CPU_ISSET(cpu, &set));
    }
}
