/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command_line_parse(): the exact messages of refusals, and which other options --print-rules needs and allows. Which
 * values are refused is in test_command_line.c.
 */
#include "parsed_command_line.h"
#include "unit.h"

#include <string.h>

static void assert_accepted(enum exit_code code)
{
    if (code != EXIT_CODE_OK) {
        fail_msg("refused: %s", parsed_error.text);
    }
}

static void assert_refused(enum exit_code code, const char *expected)
{
    assert_int_equal(code, EXIT_CODE_USAGE);
    assert_string_equal(parsed_error.text, expected);
    options_done(&parsed_options);
}

static void test_refusals_of_values_say_what_is_expected(void **state)
{
#define LEN ": must be a number from 1 to 1048576"
#define SIZE ": must be a number of bytes, such as 65536, 512K or 64M"
#define TIME ": must be a time with its unit, such as 500ms or 5s, from "
#define QUEUE ": must be a number from 0 to 65535 or a range such as 0-3"
#define CPU ": must be a list of CPU numbers such as 0,2-5"
#define NAME ": the name must be 1 to 47 characters a-z 0-9 - _ ."
    static const struct {
        const char *argument;
        const char *error;
    } cases[] = {
        {"--max-len=no", "--max-len no" LEN},
        {"--max-len=0", "--max-len 0: must be 1 to 1048576"},
        {"--copy-range=65532", "--copy-range 65532: must be 1 to 65531"},
        {"--receive-buffer=4KB", "--receive-buffer 4KB" SIZE},
        {"--receive-buffer=4095", "--receive-buffer 4095: must be 4096 to 1073741824"},
        {"--drain-timeout=5", "--drain-timeout 5" TIME "1ms to 60m"},
        {"--load-timeout=0s", "--load-timeout 0s" TIME "1ms to 60m"},
        {"--handle-timeout=9ms", "--handle-timeout 9ms" TIME "10ms to 60m"},
        {"--on-crash=repeat", "--on-crash repeat: must be accept or drop"},
        {"--gso=yes", "--gso yes: must be auto, on or off"},
        {"--no-enobufs=yes", "--no-enobufs yes: must be on or off"},
        {"--fail-open=on", "--fail-open: takes no value"},
        {"--queue=65536", "--queue 65536" QUEUE},
        {"--queue=3-1", "--queue 3-1" QUEUE},
        {"--cpu=1024", "--cpu 1024" CPU},
        {"--cpu=0-1023,5", "--cpu 0-1023,5: more than 1024 CPUs"},
        {"--plugin=,a=1", "--plugin: the file name is empty"},
        {"--plugin=x,@id=y", "--plugin: \"@id=y\": of options with @ there is @name=NAME"},
        {"--plugin=x,a=b,@name,c=d", "--plugin: \"@name\": of options with @ there is @name=NAME"},
        {"--plugin=x,@name=", "--plugin: \"@name=\"" NAME},
        {"--plugin=x,@name=A,b=c", "--plugin: \"@name=A\"" NAME},
        {"--plugin=x,@name=a,,b", "--plugin: \"@name=a,,b\"" NAME},
        {"--plugin=x,@name=abcdefghijabcdefghijabcdefghijabcdefghijabcdefgh",
         "--plugin: \"@name=abcdefghijabcdefghijabcdefghijabcdefghijabcdefgh\"" NAME},
        {"--plugin=x,@name=a,b=c,@name=a", "--plugin: @name: given twice"},
        {"--queue", "--queue: needs a value: --queue N|A-B"},
        {"--gso", "--gso: needs a value: --gso auto|on|off"},
        {"--maxlen=5", "--maxlen: unknown option; see nfq-engine --help"},
        {"-q", "-q: not an option; see nfq-engine --help"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(PARSE(ENOUGH, cases[i].argument), cases[i].error);
    }
    assert_refused(PARSE("--queue=1"), "no plugin given: add --plugin FILE; see nfq-engine --help");
}

static void test_refusals_of_lists_say_what_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(PARSE(ENOUGH, "--queue=0-3"), EXIT_CODE_CONFIGURATION);
    assert_string_equal(parsed_error.text, "--queue 1: given twice; name each queue once");
    options_done(&parsed_options);
    assert_int_equal(PARSE("--plugin=x.so", "--queue=0-256"), EXIT_CODE_CONFIGURATION);
    assert_string_equal(parsed_error.text, "--queue: more than 256 queues; run a second engine for the rest");
    options_done(&parsed_options);
}

/* The complete line, as a person reads it. */
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
        {"--repeat-mark=0x7/0x7", "--repeat-mark 0x7/0x7: must be a mask in 32 bits, such as 0x70000000"},
        {"--repeat-mark=0x3", "--repeat-mark 0x3: must be three bits or more, side by side"},
        {"--repeat-mark=0xd", "--repeat-mark 0xd: must be three bits or more, side by side"},
        {"--print-rules=ipfw", "--print-rules=ipfw" RULES},
        {"--print-rules=", "--print-rules=" RULES},
        {"--print-rules=NFT", "--print-rules=NFT" RULES},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(PARSE(ENOUGH, cases[i].argument), cases[i].error);
    }
}

static void test_print_rules_may_have_a_form_after_an_equals_sign(void **state)
{
    static const struct {
        const char *argument;
        enum rules_form form;
    } cases[] = {
        {"--print-rules", RULES_BOTH}, {"--print-rules=nft", RULES_NFT}, {"--print-rules=iptables", RULES_IPTABLES}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_accepted(PARSE(cases[i].argument, ENOUGH));
        assert_int_equal(parsed_options.print_rules, cases[i].form);
        options_done(&parsed_options);
        assert_accepted(PARSE(ENOUGH, cases[i].argument));
        assert_int_equal(parsed_options.print_rules, cases[i].form);
        options_done(&parsed_options);
    }
    assert_refused(PARSE(ENOUGH, "--print-rules", "nft"), "nft: not an option; see nfq-engine --help");
}

#define NO_QUEUE "no queue given: add --queue N; see nfq-engine --help"

static void test_print_rules_needs_a_queue_but_no_plugin(void **state)
{
    (void)state;
    assert_accepted(PARSE("--print-rules", "--queue=5-7"));
    assert_int_equal(parsed_options.plugin_count, 0);
    assert_int_equal(parsed_options.queue_count, 3);
    options_done(&parsed_options);
    assert_refused(PARSE("--print-rules"), NO_QUEUE);
    assert_refused(PARSE("--print-rules=nft", "--plugin=x.so"), NO_QUEUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals_of_values_say_what_is_expected),
        cmocka_unit_test(test_refusals_of_lists_say_what_does_not_fit),
        cmocka_unit_test(test_refusals_of_flow_options_say_what_is_expected),
        cmocka_unit_test(test_print_rules_may_have_a_form_after_an_equals_sign),
        cmocka_unit_test(test_print_rules_needs_a_queue_but_no_plugin),
    };

    return cmocka_run_group_tests_name("command_line_refusals", tests, NULL, NULL);
}
