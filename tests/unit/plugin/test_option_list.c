/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of options that a plugin declares: what is copied, and each thing that is refused.
 *
 * A refusal is checked for what all have in common: the error is one line and says that the plugin is wrong, and the list
 * is empty.
 */
#include "unit.h"

#include "guarded.h"
#include "plugin/option_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HINT_END "; the list must end with an element whose name is NULL"
#define HINT_COUNT "; option_count must be the number of elements"

struct config {
    const char *text;
    int64_t number;
    struct nfqe_address address;
    uint32_t choice;
    int file;
    bool flag;
    struct nfqe_list list;
};

#define TEXT .name = "text", .type = NFQE_OPTION_STRING, NFQE_MEMBER(struct config, text)
#define NUMBER .name = "number", .type = NFQE_OPTION_INTEGER, NFQE_MEMBER(struct config, number)
#define FLAG .name = "flag", .type = NFQE_OPTION_BOOLEAN, NFQE_MEMBER(struct config, flag)
#define CHOICE .name = "choice", .type = NFQE_OPTION_CHOICE, NFQE_MEMBER(struct config, choice)
#define FILE_OPTION .name = "file", .type = NFQE_OPTION_FILE, NFQE_MEMBER(struct config, file)
#define LIST .name = "list", NFQE_MEMBER(struct config, list)
#define REPEATABLE NFQE_OPTION_REPEATABLE
#define BOTH (NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)

static struct error error;
static struct option_list list;

/* A plugin with options that end with a NULL name. */
static struct nfqe_plugin plugin_with(const struct nfqe_option *options)
{
    return (struct nfqe_plugin){
        .options = options, .option_size = sizeof(struct nfqe_option), .config_size = sizeof(struct config)};
}

static int init(struct nfqe_plugin plugin)
{
    memset(&error, 0, sizeof(error));
    memset(&list, 0xee, sizeof(list));
    return option_list_init(&list, &plugin, &error);
}

static void assert_taken(struct nfqe_plugin plugin, size_t count)
{
    if (init(plugin) != 0) {
        fail_msg("refused: %s", error.text);
    }
    assert_int_equal(list.count, count);
}

static void assert_refused(struct nfqe_plugin plugin, const char *expected)
{
    assert_int_equal(init(plugin), -EBADMSG);
    if (strstr(error.text, expected) != error.text || strchr(error.text, '\n') != NULL) {
        fail_msg("\"%s\" is said, not \"%s\"", error.text, expected);
    }
    assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
    assert_null(list.options);
    assert_int_equal(list.count, 0);
    option_list_done(&list);
}

/* One option, alone in its list. */
static void assert_option_taken(struct nfqe_option option)
{
    const struct nfqe_option options[] = {option, {.name = NULL}};

    assert_taken(plugin_with(options), 1);
    assert_memory_equal(&list.options[0], &option, sizeof(option));
    option_list_done(&list);
}

static void assert_option_refused(struct nfqe_option option, const char *expected)
{
    const struct nfqe_option options[] = {option, {.name = NULL}};

    assert_refused(plugin_with(options), expected);
}

/* ---- the list ------------------------------------------------------------------------------------------ */

static void test_list_without_options_is_empty(void **state)
{
    const struct nfqe_option none[] = {{.name = NULL}};

    (void)state;
    assert_taken(plugin_with(NULL), 0);
    assert_null(list.options);
    assert_taken(plugin_with(none), 0);
    option_list_done(&list);
    assert_taken((struct nfqe_plugin){.options = none, .option_size = sizeof(none[0])}, 0); /* without config struct */
    option_list_done(&list);
    option_list_done(&list); /* twice is fine */
}

