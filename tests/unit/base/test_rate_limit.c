/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rate limit: a burst passes in each period, and each event that did not pass is reported once.
 */
#include "unit.h"

#include "base/rate_limit.h"

#define START_NS 500

static unsigned missed;

static bool pass(struct rate_limit *limit, uint64_t now_ns)
{
    missed = 4711;
    return rate_limit_pass(limit, now_ns, &missed);
}

static void test_burst_passes_in_each_period(void **state)
{
    struct rate_limit limit = {.burst = 3, .period_ns = 1000};

    (void)state;
    for (uint64_t period = 1; period < 4; period++) {
        for (uint64_t i = 0; i < 10; i++) {
            assert_int_equal(pass(&limit, period * 1000 + i), i < 3);
            assert_int_equal(missed, period > 1 && i == 0 ? 7 : 0);
        }
    }
}

/* Not at fixed times: one that comes late in what would be a period has a whole one. */
static void test_period_begins_with_its_first_event(void **state)
{
    struct rate_limit limit = {.burst = 1, .period_ns = 100};

    (void)state;
    assert_true(pass(&limit, START_NS));
    assert_false(pass(&limit, START_NS + 99));
    assert_true(pass(&limit, START_NS + 150));
    assert_int_equal(missed, 1);
    assert_false(pass(&limit, START_NS + 249));
    assert_true(pass(&limit, START_NS + 250));
}

static void test_each_that_was_suppressed_is_reported_once(void **state)
{
    struct rate_limit limit = {.burst = 2, .period_ns = 100};
    uint64_t now_ns = START_NS;
    unsigned passed = 0;
    unsigned reported = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++, now_ns += 7) {
        passed += pass(&limit, now_ns);
        reported += missed;
    }
    assert_true(pass(&limit, now_ns + 100));
    reported += missed;
    assert_int_equal(passed + reported, 1000);
    assert_true(pass(&limit, now_ns + 200));
    assert_int_equal(missed, 0);
}

static void test_nothing_was_missed_after_a_quiet_time(void **state)
{
    struct rate_limit limit = {.burst = 2, .period_ns = 100};

    (void)state;
    assert_true(pass(&limit, START_NS));
    assert_int_equal(missed, 0);
    assert_true(pass(&limit, START_NS * 10));
    assert_int_equal(missed, 0);
}

static void test_flush_reports_what_a_period_that_is_over_suppressed(void **state)
{
    struct rate_limit limit = {.burst = 1, .period_ns = 100};

    (void)state;
    assert_int_equal(rate_limit_flush(&limit, START_NS, false), 0);
    assert_true(pass(&limit, START_NS));
    assert_false(pass(&limit, START_NS + 1));
    assert_false(pass(&limit, START_NS + 2));
    assert_int_equal(rate_limit_flush(&limit, START_NS + 99, false), 0);
    assert_int_equal(rate_limit_flush(&limit, START_NS + 100, false), 2);
    assert_int_equal(rate_limit_flush(&limit, START_NS + 100, false), 0);
    assert_true(pass(&limit, START_NS + 101));
    assert_int_equal(missed, 0); /* it was said */
}

static void test_flush_now_does_not_wait_for_the_end_of_the_period(void **state)
{
    struct rate_limit limit = {.burst = 1, .period_ns = 100};

    (void)state;
    assert_true(pass(&limit, START_NS));
    assert_false(pass(&limit, START_NS + 1));
    assert_int_equal(rate_limit_flush(&limit, START_NS + 2, true), 1);
    assert_int_equal(rate_limit_flush(&limit, START_NS + 2, true), 0);
    assert_false(pass(&limit, START_NS + 3)); /* the period goes on */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_passes_in_each_period),
        cmocka_unit_test(test_period_begins_with_its_first_event),
        cmocka_unit_test(test_each_that_was_suppressed_is_reported_once),
        cmocka_unit_test(test_nothing_was_missed_after_a_quiet_time),
        cmocka_unit_test(test_flush_reports_what_a_period_that_is_over_suppressed),
        cmocka_unit_test(test_flush_now_does_not_wait_for_the_end_of_the_period),
    };

    return cmocka_run_group_tests_name("rate_limit", tests, NULL, NULL);
}
