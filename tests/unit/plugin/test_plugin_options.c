/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin_options_parse(): "key=value,key=value" from the user, parsed by the list that a plugin declares.
 *
 * Each refusal is also checked for what all have in common: the error is one line and names the option, and the
 * values are empty.
 */
#include "unit.h"

#include "guarded.h"
#include "plugin/plugin_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUNDS(least, most) .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX, .min = (least), .max = (most)

static struct error error;
static struct plugin_values values;

static const struct nfqe_option declared[] = {
    {.name = "text", .type = NFQE_OPTION_STRING},
    {.name = "short", .type = NFQE_OPTION_STRING, BOUNDS(2, 4)},
    {.name = "number", .type = NFQE_OPTION_INTEGER},
    {.name = "bounded", .type = NFQE_OPTION_INTEGER, BOUNDS(-5, 10), .default_value = "7"},
    {.name = "flag", .type = NFQE_OPTION_BOOLEAN, .default_value = "no"},
    {.name = NULL},
};

enum { TEXT, SHORT, NUMBER, BOUNDED, FLAG, DECLARED };

static int parse_with(const struct nfqe_option *options, const char *text)
{
    memset(&error, 0, sizeof(error));
    memset(&values, 0xee, sizeof(values));
    return plugin_options_parse(options, sizeof(struct nfqe_option), text, &values, &error);
}

static const struct nfqe_value *parsed(const char *text, unsigned index)
{
    int code = parse_with(declared, text);

    if (code != 0) {
        fail_msg("\"%s\" was refused: %s", text != NULL ? text : "", error.text);
    }
    assert_int_equal(values.count, DECLARED);
    return &values.values[index];
}

static void assert_refused_with(const struct nfqe_option *options, const char *text, int code, const char *named)
{
    assert_int_equal(parse_with(options, text), code);
    if (strstr(error.text, named) == NULL || strchr(error.text, '\n') != NULL) {
        fail_msg("\"%s\": the error must name \"%s\" on one line: \"%s\"", text != NULL ? text : "", named, error.text);
    }
    assert_null(values.values);
    assert_int_equal(values.count, 0);
    plugin_options_done(&values);
}

static void assert_refused(const char *text, const char *named)
{
    assert_refused_with(declared, text, -EINVAL, named);
}

static void test_nothing_given_leaves_the_defaults(void **state)
{
    const struct nfqe_value *value = parsed(NULL, 0);

    (void)state;
    for (unsigned index = 0; index < DECLARED; index++) {
        assert_string_equal(value[index].name, declared[index].name);
        assert_int_equal(value[index].type, declared[index].type);
        assert_int_equal(value[index].given, 0);
    }
    assert_null(value[TEXT].text);
    assert_null(value[NUMBER].text);
    assert_int_equal(value[NUMBER].integer, 0);
    assert_string_equal(value[BOUNDED].text, "7");
    assert_int_equal(value[BOUNDED].integer, 7);
    assert_string_equal(value[FLAG].text, "no");
    assert_int_equal(value[FLAG].integer, 0);
    plugin_options_done(&values);
}

static void test_values_stand_in_the_order_of_the_declaration(void **state)
{
    const struct nfqe_value *value = parsed("flag=on,bounded=-5,text=a=b,number=0x10", 0);

    (void)state;
    assert_string_equal(value[TEXT].text, "a=b");
    assert_int_equal(value[TEXT].integer, 0);
    assert_int_equal(value[NUMBER].integer, 16);
    assert_int_equal(value[BOUNDED].integer, -5);
    assert_int_equal(value[FLAG].integer, 1);
    assert_int_equal(value[TEXT].given, 1);
    assert_int_equal(value[NUMBER].given, 1);
    assert_int_equal(value[FLAG].given, 1);
    assert_int_equal(value[SHORT].given, 0);
    for (unsigned index = 0; index < DECLARED; index++) {
        assert_string_equal(value[index].name, declared[index].name);
        assert_int_equal(value[index].type, declared[index].type);
    }
    plugin_options_done(&values);
}

