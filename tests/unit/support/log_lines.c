/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kept lines.
 */
#include "log_lines.h"

#include <stdio.h>

struct log_lines log_lines;

void __wrap_log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_log_line(const char *format, ...)
{
    va_list arguments;

    assert_true(log_lines.count < LOG_LINES_MAX);
    va_start(arguments, format);
    vsnprintf(log_lines.text[log_lines.count++], LOG_LINE_MAX, format, arguments);
    va_end(arguments);
}

void log_lines_clear(void)
{
    log_lines.count = 0;
}

void log_lines_assert_all(const char *const *lines)
{
    unsigned count = 0;

    for (; lines[count] != NULL; count++) {
        assert_true(count < log_lines.count);
        assert_string_equal(log_lines.text[count], lines[count]);
    }
    assert_int_equal(log_lines.count, count);
}

void log_lines_assert(const char *line)
{
    const char *const lines[] = {line, NULL};

    log_lines_assert_all(lines);
}
