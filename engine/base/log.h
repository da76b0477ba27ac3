/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines of the processes: one line, one write(2) to standard error, "nfq-engine: " in front.
 *
 * A line never blocks its writer: when standard error does not take it (a full pipe), the line is
 * dropped and counted, and the next line that gets through says how many were. Control characters in
 * the text are written as '?', so that nothing a plugin or a packet says can forge a line.
 *
 * Process: any. Not for the packet path, except behind a struct log_limit.
 */
#ifndef ENGINE_BASE_LOG_H
#define ENGINE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_MAX 2048 /* an error with its source fits; below PIPE_BUF, so lines of several processes do not mix */

void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* At most `burst` lines in each `period_ns`; what is beyond is counted in `suppressed`. */
struct log_limit {
    unsigned burst;
    uint64_t period_ns;
    uint64_t period_start_ns;
    unsigned written;
    unsigned suppressed;
};

/*
 * Whether a line may be written now. When a new period begins after lines were suppressed, their number is
 * put into *missed once, for the caller to say; otherwise *missed gets 0.
 */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ns, unsigned *missed);

#endif
