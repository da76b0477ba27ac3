/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log that plugins get: their lines with queue, id and level, from one level on, and not more than so many a second.
 */
#include "log_lines.h"

#include "base/arith.h"
#include "process/plugin_services.h"

#include <pthread.h>
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
    plugin_services_begin(NFQE_LOG_INFO, "");
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
    say(NFQE_LOG_DEBUG + 1, "a", "text");
    log_lines_assert_all(lines);
}

static void test_lines_beyond_the_limit_are_counted_for_the_next_second(void **state)
{
    static const unsigned numbers[] = {1, 3};
    char text[LOG_LINE_MAX];

    (void)state;
    for (size_t n = 0; n < ARRAY_SIZE(numbers); n++) {
        plugin_services_begin(NFQE_LOG_INFO, "");
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
    plugin_services_begin(NFQE_LOG_INFO, "");
    say(NFQE_LOG_INFO, "a", "text");
    log_lines_assert("plugin a: text");
}

static void test_line_of_a_worker_names_its_queue(void **state)
{
    static const char *const lines[] = {"queue 65535: plugin a: error: it broke", "queue 65535: plugin b: it works",
                                        NULL};

    (void)state;
    plugin_services_begin(NFQE_LOG_INFO, "queue 65535: ");
    say(NFQE_LOG_ERROR, "a", "it broke");
    say(NFQE_LOG_INFO, "b", "it works");
    log_lines_assert_all(lines);
}

/* They cost no other line its place. */
static void test_levels_that_are_not_shown_do_not_count(void **state)
{
    (void)state;
    for (int shown = NFQE_LOG_ERROR; shown <= NFQE_LOG_DEBUG; shown++) {
        plugin_services_begin((unsigned)shown, "");
        for (unsigned i = 0; i < 2 * PLUGIN_SERVICES_LINES_PER_SECOND; i++) {
            for (int level = shown + 1; level <= NFQE_LOG_DEBUG; level++) {
                say(level, "a", "text");
            }
        }
        assert_int_equal(log_lines.count, 0);
        for (int level = NFQE_LOG_ERROR; level <= shown; level++) {
            say(level, "a", "text");
        }
        assert_int_equal(log_lines.count, shown + 1);
        log_lines_clear();
    }
}

static void test_debug_is_a_level(void **state)
{
    (void)state;
    plugin_services_begin(NFQE_LOG_DEBUG, "");
    say(NFQE_LOG_DEBUG, "a", "text");
    log_lines_assert("plugin a: debug: text");
}

static void *say_often(void *argument)
{
    for (unsigned i = 0; i < 1000; i++) {
        say(NFQE_LOG_DEBUG + 1, "a", argument);
    }
    return NULL;
}

/* What is written and what is held back come to all that was said, however threads say it. */
static void test_threads_share_the_limit(void **state)
{
    pthread_t threads[4];
    char text[LOG_LINE_MAX];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, say_often, text), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    log_lines_clear();
    ahead_s++;
    say(NFQE_LOG_INFO, "a", "text");
    snprintf(text, sizeof(text), "plugin a: %u more lines not shown (limit 20 a second)",
             4 * 1000u - PLUGIN_SERVICES_LINES_PER_SECOND);
    assert_string_equal(log_lines.text[0], text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_line_names_plugin_and_level, set_up),
        cmocka_unit_test_setup(test_level_that_does_not_exist_is_not_named, set_up),
        cmocka_unit_test_setup(test_lines_beyond_the_limit_are_counted_for_the_next_second, set_up),
        cmocka_unit_test_setup(test_new_process_has_a_limit_of_its_own, set_up),
        cmocka_unit_test_setup(test_line_of_a_worker_names_its_queue, set_up),
        cmocka_unit_test_setup(test_levels_that_are_not_shown_do_not_count, set_up),
        cmocka_unit_test_setup(test_debug_is_a_level, set_up),
        cmocka_unit_test_setup(test_threads_share_the_limit, set_up),
    };

    return cmocka_run_group_tests_name("plugin_services", tests, NULL, NULL);
}
