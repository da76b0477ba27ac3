/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options_parse(): the options about flows and the rules for them: their refusals word by word, and what --print-rules
 * may have with it and must have. Values and limits stand in test_options.c, with those of all other options.
 */
#include "unit.h"

#include "config/options.h"

#include <string.h>

#define ARGUMENTS_MAX 8
#define ENOUGH "--plugin=./x.so", "--queue=1"

static struct options options;
static struct error error;

static enum exit_code parse_all(unsigned count, const char *const *arguments)
{
    static char texts[ARGUMENTS_MAX + 1][64];
    char *argv[ARGUMENTS_MAX + 2];

    assert_true(count <= ARGUMENTS_MAX);
    argv[0] = strcpy(texts[0], "nfq-engine");
    for (unsigned i = 0; i < count; i++) {
        assert_true(strlen(arguments[i]) < sizeof(texts[0]));
        argv[i + 1] = strcpy(texts[i + 1], arguments[i]);
    }
    argv[count + 1] = NULL;
    memset(&error, 0, sizeof(error));
    memset(&options, 0xee, sizeof(options));
    return options_parse(&options, (int)count + 1, argv, &error) == 0 ? EXIT_CODE_OK : error.exit_code;
}

#define PARSE(...)                                                                                                     \
    parse_all(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), (const char *const[]){__VA_ARGS__})

static void assert_accepted(enum exit_code code)
{
    if (code != EXIT_CODE_OK) {
        fail_msg("refused: %s", error.text);
    }
}

static void assert_refused(enum exit_code code, const char *expected)
{
    assert_int_equal(code, EXIT_CODE_USAGE);
    assert_string_equal(error.text, expected);
    options_done(&options);
}

/* The whole line, as a person reads it. */
static void test_refusals_of_flow_options_say_what_is_expected(void **state)
{
#define TABLE ": must be 1 to 16777216"
#define TABLE_NUMBER ": must be a number from 1 to 16777216"
#define TIMEOUT ": must be a time with its unit, such as 500ms or 5s, from 1000ms to 1440m"
#define MARK ": must be bits and their mask in 32 bits, such as 0x1/0x1"
#define MARK_BITS ": must set at least one bit, and none outside of its mask"
#define RULES ": must be nft or iptables, or nothing for both"
    static const struct {
        const char *argument;
        const char *error;
    } cases[] = {
        {"--flow-table=0", "--flow-table 0" TABLE},
        {"--flow-table=16777217", "--flow-table 16777217" TABLE},
        {"--flow-table=64K", "--flow-table 64K" TABLE_NUMBER},
        {"--flow-table", "--flow-table: needs a value: --flow-table N"},
        {"--flow-timeout=999ms", "--flow-timeout 999ms" TIMEOUT},
        {"--flow-timeout=1441m", "--flow-timeout 1441m" TIMEOUT},
        {"--flow-timeout=300", "--flow-timeout 300" TIMEOUT},
        {"--flow-timeout", "--flow-timeout: needs a value: --flow-timeout TIME"},
        {"--bypass-mark=one", "--bypass-mark one" MARK},
        {"--bypass-mark=0x1/", "--bypass-mark 0x1/" MARK},
        {"--bypass-mark=0x100000000", "--bypass-mark 0x100000000" MARK},
        {"--bypass-mark=0", "--bypass-mark 0" MARK_BITS},
        {"--bypass-mark=0x0/0xff", "--bypass-mark 0x0/0xff" MARK_BITS},
        {"--bypass-mark=0x3/0x1", "--bypass-mark 0x3/0x1" MARK_BITS},
        {"--bypass-mark", "--bypass-mark: needs a value: --bypass-mark BITS[/MASK]"},
        {"--print-rules=ipfw", "--print-rules=ipfw" RULES},
        {"--print-rules=", "--print-rules=" RULES},
        {"--print-rules=NFT", "--print-rules=NFT" RULES},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(PARSE(ENOUGH, cases[i].argument), cases[i].error);
    }
}

static void test_print_rules_may_have_a_form_behind_an_equals_sign(void **state)
{
    static const struct {
        const char *argument;
        enum rules_form form;
    } cases[] = {
        {"--print-rules", RULES_BOTH}, {"--print-rules=nft", RULES_NFT}, {"--print-rules=iptables", RULES_IPTABLES}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_accepted(PARSE(cases[i].argument, ENOUGH));
        assert_int_equal(options.print_rules, cases[i].form);
        options_done(&options);
        assert_accepted(PARSE(ENOUGH, cases[i].argument));
        assert_int_equal(options.print_rules, cases[i].form);
        options_done(&options);
    }
    assert_refused(PARSE(ENOUGH, "--print-rules", "nft"), "nft: not an option; see nfq-engine --help");
}

#define NO_QUEUE "no queue given: add --queue N; see nfq-engine --help"

static void test_print_rules_needs_a_queue_but_no_plugin(void **state)
{
    (void)state;
    assert_accepted(PARSE("--print-rules", "--queue=5-7"));
    assert_int_equal(options.plugin_count, 0);
    assert_int_equal(options.queue_count, 3);
    options_done(&options);
    assert_refused(PARSE("--print-rules"), NO_QUEUE);
    assert_refused(PARSE("--print-rules=nft", "--plugin=x.so"), NO_QUEUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals_of_flow_options_say_what_is_expected),
        cmocka_unit_test(test_print_rules_may_have_a_form_behind_an_equals_sign),
        cmocka_unit_test(test_print_rules_needs_a_queue_but_no_plugin),
    };

    return cmocka_run_group_tests_name("options_flow", tests, NULL, NULL);
}