static void test_option_that_is_a_file_is_found_by_its_name(void **state)
{
    static const struct nfqe_option files[] = {{.name = "key", .type = NFQE_OPTION_FILE},
                                               {.name = "keys", .type = NFQE_OPTION_FILE},
                                               {.name = "text", .type = NFQE_OPTION_STRING},
                                               {.name = NULL}};

    (void)state;
    assert_int_equal(plugin_options_parse(files, sizeof(files[0]), "keys=/a,text=/b", &values, &error), 0);
    assert_ptr_equal(plugin_options_find_file(&values, "keys"), &values.values[1]);
    assert_ptr_equal(plugin_options_find_file(&values, "key"), &values.values[0]);
    assert_null(plugin_options_find_file(&values, "text"));
    assert_null(plugin_options_find_file(&values, "ke"));
    assert_string_equal(values.values[1].text, "/a");
    plugin_options_done(&values);
}

static void test_plugin_without_options_takes_none(void **state)
{
    const struct nfqe_option none[] = {{.name = NULL}};

    (void)state;
    assert_int_equal(parse_with(NULL, NULL), 0);
    assert_int_equal(values.count, 0);
    plugin_options_done(&values);
    assert_int_equal(parse_with(none, NULL), 0);
    assert_int_equal(values.count, 0);
    plugin_options_done(&values);
    assert_refused_with(NULL, "a=1", -EINVAL, "a");
    assert_refused_with(none, "a=1", -EINVAL, "a");
}

static void test_range_without_values_is_refused(void **state)
{
    static const struct nfqe_option no_max[] = {{.name = "a", .type = NFQE_OPTION_INTEGER, BOUNDS(1, 0)},
                                                {.name = NULL}};
    static const struct nfqe_option swapped[] = {{.name = "a", .type = NFQE_OPTION_INTEGER, BOUNDS(7, -3)},
                                                 {.name = NULL}};
    static const struct nfqe_option text[] = {{.name = "a", .type = NFQE_OPTION_STRING, BOUNDS(1, 0)}, {.name = NULL}};
    static const struct nfqe_option flag[] = {{.name = "a", .type = NFQE_OPTION_BOOLEAN, .min = 1}, {.name = NULL}};

    (void)state;
    assert_refused_with(no_max, NULL, -EBADMSG, "its option a has min 1 above max 0, so that no value is allowed");
    assert_refused_with(swapped, NULL, -EBADMSG, "its option a has min 7 above max -3");
    assert_refused_with(text, NULL, -EBADMSG, "its option a has min 1 above max 0");
    assert_int_equal(parse_with(flag, NULL), 0); /* they mean nothing there */
    plugin_options_done(&values);
}

static void test_text_that_is_no_list_of_options_is_refused(void **state)
{
    static const char *const bad[] = {"text",        "=a",       ",text=a", "text=a,", "flag=on,,text=a",
                                      "text=a,flag", "text=a,=b"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_refused(bad[i], "option");
    }
}

static void test_unknown_option_is_refused_with_what_is_known(void **state)
{
    (void)state;
    assert_refused("txt=1", "txt");
    for (unsigned index = 0; index < DECLARED; index++) {
        assert_refused("txt=1", declared[index].name);
    }
    assert_refused("Text=1", "Text");
    assert_refused("texts=1", "texts");
    assert_refused(" text=1", "text");
    assert_refused("text=1,tex=1", "tex");
}

static void test_option_given_twice_is_refused(void **state)
{
    (void)state;
    assert_refused("text=a,text=a", "text");
    assert_refused("flag=on,number=1,flag=off", "flag");
}

static void test_required_option_must_be_given(void **state)
{
    static const struct nfqe_option needing[] = {
        {.name = "file", .type = NFQE_OPTION_STRING, .flags = NFQE_OPTION_REQUIRED, .help = "where the rules are"},
        {.name = "count", .type = NFQE_OPTION_INTEGER, .flags = NFQE_OPTION_REQUIRED, .default_value = "3"},
        {.name = NULL},
    };

    (void)state;
    assert_refused_with(needing, NULL, -EINVAL, "file");
    assert_refused_with(needing, "count=1", -EINVAL, "where the rules are");
    assert_refused_with(needing, "file=x", -EINVAL, "count");
    assert_int_equal(parse_with(needing, "file=x,count=1"), 0);
    plugin_options_done(&values);
}

