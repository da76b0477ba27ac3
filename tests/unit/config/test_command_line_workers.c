/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command_line_parse(): the options of workers, and of what is done when they crash: values, defaults, refusals of
 * values as a person reads them, and which options contradict each other.
 *
 * The limits are written out here, as the help and the documentation state them.
 */
#include "parsed_command_line.h"
#include "unit.h"

#include <nfqe/abi.h>

#include <stdio.h>
#include <string.h>

static void assert_accepted(enum exit_code code)
{
    if (code != EXIT_CODE_OK) {
        fail_msg("refused: %s", parsed_error.text);
    }
}

static void assert_refused(enum exit_code code, enum exit_code expected_code, const char *expected)
{
    assert_string_equal(parsed_error.text, expected);
    assert_int_equal(code, expected_code);
    options_done(&parsed_options);
}

/* Refused with this text. */
#define USAGE(expected, ...) assert_refused(PARSE(ENOUGH, __VA_ARGS__), EXIT_CODE_USAGE, expected)
#define CONFLICT(expected, ...) assert_refused(PARSE(ENOUGH, __VA_ARGS__), EXIT_CODE_CONFIGURATION, expected)

static void accept(const char *argument)
{
    assert_accepted(PARSE(ENOUGH, argument));
    options_done(&parsed_options); /* frees the strings only */
}

static void test_defaults_are_those_that_the_help_states(void **state)
{
    (void)state;
    assert_accepted(PARSE(ENOUGH));
    assert_int_equal(parsed_options.workers, 1);
    assert_int_equal(parsed_options.spares, 1);
    assert_int_equal(parsed_options.worker_uids.first, 70000);
    assert_int_equal(parsed_options.worker_uids.last, 94999);
    assert_int_equal(parsed_options.priority, PRIORITY_NORMAL);
    assert_int_equal(parsed_options.plugin_log, NFQE_LOG_INFO);
    assert_int_equal(parsed_options.crash_limit.count, 20);
    assert_int_equal(parsed_options.crash_limit.window_ms, 60000);
    assert_int_equal(parsed_options.on_crash_limit, CRASH_LIMIT_OUTAGE);
    assert_int_equal(parsed_options.outage_timeout_ms, 2000);
    assert_int_equal(parsed_options.on_outage, OUTAGE_DROP);
    assert_int_equal(parsed_options.outage_retry_ms, 10000);
    options_done(&parsed_options);
}

static void test_numbers_of_workers_have_limits(void **state)
{
    (void)state;
    accept("--workers=1");
    assert_int_equal(parsed_options.workers, 1);
    accept("--workers=16");
    assert_int_equal(parsed_options.workers, 16);
    accept("--spares=0");
    assert_int_equal(parsed_options.spares, 0);
    accept("--spares=8");
    assert_int_equal(parsed_options.spares, 8);
    USAGE("--workers 0: must be 1 to 16", "--workers=0");
    USAGE("--workers 17: must be 1 to 16", "--workers=17");
    USAGE("--workers -1: must be a number from 1 to 16", "--workers", "-1");
    USAGE("--workers auto: must be a number from 1 to 16", "--workers=auto");
    USAGE("--workers: needs a value: --workers N", "--workers");
    USAGE("--spares 9: must be 0 to 8", "--spares=9");
    USAGE("--spares off: must be a number from 0 to 8", "--spares=off");
    USAGE("--spares: needs a value: --spares N", "--spares");
}

static void test_log_of_plugins_has_one_of_four_levels(void **state)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        char argument[32];

        snprintf(argument, sizeof(argument), "--plugin-log=%s", levels[i]);
        accept(argument);
        assert_int_equal(parsed_options.plugin_log, i);
    }
    USAGE("--plugin-log all: must be error, warning, info or debug", "--plugin-log=all");
}

