/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of reasons: which are valid, and what reason_names_take() makes of memory that a plugin has written over.
 */
#include "unit.h"

#include "base/arith.h"
#include "config/reason_names.h"

#include <string.h>

static struct reason_names names;
static struct reason_names taken;

static void test_name_has_the_allowed_characters(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"a", true},    {"0", true},   {"-_", true},         {"abcdefghijabcdefghijabcdefghijk", true},
        {"", false},    {"A", false},  {"two words", false}, {"abcdefghijabcdefghijabcdefghijkl", false},
        {"a=b", false}, {"\n", false}, {"\xc3\xb6", false},  {"a.b", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char name[REASON_NAME_SIZE] = "";

        memcpy(name, cases[i].name, min_u64(strlen(cases[i].name), sizeof(name)));
        assert_int_equal(reason_name_is_valid(name), cases[i].valid);
    }
}

static void test_what_is_taken_is_within_bounds_whatever_the_memory_holds(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        unsigned plugins = unit_random_below(&random, PLUGINS_MAX + 1);

        for (unsigned i = 0; i <= PLUGINS_MAX; i++) {
            names.first[i] = unit_random_below(&random, 4) == 0 ? (uint32_t)unit_random(&random)
                                                                : unit_random_below(&random, REASONS_MAX + 2);
        }
        for (unsigned i = 0; i < REASONS_MAX; i++) {
            memset(names.names[i], (int)unit_random_below(&random, 256), unit_random_below(&random, 2) ? 5 : 32);
        }
        reason_names_take(&taken, &names, plugins);
        assert_int_equal(taken.first[0], 0);
        for (unsigned i = 0; i < PLUGINS_MAX; i++) {
            assert_true(taken.first[i] <= taken.first[i + 1] && taken.first[i + 1] <= REASONS_MAX);
            assert_true(i < plugins || taken.first[i + 1] == taken.first[i]);
        }
        for (unsigned i = 0; i < taken.first[PLUGINS_MAX]; i++) {
            assert_true(reason_name_is_valid(taken.names[i]) || strcmp(taken.names[i], "?") == 0);
        }
    }
}

static void test_what_is_valid_is_taken_as_it_is(void **state)
{
    static const char *const texts[] = {"of", "first", "blocked", "other"};

    (void)state;
    memset(&names, 0, sizeof(names));
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        strcpy(names.names[i], texts[i]);
    }
    names.first[1] = 2;
    names.first[2] = 4;
    reason_names_take(&taken, &names, 2);
    assert_int_equal(taken.first[1], 2);
    assert_int_equal(taken.first[2], 4);
    assert_int_equal(taken.first[PLUGINS_MAX], 4);
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_string_equal(taken.names[i], texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_has_the_allowed_characters),
        cmocka_unit_test(test_what_is_taken_is_within_bounds_whatever_the_memory_holds),
        cmocka_unit_test(test_what_is_valid_is_taken_as_it_is),
    };

    return cmocka_run_group_tests_name("reason_names", tests, NULL, NULL);
}
