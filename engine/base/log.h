/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine's log: lines on standard error that start with "nfq-engine: ".
 *
 * log_line() never blocks. If standard error cannot take a line (a full pipe), the line is dropped and counted, and the
 * next line that can be written is preceded by one with the count. Control characters are written as '?', so that text
 * from a plugin or a packet cannot imitate a log line.
 *
 * Process: any. The packet path logs only what rate_limit_pass() lets pass.
 */
#ifndef ENGINE_BASE_LOG_H
#define ENGINE_BASE_LOG_H

#define LOG_LINE_MAX 2048 /* a formatted error fits; less than PIPE_BUF, so lines of several processes do not mix */

void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
