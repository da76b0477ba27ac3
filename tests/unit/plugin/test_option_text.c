/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of a plugin's options: where items, names and values begin and end.
 */
#include "unit.h"

#include "guarded.h"
#include "plugin/option_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ITEMS_MAX 4

static struct error error;

static const struct {
    const char *text;
    const char *items[2 * ITEMS_MAX + 1]; /* name, value, name, value, ... */
} texts[] = {
    {"a=1", {"a", "1"}},
    {"a=", {"a", ""}},
    {"a=1,bb=x y,c=", {"a", "1", "bb", "x y", "c", ""}},
    {"a=b=c,d==", {"a", "b=c", "d", "="}},
    /* a comma written twice is one comma of the value */
    {"a=x,,y", {"a", "x,y"}},
    {"a=,,x", {"a", ",x"}},
    {"a=x,,y,,z", {"a", "x,y,z"}},
    {"a=x,,,,y", {"a", "x,,y"}},
    {"a=,,b=c", {"a", ",b=c"}},
    {"a=x,,y,b=1", {"a", "x,y", "b", "1"}},
    {"a=x,,,b=1", {"a", "x,", "b", "1"}},
    /* also at the very end */
    {"a=x,,", {"a", "x,"}},
    {"a=,,", {"a", ","}},
    {"a=x,,,,", {"a", "x,,"}},
    {"b=1,a=x,,", {"b", "1", "a", "x,"}},
    /* and in a name, which no option has */
    {"a,,b=1", {"a,b", "1"}},
};

static void test_items_are_cut_off_in_their_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *copy = strdup(texts[i].text);
        char *rest = copy;
        char *name;
        char *value;
        unsigned count = 0;

        assert_non_null(copy);
        for (; texts[i].items[count] != NULL; count += 2) {
            assert_int_equal(option_text_next(&rest, &name, &value, &error), 1);
            assert_string_equal(name, texts[i].items[count]);
            assert_string_equal(value, texts[i].items[count + 1]);
        }
        assert_int_equal(option_text_next(&rest, &name, &value, &error), 0);
        assert_int_equal(option_text_next(&rest, &name, &value, &error), 0);
        free(copy);
    }
}

static void test_values_can_be_copied_by_their_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *value = NULL;
        unsigned count = 0;

        for (; texts[i].items[2 * count] != NULL; count++) {
            assert_int_equal(option_text_copy_value(texts[i].text, count, &value), 0);
            assert_string_equal(value, texts[i].items[2 * count + 1]);
            free(value);
        }
        assert_int_equal(option_text_copy_value(texts[i].text, count, &value), -ENOENT);
        assert_int_equal(option_text_copy_value(texts[i].text, UINT32_MAX, &value), -ENOENT);
    }
}

/* An earlier item is cut off nevertheless. */
static void test_what_is_not_name_and_value_is_refused(void **state)
{
    static const struct {
        const char *text;
        unsigned good; /* items before it */
        const char *item;
    } cases[] = {
        {"", 0, ""},     {"a", 0, "a"},     {"=a", 0, "=a"},     {"=", 0, "="},           {",a=1", 0, ""},
        {"a=1,", 1, ""}, {"a=1,b", 1, "b"}, {"a=1,=b", 1, "=b"}, {"b=1,c=2,,,d", 2, "d"}, {"a,,", 0, "a,"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *copy = strdup(cases[i].text);
        char *rest = copy;
        char expected[64];
        char *name;
        char *value;

        assert_non_null(copy);
        for (unsigned k = 0; k < cases[i].good; k++) {
            assert_int_equal(option_text_next(&rest, &name, &value, &error), 1);
        }
        name = value = NULL;
        assert_int_equal(option_text_next(&rest, &name, &value, &error), -EINVAL);
        snprintf(expected, sizeof(expected), "option \"%s\": must be KEY=VALUE", cases[i].item);
        assert_string_equal(error.text, expected);
        assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
        assert_null(name);
        assert_null(value);
        assert_int_equal(option_text_copy_value(cases[i].text, cases[i].good, &value), -EINVAL);
        assert_null(value);
        free(copy);
    }
}

static void test_no_text_has_no_items(void **state)
{
    char *rest = NULL;
    char *name;
    char *value;

    (void)state;
    assert_int_equal(option_text_next(&rest, &name, &value, &error), 0);
    assert_int_equal(option_text_copy_value(NULL, 0, &value), -ENOENT);
}

/* Every text of these characters is cut without a read or write outside of it. */
static void test_no_text_is_read_beyond_its_end(void **state)
{
    static const char letters[] = "a=,";
    struct guarded memory;
    char text[8];

    (void)state;
    guarded_init(&memory, sizeof(text));
    for (unsigned number = 0; number < 3 * 3 * 3 * 3 * 3 * 3; number++) {
        size_t len = 0;
        size_t used = 0;
        unsigned items = 0;
        char *rest;
        char *name;
        char *value;

        for (unsigned rest_of_number = number; len < 6; rest_of_number /= 3) {
            text[len++] = letters[rest_of_number % 3];
        }
        text[len] = '\0';
        rest = guarded_put(&memory, text, len + 1, 1);
        while (option_text_next(&rest, &name, &value, &error) > 0) {
            used += (items++ > 0) + strlen(name) + 1 + strlen(value);
        }
        assert_true(used <= len);
    }
    guarded_done(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_are_cut_off_in_their_order),
        cmocka_unit_test(test_values_can_be_copied_by_their_number),
        cmocka_unit_test(test_what_is_not_name_and_value_is_refused),
        cmocka_unit_test(test_no_text_has_no_items),
        cmocka_unit_test(test_no_text_is_read_beyond_its_end),
    };

    return cmocka_run_group_tests_name("option_text", tests, NULL, NULL);
}
