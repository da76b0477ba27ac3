/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of a plugin, from what the user writes after the file name to the values that load() gets. The zoo has
 * one animal for each kind of mistake; here are the limits of each kind.
 *
 * The plugins `options` and `option_types` log their config structs, and the tests compare these lines. After a refusal
 * there is no line, since load() is not called.
 */
#include "abi_main.h"
#include "attempt.h"
#include "scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KNOWN "; known are: name, rate, strict, comment, any-number"

static const struct {
    const char *values;
    const char *message;
} refusals[] = {
    {"name=x,Rate=5", "unknown option Rate" KNOWN},
    {"name=x,rat=5", "unknown option rat" KNOWN},
    {"name=x,rates=5", "unknown option rates" KNOWN},
    {"name=x,name=y", "option name: given twice"},
    {"name=x,rate=5x", "option rate=5x: must be a number"},
    {"name=x,rate=0x", "option rate=0x: must be a number"},
    {"name=x,rate=+5", "option rate=+5: must be a number"},
    {"name=x,rate= 5", "option rate= 5: must be a number"},
    {"name=x,rate=-", "option rate=-: must be a number"},
    {"name=x,rate=--5", "option rate=--5: must be a number"},
    {"name=x,rate=1e2", "option rate=1e2: must be a number"},
    {"name=x,rate=99999999999999999999", "option rate=99999999999999999999: must be a number"},
    {"name=x,strict=ON", "option strict=ON: must be on or off"},
    /* A wrong option is reported before a missing one. */
    {"speed=5", "unknown option speed" KNOWN},
};

static void each_mistake_has_its_own_message(void **state)
{
    unsigned failures = 0;
    const char *path = scratch_copy("options.so", "options");

    (void)state;
    for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        failures += !attempt_is_refused(path, refusals[i].values, ATTEMPT_LINK, -EINVAL, refusals[i].message);
    }
    assert_int_equal(failures, 0);
}

static void a_refused_option_never_reaches_load(void **state)
{
    struct attempt attempt;

    (void)state;
    attempt_run(&attempt, scratch_path("options.so"), "name=x,speed=5");
    assert_int_equal(attempt.stage, ATTEMPT_LINK);
    assert_string_equal(attempt.log, "");
    attempt_done(&attempt);
}

static void what_is_not_given_is_the_default_or_zero(void **state)
{
    (void)state;
    attempt_expect_success(scratch_path("options.so"), "name=x",
                           "name \"x\"\n"
                           "rate 16\n"
                           "strict 1\n"
                           "comment \"(none)\"\n"
                           "any-number 0\n");
}

static void given_values_reach_load_with_their_types(void **state)
{
    (void)state;
    attempt_expect_success(scratch_path("options.so"),
                           "any-number=-0x7fffffffffffffff,comment=a=b,strict=off,rate=-10,name=12345678",
                           "name \"12345678\"\n"
                           "rate -10\n"
                           "strict 0\n"
                           "comment \"a=b\"\n"
                           "any-number -9223372036854775807\n");
}

/* In load(), and the texts again in open(). The files are opened by the fork server, which is not part of this. */
static void each_type_has_its_member(void **state)
{
    const char *path = scratch_copy("option_types.so", "option_types");

    (void)state;
    attempt_expect_success(path, NULL,
                           "wait 0\nroom 65536\nhost (none)/0\nnet (none)/0\nmode 1\nfile (none)\nout (none)\n"
                           "directory (none)\nwhere (none)\nlevel 7\ntext \"(none)\"\ntext \"(none)\"\n");
    attempt_expect_success(
        path,
        "wait=1500ms,room=1m,host=10.1.2.3,net=fc00::/7,mode=fast,where=/a,,b,level=3,nets=10.0.0.0/8,"
        "word=first,level=1,text=t,nets=::1,word=,level=2",
        "wait 1500000000\nroom 1048576\nhost 10.1.2.3/32\nnet fc00::/7\nmode 2\nfile (none)\n"
        "out (none)\ndirectory (none)\nwhere /a,b\nlevel 3\nlevel 1\nlevel 2\n"
        "nets 10.0.0.0/8\nnets ::1/128\ntext \"t\"\nword \"first\"\nword \"\"\n"
        "text \"t\"\nword \"first\"\nword \"\"\n");
}

static void every_word_for_a_boolean_is_understood(void **state)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};

    (void)state;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char values[64];
        char line[128];
        struct attempt attempt;

        snprintf(values, sizeof(values), "name=x,strict=%s", words[i]);
        snprintf(line, sizeof(line), "strict %u\n", i % 2);
        attempt_run(&attempt, scratch_path("options.so"), values);
        assert_string_equal(attempt.error.text, "");
        assert_non_null(strstr(attempt.log, line));
        attempt_done(&attempt);
    }
}

/* A number with a leading zero is decimal, not octal. */
static void a_leading_zero_is_not_octal(void **state)
{
    struct attempt attempt;

    (void)state;
    attempt_run(&attempt, scratch_path("options.so"), "name=x,rate=010");
    assert_string_equal(attempt.error.text, "");
    assert_non_null(strstr(attempt.log, "rate 10\n"));
    attempt_done(&attempt);
}

static const struct {
    const char *written;
    const char *meant;
} commas[] = {
    {"comment=a,,b,name=x", "a,b"},  {"comment=a,,,,b,name=x", "a,,b"}, {"comment=a,,,name=x", "a,"},
    {"comment=,,a,name=x", ",a"},    {"comment=,,,name=x", ","},        {"name=x,comment=a,,b", "a,b"},
    {"name=x,comment=,,a", ",a"},    {"name=x,comment=a,,", "a,"},      {"name=x,comment=,,", ","},
    {"name=x,comment=a,,,,", "a,,"}, {"comment=,name=x", ""},
};

static void a_comma_inside_a_value_is_written_twice(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(commas) / sizeof(commas[0]); i++) {
        char line[128];
        struct attempt attempt;

        snprintf(line, sizeof(line), "comment \"%s\"\n", commas[i].meant);
        attempt_run(&attempt, scratch_path("options.so"), commas[i].written);
        if (attempt.error.text[0] != '\0' || strstr(attempt.log, line) == NULL) {
            print_error("%s: meant \"%s\", got %s%s\n", commas[i].written, commas[i].meant, attempt.error.text,
                        attempt.log);
            failures++;
        }
        attempt_done(&attempt);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_has_its_own_message),
        cmocka_unit_test(a_refused_option_never_reaches_load),
        cmocka_unit_test(what_is_not_given_is_the_default_or_zero),
        cmocka_unit_test(given_values_reach_load_with_their_types),
        cmocka_unit_test(each_type_has_its_member),
        cmocka_unit_test(every_word_for_a_boolean_is_understood),
        cmocka_unit_test(a_leading_zero_is_not_octal),
        cmocka_unit_test(a_comma_inside_a_value_is_written_twice),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
