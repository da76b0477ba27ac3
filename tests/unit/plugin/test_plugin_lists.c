/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin_lists_check(): the lists of counters and reasons of a plugin, by number and by an element without a name at the
 * end, and the refusal of each that cannot be read. plugin_lists_add_reasons(): their names, of all plugins of a chain.
 *
 * The lists are data of this program, which has the place of the plugin's file.
 */
#include "unit.h"

#include "plugin/plugin_lists.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END_HINT "the list must end with an element whose name is NULL"
#define COUNT_HINT "the number of elements must be right"
#define NOT_THERE "is not in the plugin's file, or points to memory that is not there"

static const struct nfqe_counter two_counters[] = {
    {.name = "seen_2", .unit = "packets", .help = "packets that were seen"}, {.name = "a"}, {.name = NULL}};
static const struct nfqe_reason two_reasons[] = {
    {.name = "too-long_2", .help = "longer"}, {.name = "b"}, {.name = NULL}};

static struct nfqe_plugin table;
static struct plugin_lists lists;
static struct error error;

static int set_up(void **state)
{
    (void)state;
    table =
        (struct nfqe_plugin){.counter_size = sizeof(struct nfqe_counter), .reason_size = sizeof(struct nfqe_reason)};
    memset(&lists, 0xee, sizeof(lists));
    memset(&error, 0, sizeof(error));
    return 0;
}

static int check(void)
{
    return plugin_lists_check(&table, two_counters, &lists, &error);
}

static void assert_counts(size_t counters, size_t reasons)
{
    if (check() != 0) {
        fail_msg("refused: %s", error.text);
    }
    assert_int_equal(lists.counter_count, counters);
    assert_int_equal(lists.reason_count, reasons);
}

static void assert_refused(const char *message)
{
    assert_int_equal(check(), -EBADMSG);
    assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
    assert_string_equal(error.text, message);
}

static void use_reasons(const struct nfqe_reason *reasons, uint32_t count)
{
    table.reasons = reasons;
    table.reason_count = count;
}

/* ---- lists that can be read ------------------------------------------------------------------------------- */

static void test_plugin_without_lists_has_none(void **state)
{
    (void)state;
    assert_counts(0, 0);
    table.counter_size = 0; /* means nothing then */
    table.reason_size = 1;
    assert_counts(0, 0);
}

static void test_list_has_as_many_elements_as_the_plugin_says(void **state)
{
    (void)state;
    table.counters = two_counters;
    table.counter_count = 1;
    use_reasons(two_reasons, 2);
    assert_counts(1, 2);
}

static void test_list_without_a_number_goes_to_the_element_without_a_name(void **state)
{
    static const struct nfqe_counter none[] = {{.name = NULL, .unit = (const char *)8}};

    (void)state;
    table.counters = two_counters;
    use_reasons(two_reasons, 0);
    assert_counts(2, 2);
    table.counters = none;
    assert_counts(0, 2);
}

/* As in a plugin of a later minor version. */
static void test_elements_may_be_longer_than_ours(void **state)
{
    static const struct {
        struct nfqe_reason now;
        void *later;
    } longer[] = {{.now = {.name = "a"}, .later = &error}, {.now = {.name = "b"}}, {.now = {.name = NULL}}};

    (void)state;
    use_reasons(&longer[0].now, 0);
    table.reason_size = sizeof(longer[0]);
    assert_counts(0, 2);
}

/* Only the list itself must be the plugin's. */
static void test_text_may_be_one_of_a_library(void **state)
{
    static struct nfqe_reason reasons[] = {{.name = "a"}};

    (void)state;
    reasons[0].help = gnu_get_libc_version();
    use_reasons(reasons, 1);
    assert_counts(0, 1);
}

/* ---- refusals ---------------------------------------------------------------------------------------------- */

