/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log that plugins get: their lines with id and level, and not more than so many a second.
 */
#include "log_lines.h"

#include "base/arith.h"
#include "process/plugin_services.h"

#include <stdio.h>
#include <time.h>

static time_t ahead_s; /* of the clock: seconds that no test waits for */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int code = __real_clock_gettime(clock, now);

    now->tv_sec += ahead_s;
    return code;
}

static int set_up(void **state)
{
    (void)state;
    plugin_services_begin();
    log_lines_clear();
    return 0;
}

static void say(int level, const char *id, const char *text)
{
    plugin_services.log(plugin_services.context, level, id, text);
}

static void test_line_names_plugin_and_level(void **state)
{
    static const char *const lines[] = {"plugin a: error: it broke", "plugin b: warning: it may break",
                                        "plugin c: it works", NULL};

    (void)state;
    say(NFQE_LOG_ERROR, "a", "it broke");
    say(NFQE_LOG_WARNING, "b", "it may break");
    say(NFQE_LOG_INFO, "c", "it works");
    log_lines_assert_all(lines);
}

static void test_level_that_does_not_exist_is_not_named(void **state)
{
    static const char *const lines[] = {"plugin a: text", "plugin a: text", NULL};

    (void)state;
    say(-1, "a", "text");
    say(NFQE_LOG_INFO + 1, "a", "text");
    log_lines_assert_all(lines);
}

static void test_lines_beyond_the_limit_are_counted_for_the_next_second(void **state)
{
    static const unsigned numbers[] = {1, 3};
    char text[LOG_LINE_MAX];

    (void)state;
    for (size_t n = 0; n < ARRAY_SIZE(numbers); n++) {
        plugin_services_begin();
        for (unsigned i = 0; i < PLUGIN_SERVICES_LINES_PER_SECOND + numbers[n]; i++) {
            say(NFQE_LOG_INFO, i % 2 == 0 ? "a" : "b", "text");
        }
        assert_int_equal(log_lines.count, PLUGIN_SERVICES_LINES_PER_SECOND);
        log_lines_clear();
        ahead_s++;
        say(NFQE_LOG_INFO, "c", "text");
        assert_int_equal(log_lines.count, 2);
        snprintf(text, sizeof(text), "plugin c: %u more lines not shown (limit 20 a second)", numbers[n]);
        assert_string_equal(log_lines.text[0], text);
        assert_string_equal(log_lines.text[1], "plugin c: text");
        log_lines_clear();
    }
}

/* A process that is forked begins with what its parent had counted. */
static void test_new_process_has_a_limit_of_its_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PLUGIN_SERVICES_LINES_PER_SECOND + 3; i++) {
        say(NFQE_LOG_INFO, "a", "text");
    }
    log_lines_clear();
    plugin_services_begin();
    say(NFQE_LOG_INFO, "a", "text");
    log_lines_assert("plugin a: text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_line_names_plugin_and_level, set_up),
        cmocka_unit_test_setup(test_level_that_does_not_exist_is_not_named, set_up),
        cmocka_unit_test_setup(test_lines_beyond_the_limit_are_counted_for_the_next_second, set_up),
        cmocka_unit_test_setup(test_new_process_has_a_limit_of_its_own, set_up),
    };

    return cmocka_run_group_tests_name("plugin_services", tests, NULL, NULL);
}