static void test_priority_is_one_of_two_words(void **state)
{
    (void)state;
    accept("--priority=normal");
    assert_int_equal(parsed_options.priority, PRIORITY_NORMAL);
    accept("--priority=realtime");
    assert_int_equal(parsed_options.priority, PRIORITY_REALTIME);
    USAGE("--priority high: must be normal or realtime", "--priority=high");
    USAGE("--priority : must be normal or realtime", "--priority=");
    USAGE("--priority: needs a value: --priority normal|realtime", "--priority");
}

static void assert_uids(const char *argument, uint32_t first, uint32_t last)
{
    accept(argument);
    assert_int_equal(parsed_options.worker_uids.first, first);
    assert_int_equal(parsed_options.worker_uids.last, last);
}

static void test_user_ids_are_a_range_without_those_that_mean_no_user(void **state)
{
    static const char *const bad[] = {"",
                                      "0-5000",
                                      "999-5000",
                                      "5000-4999",
                                      "1000-65534",
                                      "65534-70000",
                                      "65535-70000",
                                      "1000-70000",
                                      "65534-65535",
                                      "-",
                                      "5000-",
                                      "-5000",
                                      "on",
                                      "OFF",
                                      "5000-6000 ",
                                      "5000:6000",
                                      "0x1388-6000",
                                      "5000-4294967294",
                                      "5000-4294967295",
                                      "5000-4294968296"};

    (void)state;
    assert_uids("--worker-uids=1000-65533", 1000, 65533);
    assert_uids("--worker-uids=65536-4294967293", 65536, 4294967293);
    assert_uids("--worker-uids=off", 0, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char expected[256];

        snprintf(expected, sizeof(expected),
                 "--worker-uids %s: must be off, or a range from 1000 to 4294967293 without 65534 and 65535, such as "
                 "70000-94999",
                 bad[i]);
        USAGE(expected, "--worker-uids", bad[i]);
    }
    USAGE("--worker-uids: needs a value: --worker-uids FIRST-LAST|off", "--worker-uids");
}

#define TOO_FEW " are needed for these queues, workers and spares"

static void test_range_of_user_ids_is_large_enough_for_two_generations(void **state)
{
    (void)state;
    accept("--worker-uids=5000-5010"); /* one queue, two fork servers, one worker, one spare */
    CONFLICT("--worker-uids 5000-5009: has 10 user ids, but 11" TOO_FEW, "--worker-uids=5000-5009");
    CONFLICT("--worker-uids 5000-5000: has 1 user ids, but 7" TOO_FEW, "--spares=0", "--worker-uids=5000");
    assert_accepted(PARSE(ENOUGH, "--queue=2-4", "--workers=3", "--spares=2", "--worker-uids=5000-5085"));
    options_done(&parsed_options);
    CONFLICT("--worker-uids 5000-5084: has 85 user ids, but 86" TOO_FEW, "--queue=2-4", "--workers=3", "--spares=2",
             "--worker-uids=5000-5084");
    assert_accepted(PARSE(ENOUGH, "--queue=2-4", "--workers=3", "--spares=2", "--worker-uids=off"));
    options_done(&parsed_options);
}

static void test_default_user_ids_are_enough_for_the_largest_engine(void **state)
{
    char queues[32];

    (void)state;
    snprintf(queues, sizeof(queues), "--queue=0-%d", QUEUES_MAX - 1);
    assert_accepted(PARSE("--plugin=x.so", queues, "--workers=16", "--spares=8"));
    options_done(&parsed_options);
}

#define NAME_EACH                                                                                                      \
    " CPUs; name one for each worker of a queue (the same one twice if they are to share it), or leave --cpu out"

static void test_workers_of_a_queue_do_not_share_a_cpu_by_accident(void **state)
{
    (void)state;
    CONFLICT("--workers 2: --cpu names 1" NAME_EACH, "--workers=2", "--cpu=0");
    CONFLICT("--workers 4: --cpu names 3" NAME_EACH, "--cpu=0-2", "--workers=4");
    assert_accepted(PARSE(ENOUGH, "--workers=3", "--cpu=0-2"));
    options_done(&parsed_options);
    assert_accepted(PARSE(ENOUGH, "--workers=2", "--cpu=0,0"));
    options_done(&parsed_options);
    assert_accepted(PARSE(ENOUGH, "--cpu=0"));
    options_done(&parsed_options);
}