static void test_number_without_a_list_is_refused(void **state)
{
    (void)state;
    table.counter_count = 3;
    assert_refused("its counter_count is 3, and it has no counters");
    table.counter_count = 0;
    table.reason_count = 1;
    assert_refused("its reason_count is 1, and it has no reasons");
}

static void test_size_of_an_element_that_is_none_is_refused(void **state)
{
    (void)state;
    table.counters = two_counters;
    table.counter_size = 16;
    assert_refused("its counter_size is 16, ABI 2.0 has 24; the plugin must use NFQE_PLUGIN(...)");
    table.counter_size = 28;
    assert_refused("its counter_size is 28, ABI 2.0 has 24; the plugin must use NFQE_PLUGIN(...)");
    table.counters = NULL;
    use_reasons(two_reasons, 0);
    table.reason_size = 0;
    assert_refused("its reason_size is 0, ABI 2.0 has 16; the plugin must use NFQE_PLUGIN(...)");
}

static void test_number_beyond_the_list_is_refused(void **state)
{
    static const struct nfqe_reason then_none[] = {{.name = "a"}, {.name = (const char *)8}};

    (void)state;
    use_reasons(two_reasons, 3);
    assert_refused("its reason 3 of 3 has no name; " COUNT_HINT);
    use_reasons(then_none, 2);
    assert_refused("its reason 2 " NOT_THERE "; " COUNT_HINT);
    use_reasons(then_none, 0);
    assert_refused("its reason 2 " NOT_THERE "; " END_HINT);
    use_reasons(two_reasons, 1025);
    assert_refused("declares 1025 reasons, at most 1024 are possible");
}

static void test_list_in_memory_that_is_not_the_plugins_is_refused(void **state)
{
    struct nfqe_reason *allocated = calloc(2, sizeof(*allocated));

    (void)state;
    assert_non_null(allocated);
    allocated[0].name = "a";
    use_reasons(allocated, 1);
    assert_refused("its reason 1 " NOT_THERE "; " COUNT_HINT);
    use_reasons(allocated, 0);
    assert_refused("its reason 1 " NOT_THERE "; " END_HINT);
    free(allocated);
    use_reasons(two_reasons, 0); /* of this program, and the plugin is a library */
    assert_int_equal(plugin_lists_check(&table, gnu_get_libc_version(), &lists, &error), -EBADMSG);
    assert_string_equal(error.text, "its reason 1 " NOT_THERE "; " END_HINT);
}

/* The first file is the program. */
static int find_end(struct dl_phdr_info *info, size_t size, void *data)
{
    uintptr_t *end = data;

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

        if (segment->p_type == PT_LOAD && info->dlpi_addr + segment->p_vaddr + segment->p_memsz > *end) {
            *end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        }
    }
    return 1;
}

/* What lies there can be read, and is not the plugin's. */
static void test_element_that_goes_beyond_its_segment_is_refused(void **state)
{
    uintptr_t end = 0;

    (void)state;
    dl_iterate_phdr(find_end, &end);
    use_reasons((const struct nfqe_reason *)(end - sizeof(const char *)), 1);
    assert_refused("its reason 1 " NOT_THERE "; " COUNT_HINT);
    use_reasons((const struct nfqe_reason *)(end - sizeof(const char *)), 0);
    assert_refused("its reason 1 " NOT_THERE "; " END_HINT);
}

static void test_text_that_is_not_there_is_refused(void **state)
{
    static struct nfqe_counter counters[] = {{.name = "a"}, {.name = NULL}};
    char *allocated = strdup("b");

    (void)state;
    assert_non_null(allocated);
    table.counters = counters;
    assert_counts(1, 0);
    counters[0].unit = allocated;
    assert_refused("its counter 1 " NOT_THERE "; " END_HINT);
    counters[0] = (struct nfqe_counter){.name = "a", .help = allocated};
    assert_refused("its counter 1 " NOT_THERE "; " END_HINT);
    counters[0] = (struct nfqe_counter){.name = allocated};
    assert_refused("its counter 1 " NOT_THERE "; " END_HINT);
    counters[0] = (struct nfqe_counter){.name = "a"};
    free(allocated);
}

