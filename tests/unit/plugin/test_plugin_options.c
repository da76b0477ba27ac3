/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin_options_parse(): what is in the config struct after "name=value,..." of the user.
 *
 * A refusal is also checked for what all have in common: the error is one line and names the option, and nothing stays.
 */
#include "unit.h"

#include "plugin/plugin_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Packed, so that members have any alignment. */
struct __attribute__((packed)) config {
    uint8_t before;
    const char *text;
    int64_t number;
    uint8_t flag;
    int file;
    int directory;
    struct nfqe_list numbers;
    struct nfqe_list words;
    struct nfqe_list files;
    uint32_t later;
    uint8_t after;
};

#define MEMBER(name) NFQE_MEMBER(struct config, name)
#define LATER_TYPE 1000

static const struct nfqe_option declared[] = {
    {.name = "text", .type = NFQE_OPTION_STRING, MEMBER(text)},
    {.name = "number",
     .type = NFQE_OPTION_INTEGER,
     .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
     MEMBER(number),
     .min = -5,
     .max = 10,
     .default_value = "7"},
    {.name = "flag", .type = NFQE_OPTION_BOOLEAN, MEMBER(flag)},
    {.name = "file", .type = NFQE_OPTION_FILE, MEMBER(file), .flags = NFQE_OPTION_WRITABLE},
    {.name = "directory", .type = NFQE_OPTION_DIRECTORY, MEMBER(directory)},
    {.name = "numbers",
     .type = NFQE_OPTION_INTEGER,
     .flags = NFQE_OPTION_REPEATABLE,
     MEMBER(numbers),
     .default_value = "-1"},
    {.name = "word", .type = NFQE_OPTION_STRING, .flags = NFQE_OPTION_REPEATABLE, MEMBER(words)},
    {.name = "files", .type = NFQE_OPTION_FILE, .flags = NFQE_OPTION_REPEATABLE, MEMBER(files)},
    {.name = "later", .type = LATER_TYPE, MEMBER(later), .default_value = "any"},
    {.name = NULL},
};

static struct error error;
static struct plugin_config filled;

static int parse_with(const struct nfqe_option *list, const char *text)
{
    const struct nfqe_plugin plugin = {
        .options = list, .option_size = sizeof(*list), .config_size = sizeof(struct config)};

    memset(&error, 0, sizeof(error));
    memset(&filled, 0xee, sizeof(filled));
    return plugin_options_parse(&plugin, text, &filled, &error);
}

static const struct config *parsed(const char *text)
{
    if (parse_with(declared, text) != 0) {
        fail_msg("\"%s\" was refused: %s", text != NULL ? text : "", error.text);
    }
    return filled.members;
}

static void assert_refused_with(const struct nfqe_option *list, const char *text, int code, const char *expected)
{
    static const struct plugin_config nothing;

    assert_int_equal(parse_with(list, text), code);
    if (strcmp(error.text, expected) != 0) {
        fail_msg("\"%s\": \"%s\" is said, not \"%s\"", text != NULL ? text : "", error.text, expected);
    }
    assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
    assert_memory_equal(&filled, &nothing, sizeof(nothing));
    plugin_options_done(&filled);
}

static void assert_refused(const char *text, const char *expected)
{
    assert_refused_with(declared, text, -EINVAL, expected);
}

/* ---- what is filled ------------------------------------------------------------------------------------ */

static void test_what_is_not_given_is_the_default_or_zero(void **state)
{
    const struct config *config = parsed(NULL);
    const struct config expected = {.number = 7, .file = -1, .directory = -1, .numbers = config->numbers};

    (void)state;
    assert_memory_equal(config, &expected, sizeof(expected));
    assert_int_equal(config->numbers.count, 1);
    assert_int_equal(*(const int64_t *)config->numbers.items, -1);
    assert_int_equal(filled.path_count, 0);
    plugin_options_done(&filled);
}

