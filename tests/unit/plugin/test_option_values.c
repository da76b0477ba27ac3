/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The types of options: what text is a value of each, which member it becomes, and what is said of other text.
 *
 * A refused value is checked for what all have in common: the member is untouched and the reason is one line.
 */
#include "unit.h"

#include "plugin/option_values.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define UNTOUCHED 0xee

#define BOTH (NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)
#define SECOND INT64_C(1000000000)

static union {
    uint8_t bytes[sizeof(struct nfqe_address) + 4];
    const char *text;
    int64_t integer;
    uint64_t number;
    uint32_t choice;
    uint8_t boolean;
    int descriptor;
    struct nfqe_address address;
} member;

static struct option_reason reason;

static int parse(const struct nfqe_option *option, const char *text)
{
    memset(&member, UNTOUCHED, sizeof(member));
    memset(&reason, 'x', sizeof(reason));
    return option_type_find(option->type)->parse(option, text, &member, &reason);
}

static void assert_taken(const struct nfqe_option *option, const char *text)
{
    if (parse(option, text) != 0) {
        fail_msg("\"%s\" was refused: %s", text, reason.text);
    }
    for (size_t i = option_type_find(option->type)->size; i < sizeof(member); i++) {
        assert_int_equal(member.bytes[i], UNTOUCHED);
    }
}

static void assert_refused(const struct nfqe_option *option, const char *text, const char *expected)
{
    assert_int_equal(parse(option, text), -EINVAL);
    if (strcmp(reason.text, expected) != 0) {
        fail_msg("\"%s\": \"%s\" is said, not \"%s\"", text, reason.text, expected);
    }
    for (size_t i = 0; i < sizeof(member); i++) {
        assert_int_equal(member.bytes[i], UNTOUCHED);
    }
}

/* Each of the texts, which are separated by semicolons. */
static void assert_all_refused(const struct nfqe_option *option, const char *texts, const char *expected)
{
    char *copy = strdup(texts);
    char *rest = copy;

    assert_non_null(copy);
    while (rest != NULL) {
        assert_refused(option, strsep(&rest, ";"), expected);
    }
    free(copy);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static void test_each_type_of_the_abi_is_known_and_no_other(void **state)
{
    static const size_t sizes[] = {0, 8, 8, 1, 4, 8, 8, 20, 20, 4, 8, 4};

    (void)state;
    for (uint32_t type = NFQE_OPTION_STRING; type <= NFQE_OPTION_DIRECTORY; type++) {
        assert_int_equal(option_type_find(type)->size, sizes[type]);
    }
    assert_null(option_type_find(0));
    assert_null(option_type_find(NFQE_OPTION_DIRECTORY + 1));
    assert_null(option_type_find(UINT32_MAX));
}

/* ---- texts --------------------------------------------------------------------------------------------- */

static void test_string_is_the_text_itself(void **state)
{
    static const struct nfqe_option any = {
        .type = NFQE_OPTION_STRING, .min = 5, .max = 1}; /* without flags, no limits */
    static const char text[] = "a,b";

    (void)state;
    assert_taken(&any, text);
    assert_ptr_equal(member.text, text);
    assert_taken(&any, "");
}

static void test_string_is_held_to_its_length(void **state)
{
    const struct nfqe_option both = {.type = NFQE_OPTION_STRING, .flags = BOTH, .min = 2, .max = 4};
    const struct nfqe_option min = {.type = NFQE_OPTION_STRING, .flags = NFQE_OPTION_HAS_MIN, .min = 2, .max = 1};
    const struct nfqe_option max = {.type = NFQE_OPTION_STRING, .flags = NFQE_OPTION_HAS_MAX, .min = 2, .max = 1};
    const struct nfqe_option none = {.type = NFQE_OPTION_STRING, .flags = NFQE_OPTION_HAS_MAX, .max = 0};

    (void)state;
    assert_refused(&both, "a", "must have 2 to 4 bytes, not 1");
    assert_taken(&both, "ab");
    assert_taken(&both, "abcd");
    assert_refused(&both, "abcde", "must have 2 to 4 bytes, not 5");
    assert_refused(&min, "", "must have at least 2 bytes, not 0");
    assert_taken(&min, "abcdefghijkl");
    assert_taken(&max, "");
    assert_refused(&max, "ab", "must have at most 1 bytes, not 2");
    assert_taken(&none, "");
    assert_refused(&none, "a", "must have at most 0 bytes, not 1");
}

static void test_path_is_a_text_that_is_not_empty(void **state)
{
    static const struct nfqe_option path = {.type = NFQE_OPTION_PATH};
    static const char text[] = "../any where";

    (void)state;
    assert_taken(&path, text);
    assert_ptr_equal(member.text, text);
    assert_refused(&path, "", "must be a path");
}

/* ---- integers ------------------------------------------------------------------------------------------ */

static void test_integer_takes_decimal_and_hexadecimal_to_its_full_range(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"-1", -1},
        {"0x0", 0},
        {"0XfF", 255},
        {"-0x80", -128},
        {"010", 10}, /* decimal: a leading zero does not mean octal */
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"0x7fffffffffffffff", INT64_MAX},
    };
    static const struct nfqe_option any = {.type = NFQE_OPTION_INTEGER, .min = 5, .max = 1};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_taken(&any, good[i].text);
        assert_true(member.integer == good[i].value);
    }
}