static void test_names_have_the_allowed_characters_and_are_there_once(void **state)
{
    static const char *const bad[] = {"", "A", "a b", "a.b", "a\n", "\xc3\xb6", "abcdefghijabcdefghijabcdefghijkl"};
    static struct nfqe_counter counters[] = {{.name = "a"}, {.name = "b"}, {.name = "a"}, {.name = NULL}};
    static struct nfqe_reason reasons[] = {{.name = "a-b"}, {.name = NULL}};

    (void)state;
    table.counters = counters;
    assert_refused("declares its counter a twice");
    counters[2].name = "a-b";
    assert_refused("its counter 3 has a name that is not 1 to 31 small letters, digits and _; " END_HINT);
    counters[2].name = "c";
    use_reasons(reasons, 0);
    assert_counts(3, 1);
    reasons[0].name = "abcdefghijabcdefghijabcdefghijk";
    assert_counts(3, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reasons[0].name = bad[i];
        assert_refused("its reason 1 has a name that is not 1 to 31 small letters, digits, - and _; " END_HINT);
    }
}

static void test_no_more_reasons_than_a_chain_can_have(void **state)
{
    static struct nfqe_reason reasons[1024 + 2];
    static char names[1024 + 1][8];

    (void)state;
    for (unsigned i = 0; i < 1025; i++) {
        snprintf(names[i], sizeof(names[i]), "n%u", i);
        reasons[i].name = i < 1024 ? names[i] : NULL;
    }
    use_reasons(reasons, 0);
    assert_counts(0, 1024);
    use_reasons(reasons, 1024);
    assert_counts(0, 1024);
    reasons[1024].name = names[1024];
    use_reasons(reasons, 0);
    assert_refused("declares more than 1024 reasons; " END_HINT);
}

static void test_no_more_counters_than_a_chain_can_have(void **state)
{
    static struct nfqe_counter counters[1024 + 2];
    static char names[1024 + 1][8];

    (void)state;
    for (unsigned i = 0; i < 1025; i++) {
        snprintf(names[i], sizeof(names[i]), "n%u", i);
        counters[i].name = i < 1024 ? names[i] : NULL;
    }
    table.counters = counters;
    assert_counts(1024, 0);
    table.counter_count = 1024;
    assert_counts(1024, 0);
    table.counter_count = 1025;
    assert_refused("declares 1025 counters, at most 1024 are possible");
    table.counter_count = 0;
    counters[1024].name = names[1024];
    assert_refused("declares more than 1024 counters; " END_HINT);
}

/* ---- names of reasons ------------------------------------------------------------------------------------- */

static struct reason_names names;

/* Of position 1: the plugin before it has two. */
static int add_reasons(void)
{
    memset(&names, 0, sizeof(names));
    names.first[1] = 2;
    assert_int_equal(check(), 0);
    return plugin_lists_add_reasons(&table, &lists, 1, &names, &error);
}

static void test_names_of_reasons_are_added_to_those_of_the_plugins_before(void **state)
{
    (void)state;
    for (uint32_t count = 0; count <= 2; count++) {
        use_reasons(two_reasons, count);
        assert_int_equal(add_reasons(), 0);
        assert_int_equal(names.first[2], count == 1 ? 3 : 4);
        assert_string_equal(names.names[2], "too-long_2");
        assert_string_equal(names.names[3], count == 1 ? "" : "b");
    }
    use_reasons(NULL, 0);
    assert_int_equal(add_reasons(), 0);
    assert_int_equal(names.first[2], 2);
}