static void test_given_values_are_in_their_members(void **state)
{
    char *text = strdup("flag=on,number=-5,text=a=b");
    const struct config *config = parsed(text);
    const struct config expected = {
        .text = config->text, .number = -5, .flag = 1, .file = -1, .directory = -1, .numbers = config->numbers};

    (void)state;
    memset(text, 'x', strlen(text));
    free(text);
    assert_memory_equal(config, &expected, sizeof(expected));
    assert_string_equal(config->text, "a=b"); /* after the user's text has gone */
    plugin_options_done(&filled);
}

static void test_list_has_the_values_in_the_order_given(void **state)
{
    const struct config *config = parsed("word=a,numbers=5,word=,numbers=6,numbers=-7,word=b,,c,flag=on");
    const char *const *words = config->words.items;
    const int64_t *numbers = config->numbers.items;

    (void)state;
    assert_int_equal(config->words.count, 3);
    assert_string_equal(words[0], "a");
    assert_string_equal(words[1], "");
    assert_string_equal(words[2], "b,c");
    assert_int_equal(config->numbers.count, 3); /* the default is not one of them */
    assert_int_equal(numbers[0], 5);
    assert_int_equal(numbers[1], 6);
    assert_int_equal(numbers[2], -7);
    assert_int_equal(config->flag, 1);
    plugin_options_done(&filled);
}

/* Each type in a list, at the size and alignment that an array of it has. */
static void test_list_is_an_array_of_its_type(void **state)
{
    static const struct nfqe_option lists[] = {
        {.name = "b", .type = NFQE_OPTION_BOOLEAN, .flags = NFQE_OPTION_REPEATABLE, MEMBER(numbers)},
        {.name = "a", .type = NFQE_OPTION_ADDRESS, .flags = NFQE_OPTION_REPEATABLE, MEMBER(words)},
        {.name = "d", .type = NFQE_OPTION_DURATION, .flags = NFQE_OPTION_REPEATABLE, MEMBER(files)},
        {.name = NULL},
    };
    const struct config *config;
    const struct nfqe_address *addresses;

    (void)state;
    assert_int_equal(parse_with(lists, "b=on,a=10.0.0.1,b=off,d=1s,b=on,a=::1,d=2s"), 0);
    config = filled.members;
    addresses = config->words.items;
    assert_int_equal(config->numbers.count, 3);
    assert_memory_equal(config->numbers.items, ((const uint8_t[]){1, 0, 1}), 3);
    assert_int_equal(config->words.count, 2);
    assert_int_equal(addresses[0].family, AF_INET);
    assert_int_equal(addresses[1].family, AF_INET6);
    assert_int_equal(addresses[1].bytes[15], 1);
    assert_int_equal(config->files.count, 2);
    assert_int_equal((uintptr_t)config->files.items % _Alignof(uint64_t), 0);
    assert_memory_equal(config->files.items, ((const uint64_t[]){1000000000, 2000000000}), 16);
    plugin_options_done(&filled);
}

static void test_a_long_list_is_complete(void **state)
{
    enum { COUNT = 5000 };
    static char text[COUNT * 16];
    const struct config *config;
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%snumbers=%u", i > 0 ? "," : "", i);
    }
    config = parsed(text);
    assert_int_equal(config->numbers.count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(((const int64_t *)config->numbers.items)[i], i);
    }
    plugin_options_done(&filled);
}

static void assert_path(unsigned index, const char *option, const char *path, unsigned item, enum path_access access)
{
    assert_true(index < filled.path_count);
    assert_string_equal(filled.paths[index].option, option);
    assert_string_equal(filled.paths[index].path, path);
    assert_int_equal(filled.paths[index].item, item);
    assert_int_equal(filled.paths[index].access, access);
}

