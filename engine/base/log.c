/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Formats log lines and hands them over whole.
 *
 * A line that goes to standard error is written with one write(2), so that lines of several processes do not mix. One
 * that cannot be written (the disk is full, a plugin has made the pipe non-blocking) is counted, and the next line that
 * can be written is preceded by the count. Runs in every process. Each process counts its own lost lines.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static log_writer *current_writer;
static bool marked;
static _Atomic unsigned lines_lost; /* threads of a plugin log, too */

static bool write_to_standard_error(const char *line, size_t len)
{
    char text[1 + LOG_LINE_MAX];
    size_t marks = marked ? 1 : 0;
    ssize_t written;

    text[0] = LOG_MARK;
    memcpy(text + marks, line, len);
    do {
        written = write(STDERR_FILENO, text, marks + len);
    } while (written < 0 && errno == EINTR);
    return written >= 0;
}

/* Makes a line of prefix, text and newline. Returns its length. */
static size_t make_line(const char *text, char line[LOG_LINE_MAX])
{
    int formatted = snprintf(line, LOG_LINE_MAX, LOG_PREFIX "%s", text);
    size_t len = formatted < 0 ? 0 : (size_t)formatted;

    if (len > LOG_LINE_MAX - 1) {
        len = LOG_LINE_MAX - 1;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[len] = '\n';
    return len + 1;
}

static void write_line(const char *line, size_t len)
{
    char text[64];
    char report[LOG_LINE_MAX];
    size_t report_len;
    unsigned lost = atomic_exchange(&lines_lost, 0);

    if (lost > 0) {
        snprintf(text, sizeof(text), "%u log lines lost: they could not be written", lost);
        report_len = make_line(text, report);
        if (!write_to_standard_error(report, report_len)) {
            lines_lost += lost;
        }
    }
    if (!write_to_standard_error(line, len)) {
        lines_lost++;
    }
}

void log_line(const char *format, ...)
{
    char text[LOG_LINE_MAX];
    char line[LOG_LINE_MAX];
    va_list arguments;
    size_t len;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    len = make_line(text, line);
    if (current_writer != NULL) {
        current_writer(line, len);
    } else {
        write_line(line, len);
    }
}

void log_set_writer(log_writer *writer)
{
    current_writer = writer;
}

void log_begin_child(void)
{
    current_writer = NULL;
    marked = true;
    lines_lost = 0;
}
