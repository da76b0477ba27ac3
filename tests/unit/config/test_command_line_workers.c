/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command_line_parse(): the options of workers: values, defaults, refusals of values as a person reads them, and which
 * options contradict each other.
 *
 * The limits are written out here, as the help and the documentation state them.
 */
#include "parsed_command_line.h"
#include "unit.h"

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
    assert_int_equal(parsed_options.worker_uids.last, 89999);
    assert_int_equal(parsed_options.priority, PRIORITY_NORMAL);
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
                 "70000-89999",
                 bad[i]);
        USAGE(expected, "--worker-uids", bad[i]);
    }
    USAGE("--worker-uids: needs a value: --worker-uids FIRST-LAST|off", "--worker-uids");
}

#define TOO_FEW " are needed, 2 for each worker and spare of each queue"

static void test_every_worker_and_spare_has_two_user_ids(void **state)
{
    (void)state;
    accept("--worker-uids=5000-5003"); /* one worker, one spare */
    CONFLICT("--worker-uids 5000-5002: has 3 user ids, but 4" TOO_FEW, "--worker-uids=5000-5002");
    CONFLICT("--worker-uids 5000-5000: has 1 user ids, but 2" TOO_FEW, "--spares=0", "--worker-uids=5000");
    assert_accepted(PARSE(ENOUGH, "--queue=2-4", "--workers=3", "--spares=2", "--worker-uids=5000-5039"));
    options_done(&parsed_options);
    CONFLICT("--worker-uids 5000-5038: has 39 user ids, but 40" TOO_FEW, "--queue=2-4", "--workers=3", "--spares=2",
             "--worker-uids=5000-5038");
    assert_accepted(PARSE(ENOUGH, "--queue=2-4", "--workers=3", "--spares=2", "--worker-uids=off"));
    options_done(&parsed_options);
}

static void test_the_default_user_ids_are_enough_for_the_largest_engine(void **state)
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
        cmocka_unit_test(test_priority_is_one_of_two_words),
        cmocka_unit_test(test_user_ids_are_a_range_without_those_that_mean_no_user),
        cmocka_unit_test(test_every_worker_and_spare_has_two_user_ids),
        cmocka_unit_test(test_the_default_user_ids_are_enough_for_the_largest_engine),
        cmocka_unit_test(test_workers_of_a_queue_do_not_share_a_cpu_by_accident),
        cmocka_unit_test(test_help_is_printed_whatever_the_options_are),
    };

    return cmocka_run_group_tests_name("command_line_workers", tests, NULL, NULL);
}