static void assert_crash_limit(const char *argument, uint64_t count, uint64_t window_ms)
{
    accept(argument);
    assert_int_equal(parsed_options.crash_limit.count, count);
    assert_int_equal(parsed_options.crash_limit.window_ms, window_ms);
}

static void test_crash_limit_is_a_number_in_a_time(void **state)
{
    static const char *const bad[] = {"",      "20",      "20/",   "/1m",    "20/1",        "0/1m",   "1001/1m",
                                      "20/0s", "20/61m",  "1m/20", "20 /1m", "20/3601s",    "off/1m", "OFF",
                                      "on",    "20/1m/1", "-1/1m", "20/1m ", "20/3600001ms"};

    (void)state;
    assert_crash_limit("--crash-limit=1/1ms", 1, 1);
    assert_crash_limit("--crash-limit=1000/60m", 1000, 3600000);
    assert_crash_limit("--crash-limit=off", 0, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char expected[256];

        snprintf(expected, sizeof(expected),
                 "--crash-limit %s: must be off, or a number from 1 to 1000 and a time with its unit up to 60m, such "
                 "as 20/1m",
                 bad[i]);
        USAGE(expected, "--crash-limit", bad[i]);
    }
    USAGE("--crash-limit: needs a value: --crash-limit N/TIME|off", "--crash-limit");
    assert_accepted(PARSE(ENOUGH, "--crash-limit=off", "--crash-limit=5/1s"));
    assert_int_equal(parsed_options.crash_limit.count, 5);
    options_done(&parsed_options);
}

static void test_what_is_done_about_crashes_is_one_of_three_words(void **state)
{
    (void)state;
    accept("--on-crash-limit=outage");
    assert_int_equal(parsed_options.on_crash_limit, CRASH_LIMIT_OUTAGE);
    accept("--on-crash-limit=stop");
    assert_int_equal(parsed_options.on_crash_limit, CRASH_LIMIT_STOP);
    USAGE("--on-crash-limit exit: must be outage, skip or stop", "--on-crash-limit=exit");
    USAGE("--on-crash-limit: needs a value: --on-crash-limit outage|skip|stop", "--on-crash-limit");
    accept("--on-outage=accept");
    assert_int_equal(parsed_options.on_outage, OUTAGE_ACCEPT);
    accept("--on-outage=drop");
    assert_int_equal(parsed_options.on_outage, OUTAGE_DROP);
    accept("--on-outage=stop");
    assert_int_equal(parsed_options.on_outage, OUTAGE_STOP);
    USAGE("--on-outage bypass: must be accept, drop or stop", "--on-outage=bypass");
    USAGE("--on-outage: needs a value: --on-outage accept|drop|stop", "--on-outage");
}

#define TIME(from) ": must be a time with its unit, such as 500ms or 5s, from " from " to 60m"

static void test_times_of_an_outage_have_limits(void **state)
{
    (void)state;
    accept("--outage-timeout=10ms");
    assert_int_equal(parsed_options.outage_timeout_ms, 10);
    accept("--outage-timeout=60m");
    assert_int_equal(parsed_options.outage_timeout_ms, 3600000);
    USAGE("--outage-timeout 9ms" TIME("10ms"), "--outage-timeout=9ms");
    USAGE("--outage-timeout 61m" TIME("10ms"), "--outage-timeout=61m");
    USAGE("--outage-timeout 2" TIME("10ms"), "--outage-timeout=2");
    USAGE("--outage-timeout off" TIME("10ms"), "--outage-timeout=off");
    USAGE("--outage-timeout: needs a value: --outage-timeout TIME", "--outage-timeout");
    accept("--outage-retry=100ms");
    assert_int_equal(parsed_options.outage_retry_ms, 100);
    accept("--outage-retry=60m");
    assert_int_equal(parsed_options.outage_retry_ms, 3600000);
    USAGE("--outage-retry 99ms" TIME("100ms"), "--outage-retry=99ms");
    USAGE("--outage-retry 61m" TIME("100ms"), "--outage-retry=61m");
    USAGE("--outage-retry: needs a value: --outage-retry TIME", "--outage-retry");
}

