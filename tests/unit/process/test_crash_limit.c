/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The crash limit: reached when so many crashes of one plugin on one queue lie within the time, and not one sooner, nor
 * a nanosecond later.
 */
#include "unit.h"

#include "base/clock.h"
#include "process/crash_limit.h"

#define QUEUES 3
#define PLUGINS 4
#define WINDOW_MS 1000
#define WINDOW_NS (WINDOW_MS * NS_PER_MS)
#define BEGIN_NS (5 * NS_PER_S)

static struct crash_limits limits;

static void begin(uint64_t count)
{
    assert_int_equal(crash_limits_init(&limits, count, WINDOW_MS, QUEUES, PLUGINS), 0);
}

static int tear_down(void **state)
{
    (void)state;
    crash_limits_done(&limits);
    return 0;
}

static bool crash(uint64_t now_ns)
{
    return crash_limits_reached(&limits, 1, 2, now_ns);
}

static void test_without_a_limit_it_is_never_reached(void **state)
{
    (void)state;
    begin(0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(crash(BEGIN_NS));
    }
}

static void test_limit_of_one_is_reached_by_the_first(void **state)
{
    (void)state;
    begin(1);
    assert_true(crash(BEGIN_NS));
    assert_true(crash(BEGIN_NS + 10 * WINDOW_NS));
}

/* The clock begins with 0 when the machine starts. */
static void test_crashes_that_were_not_do_not_count_on_a_machine_that_has_just_started(void **state)
{
    (void)state;
    begin(3);
    assert_false(crash(1));
    assert_false(crash(2));
    assert_true(crash(3));
}

static void test_window_ends_exactly(void **state)
{
    (void)state;
    begin(3);
    assert_false(crash(BEGIN_NS));
    assert_false(crash(BEGIN_NS + 1));
    assert_true(crash(BEGIN_NS + WINDOW_NS)); /* the first one is in it, for the last time */
    assert_false(crash(BEGIN_NS + WINDOW_NS + 2)); /* now the second one is out of it, too */
    assert_true(crash(BEGIN_NS + 2 * WINDOW_NS));
}

static void test_one_nanosecond_later_is_too_late(void **state)
{
    (void)state;
    begin(2);
    assert_false(crash(BEGIN_NS));
    assert_false(crash(BEGIN_NS + WINDOW_NS + 1));
    assert_false(crash(BEGIN_NS + 2 * WINDOW_NS + 2));
    assert_true(crash(BEGIN_NS + 3 * WINDOW_NS + 2));
}

static void test_crashes_at_one_moment_count_each(void **state)
{
    (void)state;
    begin(4);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(crash(BEGIN_NS));
    }
    assert_true(crash(BEGIN_NS));
    assert_true(crash(BEGIN_NS + 1)); /* and the limit stays reached while they come so fast */
}

static void test_each_plugin_of_each_queue_counts_for_itself(void **state)
{
    (void)state;
    begin(2);
    for (unsigned queue = 0; queue < QUEUES; queue++) {
        for (unsigned plugin = 0; plugin < PLUGINS; plugin++) {
            assert_false(crash_limits_reached(&limits, queue, plugin, BEGIN_NS));
        }
    }
    for (unsigned queue = 0; queue < QUEUES; queue++) {
        for (unsigned plugin = 0; plugin < PLUGINS; plugin++) {
            assert_true(crash_limits_reached(&limits, queue, plugin, BEGIN_NS + 1));
        }
    }
}

/* Against a count of all that were. */
static void test_random_crashes_reach_it_when_so_many_are_in_the_window(void **state)
{
    uint64_t random = 88172645463325252u;

    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        uint64_t times[200];
        uint64_t limit = 1 + unit_random_below(&random, 9);
        uint64_t now_ns = BEGIN_NS;

        begin(limit);
        for (unsigned i = 0; i < 200; i++) {
            uint64_t within = 0;

            now_ns += (uint64_t)unit_random_below(&random, 400) * NS_PER_MS;
            times[i] = now_ns;
            for (unsigned j = 0; j <= i; j++) {
                within += now_ns - times[j] <= WINDOW_NS;
            }
            assert_int_equal(crash(now_ns), within >= limit);
        }
        crash_limits_done(&limits);
    }
}

int main(void)
{
#define WITH_LIMITS(test) cmocka_unit_test_teardown(test, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LIMITS(test_without_a_limit_it_is_never_reached),
        WITH_LIMITS(test_limit_of_one_is_reached_by_the_first),
        WITH_LIMITS(test_crashes_that_were_not_do_not_count_on_a_machine_that_has_just_started),
        WITH_LIMITS(test_window_ends_exactly),
        WITH_LIMITS(test_one_nanosecond_later_is_too_late),
        WITH_LIMITS(test_crashes_at_one_moment_count_each),
        WITH_LIMITS(test_each_plugin_of_each_queue_counts_for_itself),
        WITH_LIMITS(test_random_crashes_reach_it_when_so_many_are_in_the_window),
    };

    return cmocka_run_group_tests_name("crash_limit", tests, NULL, NULL);
}
