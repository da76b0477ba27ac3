/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The set of unanswered ids: against a model that keeps one bit for each id, from starts on either side of where ids
 * wrap.
 */
#include "unit.h"

#include "burst/outstanding.h"
#include "guarded.h"

#include <errno.h>
#include <string.h>

static const uint32_t starts[] = {0, 1, 1000, INT32_MAX - 20, INT32_MAX, UINT32_MAX - 20, UINT32_MAX};

#define START_COUNT (sizeof(starts) / sizeof(starts[0]))

static struct outstanding set;

static struct outstanding_range range(uint32_t first, uint32_t last)
{
    return (struct outstanding_range){first, last};
}

static void start(uint32_t last_id)
{
    memset(&set, 0x5a, sizeof(set)); /* ranges that are not in use may hold anything */
    set.last_id = last_id;
    set.count = 0;
}

static void assert_range(unsigned index, uint32_t first, uint32_t last)
{
    assert_true(index < set.count);
    assert_true(set.ranges[index].first == first && set.ranges[index].last == last);
}

static void test_next_id_leaves_none_missing(void **state)
{
    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        struct outstanding_range missing = range(7, 7);
        uint32_t id = starts[number];

        start(id);
        assert_false(outstanding_missing(&set, id + 1, &missing));
        assert_false(outstanding_missing(&set, id, &missing)); /* received again */
        assert_false(outstanding_missing(&set, id - 5, &missing));
        assert_true(missing.first == 7 && missing.last == 7);
        assert_true(outstanding_missing(&set, id + 2, &missing));
        assert_true(missing.first == id + 1 && missing.last == id + 1);
        assert_true(outstanding_missing(&set, id + 100, &missing));
        assert_true(missing.first == id + 1 && missing.last == id + 99);
    }
}

static void test_advancing_answers_what_was_not_added(void **state)
{
    struct outstanding_range missing;

    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        start(starts[number]);
        outstanding_advance(&set, starts[number] + 10);
        assert_int_equal(set.count, 0);
        assert_false(outstanding_missing(&set, starts[number] + 11, &missing));
        assert_true(outstanding_allows_batch(&set, starts[number] + 11));
    }
}

static void test_ranges_that_touch_become_one(void **state)
{
    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        uint32_t id = starts[number];

        start(id);
        assert_int_equal(outstanding_add(&set, range(id + 1, id + 1)), 0);
        assert_int_equal(outstanding_add(&set, range(id + 2, id + 4)), 0);
        assert_int_equal(outstanding_add(&set, range(id + 6, id + 6)), 0);
        assert_int_equal(set.count, 2);
        assert_range(0, id + 1, id + 4);
        assert_range(1, id + 6, id + 6);
        assert_true(set.last_id == id + 6);
        assert_true(outstanding_is_sound(&set));
    }
}

static void test_ids_that_do_not_come_after_the_set_are_refused(void **state)
{
    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        uint32_t id = starts[number];
        struct outstanding before;

        start(id);
        assert_int_equal(outstanding_add(&set, range(id + 5, id + 8)), 0);
        before = set;
        assert_int_equal(outstanding_add(&set, range(id + 8, id + 9)), -EINVAL);
        assert_int_equal(outstanding_add(&set, range(id + 1, id + 2)), -EINVAL);
        assert_int_equal(outstanding_add(&set, range(id + 12, id + 11)), -EINVAL);
        assert_memory_equal(&set, &before, sizeof(set));
    }
}

static void test_adding_older_ids_keeps_the_newest(void **state)
{
    (void)state;
    start(100);
    assert_int_equal(outstanding_add(&set, range(90, 95)), 0);
    assert_int_equal(set.last_id, 100);
    assert_true(outstanding_is_sound(&set));
}

static void test_batch_stops_before_the_first_unanswered_id(void **state)
{
    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        uint32_t id = starts[number];

        start(id);
        assert_true(outstanding_allows_batch(&set, id + 100));
        assert_int_equal(outstanding_add(&set, range(id + 5, id + 6)), 0);
        assert_int_equal(outstanding_add(&set, range(id + 9, id + 9)), 0);
        assert_true(outstanding_allows_batch(&set, id + 4));
        assert_false(outstanding_allows_batch(&set, id + 5));
        assert_false(outstanding_allows_batch(&set, id + 6));
        assert_false(outstanding_allows_batch(&set, id + 100));
        assert_int_equal(outstanding_remove(&set, range(id + 5, id + 6)), 0);
        assert_true(outstanding_allows_batch(&set, id + 8));
        assert_false(outstanding_allows_batch(&set, id + 9));
    }
}