static void test_list_ends_with_its_count_or_with_no_name(void **state)
{
    static const struct nfqe_option options[] = {{TEXT}, {NUMBER}, {FLAG}, {.name = NULL}};
    struct nfqe_plugin plugin = plugin_with(options);

    (void)state;
    assert_taken(plugin, 3);
    assert_memory_equal(list.options, options, 3 * sizeof(options[0]));
    option_list_done(&list);
    for (plugin.option_count = 1; plugin.option_count <= 3; plugin.option_count++) {
        assert_taken(plugin, plugin.option_count);
        assert_memory_equal(list.options, options, plugin.option_count * sizeof(options[0]));
        option_list_done(&list);
    }
    assert_refused(plugin, "its option 4 of 4 has no name" HINT_COUNT);
    plugin.options = NULL;
    assert_refused(plugin, "its option_count is 4, and it has no options");
}

/* A plugin compiled for a later minor version has longer elements. */
static void test_longer_elements_are_read_up_to_our_size(void **state)
{
    struct later {
        struct nfqe_option option;
        uint64_t appended[3];
    };
    static const struct later later[] = {{{TEXT}, {1, 2, 3}}, {{NUMBER}, {4, 5, 6}}, {{.name = NULL}, {0}}};
    struct nfqe_plugin plugin = plugin_with(&later[0].option);

    (void)state;
    plugin.option_size = sizeof(later[0]);
    assert_taken(plugin, 2);
    assert_string_equal(list.options[0].name, "text");
    assert_string_equal(list.options[1].name, "number");
    option_list_done(&list);
    plugin.option_count = 2;
    assert_taken(plugin, 2);
    assert_memory_equal(&list.options[1], &later[1].option, sizeof(later[1].option));
    option_list_done(&list);
}

static void test_size_that_no_element_has_is_refused(void **state)
{
    static const uint32_t sizes[] = {0, 1, 56, 63, 65, 68};
    static const struct nfqe_option options[] = {{TEXT}, {.name = NULL}};
    struct nfqe_plugin plugin = plugin_with(options);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char expected[64];

        plugin.option_size = sizes[i];
        snprintf(expected, sizeof(expected), "its option_size is %u, ABI 2.0 has 64", sizes[i]);
        assert_refused(plugin, expected);
    }
}

static void test_there_is_a_limit(void **state)
{
    static struct nfqe_option many[PLUGIN_OPTIONS_MAX + 2];
    static char names[PLUGIN_OPTIONS_MAX + 1][16];
    struct nfqe_plugin plugin = plugin_with(many);

    (void)state;
    plugin.config_size = PLUGIN_CONFIG_SIZE_MAX;
    for (unsigned i = 0; i <= PLUGIN_OPTIONS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "option-%u", i);
        many[i] = (struct nfqe_option){
            .name = names[i], .type = NFQE_OPTION_INTEGER, .offset = 8 * i, .member_size = sizeof(int64_t)};
    }
    assert_refused(plugin, "declares more than 128 options" HINT_END);
    plugin.option_count = PLUGIN_OPTIONS_MAX + 1;
    assert_refused(plugin, "declares 129 options, at most 128 are possible");
    plugin.option_count = PLUGIN_OPTIONS_MAX;
    assert_taken(plugin, PLUGIN_OPTIONS_MAX);
    option_list_done(&list);
    plugin.option_count = 0;
    many[PLUGIN_OPTIONS_MAX].name = NULL;
    assert_taken(plugin, PLUGIN_OPTIONS_MAX);
    assert_string_equal(list.options[127].name, "option-127");
    option_list_done(&list);
    plugin.config_size++;
    assert_refused(plugin, "its config_size is 65537, at most 65536 is possible");
}

/* What follows the list is at a page that cannot be accessed, or points to one. */
static void test_list_without_an_end_is_refused_and_not_read_on(void **state)
{
    static const struct nfqe_option text = {TEXT};
    struct guarded memory;
    struct nfqe_option *one;

    (void)state;
    guarded_init(&memory, sizeof(*one));
    one = guarded_put(&memory, &text, sizeof(*one), _Alignof(struct nfqe_option));
    assert_refused(plugin_with(one), "its option 2 points to memory that is not there" HINT_END);
    one->name = (const char *)(one + 1);
    assert_refused(plugin_with(one), "its option 1 points to memory that is not there" HINT_END);
    one->name = (const char *)(one + 1) - 1; /* a text that goes on there */
    one->help = (const char *)UINTPTR_MAX; /* no NUL in the last bytes */
    assert_refused(plugin_with(one), "its option 1 points to memory that is not there");
    one->name = "a";
    one->help = (const char *)(one + 1);
    assert_refused(plugin_with(one), "its option 1 points to memory that is not there");
    one->help = NULL;
    one->default_value = (const char *)8;
    assert_refused(plugin_with(one), "its option 1 points to memory that is not there");
    one->default_value = NULL;
    one->choices = (const char *)8;
    assert_refused(plugin_with(one), "its option 1 points to memory that is not there");
    one->name = NULL; /* of the last element, nothing else counts */
    assert_taken(plugin_with(one), 0);
    option_list_done(&list);
    guarded_done(&memory);
}