/* The fork server has them opened, and enters the descriptors. */
static void test_paths_that_are_to_be_opened_have_their_place(void **state)
{
    const struct config *config = parsed("files=/a,,b,directory=/d,text=/no,files=/c,file=/f");
    const int *files = config->files.items;

    (void)state;
    assert_int_equal(filled.path_count, 4);
    assert_path(0, "files", "/a,b", 0, PATH_FILE);
    assert_path(1, "directory", "/d", 1, PATH_DIRECTORY);
    assert_path(2, "files", "/c", 3, PATH_FILE);
    assert_path(3, "file", "/f", 4, PATH_WRITABLE_FILE);
    assert_int_equal(config->file, -1);
    assert_int_equal(config->directory, -1);
    assert_int_equal(config->files.count, 2);
    assert_int_equal(files[0], -1);
    assert_int_equal(files[1], -1);
    for (int i = 0; i < 4; i++) {
        memcpy(filled.paths[i].member, &i, sizeof(i));
    }
    assert_int_equal(config->file, 3);
    assert_int_equal(config->directory, 1);
    assert_int_equal(files[0], 0);
    assert_int_equal(files[1], 2);
    plugin_options_done(&filled);
}

/* ---- plugins with less --------------------------------------------------------------------------------- */

static void test_plugin_without_options_takes_none(void **state)
{
    static const struct nfqe_option none[] = {{.name = NULL}};

    (void)state;
    assert_int_equal(parse_with(none, NULL), 0);
    assert_non_null(filled.members); /* all zeros */
    plugin_options_done(&filled);
    assert_refused_with(NULL, "a=1", -EINVAL, "unknown option a; this plugin takes none");
    assert_refused_with(none, "a=1", -EINVAL, "unknown option a; this plugin takes none");
}

static void test_plugin_without_a_config_struct_gets_none(void **state)
{
    const struct nfqe_plugin plugin = {.options = NULL};

    (void)state;
    assert_int_equal(plugin_options_parse(&plugin, NULL, &filled, &error), 0);
    assert_null(filled.members);
    plugin_options_done(&filled);
}

/* ---- what is refused ----------------------------------------------------------------------------------- */

static void test_value_that_is_none_is_refused_with_what_is_allowed(void **state)
{
    (void)state;
    assert_refused("number=many", "option number=many: must be a number");
    assert_refused("number=11", "option number=11: must be -5 to 10");
    assert_refused("flag=maybe", "option flag=maybe: must be on or off");
    assert_refused("flag=", "option flag=: must be on or off");
    assert_refused("numbers=1,numbers=x,numbers=2", "option numbers=x: must be a number");
    assert_refused("directory=", "option directory=: must be the path of a directory");
}

#define KNOWN "; known are: text, number, flag, file, directory, numbers, word, files, later"

static void test_unknown_option_is_refused_with_what_is_known(void **state)
{
    (void)state;
    assert_refused("txt=1", "unknown option txt" KNOWN);
    assert_refused("Text=1", "unknown option Text" KNOWN);
    assert_refused("texts=1", "unknown option texts" KNOWN);
    assert_refused(" text=1", "unknown option  text" KNOWN);
    assert_refused("text=1,tex=1", "unknown option tex" KNOWN);
}

static void test_text_that_is_no_list_of_options_is_refused(void **state)
{
    static const char *const bad[] = {"", "text", "=a", ",text=a", "text=a,", "text=a,flag", "text=a,=b"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse_with(declared, bad[i]), -EINVAL);
        assert_non_null(strstr(error.text, "\": must be KEY=VALUE"));
    }
}

static void test_option_that_is_no_list_is_given_once(void **state)
{
    (void)state;
    assert_refused("text=a,text=a", "option text: given twice");
    assert_refused("flag=on,number=1,flag=off", "option flag: given twice");
}

static void test_type_of_a_later_engine_cannot_be_given(void **state)
{
    (void)state;
    assert_refused("later=1", "option later has type 1000, which this engine (" NFQE_VERSION
                              ") does not know; leave it out, or use a later engine");
}

