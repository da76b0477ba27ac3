/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the code under test logs, kept in place of being written: for programs that are linked with
 * LINKER:--wrap=log_line.
 */
#ifndef LOG_LINES_H
#define LOG_LINES_H

#include "unit.h"

#include "base/log.h"

#define LOG_LINES_MAX 64

struct log_lines {
    char text[LOG_LINES_MAX][LOG_LINE_MAX];
    unsigned count;
};

extern struct log_lines log_lines;

/* Forgets all lines. */
void log_lines_clear(void);

/* There is exactly this line, or exactly these in this order, since the last log_lines_clear(); the list ends with NULL. */
void log_lines_assert(const char *line);
void log_lines_assert_all(const char *const *lines);

#endif