static void test_what_is_no_integer_is_refused(void **state)
{
    static const char bad[] =
        ";-;+1; 1;1 ;1x;x;0x;0x-1;--1;-+1;- 1;1.5;0b1;1k;9223372036854775808;-9223372036854775809;"
        "0x10000000000000000";
    static const struct nfqe_option any = {.type = NFQE_OPTION_INTEGER};

    (void)state;
    assert_all_refused(&any, bad, "must be a number");
}

static void test_integer_is_held_to_its_limits(void **state)
{
    static const struct {
        uint32_t flags;
        int64_t min;
        int64_t max;
        const char *expected;
    } limits[] = {
        {BOTH, -5, 10, "must be -5 to 10"},
        {BOTH, 0, 0, "must be 0 to 0"},
        {BOTH, INT64_MIN, -1, "must be -9223372036854775808 to -1"},
        {BOTH, 12, INT64_MAX, "must be 12 to 9223372036854775807"},
        {NFQE_OPTION_HAS_MIN, -2, -7, "must be at least -2"},
        {NFQE_OPTION_HAS_MAX, 7, 3, "must be at most 3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct nfqe_option option = {
            .type = NFQE_OPTION_INTEGER, .flags = limits[i].flags, .min = limits[i].min, .max = limits[i].max};

        for (int number = -20; number <= 20; number++) {
            bool too_small = (limits[i].flags & NFQE_OPTION_HAS_MIN) != 0 && number < limits[i].min;
            bool too_large = (limits[i].flags & NFQE_OPTION_HAS_MAX) != 0 && number > limits[i].max;
            char text[16];

            snprintf(text, sizeof(text), "%d", number);
            if (too_small || too_large) {
                assert_refused(&option, text, limits[i].expected);
            } else {
                assert_taken(&option, text);
                assert_int_equal(member.integer, number);
            }
        }
    }
}

/* ---- durations and sizes ------------------------------------------------------------------------------- */

static void test_duration_is_nanoseconds(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"0s", 0},          {"1ms", 1000000},     {"200ms", 200000000},
        {"5s", 5 * SECOND}, {"2m", 120 * SECOND}, {"18446744073709ms", UINT64_C(18446744073709000000)},
    };
    static const char bad[] = ";5;s;5 s;-1s;+1s;1h;1us;1.5s;5sec;5S;0x5ms;5sms;18446744073710ms;18446744073709551616s";
    static const struct nfqe_option any = {.type = NFQE_OPTION_DURATION};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_taken(&any, good[i].text);
        assert_true(member.number == good[i].ns);
    }
    assert_all_refused(&any, bad, "must be a time with its unit, such as 200ms, 5s or 2m");
}