static void test_names_of_counters_are_added_like_those_of_reasons(void **state)
{
    static const struct nfqe_counter counters[] = {{.name = "a", .unit = "bytes", .help = "text"}, {.name = "b_2"}};

    (void)state;
    memset(&names, 0, sizeof(names));
    table.counters = counters;
    table.counter_count = 2;
    assert_int_equal(check(), 0);
    assert_int_equal(plugin_lists_add_counters(&table, &lists, 0, &names, &error), 0);
    assert_int_equal(names.first[1], 2);
    assert_string_equal(names.names[0], "a");
    assert_string_equal(names.names[1], "b_2");
    names.first[0] = COUNTERS_MAX - 1;
    assert_int_equal(plugin_lists_add_counters(&table, &lists, 0, &names, &error), -EBADMSG);
    assert_string_equal(error.text, "declares 2 counters, and the plugins before it 1023; a chain can have 1024");
}

static void test_names_of_reasons_are_found_in_longer_elements(void **state)
{
    static const struct {
        struct nfqe_reason now;
        void *later;
    } longer[] = {{.now = {.name = "a"}, .later = &error}, {.now = {.name = "b"}}, {.now = {.name = NULL}}};

    (void)state;
    use_reasons(&longer[0].now, 0);
    table.reason_size = sizeof(longer[0]);
    assert_int_equal(add_reasons(), 0);
    assert_string_equal(names.names[2], "a");
    assert_string_equal(names.names[3], "b");
}

static void test_plugins_of_a_chain_have_so_many_reasons_together(void **state)
{
    static struct nfqe_reason reasons[REASONS_MAX];
    static char texts[REASONS_MAX][8];

    (void)state;
    for (unsigned i = 0; i < REASONS_MAX; i++) {
        snprintf(texts[i], sizeof(texts[i]), "n%u", i);
        reasons[i].name = texts[i];
    }
    use_reasons(reasons, REASONS_MAX - 2);
    assert_int_equal(add_reasons(), 0);
    assert_int_equal(names.first[2], REASONS_MAX);
    assert_string_equal(names.names[REASONS_MAX - 1], "n1021");
    use_reasons(reasons, REASONS_MAX - 1);
    assert_int_equal(add_reasons(), -EBADMSG);
    assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
    assert_string_equal(error.text, "declares 1023 reasons, and the plugins before it 2; a chain can have 1024");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plugin_without_lists_has_none, set_up),
        cmocka_unit_test_setup(test_list_has_as_many_elements_as_the_plugin_says, set_up),
        cmocka_unit_test_setup(test_list_without_a_number_goes_to_the_element_without_a_name, set_up),
        cmocka_unit_test_setup(test_elements_may_be_longer_than_ours, set_up),
        cmocka_unit_test_setup(test_text_may_be_one_of_a_library, set_up),
        cmocka_unit_test_setup(test_number_without_a_list_is_refused, set_up),
        cmocka_unit_test_setup(test_size_of_an_element_that_is_none_is_refused, set_up),
        cmocka_unit_test_setup(test_number_beyond_the_list_is_refused, set_up),
        cmocka_unit_test_setup(test_list_in_memory_that_is_not_the_plugins_is_refused, set_up),
        cmocka_unit_test_setup(test_element_that_goes_beyond_its_segment_is_refused, set_up),
        cmocka_unit_test_setup(test_text_that_is_not_there_is_refused, set_up),
        cmocka_unit_test_setup(test_names_have_the_allowed_characters_and_are_there_once, set_up),
        cmocka_unit_test_setup(test_no_more_reasons_than_a_chain_can_have, set_up),
        cmocka_unit_test_setup(test_no_more_counters_than_a_chain_can_have, set_up),
        cmocka_unit_test_setup(test_names_of_reasons_are_added_to_those_of_the_plugins_before, set_up),
        cmocka_unit_test_setup(test_names_of_counters_are_added_like_those_of_reasons, set_up),
        cmocka_unit_test_setup(test_names_of_reasons_are_found_in_longer_elements, set_up),
        cmocka_unit_test_setup(test_plugins_of_a_chain_have_so_many_reasons_together, set_up),
    };

    return cmocka_run_group_tests_name("plugin_lists", tests, NULL, NULL);
}
