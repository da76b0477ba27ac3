/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a worker runs: on the CPU that its queue process names if its chain is short, anywhere if it is long, and where
 * --cpu says if it says so. The CPU time of a frame is the test's; the CPUs are the machine's.
 */
#include "affinity_fixture.h"
#include "unit.h"

#include "base/clock.h"
#include "process/ring.h"
#include "process/worker_affinity.h"

#include <time.h>

static uint64_t used_ns; /* CPU time of the "worker" */
static unsigned readings;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    assert_int_equal(clock, CLOCK_THREAD_CPUTIME_ID);
    *now = (struct timespec){.tv_sec = (time_t)(used_ns / NS_PER_S), .tv_nsec = (long)(used_ns % NS_PER_S)};
    readings++;
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    used_ns = 0;
    readings = 0;
    return affinity_set_up();
}

static int tear_down(void **state)
{
    (void)state;
    return affinity_restore();
}

/* The n-th CPU of the test; the last one if there are fewer. */
static uint32_t cpu(unsigned n)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &affinity_fixture.machine)) {
            found = i;
            if (n-- == 0) {
                break;
            }
        }
    }
    return found;
}

static void handle(struct worker_affinity *affinity, uint64_t frame_ns)
{
    for (unsigned i = 0; i < WORKER_AFFINITY_FRAMES; i++) {
        used_ns += frame_ns;
        worker_affinity_frame(affinity);
    }
}

static void test_worker_of_a_short_chain_follows(void **state)
{
    const uint32_t named[] = {RING_CPU_ANY, cpu(0), cpu(0), cpu(1), RING_CPU_ANY, cpu(1)};
    struct worker_affinity affinity;

    (void)state;
    worker_affinity_init(&affinity, false);
    handle(&affinity, WORKER_AFFINITY_SHORT_NS);
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        unsigned before = affinity_fixture.changes;

        worker_affinity_follow(&affinity, named[i]);
        assert_affinity(named[i]);
        assert_true(affinity_fixture.changes - before ==
                    (i > 0 && named[i] != named[i - 1])); /* a system call for a change alone */
    }
}

static void test_long_chain_runs_anywhere_until_it_is_short_again(void **state)
{
    struct worker_affinity affinity;

    (void)state;
    worker_affinity_init(&affinity, false);
    worker_affinity_follow(&affinity, cpu(0));
    handle(&affinity, WORKER_AFFINITY_LONG_NS); /* not long yet */
    worker_affinity_follow(&affinity, cpu(0));
    assert_affinity(cpu(0));
    handle(&affinity, WORKER_AFFINITY_LONG_NS + 1);
    worker_affinity_follow(&affinity, cpu(0));
    assert_affinity(RING_CPU_ANY);
    handle(&affinity, WORKER_AFFINITY_SHORT_NS + 1); /* not short yet */
    worker_affinity_follow(&affinity, cpu(0));
    assert_affinity(RING_CPU_ANY);
    handle(&affinity, WORKER_AFFINITY_SHORT_NS);
    worker_affinity_follow(&affinity, cpu(0));
    assert_affinity(cpu(0));
    assert_int_equal(readings, 1 + 4); /* one for many frames */
}

static void test_worker_with_a_cpu_of_its_own_stays_there(void **state)
{
    struct worker_affinity affinity;

    (void)state;
    worker_affinity_init(&affinity, true);
    readings = 0;
    handle(&affinity, WORKER_AFFINITY_LONG_NS + 1);
    worker_affinity_follow(&affinity, cpu(0));
    assert_int_equal(affinity_fixture.changes, 0);
    assert_int_equal(readings, 0);
}

static void test_change_that_is_refused_is_not_tried_again(void **state)
{
    struct worker_affinity affinity;

    (void)state;
    affinity_fixture.refused = true;
    worker_affinity_init(&affinity, false);
    worker_affinity_follow(&affinity, cpu(0));
    worker_affinity_follow(&affinity, RING_CPU_ANY);
    worker_affinity_follow(&affinity, cpu(1));
    assert_int_equal(affinity_fixture.changes, 1);
    assert_affinity(RING_CPU_ANY);
}

static void test_named_cpu_that_cannot_be_is_none(void **state)
{
    struct worker_affinity affinity;

    (void)state;
    worker_affinity_init(&affinity, false);
    worker_affinity_follow(&affinity, CPU_SETSIZE);
    assert_int_equal(affinity_fixture.changes, 0);
    assert_affinity(RING_CPU_ANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_worker_of_a_short_chain_follows),
        TEST(test_long_chain_runs_anywhere_until_it_is_short_again),
        TEST(test_worker_with_a_cpu_of_its_own_stays_there),
        TEST(test_change_that_is_refused_is_not_tried_again),
        TEST(test_named_cpu_that_cannot_be_is_none),
    };

    return cmocka_run_group_tests_name("worker_affinity", tests, NULL, NULL);
}
