/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * struct error: the line that a person reads, and that no text, source or line number overflows its buffers.
 */
#include "base/error.h"
#include "base/log.h"

#include "unit.h"

#include <errno.h>
#include <string.h>

static struct error error;
static char line[ERROR_LINE_MAX];

static void test_an_error_returns_its_code_and_keeps_what_it_was_given(void **state)
{
    (void)state;
    assert_int_equal(error_set(&error, EXIT_CODE_PLUGIN, -ENOENT, "%s is %d", "this", 7), -ENOENT);
    assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
    assert_int_equal(error.code, -ENOENT);
    assert_string_equal(error.text, "this is 7");
    assert_string_equal(error.source, "");
    assert_int_equal(error.line, 0);
}

static void test_the_line_names_source_and_line_if_there_are_any(void **state)
{
    (void)state;
    error_set(&error, EXIT_CODE_CONFIGURATION, -EINVAL, "unknown key");
    assert_string_equal(error_format(&error, line), "unknown key");
    error_set_source(&error, "/etc/nfq-engine.conf", 0);
    assert_string_equal(error_format(&error, line), "/etc/nfq-engine.conf: unknown key");
    error_set_source(&error, "/etc/nfq-engine.conf", 12);
    assert_string_equal(error_format(&error, line), "/etc/nfq-engine.conf:12: unknown key");
}

static void test_a_new_error_has_no_source_of_the_one_before(void **state)
{
    (void)state;
    error_set(&error, EXIT_CODE_PLUGIN, -EINVAL, "first");
    error_set_source(&error, "a.so", 3);
    error_set(&error, EXIT_CODE_QUEUE, -EPERM, "second");
    assert_string_equal(error_format(&error, line), "second");
}

static void test_the_longest_line_shows_the_end_of_the_source_and_the_reason(void **state)
{
    static char source[3 * ERROR_SOURCE_MAX];
    static char text[2 * ERROR_TEXT_MAX];

    (void)state;
    memset(source, 's', sizeof(source) - 1);
    memcpy(source + sizeof(source) - 6, "/x.so", 6);
    memset(text, 't', sizeof(text) - 1);
    error_set(&error, EXIT_CODE_PLUGIN, -EINVAL, "%s", text);
    error_set_source(&error, source, UINT32_MAX);
    error_format(&error, line);
    assert_int_equal(strlen(error.text), ERROR_TEXT_MAX - 1);
    assert_int_equal(strlen(error.source), ERROR_SOURCE_MAX - 1);
    assert_memory_equal(line, "...s", 4);
    assert_non_null(strstr(line, "/x.so:4294967295: ttt"));
    assert_int_equal(line[strlen(line) - 1], 't');
    assert_true(strlen("nfq-engine: ") + strlen(line) < LOG_LINE_MAX);
}

static void test_a_source_that_just_fits_is_kept_whole(void **state)
{
    char source[ERROR_SOURCE_MAX];

    (void)state;
    memset(source, 's', sizeof(source) - 1);
    source[sizeof(source) - 1] = '\0';
    error_set_source(&error, source, 0);
    assert_string_equal(error.source, source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_error_returns_its_code_and_keeps_what_it_was_given),
        cmocka_unit_test(test_the_line_names_source_and_line_if_there_are_any),
        cmocka_unit_test(test_a_new_error_has_no_source_of_the_one_before),
        cmocka_unit_test(test_the_longest_line_shows_the_end_of_the_source_and_the_reason),
        cmocka_unit_test(test_a_source_that_just_fits_is_kept_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