static void test_removing_shortens_splits_or_takes_out_a_range(void **state)
{
    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        uint32_t id = starts[number];

        start(id);
        assert_int_equal(outstanding_add(&set, range(id + 1, id + 10)), 0);
        assert_int_equal(outstanding_add(&set, range(id + 20, id + 20)), 0);
        assert_int_equal(outstanding_remove(&set, range(id + 4, id + 5)), 0);
        assert_int_equal(set.count, 3);
        assert_range(0, id + 1, id + 3);
        assert_range(1, id + 6, id + 10);
        assert_range(2, id + 20, id + 20);
        assert_int_equal(outstanding_remove(&set, range(id + 1, id + 1)), 0);
        assert_range(0, id + 2, id + 3);
        assert_int_equal(outstanding_remove(&set, range(id + 10, id + 10)), 0);
        assert_range(1, id + 6, id + 9);
        assert_int_equal(outstanding_remove(&set, range(id + 2, id + 3)), 0);
        assert_int_equal(set.count, 2);
        assert_range(0, id + 6, id + 9);
        assert_range(1, id + 20, id + 20);
        assert_true(set.last_id == id + 20);
    }
}

static void test_removing_what_is_not_there_changes_nothing(void **state)
{
    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        uint32_t id = starts[number];
        struct outstanding before;

        start(id);
        assert_int_equal(outstanding_remove(&set, range(id, id)), -ENOENT);
        assert_int_equal(outstanding_add(&set, range(id + 5, id + 8)), 0);
        assert_int_equal(outstanding_add(&set, range(id + 10, id + 12)), 0);
        before = set;
        assert_int_equal(outstanding_remove(&set, range(id + 4, id + 5)), -ENOENT);
        assert_int_equal(outstanding_remove(&set, range(id + 8, id + 9)), -ENOENT);
        assert_int_equal(outstanding_remove(&set, range(id + 8, id + 10)), -ENOENT);
        assert_int_equal(outstanding_remove(&set, range(id + 7, id + 6)), -ENOENT);
        assert_memory_equal(&set, &before, sizeof(set));
    }
}

static void test_full_set_refuses_another_range_and_a_split(void **state)
{
    struct outstanding before;

    (void)state;
    start(0);
    for (uint32_t i = 0; i < OUTSTANDING_RANGES_MAX; i++) {
        assert_int_equal(outstanding_add(&set, range(10 * i + 1, 10 * i + 3)), 0);
    }
    assert_true(outstanding_is_sound(&set));
    before = set;
    assert_int_equal(outstanding_add(&set, range(9000, 9000)), -ENOSPC);
    assert_int_equal(outstanding_remove(&set, range(2, 2)), -ENOSPC);
    assert_memory_equal(&set, &before, sizeof(set));
    assert_int_equal(outstanding_add(&set, range(10 * OUTSTANDING_RANGES_MAX - 6, 10 * OUTSTANDING_RANGES_MAX - 5)), 0);
    assert_int_equal(set.count, OUTSTANDING_RANGES_MAX); /* it touches the last one */
    assert_int_equal(outstanding_remove(&set, range(1, 3)), 0);
    assert_int_equal(outstanding_add(&set, range(9000, 9000)), 0);
}

/* The set ends where memory ends: an access after its last range ends the test. */
static void test_full_set_is_changed_within_its_bounds(void **state)
{
    struct guarded memory;

    (void)state;
    guarded_init(&memory, sizeof(struct outstanding));
    for (uint32_t removed = 0; removed < OUTSTANDING_RANGES_MAX; removed++) {
        struct outstanding *full = guarded_put(&memory, NULL, sizeof(*full), _Alignof(struct outstanding));
        uint32_t first = 10 * removed + 1;

        *full = (struct outstanding){.last_id = 0};
        for (uint32_t i = 0; i < OUTSTANDING_RANGES_MAX; i++) {
            assert_int_equal(outstanding_add(full, range(10 * i + 1, 10 * i + 3)), 0);
        }
        outstanding_copy(&set, full);
        assert_memory_equal(&set, full, sizeof(set));
        assert_int_equal(outstanding_remove(full, range(first, first + 2)), 0);
        assert_int_equal(full->count, OUTSTANDING_RANGES_MAX - 1);
        for (uint32_t i = 0; i < full->count; i++) {
            assert_int_equal(full->ranges[i].first, 10 * (i < removed ? i : i + 1) + 1);
        }
        if (removed > 0) {
            assert_int_equal(outstanding_remove(full, range(2, 2)), 0); /* a split needs the place again */
            assert_int_equal(full->count, OUTSTANDING_RANGES_MAX);
        }
        assert_true(outstanding_is_sound(full));
    }
    guarded_done(&memory);
}

static void test_copy_takes_what_is_in_use(void **state)
{
    struct outstanding copy;

    (void)state;
    memset(&copy, 0x77, sizeof(copy));
    start(50);
    assert_int_equal(outstanding_add(&set, range(51, 52)), 0);
    assert_int_equal(outstanding_add(&set, range(60, 60)), 0);
    outstanding_advance(&set, 70);
    outstanding_copy(&copy, &set);
    assert_int_equal(copy.last_id, 70);
    assert_int_equal(copy.count, 2);
    assert_memory_equal(copy.ranges, set.ranges, 2 * sizeof(set.ranges[0]));
    assert_int_equal(copy.ranges[2].first, 0x77777777);
    assert_int_equal(copy.ranges[2].last, 0x77777777);
}

