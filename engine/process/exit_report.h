/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said when a fork server or a worker ended, or did not start: who it was, what it was doing, and what that
 * means for packets.
 *
 * Until `running`, a failure is final: the first one is kept, with what the program exits with. After that each is a
 * log line, and the lines are rate-limited: ends of workers that served, and what did not start, each within its own
 * limit. What a dead process left in shared memory is read with bounds. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_EXIT_REPORT_H
#define ENGINE_PROCESS_EXIT_REPORT_H

#include "base/error.h"
#include "base/rate_limit.h"
#include "process/engine.h"
#include "process/queue_messages.h"

#define EXIT_REPORT_REASON_MAX 64

/* The end of a worker. */
struct worker_exit {
    unsigned queue;   /* index in engine.queues */
    pid_t pid;
    int status;       /* of waitpid(2); of no use unless loss->loss is QUEUE_LOSS_ENDED */
    bool opened;      /* its plugins were open */
    bool leaving;     /* it was asked to close the plugins and leave */
    const struct queue_message *loss; /* what its queue process says */
};

struct exit_report {
    const struct engine *engine;
    bool running;
    struct error failure;   /* the first, while not running; its exit_code is EXIT_CODE_OK while there is none */
    struct rate_limit crash_log; /* ends of workers that were serving */
    struct rate_limit start_log; /* what did not start */
};

void exit_report_init(struct exit_report *exit_report, const struct engine *engine);

/* "crashed (SIGSEGV)", "was killed (SIGKILL)" or "exited with status 3", into reason[EXIT_REPORT_REASON_MAX]. */
const char *exit_report_reason(int status, char *reason);

/* Keeps or logs a failure. */
void exit_report_error(struct exit_report *exit_report, const struct error *error);

/* The same, made of its parts. source: what is wrong, such as a plugin's file; NULL: nothing to name. */
void exit_report_report(struct exit_report *exit_report, enum exit_code code, const char *source, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));

/* The fork server ended. timed_out: it was killed for not answering. */
void exit_report_forkserver(struct exit_report *exit_report, int status, bool timed_out);

/* A worker ended, or was given up. One that left in order is not worth a line. */
void exit_report_worker(struct exit_report *exit_report, const struct worker_exit *exit);

/* A queue process ended. timed_out: it was killed for making no progress. replaced: its packets get another one. */
void exit_report_queue(struct exit_report *exit_report, unsigned queue, pid_t pid, int status, bool timed_out,
                       bool replaced);

/* The fork server did not leave in order; reason: how. */
void exit_report_unload(const struct exit_report *exit_report, const char *reason);

/* Says how many ends were not shown: at the end of their period, or now. */
void exit_report_flush(struct exit_report *exit_report, bool now);

#endif
