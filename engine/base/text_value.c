/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsers of values in text: numbers, sizes, times, rates and marks.
 *
 * They accept what a person is expected to write and refuse the rest of what strtoull() takes: white space, signs,
 * and a prefix without digits. A value that does not fit 64 bits (a mark: 32) is refused, also when only its unit
 * makes it too large. Pure functions of the text. Used where options are parsed: in the supervisor, before any other
 * process exists.
 */
#include "base/text_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool text_value_read_digits(const char *text, const char **end, uint64_t *number)
{
    char *after;

    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    *number = strtoull(text, &after, 10);
    *end = after;
    return errno == 0;
}

bool text_value_read_number(const char *text, uint64_t *number)
{
    const char *end;

    return text_value_read_digits(text, &end, number) && *end == '\0';
}

bool text_value_read_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = {{"", 0}, {"K", 10}, {"M", 20}, {"G", 30}};
    uint64_t number;
    const char *end;

    if (!text_value_read_digits(text, &end, &number)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcasecmp(end, units[i].suffix) == 0 && number <= UINT64_MAX >> units[i].shift) {
            *bytes = number << units[i].shift;
            return true;
        }
    }
    return false;
}

bool text_value_read_time(const char *text, uint64_t *ms)
{
    static const struct {
        const char *suffix;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}};
    uint64_t number;
    const char *end;

    if (!text_value_read_digits(text, &end, &number)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].suffix) == 0 && number <= UINT64_MAX / units[i].ms) {
            *ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

bool text_value_read_rate(const char *text, uint64_t *count, uint64_t *ms)
{
    const char *end;

    return text_value_read_digits(text, &end, count) && *end == '/' && text_value_read_time(end + 1, ms);
}

/* A 32-bit number, decimal or hexadecimal, at the start of `text`. */
static bool read_bits(const char *text, const char **end, uint32_t *bits)
{
    int base = strncasecmp(text, "0x", 2) == 0 ? 16 : 10;
    const char *digits = base == 16 ? text + 2 : text;
    unsigned long long number;
    char *after;

    if (!isxdigit((unsigned char)digits[0]) || (base == 16 && strncasecmp(digits, "0x", 2) == 0)) {
        return false;
    }
    errno = 0;
    number = strtoull(digits, &after, base);
    *end = after;
    *bits = (uint32_t)number;
    return after != digits && errno == 0 && number <= UINT32_MAX;
}

bool text_value_read_mark(const char *text, uint32_t *bits, uint32_t *mask)
{
    const char *end;

    if (!read_bits(text, &end, bits)) {
        return false;
    }
    *mask = *bits;
    if (*end == '/' && !read_bits(end + 1, &end, mask)) {
        return false;
    }
    return *end == '\0';
}
