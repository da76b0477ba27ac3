/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes log lines to standard error, each with one write(2) and without blocking.
 *
 * poll(2) says whether a write would block: a pipe is writable while it has room for PIPE_BUF bytes, and a line is
 * never longer than that. O_NONBLOCK is not used because it is a property of the open file, which other processes
 * share. A line that would block is dropped and counted; the next line that can be written reports the count first.
 *
 * Runs in every process. Each process counts its own lost lines.
 */
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static unsigned lines_lost;

static bool stderr_takes_a_line(void)
{
    struct pollfd descriptor = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&descriptor, 1, 0) == 1 && (descriptor.revents & POLLOUT) != 0;
}

/* Writes prefix, text and newline in one write(2), so that lines of several processes do not mix. */
static bool write_line(const char *text)
{
    char line[LOG_LINE_MAX];
    int len = snprintf(line, sizeof(line), "nfq-engine: %s", text);

    if (len < 0) {
        return false;
    }
    if ((size_t)len > sizeof(line) - 1) {
        len = (int)sizeof(line) - 1;
    }
    for (int i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[len] = '\n';
    return write(STDERR_FILENO, line, (size_t)len + 1) >= 0;
}

void log_line(const char *format, ...)
{
    char text[LOG_LINE_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (!stderr_takes_a_line()) {
        lines_lost++;
        return;
    }
    if (lines_lost > 0) {
        char lost[64];

        snprintf(lost, sizeof(lost), "%u log lines lost: standard error was full", lines_lost);
        if (write_line(lost)) {
            lines_lost = 0;
        }
    }
    if (!write_line(text)) {
        lines_lost++;
    }
}
