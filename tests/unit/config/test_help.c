/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * help_print(): the help has every option of the table with the form of its value, indents the option's help, and ends
 * with the exit statuses. The test walks the table, so a new option is checked too.
 */
#include "unit.h"

#include "config/help.h"
#include "config/options.h"

#include <stdio.h>
#include <string.h>

#define WIDTH_MAX 87 /* as wide as the widest line of the table, with its indentation */

static char text[16384];

static int set_up(void **state)
{
    FILE *file = fmemopen(text, sizeof(text), "w");

    (void)state;
    assert_non_null(file);
    help_print(file);
    assert_int_equal(ferror(file), 0);
    return fclose(file);
}

static void test_help_begins_with_what_must_be_given(void **state)
{
    static const char first[] = "Usage: nfq-engine --plugin FILE[,KEY=VALUE...] --queue N [OPTION...]\n\n";

    (void)state;
    assert_memory_equal(text, first, sizeof(first) - 1);
}

static void test_help_names_every_option_as_it_is_written(void **state)
{
    static const char *const lines[] = {
        "\n  --plugin FILE[,KEY=VALUE...]\n        Run this plugin. Repeat it for a chain: the first verdict other",
        "\n        that of an installed plugin.\n  --queue N|A-B\n        Serve",
        "\n  --fail-open\n        Accept packets",
        "\n  --bypass-mark BITS[/MASK]\n        Set these bits",
        "\n  --print-rules[=nft|iptables]\n        Print firewall rules",
        "\n  --version\n        Print the versions of the engine and the plugin ABI. Also: -v.\n\nExit status: ",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_non_null(strstr(text, lines[i]));
    }
    assert_true(options_table_count > 20);
    for (size_t i = 0; i < options_table_count; i++) {
        char line[64];

        snprintf(line, sizeof(line), "\n  --%s", options_table[i].name);
        assert_non_null(strstr(text, line));
    }
}

static void test_help_ends_with_every_exit_status(void **state)
{
    static const char last[] = "\n\nExit status: 0 stopped in order, 1 run time error, 2 usage, 3 configuration,\n"
                               "4 plugin refused, 5 queue cannot be bound or was unbound by another program,\n"
                               "6 stopped by --on-crash-limit or --on-outage.\n";

    (void)state;
    assert_string_equal(text + strlen(text) - (sizeof(last) - 1), last);
}

static void test_every_line_is_indented_and_narrow(void **state)
{
    const char *line = strstr(text, "\n  --");

    (void)state;
    assert_non_null(line);
    for (line++; strncmp(line, "\nExit", 5) != 0; line = strchr(line, '\n') + 1) {
        assert_in_range(strcspn(line, "\n"), 1, WIDTH_MAX);
        assert_true(strncmp(line, "  --", 4) == 0 || (strncmp(line, "        ", 8) == 0 && line[8] != ' '));
    }
}

static void test_an_option_is_found_by_its_whole_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < options_table_count; i++) {
        assert_ptr_equal(options_find(options_table[i].name, strlen(options_table[i].name)), &options_table[i]);
    }
    assert_null(options_find("queues", 6));
    assert_null(options_find("queue", 4));
    assert_ptr_equal(options_find("queue=1", 5), options_find("queue", 5));
    assert_null(options_find("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_begins_with_what_must_be_given),
        cmocka_unit_test(test_help_names_every_option_as_it_is_written),
        cmocka_unit_test(test_help_ends_with_every_exit_status),
        cmocka_unit_test(test_every_line_is_indented_and_narrow),
        cmocka_unit_test(test_an_option_is_found_by_its_whole_name),
    };

    return cmocka_run_group_tests_name("help", tests, set_up, NULL);
}