/* The limits are shown as they can be written. */
static void test_duration_is_held_to_its_limits(void **state)
{
    const struct nfqe_option both = {
        .type = NFQE_OPTION_DURATION, .flags = BOTH, .min = 1500 * (SECOND / 1000), .max = 120 * SECOND};
    const struct nfqe_option min = {.type = NFQE_OPTION_DURATION, .flags = NFQE_OPTION_HAS_MIN, .min = 90 * SECOND};
    const struct nfqe_option odd = {.type = NFQE_OPTION_DURATION, .flags = BOTH, .min = 1, .max = 1500};
    const struct nfqe_option max = {.type = NFQE_OPTION_DURATION, .flags = NFQE_OPTION_HAS_MAX, .max = INT64_MAX};
    const struct nfqe_option below = {.type = NFQE_OPTION_DURATION, .flags = NFQE_OPTION_HAS_MIN, .min = -5};

    (void)state;
    assert_refused(&both, "1499ms", "must be 1500ms to 2m");
    assert_taken(&both, "1500ms");
    assert_taken(&both, "2m");
    assert_refused(&both, "121s", "must be 1500ms to 2m");
    assert_refused(&min, "1m", "must be at least 90s");
    assert_taken(&min, "5000m");
    assert_refused(&odd, "0s", "must be 1ns to 1500ns");
    assert_taken(&max, "9223372036854ms");
    assert_refused(&max, "9223372036855ms", "must be at most 9223372036854775807ns");
    assert_taken(&below, "0ms");
}

static void test_size_is_bytes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"512", 512},
        {"64k", 65536},
        {"64K", 65536},
        {"1m", 1 << 20},
        {"2G", UINT64_C(2) << 30},
        {"18446744073709551615", UINT64_MAX},
    };
    static const char bad[] = ";k;1 k;-1;+1;1kb;1t;1.5k;0x10;1kk;18446744073709551616;17179869184g";
    static const struct nfqe_option any = {.type = NFQE_OPTION_SIZE};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_taken(&any, good[i].text);
        assert_true(member.number == good[i].bytes);
    }
    assert_all_refused(&any, bad, "must be a number of bytes, such as 65536, 512K or 64M");
}

static void test_size_is_held_to_its_limits(void **state)
{
    const struct nfqe_option both = {.type = NFQE_OPTION_SIZE, .flags = BOTH, .min = 4096, .max = INT64_C(3) << 30};
    const struct nfqe_option odd = {.type = NFQE_OPTION_SIZE, .flags = BOTH, .min = 0, .max = 1025};
    const struct nfqe_option max = {.type = NFQE_OPTION_SIZE, .flags = NFQE_OPTION_HAS_MAX, .max = 64 << 20};

    (void)state;
    assert_refused(&both, "4095", "must be 4K to 3G");
    assert_taken(&both, "3072m");
    assert_refused(&both, "4g", "must be 4K to 3G");
    assert_taken(&odd, "0");
    assert_refused(&odd, "2k", "must be 0 to 1025");
    assert_refused(&max, "18446744073709551615", "must be at most 64M");
}

/* ---- words --------------------------------------------------------------------------------------------- */

static void test_boolean_takes_the_words_of_the_abi_and_no_other(void **state)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
    static const char neither[] = ";ON;2;y;onn;enabled; on";
    static const struct nfqe_option flag = {.type = NFQE_OPTION_BOOLEAN};

    (void)state;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_taken(&flag, words[i]);
        assert_int_equal(member.boolean, i % 2);
    }
    assert_all_refused(&flag, neither, "must be on or off");
}

static void test_choice_is_its_place(void **state)
{
    static const char *const names[] = {"off", "slow", "slower", "a,b"};
    static const char bad[] = ";of;offf;slowe;OFF;off|slow;|";
    static const struct nfqe_option mode = {.type = NFQE_OPTION_CHOICE, .choices = "off|slow|slower|a,b"};
    static const struct nfqe_option one = {.type = NFQE_OPTION_CHOICE, .choices = "only"};

    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_taken(&mode, names[i]);
        assert_int_equal(member.choice, i);
    }
    assert_all_refused(&mode, bad, "must be one of off|slow|slower|a,b");
    assert_taken(&one, "only");
    assert_int_equal(member.choice, 0);
    assert_refused(&one, "on", "must be one of only");
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