static void test_set_that_a_plugin_wrote_to_is_not_sound(void **state)
{
    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        uint32_t id = starts[number];

        start(id);
        assert_true(outstanding_is_sound(&set));
        set.count = OUTSTANDING_RANGES_MAX + 1;
        assert_false(outstanding_is_sound(&set));
        set.count = 1;
        set.ranges[0] = range(id, id - 1); /* ends before it begins */
        assert_false(outstanding_is_sound(&set));
        set.ranges[0] = range(id, id + 1); /* beyond the newest */
        assert_false(outstanding_is_sound(&set));
        set.ranges[0] = range(id - 9, id - 8);
        assert_true(outstanding_is_sound(&set));
        set.count = 2;
        set.ranges[1] = range(id - 7, id - 7); /* touches the one before */
        assert_false(outstanding_is_sound(&set));
        set.ranges[1] = range(id - 10, id - 10); /* out of order */
        assert_false(outstanding_is_sound(&set));
        set.ranges[1] = range(id - 6, id);
        assert_true(outstanding_is_sound(&set));
    }
}

/* ---- against a model ----------------------------------------------------------------------------- */

#define MODEL_IDS 400
#define ROUNDS 40 /* from each start */
#define ROUNDS_QUICK 10

static bool unanswered[MODEL_IDS]; /* by the id less the start */

static void assert_like_model(uint32_t base, uint32_t newest)
{
    bool before = false;

    assert_true(outstanding_is_sound(&set));
    assert_true(set.last_id == base + newest);
    for (uint32_t i = 0; i < MODEL_IDS; i++) {
        bool in_set = false;

        before = before || unanswered[i];
        for (uint32_t j = 0; j < set.count; j++) {
            in_set = in_set || (!outstanding_is_after(set.ranges[j].first, base + i) &&
                                !outstanding_is_after(base + i, set.ranges[j].last));
        }
        assert_int_equal(in_set, unanswered[i]);
        assert_int_equal(outstanding_has(&set, base + i), in_set);
        assert_int_equal(outstanding_allows_batch(&set, base + i), !before);
    }
}

/* Receives some ids, holds some of them, answers some that are held; at random. */
static void test_random_use_agrees_with_one_bit_an_id(void **state)
{
    const unsigned rounds = unit_cases(ROUNDS, ROUNDS_QUICK);
    uint64_t random = 4711;

    (void)state;
    for (size_t number = 0; number < START_COUNT; number++) {
        for (unsigned round = 0; round < rounds; round++) {
            uint32_t base = starts[number];
            uint32_t newest = 0;

            start(base);
            memset(unanswered, 0, sizeof(unanswered));
            while (newest < MODEL_IDS - 8) {
                uint32_t first = newest + 1 + unit_random_below(&random, 4);
                uint32_t last = first + unit_random_below(&random, 4);
                uint32_t victim = unit_random_below(&random, newest + 1);
                int code;

                if (unit_random_below(&random, 2) == 0 &&
                    outstanding_add(&set, range(base + first, base + last)) == 0) {
                    memset(&unanswered[first], true, last - first + 1);
                }
                newest = last;
                outstanding_advance(&set, base + newest);
                code = outstanding_remove(&set, range(base + victim, base + victim));
                assert_true(code != -ENOENT || !unanswered[victim]);
                assert_true(code == -ENOENT || unanswered[victim]);
                if (code == 0) {
                    unanswered[victim] = false;
                }
                assert_like_model(base, newest);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_id_leaves_none_missing),
        cmocka_unit_test(test_advancing_answers_what_was_not_added),
        cmocka_unit_test(test_ranges_that_touch_become_one),
        cmocka_unit_test(test_ids_that_do_not_come_after_the_set_are_refused),
        cmocka_unit_test(test_adding_older_ids_keeps_the_newest),
        cmocka_unit_test(test_batch_stops_before_the_first_unanswered_id),
        cmocka_unit_test(test_removing_shortens_splits_or_takes_out_a_range),
        cmocka_unit_test(test_removing_what_is_not_there_changes_nothing),
        cmocka_unit_test(test_full_set_refuses_another_range_and_a_split),
        cmocka_unit_test(test_full_set_is_changed_within_its_bounds),
        cmocka_unit_test(test_copy_takes_what_is_in_use),
        cmocka_unit_test(test_set_that_a_plugin_wrote_to_is_not_sound),
        cmocka_unit_test(test_random_use_agrees_with_one_bit_an_id),
    };

    return cmocka_run_group_tests_name("outstanding", tests, NULL, NULL);
}
