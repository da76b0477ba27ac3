/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine's log: lines that start with "nfq-engine: ".
 *
 * log_line() formats a line and hands it to the writer of this process. Without a writer it writes to standard error
 * and waits for room there: for a program that has not begun to serve, and for a child, whose standard error is a pipe
 * that the supervisor always reads. The supervisor's writer (log_output.h) never waits. Control characters are written
 * as '?', so that text from a plugin or a packet cannot imitate a log line.
 *
 * Process: any. The packet path logs only what rate_limit_pass() lets pass.
 */
#ifndef ENGINE_BASE_LOG_H
#define ENGINE_BASE_LOG_H

#include <stddef.h>

#define LOG_LINE_MAX 2048 /* a formatted error fits; less than PIPE_BUF, so lines of several processes do not mix */
#define LOG_PREFIX "nfq-engine: "
#define LOG_MARK '\1' /* precedes a line that a child's log_line() has written; no log line has it inside */

/* Takes a line with its newline, at most LOG_LINE_MAX bytes. */
typedef void log_writer(const char *line, size_t len);

void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Who takes the lines from now on; NULL: standard error. */
void log_set_writer(log_writer *writer);

/* In a new child: lines go to standard error, each with LOG_MARK, which tells them from what plugins write there. */
void log_begin_child(void);

#endif
