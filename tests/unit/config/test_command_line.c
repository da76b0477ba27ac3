/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command_line_parse(): every option in both spellings, its limits, and the exit code of what is refused.
 *
 * Each refusal is also checked for what all have in common: the error is one line and names the option. The tables of
 * good and bad values follow the help text, not the parser.
 */
#include "parsed_command_line.h"
#include "unit.h"

#include <nfqe/plugin.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_code(enum exit_code code, enum exit_code expected, const char *named)
{
    if (code != expected || strstr(parsed_error.text, named) == NULL || strchr(parsed_error.text, '\n') != NULL) {
        fail_msg("exit code %d, expected %d; the error must name \"%s\" on one line: \"%s\"", (int)code, (int)expected,
                 named, parsed_error.text);
    }
    options_done(&parsed_options);
}

static void assert_accepted(enum exit_code code)
{
    if (code != EXIT_CODE_OK) {
        fail_msg("refused: %s", parsed_error.text);
    }
}

/* A value of one option: the text, and the value that it must be parsed to. */
struct good_value {
    const char *name;
    const char *text;
    size_t offset;
    size_t size;
    uint64_t value;
};

#define MEMBER(member) offsetof(struct options, member), sizeof(parsed_options.member)

static const struct good_value good_values[] = {
    {"default-verdict", "accept", MEMBER(default_verdict), NFQE_ACCEPT},
    {"default-verdict", "drop", MEMBER(default_verdict), NFQE_DROP},
    {"on-crash", "accept", MEMBER(on_crash), NFQE_ACCEPT},
    {"on-crash", "drop", MEMBER(on_crash), NFQE_DROP},
    {"on-stop", "accept", MEMBER(on_stop), NFQE_ACCEPT},
    {"on-stop", "drop", MEMBER(on_stop), NFQE_DROP},
    {"max-len", "1", MEMBER(max_len), 1},
    {"max-len", "1048576", MEMBER(max_len), 1048576},
    {"receive-buffer", "4096", MEMBER(receive_buffer), 4096},
    {"receive-buffer", "512K", MEMBER(receive_buffer), 524288},
    {"receive-buffer", "64m", MEMBER(receive_buffer), 67108864},
    {"receive-buffer", "1G", MEMBER(receive_buffer), 1073741824},
    {"copy-range", "1", MEMBER(copy_range), 1},
    {"copy-range", "65531", MEMBER(copy_range), 65531},
    {"gso", "on", MEMBER(gso), GSO_ON},
    {"gso", "off", MEMBER(gso), GSO_OFF},
    {"gso", "auto", MEMBER(gso), GSO_AUTO},
    {"drain-timeout", "1ms", MEMBER(drain_timeout_ms), 1},
    {"drain-timeout", "60m", MEMBER(drain_timeout_ms), 3600000},
    {"load-timeout", "3s", MEMBER(load_timeout_ms), 3000},
    {"load-timeout", "1500ms", MEMBER(load_timeout_ms), 1500},
    {"handle-timeout", "10ms", MEMBER(handle_timeout_ms), 10},
    {"handle-timeout", "2m", MEMBER(handle_timeout_ms), 120000},
    {"flow-table", "1", MEMBER(flow_table), 1},
    {"flow-table", "65536", MEMBER(flow_table), 65536},
    {"flow-table", "16777216", MEMBER(flow_table), 16777216},
    {"flow-timeout", "1000ms", MEMBER(flow_timeout_ms), 1000},
    {"flow-timeout", "1s", MEMBER(flow_timeout_ms), 1000},
    {"flow-timeout", "1440m", MEMBER(flow_timeout_ms), 86400000},
    {"bypass-mark", "0x1/0xff", MEMBER(bypass_mark.bits), 0x1},
    {"bypass-mark", "0x1/0xff", MEMBER(bypass_mark.mask), 0xff},
    {"bypass-mark", "0x30", MEMBER(bypass_mark.bits), 0x30},
    {"bypass-mark", "0x30", MEMBER(bypass_mark.mask), 0x30},
    {"bypass-mark", "3/15", MEMBER(bypass_mark.bits), 3},
    {"bypass-mark", "3/15", MEMBER(bypass_mark.mask), 15},
    {"bypass-mark", "0xffffffff/0xffffffff", MEMBER(bypass_mark.bits), 0xffffffff},
    {"bypass-mark", "0x80000000", MEMBER(bypass_mark.mask), 0x80000000},
    {"repeat-mark", "7", MEMBER(repeat_mask), 7},
    {"repeat-mark", "0x38", MEMBER(repeat_mask), 0x38},
    {"repeat-mark", "0xe0000000", MEMBER(repeat_mask), 0xe0000000},
    {"repeat-mark", "0xffffffff", MEMBER(repeat_mask), 0xffffffff},
    {"reject-mark", "0x8/0xc", MEMBER(reject_mark.bits), 0x8},
    {"reject-mark", "0x8/0xc", MEMBER(reject_mark.mask), 0xc},
    {"reject-by-rule", "0x8/0xc", MEMBER(reject_by_rule.bits), 0x8},
    {"reject-by-rule", "0x8/0xc", MEMBER(reject_by_rule.mask), 0xc},
    {"reject-rate", "1000000", MEMBER(reject_rate), 1000000},
};