static void assert_address(const struct nfqe_option *option, const char *text, struct nfqe_address expected)
{
    assert_taken(option, text);
    assert_memory_equal(&member.address, &expected, sizeof(expected));
}

static void test_address_is_ipv4_or_ipv6(void **state)
{
    static const char bad[] =
        ";10.0.0;10.0.0.256;10.0.0.0.1;010.0.0.1;10.0.0.1 ;10.0.0.1/32;localhost;fe80::1%eth0;:::;"
        "1::2::3;::1/128;[::1];0x0a000001;fe80::10000;1:2:3:4:5:6:7";
    static const struct nfqe_option any = {.type = NFQE_OPTION_ADDRESS};

    (void)state;
    assert_address(&any, "10.1.2.3",
                   (struct nfqe_address){.bytes = {10, 1, 2, 3}, .family = AF_INET, .prefix_len = 32});
    assert_address(&any, "0.0.0.0", (struct nfqe_address){.family = AF_INET, .prefix_len = 32});
    assert_address(
        &any, "fe80::1:2",
        (struct nfqe_address){.bytes = {0xfe, 0x80, [13] = 1, [15] = 2}, .family = AF_INET6, .prefix_len = 128});
    assert_address(
        &any, "::ffff:1.2.3.4",
        (struct nfqe_address){.bytes = {[10] = 0xff, 0xff, 1, 2, 3, 4}, .family = AF_INET6, .prefix_len = 128});
    assert_all_refused(&any, bad, "must be an IPv4 or IPv6 address");
}

static void test_prefix_is_an_address_with_a_length(void **state)
{
    static const char bad[] = ";/8;10.0.0.0/;10.0.0.0/a;10.0.0.0/-1;10.0.0.0/+8;10.0.0.0/8 ;10.0.0.0/8/8;10/8;::/ 7;"
                              "10.0.0.0/255.0.0.0;1111111111111111111111111111111111111111111111111/8";
    static const struct nfqe_option any = {.type = NFQE_OPTION_PREFIX};

    (void)state;
    assert_address(&any, "10.0.0.0/8", (struct nfqe_address){.bytes = {10}, .family = AF_INET, .prefix_len = 8});
    assert_address(&any, "0.0.0.0/0", (struct nfqe_address){.family = AF_INET});
    assert_address(&any, "::/0", (struct nfqe_address){.family = AF_INET6});
    assert_address(&any, "fc00::/7", (struct nfqe_address){.bytes = {0xfc}, .family = AF_INET6, .prefix_len = 7});
    assert_address(&any, "10.1.2.3/32",
                   (struct nfqe_address){.bytes = {10, 1, 2, 3}, .family = AF_INET, .prefix_len = 32});
    assert_address(&any, "10.1.2.3",
                   (struct nfqe_address){.bytes = {10, 1, 2, 3}, .family = AF_INET, .prefix_len = 32});
    assert_address(&any, "::1", (struct nfqe_address){.bytes = {[15] = 1}, .family = AF_INET6, .prefix_len = 128});
    assert_all_refused(&any, bad,
                       "must be an IPv4 or IPv6 address with its prefix length, such as 10.0.0.0/8 or fc00::/7");
    assert_refused(&any, "10.0.0.0/33", "its prefix length must be 0 to 32");
    assert_refused(&any, "::/129", "its prefix length must be 0 to 128");
    assert_refused(&any, "::/18446744073709551615", "its prefix length must be 0 to 128");
    assert_refused(&any, "10.1.2.3/9", "has bits after its prefix; without them it is 10.0.0.0/9");
    assert_refused(&any, "fe80::1/127", "has bits after its prefix; without them it is fe80::/127");
}

