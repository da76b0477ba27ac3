/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text_value.c: which texts are a number, a size, a time, a rate or a mark, and which are not.
 *
 * The tables follow text_value.h and the help text, not the code. Each good value is also tried with characters before,
 * after and inside it, which must be refused.
 */
#include "unit.h"

#include "base/text_value.h"

#include <stdlib.h>
#include <string.h>

#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)

typedef bool read_value(const char *text, uint64_t *value);

struct good {
    const char *text;
    uint64_t value;
};

/* A copy of `text` that ends where its allocation ends, so that a sanitizer notices a read beyond it. */
static bool reads(read_value *read, const char *text, uint64_t *value)
{
    char *copy = strdup(text);
    bool result;

    assert_non_null(copy);
    *value = UNTOUCHED;
    result = read(copy, value);
    free(copy);
    return result;
}

static void assert_reads(read_value *read, const struct good *good, size_t good_count, const char *const bad[])
{
    uint64_t value;

    for (size_t i = 0; i < good_count; i++) {
        if (!reads(read, good[i].text, &value) || value != good[i].value) {
            fail_msg("\"%s\" must be %llu, not %llu", good[i].text, (unsigned long long)good[i].value,
                     (unsigned long long)value);
        }
    }
    for (; *bad != NULL; bad++) {
        if (reads(read, *bad, &value)) {
            fail_msg("\"%s\" is no value, but was read as %llu", *bad, (unsigned long long)value);
        }
    }
}

#define ASSERT_READS(read, good, bad) assert_reads(read, good, sizeof(good) / sizeof((good)[0]), bad)

static void test_number_is_decimal_digits_and_nothing_else(void **state)
{
    static const struct good good[] = {{"0", 0},    {"1", 1},         {"007", 7},
                                       {"010", 10}, {"65536", 65536}, {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"",
                                      " ",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1\n",
                                      "0x10",
                                      "1.5",
                                      "1e3",
                                      "8K",
                                      "a",
                                      "1,2",
                                      "1-2",
                                      "1/1",
                                      "--1",
                                      "- 1",
                                      "\t1",
                                      "18446744073709551616",
                                      "99999999999999999999999",
                                      NULL};

    (void)state;
    ASSERT_READS(text_value_read_number, good, bad);
}

static void test_size_is_a_number_with_at_most_one_unit(void **state)
{
    static const struct good good[] = {{"0", 0},
                                       {"65536", 65536},
                                       {"512K", 524288},
                                       {"512k", 524288},
                                       {"64M", 67108864},
                                       {"64m", 67108864},
                                       {"1G", 1073741824},
                                       {"3g", UINT64_C(3221225472)},
                                       {"18446744073709551615", UINT64_MAX},
                                       {"18014398509481983K", UINT64_C(18014398509481983) << 10},
                                       {"17592186044415M", UINT64_C(17592186044415) << 20},
                                       {"17179869183G", UINT64_C(17179869183) << 30}};
    static const char *const bad[] = {"",
                                      "K",
                                      "-1K",
                                      "1KB",
                                      "1KK",
                                      "1 K",
                                      "K1",
                                      "1T",
                                      "1B",
                                      "0x1K",
                                      " 1K",
                                      "1K ",
                                      "1.5M",
                                      "18014398509481984K",
                                      "17592186044416M",
                                      "17179869184G",
                                      "18446744073709551616",
                                      NULL};

    (void)state;
    ASSERT_READS(text_value_read_size, good, bad);
}

static void test_time_is_a_number_with_its_unit(void **state)
{
    static const struct good good[] = {{"0ms", 0},
                                       {"500ms", 500},
                                       {"5s", 5000},
                                       {"2m", 120000},
                                       {"010s", 10000},
                                       {"18446744073709551615ms", UINT64_MAX},
                                       {"18446744073709551s", UINT64_C(18446744073709551000)},
                                       {"307445734561825m", UINT64_C(18446744073709500000)}};
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "ms",
                                      "5S",
                                      "5MS",
                                      "5M",
                                      "5h",
                                      "5 s",
                                      "-5s",
                                      "+5s",
                                      " 5s",
                                      "5s ",
                                      "1.5s",
                                      "1m30s",
                                      "0x5s",
                                      "5sec",
                                      "18446744073709552s",
                                      "307445734561826m",
                                      "18446744073709551616ms",
                                      NULL};

    (void)state;
    ASSERT_READS(text_value_read_time, good, bad);
}

/* The count in the upper half, the time in the lower half: a rate as one value of the tables. */
static bool read_rate(const char *text, uint64_t *value)
{
    uint64_t count = 0x5a;
    uint64_t ms = 0x5a;
    bool result = text_value_read_rate(text, &count, &ms);

    *value = count << 32 | ms;
    return result;
}

#define RATE(count, ms) (UINT64_C(count) << 32 | UINT64_C(ms))