/* ---- one option ---------------------------------------------------------------------------------------- */

static void test_name_is_letters_digits_and_two_signs(void **state)
{
    static const char *const bad[] = {"", "a b", "a=b", "a,b", "a\n", "\xc3\xa4", "a."};
    static const struct nfqe_option twice[] = {
        {TEXT}, {.name = "text", .type = NFQE_OPTION_INTEGER, NFQE_MEMBER(struct config, number)}, {.name = NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_option_refused((struct nfqe_option){.name = bad[i], .type = NFQE_OPTION_STRING},
                              "its option 1 has a name that is not letters, digits, - and _" HINT_END);
    }
    assert_option_taken(
        (struct nfqe_option){.name = "aZ09-_", .type = NFQE_OPTION_STRING, .member_size = sizeof(const char *)});
    assert_refused(plugin_with(twice), "declares its option text twice");
}

/* The engine cannot say whether its flags and limits are right; its member must be one nevertheless. */
static void test_type_of_a_later_engine_is_taken(void **state)
{
    struct nfqe_option later = {.name = "a",
                                .type = NFQE_OPTION_DIRECTORY + 1,
                                .flags = UINT32_MAX & ~1u,
                                .min = 5,
                                .max = 3,
                                .default_value = "any",
                                .choices = "||"};

    (void)state;
    assert_option_taken(later);
    later.member_size = sizeof(struct config);
    assert_option_taken(later);
    later.member_size++;
    assert_option_refused(later, "its option a has bytes up to 65 of");
    later = (struct nfqe_option){.name = "a", .type = UINT32_MAX, .flags = NFQE_OPTION_REQUIRED};
    assert_option_taken(later);
    later.type = 0;
    assert_option_refused(later, "its option a has no type" HINT_END);
}

static void test_flags_that_are_not_known_are_ignored(void **state)
{
    (void)state;
    assert_option_taken((struct nfqe_option){TEXT, .flags = 0xffffffe0});
}

static void test_limits_are_of_the_types_that_can_have_them(void **state)
{
    static const uint32_t flags[] = {NFQE_OPTION_HAS_MIN, NFQE_OPTION_HAS_MAX, BOTH};
    static const bool has_limits[] = {[NFQE_OPTION_STRING] = true,
                                      [NFQE_OPTION_INTEGER] = true,
                                      [NFQE_OPTION_DURATION] = true,
                                      [NFQE_OPTION_SIZE] = true,
                                      [NFQE_OPTION_DIRECTORY] = false};
    static const uint32_t sizes[] = {0, 8, 8, 1, 4, 8, 8, 20, 20, 4, 8, 4};

    (void)state;
    for (uint32_t type = NFQE_OPTION_STRING; type <= NFQE_OPTION_DIRECTORY; type++) {
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
            const struct nfqe_option option = {.name = "a",
                                               .type = type,
                                               .flags = flags[i],
                                               .max = 9,
                                               .member_size = sizes[type],
                                               .choices = type == NFQE_OPTION_CHOICE ? "a|b" : NULL};

            if (has_limits[type]) {
                assert_option_taken(option);
            } else {
                assert_option_refused(option, "its option a has HAS_MIN or HAS_MAX, which only STRING, INTEGER,");
            }
        }
    }
}