static void test_default_is_checked_like_a_given_value(void **state)
{
    static const struct nfqe_option bad[][2] = {
        {{.name = "one", .type = NFQE_OPTION_INTEGER, .default_value = "many"}},
        {{.name = "one", .type = NFQE_OPTION_INTEGER, BOUNDS(1, 2), .default_value = "3"}},
        {{.name = "one", .type = NFQE_OPTION_BOOLEAN, .default_value = "maybe"}},
        {{.name = "one", .type = NFQE_OPTION_STRING, BOUNDS(0, 3), .default_value = "long"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_not_equal(parse_with(bad[i], NULL), 0);
        assert_non_null(strstr(error.text, "one"));
        plugin_options_done(&values);
    }
}

static void test_declaration_that_cannot_be_right_is_refused(void **state)
{
    static const struct nfqe_option unknown_type[] = {{.name = "a", .type = NFQE_OPTION_FILE + 1}, {.name = NULL}};
    static const struct nfqe_option no_type[] = {{.name = "a"}, {.name = NULL}};
    static const struct nfqe_option file_default[] = {
        {.name = "a", .type = NFQE_OPTION_FILE, .default_value = "/etc/passwd"}, {.name = NULL}};
    static const struct nfqe_option twice[] = {
        {.name = "a", .type = NFQE_OPTION_STRING}, {.name = "a", .type = NFQE_OPTION_INTEGER}, {.name = NULL}};
    static const char *const names[] = {"", "a b", "a=b", "a,b", "a\n", "\xc3\xa4", "a."};
    static struct nfqe_option endless[PLUGIN_OPTIONS_MAX + 2];
    static char texts[PLUGIN_OPTIONS_MAX + 2][16];
    static const size_t strides[] = {0, 1, sizeof(struct nfqe_option) - 8, sizeof(struct nfqe_option) + 1};

    (void)state;
    assert_refused_with(unknown_type, NULL, -EBADMSG, "a");
    assert_refused_with(no_type, NULL, -EBADMSG, "a");
    assert_refused_with(file_default, NULL, -EBADMSG, "only the user can name a file");
    assert_refused_with(twice, NULL, -EBADMSG, "twice");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct nfqe_option misnamed[] = {{.name = names[i], .type = NFQE_OPTION_STRING}, {.name = NULL}};

        assert_refused_with(misnamed, NULL, -EBADMSG, "name");
    }
    for (size_t i = 0; i < sizeof(strides) / sizeof(strides[0]); i++) {
        assert_int_equal(plugin_options_parse(declared, strides[i], NULL, &values, &error), -EBADMSG);
        plugin_options_done(&values);
    }
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        snprintf(texts[i], sizeof(texts[i]), "more-%zu", i);
        endless[i] = (struct nfqe_option){.name = texts[i], .type = NFQE_OPTION_STRING};
    }
    assert_refused_with(endless, NULL, -EBADMSG, "options");
}

static void test_as_many_options_as_allowed_are_taken(void **state)
{
    static struct nfqe_option many[PLUGIN_OPTIONS_MAX + 1];
    static char names[PLUGIN_OPTIONS_MAX][16];

    (void)state;
    for (unsigned i = 0; i < PLUGIN_OPTIONS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "option-%u", i);
        many[i] = (struct nfqe_option){.name = names[i], .type = NFQE_OPTION_INTEGER};
    }
    assert_int_equal(parse_with(many, "option-127=5,option-0=6"), 0);
    assert_int_equal(values.count, PLUGIN_OPTIONS_MAX);
    assert_int_equal(values.values[127].integer, 5);
    assert_int_equal(values.values[0].integer, 6);
    plugin_options_done(&values);
    assert_refused_with(many, "none=1", -EINVAL, "option-0"); /* more names than a line holds */
}

