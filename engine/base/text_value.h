/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsing values that a person writes: numbers, sizes, times, rates, marks.
 *
 * Each function returns whether the whole text is such a value. The caller checks limits.
 */
#ifndef ENGINE_BASE_TEXT_VALUE_H
#define ENGINE_BASE_TEXT_VALUE_H

#include <stdbool.h>
#include <stdint.h>

/* An unsigned decimal number at the start of `text`; *end gets the place after it. */
bool text_value_read_digits(const char *text, const char **end, uint64_t *number);

/* A decimal number. */
bool text_value_read_number(const char *text, uint64_t *number);

/* A number of bytes: "65536", "512K", "64M", "1G". */
bool text_value_read_size(const char *text, uint64_t *bytes);

/* A time with its unit: "500ms", "5s", "2m". */
bool text_value_read_time(const char *text, uint64_t *ms);

/* A number of events in a time: "20/1m". On failure *count and *ms may be changed. */
bool text_value_read_rate(const char *text, uint64_t *count, uint64_t *ms);

/* Bits and a mask, decimal or 0x: "0x1/0xff". Without "/MASK", *mask is *bits. */
bool text_value_read_mark(const char *text, uint32_t *bits, uint32_t *mask);

#endif