static void test_required_option_must_be_given(void **state)
{
    static const struct nfqe_option needing[] = {
        {.name = "text",
         .type = NFQE_OPTION_STRING,
         .flags = NFQE_OPTION_REQUIRED,
         MEMBER(text),
         .help = "where the rules are"},
        {.name = "word",
         .type = NFQE_OPTION_STRING,
         .flags = NFQE_OPTION_REQUIRED | NFQE_OPTION_REPEATABLE,
         MEMBER(words)},
        {.name = NULL},
    };
    static const struct nfqe_option later[] = {
        {.name = "later", .type = LATER_TYPE, .flags = NFQE_OPTION_REQUIRED, MEMBER(later)}, {.name = NULL}};

    (void)state;
    assert_refused_with(needing, NULL, -EINVAL, "option text is missing: where the rules are");
    assert_refused_with(needing, "word=a", -EINVAL, "option text is missing: where the rules are");
    assert_refused_with(needing, "text=a", -EINVAL, "option word is missing: it must be given");
    assert_int_equal(parse_with(needing, "word=a,text=b,word=c"), 0);
    plugin_options_done(&filled);
    assert_refused_with(later, NULL, -EINVAL, "option later is missing: it must be given");
}

/* Of several mistakes of the user, that in a name is told before that in a value, and a missing option last. */
static void test_wrong_declaration_is_told_before_the_mistakes_of_the_user(void **state)
{
    static const struct nfqe_option wrong[] = {
        {.name = "number", .type = NFQE_OPTION_INTEGER, MEMBER(number), .default_value = "x"}, {.name = NULL}};

    (void)state;
    assert_refused_with(wrong, "number=1", -EBADMSG, "its option number has the default x: must be a number");
    assert_refused("number=x,none=1", "unknown option none" KNOWN);
}

static void test_long_texts_are_refused_with_one_line(void **state)
{
    static char text[4000];

    (void)state;
    memset(text, 'k', sizeof(text) - 1);
    assert_int_equal(parse_with(declared, text), -EINVAL);
    assert_int_equal(strlen(error.text), strlen("option \"\": must be KEY=VALUE") + 64);
    text[6] = '=';
    assert_int_equal(parse_with(declared, text), -EINVAL);
    assert_non_null(strstr(error.text, "unknown option kkkkkk; known are: "));
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the beginning of a text that goes on */
    memcpy(text, "number", 6);
    assert_int_equal(parse_with(declared, text), -EINVAL);
    assert_int_equal(strlen(error.text), strlen("option number=: must be a number") + 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_given_is_the_default_or_zero),
        cmocka_unit_test(test_given_values_are_in_their_members),
        cmocka_unit_test(test_list_has_the_values_in_the_order_given),
        cmocka_unit_test(test_list_is_an_array_of_its_type),
        cmocka_unit_test(test_a_long_list_is_complete),
        cmocka_unit_test(test_paths_that_are_to_be_opened_have_their_place),
        cmocka_unit_test(test_plugin_without_options_takes_none),
        cmocka_unit_test(test_plugin_without_a_config_struct_gets_none),
        cmocka_unit_test(test_value_that_is_none_is_refused_with_what_is_allowed),
        cmocka_unit_test(test_unknown_option_is_refused_with_what_is_known),
        cmocka_unit_test(test_text_that_is_no_list_of_options_is_refused),
        cmocka_unit_test(test_option_that_is_no_list_is_given_once),
        cmocka_unit_test(test_type_of_a_later_engine_cannot_be_given),
        cmocka_unit_test(test_required_option_must_be_given),
        cmocka_unit_test(test_wrong_declaration_is_told_before_the_mistakes_of_the_user),
        cmocka_unit_test(test_long_texts_are_refused_with_one_line),
    };

    return cmocka_run_group_tests_name("plugin_options", tests, NULL, NULL);
}
