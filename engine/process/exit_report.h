/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said when a template or a worker ended, or did not start: who it was, what it was doing, what that
 * means for the packets.
 *
 * Until `running`, a failure is final: the first one is kept, with what the program exits with. After that, lines are
 * rate-limited: the ends of serving workers, and what did not start, each within a limit of its own.
 * Everything a dead process left in shared memory is read with bounds. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_EXIT_REPORT_H
#define ENGINE_PROCESS_EXIT_REPORT_H

#include "base/log.h"
#include "process/engine.h"

#define OBITUARY_ERROR_MAX 1024
#define OBITUARY_REASON_MAX 64

struct obituary {
    const struct engine *engine;
    bool running;
    enum exit_code failure; /* not OK: something was refused, with the reason in error */
    char error[OBITUARY_ERROR_MAX];
    struct log_limit crash_log; /* ends of workers that were serving */
    struct log_limit start_log; /* what did not start */
};

void obituary_init(struct obituary *obituary, const struct engine *engine);

/* "crashed (SIGSEGV)", "was killed (SIGKILL)" or "exited with status 3", into reason[OBITUARY_REASON_MAX]. */
const char *obituary_reason(int status, char *reason);

/* Keeps or logs a failure. */
void obituary_report(struct obituary *obituary, enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The template ended. timed_out: it was killed for not answering. */
void obituary_template(struct obituary *obituary, int status, bool timed_out);

/* A worker ended before it had opened all plugins. */
void obituary_start(struct obituary *obituary, unsigned queue, int status, bool timed_out);

/* A serving worker ended. */
void obituary_worker(struct obituary *obituary, unsigned queue, pid_t pid, int status, bool timed_out,
                     const struct arena_blame *blame);

/* A worker had answered everything, and then did not leave in order. */
void obituary_leaving(const struct obituary *obituary, unsigned queue, int status);

/* The template did not leave in order; reason: how. */
void obituary_unload(const struct obituary *obituary, const char *reason);

/* Says how many ends were not shown: at the end of their period, or now. */
void obituary_flush(struct obituary *obituary, bool now);

#endif