/* An address with one bit is a prefix of just those lengths that have the bit. */
static void test_bits_after_the_prefix_are_found_at_each_length(void **state)
{
    static const struct nfqe_option any = {.type = NFQE_OPTION_PREFIX};

    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t address = UINT32_C(1) << (31 - bit);

        for (unsigned len = 0; len <= 32; len++) {
            char text[32];

            snprintf(text, sizeof(text), "%u.%u.%u.%u/%u", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
                     address & 0xff, len);
            assert_int_equal(parse(&any, text), len > bit ? 0 : -EINVAL);
        }
    }
}

/* ---- files --------------------------------------------------------------------------------------------- */

static void test_descriptor_is_none_until_it_is_opened(void **state)
{
    static const struct nfqe_option file = {.type = NFQE_OPTION_FILE};
    static const struct nfqe_option directory = {.type = NFQE_OPTION_DIRECTORY};

    (void)state;
    assert_taken(&file, "/etc/passwd");
    assert_int_equal(member.descriptor, -1);
    assert_taken(&directory, "/no/such/directory");
    assert_int_equal(member.descriptor, -1);
    assert_refused(&file, "", "must be the path of a regular file");
    assert_refused(&directory, "", "must be the path of a directory");
}

/* A plugin may have packed its config struct. */
static void test_a_member_may_have_any_address(void **state)
{
    static const struct {
        struct nfqe_option option;
        const char *text;
    } cases[] = {
        {{.type = NFQE_OPTION_STRING}, "a"},
        {{.type = NFQE_OPTION_INTEGER}, "5"},
        {{.type = NFQE_OPTION_BOOLEAN}, "on"},
        {{.type = NFQE_OPTION_FILE}, "a"},
        {{.type = NFQE_OPTION_DURATION}, "5s"},
        {{.type = NFQE_OPTION_SIZE}, "5k"},
        {{.type = NFQE_OPTION_ADDRESS}, "1.2.3.4"},
        {{.type = NFQE_OPTION_PREFIX}, "1.2.3.4"},
        {{.type = NFQE_OPTION_CHOICE, .choices = "a|b"}, "b"},
        {{.type = NFQE_OPTION_PATH}, "a"},
        {{.type = NFQE_OPTION_DIRECTORY}, "a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct option_type *type = option_type_find(cases[i].option.type);
        uint8_t odd[1 + sizeof(struct nfqe_address)];

        assert_taken(&cases[i].option, cases[i].text);
        assert_int_equal(type->parse(&cases[i].option, cases[i].text, odd + 1, &reason), 0);
        assert_memory_equal(odd + 1, &member, type->size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_type_of_the_abi_is_known_and_no_other),
        cmocka_unit_test(test_string_is_the_text_itself),
        cmocka_unit_test(test_string_is_held_to_its_length),
        cmocka_unit_test(test_path_is_a_text_that_is_not_empty),
        cmocka_unit_test(test_integer_takes_decimal_and_hexadecimal_to_its_full_range),
        cmocka_unit_test(test_what_is_no_integer_is_refused),
        cmocka_unit_test(test_integer_is_held_to_its_limits),
        cmocka_unit_test(test_duration_is_nanoseconds),
        cmocka_unit_test(test_duration_is_held_to_its_limits),
        cmocka_unit_test(test_size_is_bytes),
        cmocka_unit_test(test_size_is_held_to_its_limits),
        cmocka_unit_test(test_boolean_takes_the_words_of_the_abi_and_no_other),
        cmocka_unit_test(test_choice_is_its_place),
        cmocka_unit_test(test_address_is_ipv4_or_ipv6),
        cmocka_unit_test(test_prefix_is_an_address_with_a_length),
        cmocka_unit_test(test_bits_after_the_prefix_are_found_at_each_length),
        cmocka_unit_test(test_descriptor_is_none_until_it_is_opened),
        cmocka_unit_test(test_a_member_may_have_any_address),
    };

    return cmocka_run_group_tests_name("option_values", tests, NULL, NULL);
}