static void test_limits_that_allow_no_value_are_refused(void **state)
{
    (void)state;
    assert_option_refused((struct nfqe_option){NUMBER, .flags = BOTH, .min = 1},
                          "its option number has min 1 above max 0, so that no value is allowed");
    assert_option_refused((struct nfqe_option){NUMBER, .flags = BOTH, .min = 7, .max = -3},
                          "its option number has min 7 above max -3");
    assert_option_refused((struct nfqe_option){TEXT, .flags = NFQE_OPTION_HAS_MAX, .max = -1},
                          "its option text has min 0 above max -1"); /* no text is so short */
    assert_option_refused((struct nfqe_option){TEXT, .flags = BOTH, .min = INT64_MIN, .max = -1},
                          "its option text has min 0 above max -1");
    assert_option_taken((struct nfqe_option){TEXT, .flags = BOTH, .min = -1, .max = 0});
    assert_option_taken((struct nfqe_option){NUMBER, .flags = BOTH, .min = -3, .max = -3});
    assert_option_taken((struct nfqe_option){NUMBER, .flags = NFQE_OPTION_HAS_MAX, .min = 1, .max = INT64_MIN});
    assert_option_taken((struct nfqe_option){NUMBER, .flags = NFQE_OPTION_HAS_MIN, .min = INT64_MAX});
    assert_option_taken((struct nfqe_option){FLAG, .min = 1}); /* without a flag it means nothing */
    assert_option_refused((struct nfqe_option){LIST, .type = NFQE_OPTION_SIZE, .min = 2, .flags = BOTH | REPEATABLE},
                          "its option list has min 2 above max 0");
}

static void test_only_a_file_is_writable(void **state)
{
    (void)state;
    assert_option_taken((struct nfqe_option){FILE_OPTION, .flags = NFQE_OPTION_WRITABLE});
    assert_option_refused(
        (struct nfqe_option){
            .name = "a", .type = NFQE_OPTION_DIRECTORY, .member_size = sizeof(int), .flags = NFQE_OPTION_WRITABLE},
        "its option a is WRITABLE, which only a FILE can be");
}

static void test_choices_are_of_a_choice(void **state)
{
    static const char *const empty[] = {"", "|", "a|", "|a", "a||b"};

    (void)state;
    assert_option_taken((struct nfqe_option){CHOICE, .choices = "a"});
    assert_option_taken((struct nfqe_option){CHOICE, .choices = "a|ab|aba|b"});
    assert_option_refused((struct nfqe_option){CHOICE}, "its option choice has no choices; set .choices,");
    assert_option_refused((struct nfqe_option){TEXT, .choices = "a|b"},
                          "its option text has choices, which only a CHOICE can have");
    assert_option_refused((struct nfqe_option){CHOICE, .choices = "a|b|a"}, "its option choice has the choice a twice");
    assert_option_refused((struct nfqe_option){CHOICE, .choices = "b|ab|ab"},
                          "its option choice has the choice ab twice");
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        assert_option_refused((struct nfqe_option){CHOICE, .choices = empty[i]},
                              "its option choice has an empty choice: \"");
    }
}

static void test_default_must_be_a_value_that_can_be_used(void **state)
{
    (void)state;
    assert_option_taken((struct nfqe_option){NUMBER, .flags = BOTH, .min = 1, .max = 2, .default_value = "2"});
    assert_option_refused((struct nfqe_option){NUMBER, .default_value = "many"},
                          "its option number has the default many: must be a number");
    assert_option_refused((struct nfqe_option){NUMBER, .flags = BOTH, .min = 1, .max = 2, .default_value = "3"},
                          "its option number has the default 3: must be 1 to 2");
    assert_option_refused((struct nfqe_option){CHOICE, .choices = "a|b", .default_value = "c"},
                          "its option choice has the default c: must be one of a|b");
    assert_option_refused(
        (struct nfqe_option){LIST, .type = NFQE_OPTION_PREFIX, .flags = REPEATABLE, .default_value = "10.0.0.1/8"},
        "its option list has the default 10.0.0.1/8: has bits after its prefix");
    assert_option_refused((struct nfqe_option){FILE_OPTION, .default_value = "/etc/passwd"},
                          "its option file is a FILE and has a default; only the user can name one");
    assert_option_refused((struct nfqe_option){TEXT, .flags = NFQE_OPTION_REQUIRED, .default_value = "a"},
                          "its option text is REQUIRED and has a default, which is never used");
}

