/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the values that people write: numbers, sizes, times, marks.
 *
 * Each function returns whether the text is such a value, whole; limits are the caller's.
 */
#ifndef ENGINE_BASE_TEXT_VALUE_H
#define ENGINE_BASE_TEXT_VALUE_H

#include <stdbool.h>
#include <stdint.h>

/* An unsigned decimal number at the start of `text`; *end is what follows. */
bool text_value_read_digits(const char *text, const char **end, uint64_t *number);

/* A decimal number. */
bool text_value_read_number(const char *text, uint64_t *number);

/* A number of bytes: "65536", "512K", "64M", "1G". */
bool text_value_read_size(const char *text, uint64_t *bytes);

/* A time with its unit: "500ms", "5s", "2m". */
bool text_value_read_time(const char *text, uint64_t *ms);

/* Bits and the mask they are written through, "0x1/0xff"; without a mask, the bits are it. Decimal or 0x. */
bool text_value_read_mark(const char *text, uint32_t *bits, uint32_t *mask);

#endif