static void test_rate_is_a_number_and_a_time_with_its_unit(void **state)
{
    static const struct good good[] = {
        {"20/1m", RATE(20, 60000)}, {"1/500ms", RATE(1, 500)}, {"007/3s", RATE(7, 3000)}, {"0/0s", RATE(0, 0)}};
    static const char *const bad[] = {
        "",       "/",      "20",     "20/",     "/1m",    "20/1",   "1m/20",
        "20 /1m", "20/ 1m", " 20/1m", "20/1m ",  "20//1m", "20/m",   "20/1m/1m",
        "20/1h",  "-1/1m",  "20/-1m", "20ms/1m", "20,1m",  "0x2/1m", "18446744073709551616/1m",
        NULL};

    (void)state;
    ASSERT_READS(read_rate, good, bad);
}

/* Bits in the upper half, mask in the lower half: a mark as one value of the tables. */
static bool read_mark(const char *text, uint64_t *value)
{
    uint32_t bits = 0x5a5a5a5a;
    uint32_t mask = 0x5a5a5a5a;
    bool result = text_value_read_mark(text, &bits, &mask);

    *value = (uint64_t)bits << 32 | mask;
    return result;
}

#define MARK(bits, mask) (UINT64_C(bits) << 32 | UINT64_C(mask))

static void test_mark_is_bits_and_a_mask_of_32_bits(void **state)
{
    static const struct good good[] = {{"0x1/0x1", MARK(0x1, 0x1)},
                                       {"0x10/0xf0", MARK(0x10, 0xf0)},
                                       {"1/255", MARK(1, 255)},
                                       {"0x1/255", MARK(1, 255)},
                                       {"16/0xff", MARK(16, 0xff)},
                                       {"0XaB/0XFF", MARK(0xab, 0xff)},
                                       {"010/010", MARK(10, 10)},
                                       {"0x0/0x0", MARK(0, 0)},
                                       {"0xffffffff/0xffffffff", MARK(0xffffffff, 0xffffffff)},
                                       {"4294967295/4294967295", MARK(0xffffffff, 0xffffffff)},
                                       {"0x0000000000000001/0x1", MARK(1, 1)}};
    static const char *const bad[] = {"",
                                      "/",
                                      "0x1/",
                                      "/0x1",
                                      "0x/0x1",
                                      "0x1/0x",
                                      "0x1/0x1/1",
                                      "0x1 /1",
                                      " 0x1/0x1",
                                      "0x1/ 0x1",
                                      "0x1/0x1 ",
                                      "-1/1",
                                      "1/-1",
                                      "+1/1",
                                      "1/+1",
                                      "0x-1/0x1",
                                      "0x+1/0x1",
                                      "0x 1/0x1",
                                      "f/f",
                                      "1f/0xff",
                                      "0x1,0x1",
                                      "0x1:0x1",
                                      "x1/1",
                                      "1//1",
                                      "0xg/0x1",
                                      "1/1x",
                                      "0x100000000/1",
                                      "1/0x100000000",
                                      "4294967296/1",
                                      "0x10000000000000000/1",
                                      "18446744073709551617/1",
                                      "mark/mask",
                                      NULL};

    (void)state;
    ASSERT_READS(read_mark, good, bad);
}

static void test_mark_without_a_mask_is_its_own_mask(void **state)
{
    static const struct good good[] = {{"0x1", MARK(1, 1)},
                                       {"5", MARK(5, 5)},
                                       {"0x80000000", MARK(0x80000000, 0x80000000)},
                                       {"4294967295", MARK(0xffffffff, 0xffffffff)},
                                       {"0", MARK(0, 0)}};
    static const char *const bad[] = {"0x", "x", "0x100000000", "4294967296", NULL};

    (void)state;
    ASSERT_READS(read_mark, good, bad);
}

static void test_hexadecimal_prefix_counts_once(void **state)
{
    static const struct good good[] = {{"0x0/0x0", MARK(0, 0)}};
    static const char *const bad[] = {"0x0x1", "0x0X1/0x1", "0x1/0x0x1", NULL};

    (void)state;
    ASSERT_READS(read_mark, good, bad);
}

static void test_digits_end_where_the_number_ends(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
        size_t len; /* 0: no number */
    } cases[] = {{"12-34", 12, 2}, {"7", 7, 1},  {"7,", 7, 1}, {"0x5", 0, 1}, {"12 ", 12, 2},
                 {"", 0, 0},       {"-1", 0, 0}, {" 1", 0, 0}, {"a1", 0, 0},  {"18446744073709551616", 0, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *end = NULL;
        uint64_t value = UNTOUCHED;
        bool read = text_value_read_digits(cases[i].text, &end, &value);

        assert_int_equal(read, cases[i].len > 0);
        if (read) {
            assert_int_equal(value, cases[i].value);
            assert_ptr_equal(end, cases[i].text + cases[i].len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_is_decimal_digits_and_nothing_else),
        cmocka_unit_test(test_size_is_a_number_with_at_most_one_unit),
        cmocka_unit_test(test_time_is_a_number_with_its_unit),
        cmocka_unit_test(test_rate_is_a_number_and_a_time_with_its_unit),
        cmocka_unit_test(test_mark_is_bits_and_a_mask_of_32_bits),
        cmocka_unit_test(test_mark_without_a_mask_is_its_own_mask),
        cmocka_unit_test(test_hexadecimal_prefix_counts_once),
        cmocka_unit_test(test_digits_end_where_the_number_ends),
    };

    return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
