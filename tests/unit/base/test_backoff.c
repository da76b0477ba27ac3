/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backoff: the waits double from the shortest to the longest and begin again after a success.
 */
#include "unit.h"

#include "base/backoff.h"

#include <limits.h>

static void assert_waits(struct backoff *backoff, const unsigned *expected_ms, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(backoff_next(backoff), expected_ms[i]);
        assert_int_equal(backoff->wait_ms, expected_ms[i]);
    }
}

static void test_waits_double_up_to_the_longest_and_stay_there(void **state)
{
    static const unsigned expected_ms[] = {10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000};
    struct backoff backoff = {.min_ms = 10, .max_ms = 1000};

    (void)state;
    assert_waits(&backoff, expected_ms, sizeof(expected_ms) / sizeof(expected_ms[0]));
}

static void test_longest_that_is_a_double_is_reached_exactly(void **state)
{
    static const unsigned expected_ms[] = {5, 10, 20, 40, 40};
    struct backoff backoff = {.min_ms = 5, .max_ms = 40};

    (void)state;
    assert_waits(&backoff, expected_ms, sizeof(expected_ms) / sizeof(expected_ms[0]));
}

static void test_success_begins_with_the_shortest_again(void **state)
{
    static const unsigned expected_ms[] = {10, 20};
    struct backoff backoff = {.min_ms = 10, .max_ms = 1000};

    (void)state;
    backoff_reset(&backoff);
    assert_waits(&backoff, expected_ms, 2);
    backoff_reset(&backoff);
    assert_int_equal(backoff.wait_ms, 0);
    assert_waits(&backoff, expected_ms, 2);
}

static void test_one_length_only(void **state)
{
    static const unsigned expected_ms[] = {7, 7, 7};
    struct backoff backoff = {.min_ms = 7, .max_ms = 7};

    (void)state;
    assert_waits(&backoff, expected_ms, 3);
}

static void test_nothing_overflows(void **state)
{
    static const unsigned expected_ms[] = {UINT_MAX / 2 + 2, UINT_MAX, UINT_MAX};
    struct backoff backoff = {.min_ms = UINT_MAX / 2 + 2, .max_ms = UINT_MAX};

    (void)state;
    assert_waits(&backoff, expected_ms, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_double_up_to_the_longest_and_stay_there),
        cmocka_unit_test(test_longest_that_is_a_double_is_reached_exactly),
        cmocka_unit_test(test_success_begins_with_the_shortest_again),
        cmocka_unit_test(test_one_length_only),
        cmocka_unit_test(test_nothing_overflows),
    };

    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