/* What follows the list is at a page that cannot be accessed, or points to one. */
static void test_list_without_an_end_is_refused_and_not_read_on(void **state)
{
    struct guarded memory;
    struct nfqe_option *list;

    (void)state;
    guarded_init(&memory, sizeof(*list));
    list = guarded_put(&memory, &declared[TEXT], sizeof(*list), _Alignof(struct nfqe_option));
    assert_refused_with(list, NULL, -EBADMSG,
                        "its option 2 points to memory that is not there; the list must end with");
    list->name = (const char *)(list + 1);
    assert_refused_with(list, NULL, -EBADMSG, "its option 1 points to memory that is not there");
    list->name = (const char *)(list + 1) - 1; /* a text that goes on there */
    list->help = (const char *)UINTPTR_MAX; /* no NUL in the last bytes */
    assert_refused_with(list, NULL, -EBADMSG, "its option 1 points to memory that is not there");
    list->name = "a";
    list->help = (const char *)(list + 1);
    assert_refused_with(list, NULL, -EBADMSG, "its option 1 points to memory that is not there");
    list->help = NULL;
    list->default_value = (const char *)8;
    assert_refused_with(list, NULL, -EBADMSG, "its option 1 points to memory that is not there");
    list->name = NULL; /* of the last element, nothing else counts */
    assert_int_equal(parse_with(list, NULL), 0);
    plugin_options_done(&values);
    guarded_done(&memory);
}

/* A plugin compiled for a later minor version has longer elements. */
static void test_longer_elements_are_read_with_the_stride_of_the_plugin(void **state)
{
    struct later {
        struct nfqe_option option;
        uint64_t appended[3];
    };
    static const struct later later[] = {
        {{.name = "first", .type = NFQE_OPTION_INTEGER}, {1, 2, 3}},
        {{.name = "second", .type = NFQE_OPTION_INTEGER}, {4, 5, 6}},
        {{.name = NULL}, {0}},
    };

    (void)state;
    assert_int_equal(plugin_options_parse(&later[0].option, sizeof(later[0]), "second=2,first=1", &values, &error), 0);
    assert_int_equal(values.count, 2);
    assert_int_equal(values.values[0].integer, 1);
    assert_int_equal(values.values[1].integer, 2);
    plugin_options_done(&values);
}

static void test_long_texts_are_refused_with_one_line(void **state)
{
    static char text[4000];

    (void)state;
    memset(text, 'k', sizeof(text) - 1);
    assert_refused(text, "kkkk");
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the beginning of a text that goes on */
    memcpy(text, "number=", 7);
    assert_refused(text, "number");
    text[2000] = '=';
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): as above */
    memcpy(text, "kkkkkkk", 7);
    assert_refused(text, "kkkk");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_given_leaves_the_defaults),
        cmocka_unit_test(test_values_stand_in_the_order_of_the_declaration),
        cmocka_unit_test(test_option_that_is_a_file_is_found_by_its_name),
        cmocka_unit_test(test_plugin_without_options_takes_none),
        cmocka_unit_test(test_range_without_values_is_refused),
        cmocka_unit_test(test_text_that_is_no_list_of_options_is_refused),
        cmocka_unit_test(test_unknown_option_is_refused_with_what_is_known),
        cmocka_unit_test(test_option_given_twice_is_refused),
        cmocka_unit_test(test_required_option_must_be_given),
        cmocka_unit_test(test_default_is_checked_like_a_given_value),
        cmocka_unit_test(test_declaration_that_cannot_be_right_is_refused),
        cmocka_unit_test(test_as_many_options_as_allowed_are_taken),
        cmocka_unit_test(test_list_without_an_end_is_refused_and_not_read_on),
        cmocka_unit_test(test_longer_elements_are_read_with_the_stride_of_the_plugin),
        cmocka_unit_test(test_long_texts_are_refused_with_one_line),
    };

    return cmocka_run_group_tests_name("plugin_options", tests, NULL, NULL);
}