static void test_only_a_chain_of_several_plugins_can_skip_one(void **state)
{
    (void)state;
    CONFLICT("--on-crash-limit skip: without its only plugin the chain decides nothing; use outage, with --on-outage "
             "for the verdict, or stop",
             "--on-crash-limit=skip");
    assert_accepted(PARSE(ENOUGH, "--on-crash-limit=skip", "--plugin=./y.so"));
    assert_int_equal(parsed_options.on_crash_limit, CRASH_LIMIT_SKIP);
    options_done(&parsed_options);
}

static void test_without_a_limit_nothing_can_be_done_at_it(void **state)
{
#define NO_EFFECT "--on-crash-limit: has no effect with --crash-limit off; leave one of them out"
    (void)state;
    CONFLICT(NO_EFFECT, "--crash-limit=off", "--on-crash-limit=stop");
    CONFLICT(NO_EFFECT, "--on-crash-limit=outage", "--crash-limit=off"); /* also if it is the default */
    CONFLICT(NO_EFFECT, "--on-crash-limit", "skip", "--plugin=./y.so", "--crash-limit", "off");
}

static void test_nothing_is_tried_again_after_a_stop(void **state)
{
#define NO_RETRY "--outage-retry: has no effect with --on-outage stop; leave one of them out"
    (void)state;
    CONFLICT(NO_RETRY, "--outage-retry=10s", "--on-outage=stop");
    assert_accepted(PARSE(ENOUGH, "--outage-retry=10s", "--on-crash-limit=stop"));
    options_done(&parsed_options);
    accept("--on-outage=stop");
}

static void test_what_a_rule_sends_the_engine_does_not(void **state)
{
#define NO_ANSWER ": has no effect with --reject-by-rule; leave one of them out"
    (void)state;
    CONFLICT("--reject-mark" NO_ANSWER, "--reject-by-rule=0x8", "--reject-mark=0x4");
    CONFLICT("--reject-rate" NO_ANSWER, "--reject-rate=5", "--reject-by-rule=0x8");
    accept("--reject-by-rule=0x8");
}

static void test_help_is_printed_whatever_the_options_are(void **state)
{
    (void)state;
    assert_accepted(PARSE(ENOUGH, "--workers=2", "--cpu=0", "--help"));
    options_done(&parsed_options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_those_that_the_help_states),
        cmocka_unit_test(test_numbers_of_workers_have_limits),
        cmocka_unit_test(test_log_of_plugins_has_one_of_four_levels),
        cmocka_unit_test(test_priority_is_one_of_two_words),
        cmocka_unit_test(test_user_ids_are_a_range_without_those_that_mean_no_user),
        cmocka_unit_test(test_range_of_user_ids_is_large_enough_for_two_generations),
        cmocka_unit_test(test_default_user_ids_are_enough_for_the_largest_engine),
        cmocka_unit_test(test_workers_of_a_queue_do_not_share_a_cpu_by_accident),
        cmocka_unit_test(test_crash_limit_is_a_number_in_a_time),
        cmocka_unit_test(test_what_is_done_about_crashes_is_one_of_three_words),
        cmocka_unit_test(test_times_of_an_outage_have_limits),
        cmocka_unit_test(test_only_a_chain_of_several_plugins_can_skip_one),
        cmocka_unit_test(test_without_a_limit_nothing_can_be_done_at_it),
        cmocka_unit_test(test_nothing_is_tried_again_after_a_stop),
        cmocka_unit_test(test_what_a_rule_sends_the_engine_does_not),
        cmocka_unit_test(test_help_is_printed_whatever_the_options_are),
    };

    return cmocka_run_group_tests_name("command_line_workers", tests, NULL, NULL);
}