/* ---- the config struct --------------------------------------------------------------------------------- */

static void test_member_has_the_size_of_its_type(void **state)
{
    struct nfqe_option option = {NUMBER};

    (void)state;
    option.member_size = sizeof(int32_t);
    assert_option_refused(option,
                          "its option number has a member of 4 bytes, INTEGER has 8 (int64_t); use NFQE_MEMBER");
    option = (struct nfqe_option){FLAG};
    option.member_size = 0;
    assert_option_refused(option, "its option flag has a member of 0 bytes, BOOLEAN has 1 (uint8_t)");
    option = (struct nfqe_option){NUMBER, .flags = NFQE_OPTION_REPEATABLE};
    assert_option_refused(option,
                          "its option number has a member of 8 bytes, REPEATABLE INTEGER has 16 (struct nfqe_list)");
    for (uint32_t type = NFQE_OPTION_STRING; type <= NFQE_OPTION_DIRECTORY; type++) {
        assert_option_taken((struct nfqe_option){LIST, .type = type, .flags = REPEATABLE,
                                                 .choices = type == NFQE_OPTION_CHOICE ? "a|b" : NULL});
    }
}

static void test_member_lies_in_the_config_struct(void **state)
{
    struct nfqe_option option = {NUMBER};
    const struct nfqe_option options[] = {option, {.name = NULL}};
    struct nfqe_plugin plugin = plugin_with(options);

    (void)state;
    option.offset = sizeof(struct config) - 8;
    assert_option_taken(option);
    option.offset++;
    assert_option_refused(option,
                          "its option number has bytes up to 65 of a config struct of 64; .config_size must be");
    option.offset = UINT32_MAX;
    assert_option_refused(option, "its option number has bytes up to 4294967303 of a config struct of 64");
    plugin.config_size = offsetof(struct config, number) + 7;
    assert_refused(plugin, "its option number has bytes up to 16 of a config struct of 15");
    plugin.config_size = 0;
    assert_refused(plugin, "declares options and no config_size; set it to the size of the struct that they fill");
}

static void test_no_two_options_have_the_same_bytes(void **state)
{
    struct nfqe_option options[] = {{NUMBER}, {TEXT}, {.name = NULL}};

    (void)state;
    options[0].offset = 16;
    for (unsigned offset = 0; offset <= 32; offset++) {
        options[1].offset = offset;
        if (offset > 8 && offset < 24) {
            assert_refused(plugin_with(options),
                           "its options number and text have the same member of the config struct");
        } else {
            assert_taken(plugin_with(options), 2);
            option_list_done(&list);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_without_options_is_empty),
        cmocka_unit_test(test_list_ends_with_its_count_or_with_no_name),
        cmocka_unit_test(test_longer_elements_are_read_up_to_our_size),
        cmocka_unit_test(test_size_that_no_element_has_is_refused),
        cmocka_unit_test(test_there_is_a_limit),
        cmocka_unit_test(test_list_without_an_end_is_refused_and_not_read_on),
        cmocka_unit_test(test_name_is_letters_digits_and_two_signs),
        cmocka_unit_test(test_type_of_a_later_engine_is_taken),
        cmocka_unit_test(test_flags_that_are_not_known_are_ignored),
        cmocka_unit_test(test_limits_are_of_the_types_that_can_have_them),
        cmocka_unit_test(test_limits_that_allow_no_value_are_refused),
        cmocka_unit_test(test_only_a_file_is_writable),
        cmocka_unit_test(test_choices_are_of_a_choice),
        cmocka_unit_test(test_default_must_be_a_value_that_can_be_used),
        cmocka_unit_test(test_member_has_the_size_of_its_type),
        cmocka_unit_test(test_member_lies_in_the_config_struct),
        cmocka_unit_test(test_no_two_options_have_the_same_bytes),
    };

    return cmocka_run_group_tests_name("option_list", tests, NULL, NULL);
}