static uint64_t member_value(size_t offset, size_t size)
{
    uint32_t small;
    uint64_t value;

    if (size == sizeof(value)) {
        memcpy(&value, (const char *)&parsed_options + offset, sizeof(value));
        return value;
    }
    assert_int_equal(size, sizeof(small));
    memcpy(&small, (const char *)&parsed_options + offset, sizeof(small));
    return small;
}

static void test_every_option_is_read_in_both_spellings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_values) / sizeof(good_values[0]); i++) {
        const struct good_value *good = &good_values[i];
        char name[64];
        char both[128];

        snprintf(name, sizeof(name), "--%s", good->name);
        snprintf(both, sizeof(both), "--%s=%s", good->name, good->text);
        assert_accepted(PARSE(ENOUGH, name, good->text));
        assert_int_equal(member_value(good->offset, good->size), good->value);
        options_done(&parsed_options);
        assert_accepted(PARSE(both, ENOUGH));
        assert_int_equal(member_value(good->offset, good->size), good->value);
        options_done(&parsed_options);
    }
}

static void test_values_outside_the_limits_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *values[16];
    } bad[] = {
        {"default-verdict", {"", "ACCEPT", "continue", "1", "accept "}},
        {"on-crash", {"", "repeat", "0"}},
        {"on-stop", {"", "x"}},
        {"max-len", {"", "0", "1048577", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.5", "18446744073709551616", "8K"}},
        {"receive-buffer", {"", "0", "4095", "1073741825", "2G", "1025M", "17179869185G", "K", "64T", "64KB", "-4K"}},
        {"copy-range", {"", "0", "65532", "-1", "128B", "99999999999999999999"}},
        {"gso", {"", "yes", "On", "1", "o", "onn", "auto|on", "|", "on|"}},
        {"cpu", {"", ",", "0,", ",0", "0,,1", "1-0", "-1", "1-", "a", "1024", "0-1024", "0 1", "0-1-2", "0:1"}},
        {"drain-timeout", {"", "0ms", "5", "5 s", "5S", "61m", "3601s", "3600001ms", "-1s", "s", "1h", "1.5s"}},
        {"load-timeout", {"", "0s", "1", "99999999999999999999s", "18446744073709551615m"}},
        {"handle-timeout", {"", "9ms", "0ms", "61m"}},
        {"flow-table", {"", "0", "16777217", "-1", "1K", "64k", "0x10", "1 ", "18446744073709551617"}},
        {"flow-timeout", {"", "999ms", "0s", "1441m", "86401s", "86400001ms", "5", "1h", "-5m", "1.5s"}},
        {"bypass-mark",
         {"", "0", "0x0", "0/1", "0x0/0xff", "0x2/0x1", "0x101/0xff", "0x1/0x0", "0x1/", "/0x1", "mark",
          "0x100000000/0x1", "0x1/0x100000000", "0x1/0x1/0x1", "-1"}},
        {"repeat-mark",
         {"", "0", "1", "6", "0x3", "0xc0000000", "5", "0xd", "0x80000007", "0x7/0x7", "7/", "mark", "0x100000000",
          "-1"}},
        {"reject-mark", {"", "0", "0x2/0x1", "0x1/", "mark", "0x100000000"}},
        {"reject-rate", {"", "0", "1000001", "-1", "10/1s", "1K", "off"}},
        {"no-enobufs", {"", "yes", "ON", "offf", "1"}},
        {"queue",
         {"", "-1", "65536", "0-65536", "3-1", "1-", "-", "a", "1,2", "1 ", "0x1", "1-2-3", "3:1", "1:", ":1",
          "1:2-3"}},
        {"plugin", {"", ",", ",a=1"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (const char *const *value = bad[i].values; *value != NULL; value++) {
            char name[64];
            char both[128];

            snprintf(name, sizeof(name), "--%s", bad[i].name);
            snprintf(both, sizeof(both), "--%s=%s", bad[i].name, *value);
            assert_code(PARSE(ENOUGH, name, *value), EXIT_CODE_USAGE, name);
            assert_code(PARSE(ENOUGH, both), EXIT_CODE_USAGE, name);
        }
    }
}

static void test_flags_take_no_value(void **state)
{
    (void)state;
    assert_accepted(PARSE(ENOUGH));
    assert_false(parsed_options.fail_open);
    assert_false(parsed_options.help);
    assert_false(parsed_options.version);
    options_done(&parsed_options);
    assert_accepted(PARSE(ENOUGH, "--fail-open"));
    assert_true(parsed_options.fail_open);
    options_done(&parsed_options);
    assert_code(PARSE(ENOUGH, "--fail-open=yes"), EXIT_CODE_USAGE, "--fail-open");
    assert_code(PARSE(ENOUGH, "--fail-open="), EXIT_CODE_USAGE, "--fail-open");
    assert_code(PARSE("--help=1"), EXIT_CODE_USAGE, "--help");
    assert_code(PARSE("--version=1"), EXIT_CODE_USAGE, "--version");
    assert_code(PARSE(ENOUGH, "--fail-open", "yes"), EXIT_CODE_USAGE, "yes");
}

static void test_help_and_version_need_nothing_else(void **state)
{
    (void)state;
    assert_accepted(PARSE("--help"));
    assert_true(parsed_options.help);
    options_done(&parsed_options);
    assert_accepted(PARSE("--version"));
    assert_true(parsed_options.version);
    options_done(&parsed_options);
}

static void test_help_and_version_have_a_short_form(void **state)
{
    (void)state;
    assert_accepted(PARSE("-h"));
    assert_true(parsed_options.help);
    assert_false(parsed_options.version);
    options_done(&parsed_options);
    assert_accepted(PARSE("-v"));
    assert_true(parsed_options.version);
    assert_false(parsed_options.help);
    options_done(&parsed_options);
    assert_code(PARSE("-hv"), EXIT_CODE_USAGE, "-hv");
    assert_code(PARSE("-h=1"), EXIT_CODE_USAGE, "-h=1");
}

static void test_what_is_no_option_is_refused_by_its_name(void **state)
{
    (void)state;
    assert_code(PARSE(ENOUGH, "--max-length", "5"), EXIT_CODE_USAGE, "--max-length");
    assert_code(PARSE(ENOUGH, "--max", "5"), EXIT_CODE_USAGE, "--max");
    assert_code(PARSE(ENOUGH, "--Queue=5"), EXIT_CODE_USAGE, "--Queue");
    assert_code(PARSE(ENOUGH, "x.so"), EXIT_CODE_USAGE, "x.so");
    assert_code(PARSE(ENOUGH, "-q"), EXIT_CODE_USAGE, "-q");
    assert_code(PARSE(ENOUGH, "--"), EXIT_CODE_USAGE, "--");
    assert_code(PARSE(ENOUGH, "--=5"), EXIT_CODE_USAGE, "--");
    assert_code(PARSE(ENOUGH, ""), EXIT_CODE_USAGE, "");
}

static void test_option_without_its_value_is_refused_by_its_name(void **state)
{
    static const char *const names[] = {
        "--plugin",        "--queue",          "--default-verdict", "--on-crash",    "--on-stop",
        "--max-len",       "--receive-buffer", "--copy-range",      "--gso",         "--cpu",
        "--drain-timeout", "--load-timeout",   "--handle-timeout",  "--flow-table",  "--flow-timeout",
        "--bypass-mark",   "--repeat-mark",    "--reject-rate",     "--reject-mark", "--reject-by-rule",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_code(PARSE(ENOUGH, names[i]), EXIT_CODE_USAGE, names[i]);
    }
}

static void test_plugin_and_queue_must_be_given(void **state)
{
    (void)state;
    assert_code(parsed_command_line(0, NULL), EXIT_CODE_USAGE, "--plugin");
    assert_code(PARSE("--queue=1"), EXIT_CODE_USAGE, "--plugin");
    assert_code(PARSE("--plugin=x.so"), EXIT_CODE_USAGE, "--queue");
}

static void test_defaults_are_those_that_the_help_states(void **state)
{
    (void)state;
    assert_accepted(PARSE(ENOUGH));
    assert_int_equal(parsed_options.default_verdict, NFQE_ACCEPT);
    assert_int_equal(parsed_options.on_crash, NFQE_DROP);
    assert_int_equal(parsed_options.on_stop, NFQE_DROP);
    assert_int_equal(parsed_options.max_len, 8192);
    assert_int_equal(parsed_options.receive_buffer, 0);
    assert_int_equal(parsed_options.copy_range, 0);
    assert_int_equal(parsed_options.gso, GSO_AUTO);
    assert_int_equal(parsed_options.cpu_count, 0);
    assert_int_equal(parsed_options.drain_timeout_ms, 5000);
    assert_int_equal(parsed_options.load_timeout_ms, 10000);
    assert_int_equal(parsed_options.handle_timeout_ms, 1000);
    assert_int_equal(parsed_options.flow_table, 0); /* 65536 if a plugin decides for flows, else none */
    assert_int_equal(parsed_options.flow_timeout_ms, 0); /* 5 minutes, if a plugin decides for flows */
    assert_int_equal(parsed_options.bypass_mark.bits, 0);
    assert_int_equal(parsed_options.bypass_mark.mask, 0);
    assert_int_equal(parsed_options.repeat_mask, 0); /* 0x70000000, if a plugin needs it */
    assert_int_equal(parsed_options.reject_by_rule.mask, 0);
    assert_int_equal(parsed_options.reject_mark.mask, 0);
    assert_int_equal(parsed_options.reject_rate, 0); /* 1000, if a plugin has senders told */
    assert_int_equal(parsed_options.print_rules, RULES_NONE);
    assert_true(parsed_options.no_enobufs);
    options_done(&parsed_options);
}

static void test_switch_is_on_or_off(void **state)
{
    (void)state;
    assert_accepted(PARSE(ENOUGH, "--no-enobufs=off"));
    assert_false(parsed_options.no_enobufs);
    options_done(&parsed_options);
    assert_accepted(PARSE(ENOUGH, "--no-enobufs", "off", "--no-enobufs", "on"));
    assert_true(parsed_options.no_enobufs);
    options_done(&parsed_options);
}

static void test_of_a_value_given_twice_the_last_one_counts(void **state)
{
    (void)state;
    assert_accepted(PARSE(ENOUGH, "--max-len=5", "--max-len", "6", "--cpu=1-3", "--cpu=7", "--gso=on", "--gso=off"));
    assert_int_equal(parsed_options.max_len, 6);
    assert_int_equal(parsed_options.cpu_count, 1);
    assert_int_equal(parsed_options.cpus[0], 7);
    assert_int_equal(parsed_options.gso, GSO_OFF);
    options_done(&parsed_options);
    assert_accepted(PARSE(ENOUGH, "--bypass-mark=0x7/0xff", "--bypass-mark=0x10", "--flow-table=9", "--flow-table=8"));
    assert_int_equal(parsed_options.bypass_mark.bits, 0x10);
    assert_int_equal(parsed_options.bypass_mark.mask, 0x10);
    assert_int_equal(parsed_options.flow_table, 8);
    options_done(&parsed_options);
}

static void test_queues_are_numbers_and_ranges_in_the_order_given(void **state)
{
    static const uint16_t expected[] = {65535, 0, 7, 8, 9, 10, 3, 20, 21};

    (void)state;
    assert_accepted(
        PARSE("--plugin=x.so", "--queue", "65535", "--queue=0-0", "--queue=7-10", "--queue=3", "--queue=20:21"));
    assert_int_equal(parsed_options.queue_count, 9);
    assert_memory_equal(parsed_options.queues, expected, sizeof(expected));
    options_done(&parsed_options);
}

static void test_queue_named_twice_is_refused(void **state)
{
    (void)state;
    assert_code(PARSE("--plugin=x.so", "--queue=5", "--queue=5"), EXIT_CODE_CONFIGURATION, "5");
    assert_code(PARSE("--plugin=x.so", "--queue=1-4", "--queue=4-9"), EXIT_CODE_CONFIGURATION, "4");
    assert_code(PARSE("--plugin=x.so", "--queue=4", "--queue=0-9"), EXIT_CODE_CONFIGURATION, "4");
}

static void test_no_more_queues_than_the_limit(void **state)
{
    char range[32];

    (void)state;
    snprintf(range, sizeof(range), "%d-65535", 65536 - QUEUES_MAX);
    assert_accepted(PARSE("--plugin=x.so", "--queue", range));
    assert_int_equal(parsed_options.queue_count, QUEUES_MAX);
    assert_int_equal(parsed_options.queues[QUEUES_MAX - 1], 65535);
    options_done(&parsed_options);
    assert_code(PARSE("--plugin=x.so", "--queue", range, "--queue=1"), EXIT_CODE_CONFIGURATION, "--queue");
    assert_code(PARSE("--plugin=x.so", "--queue=0-65535"), EXIT_CODE_CONFIGURATION, "--queue");
}

static void test_cpus_are_numbers_and_ranges_in_the_order_given(void **state)
{
    static const uint16_t expected[] = {1023, 0, 2, 3, 4, 0};

    (void)state;
    assert_accepted(PARSE(ENOUGH, "--cpu", "1023,0,2-4,0-0"));
    assert_int_equal(parsed_options.cpu_count, 6);
    assert_memory_equal(parsed_options.cpus, expected, sizeof(expected));
    options_done(&parsed_options);
    assert_accepted(PARSE(ENOUGH, "--cpu=0-1023"));
    assert_int_equal(parsed_options.cpu_count, CPUS_MAX);
    options_done(&parsed_options);
    assert_code(PARSE(ENOUGH, "--cpu=0-1023,0"), EXIT_CODE_USAGE, "--cpu");
}

static void test_plugins_are_a_chain_in_the_order_given(void **state)
{
    (void)state;
    assert_accepted(
        PARSE("--plugin", "./a.so", "--queue=1", "--plugin=/b/b.so,x=1,y=2", "--plugin=a.so", "--plugin=c,z=3"));
    assert_int_equal(parsed_options.plugin_count, 4);
    assert_string_equal(parsed_options.plugins[0].path, "./a.so");
    assert_null(parsed_options.plugins[0].values);
    assert_string_equal(parsed_options.plugins[1].path, "/b/b.so");
    assert_string_equal(parsed_options.plugins[1].values, "x=1,y=2");
    assert_string_equal(parsed_options.plugins[2].path, "a.so");
    assert_null(parsed_options.plugins[2].values);
    assert_string_equal(parsed_options.plugins[3].path, "c");
    assert_string_equal(parsed_options.plugins[3].values, "z=3");
    options_done(&parsed_options);
}

static void test_comma_written_twice_belongs_to_the_file_name(void **state)
{
    static const struct {
        const char *given;
        const char *path;
        const char *values;
    } cases[] = {
        {"a,,b.so", "a,b.so", NULL}, {"a,,b.so,k=v", "a,b.so", "k=v"},
        {",,a", ",a", NULL},         {"a,,", "a,", NULL},
        {"a,,,k=v", "a,", "k=v"},    {"a,,,,b,k=v", "a,,b", "k=v"},
        {"a,k=v,,w", "a", "k=v,,w"}, {"a=b,,c=d.so", "a=b,c=d.so", NULL},
        {"a,", "a", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_accepted(PARSE("--queue=1", "--plugin=first", "--plugin", cases[i].given, "--plugin=last"));
        assert_string_equal(parsed_options.plugins[0].path, "first");
        assert_string_equal(parsed_options.plugins[1].path, cases[i].path);
        if (cases[i].values == NULL) {
            assert_null(parsed_options.plugins[1].values);
        } else {
            assert_string_equal(parsed_options.plugins[1].values, cases[i].values);
        }
        assert_string_equal(parsed_options.plugins[2].path, "last");
        assert_null(parsed_options.plugins[2].values);
        options_done(&parsed_options);
    }
}

static void test_plugin_can_have_a_name(void **state)
{
    static const struct {
        const char *given;
        const char *path;
        const char *name;
        const char *values;
    } cases[] = {
        {"a.so,@name=b-_.9", "a.so", "b-_.9", NULL},
        {"a.so,@name=b,k=v", "a.so", "b", "k=v"},
        {"a.so,k=v,@name=b", "a.so", "b", "k=v"},
        {"a.so,k=v,,w,@name=b,l=@name", "a.so", "b", "k=v,,w,l=@name"},
        {"a.so,k=v,,@name=c,@name=b", "a.so", "b", "k=v,,@name=c"},
        {"a.so,k=v,@name=b,", "a.so", "b", "k=v,"},
        {"a.so,@name=b,", "a.so", "b", NULL},
        {"a,,@name=c,@name=b", "a,@name=c", "b", NULL},
        {"@name=c", "@name=c", NULL, NULL},
        {"a.so,name=b", "a.so", NULL, "name=b"},
        {"a.so,@name=abcdefghijabcdefghijabcdefghijabcdefghijabcdefg", "a.so",
         "abcdefghijabcdefghijabcdefghijabcdefghijabcdefg", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const expected[] = {cases[i].path, cases[i].name, cases[i].values};
        const struct plugin_setting *setting = &parsed_options.plugins[1];

        assert_accepted(PARSE("--queue=1", "--plugin=first", "--plugin", cases[i].given, "--plugin=last,@name=x,y=z"));
        for (unsigned part = 0; part < 3; part++) {
            const char *const parts[] = {setting->path, setting->name, setting->values};

            if (expected[part] == NULL) {
                assert_null(parts[part]);
            } else {
                assert_string_equal(parts[part], expected[part]);
            }
        }
        assert_null(parsed_options.plugins[0].name);
        assert_string_equal(parsed_options.plugins[2].path, "last");
        assert_string_equal(parsed_options.plugins[2].name, "x");
        assert_string_equal(parsed_options.plugins[2].values, "y=z");
        options_done(&parsed_options);
    }
}

static void test_no_more_plugins_than_the_limit(void **state)
{
    const char *arguments[PLUGINS_MAX + 2] = {"--queue=1"};

    (void)state;
    for (unsigned i = 1; i < PLUGINS_MAX + 2; i++) {
        arguments[i] = "--plugin=x.so,a=b";
    }
    assert_accepted(parsed_command_line(PLUGINS_MAX + 1, arguments));
    assert_int_equal(parsed_options.plugin_count, PLUGINS_MAX);
    assert_string_equal(parsed_options.plugins[PLUGINS_MAX - 1].values, "a=b");
    options_done(&parsed_options);
    assert_code(parsed_command_line(PLUGINS_MAX + 2, arguments), EXIT_CODE_CONFIGURATION, "--plugin");
}

static void test_done_may_follow_done(void **state)
{
    (void)state;
    assert_accepted(PARSE(ENOUGH));
    options_done(&parsed_options);
    options_done(&parsed_options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_is_read_in_both_spellings),
        cmocka_unit_test(test_values_outside_the_limits_are_refused),
        cmocka_unit_test(test_flags_take_no_value),
        cmocka_unit_test(test_switch_is_on_or_off),
        cmocka_unit_test(test_help_and_version_need_nothing_else),
        cmocka_unit_test(test_help_and_version_have_a_short_form),
        cmocka_unit_test(test_what_is_no_option_is_refused_by_its_name),
        cmocka_unit_test(test_option_without_its_value_is_refused_by_its_name),
        cmocka_unit_test(test_plugin_and_queue_must_be_given),
        cmocka_unit_test(test_defaults_are_those_that_the_help_states),
        cmocka_unit_test(test_of_a_value_given_twice_the_last_one_counts),
        cmocka_unit_test(test_queues_are_numbers_and_ranges_in_the_order_given),
        cmocka_unit_test(test_queue_named_twice_is_refused),
        cmocka_unit_test(test_no_more_queues_than_the_limit),
        cmocka_unit_test(test_cpus_are_numbers_and_ranges_in_the_order_given),
        cmocka_unit_test(test_plugins_are_a_chain_in_the_order_given),
        cmocka_unit_test(test_comma_written_twice_belongs_to_the_file_name),
        cmocka_unit_test(test_plugin_can_have_a_name),
        cmocka_unit_test(test_no_more_plugins_than_the_limit),
        cmocka_unit_test(test_done_may_follow_done),
    };

    return cmocka_run_group_tests_name("command_line", tests, NULL, NULL);
}
