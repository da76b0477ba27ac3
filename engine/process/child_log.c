/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the children's pipes and makes lines of what is in them.
 *
 * The ends to read from are the supervisor's alone, each with a file description of its own, so no child can make a
 * read wait. A read takes at most BUFFER_SIZE bytes, then the other descriptors have their turn. What a child wrote
 * before it died is still in the pipe, so its end is reported after its last line. A process that the child has
 * started may have the other end for ever, so end-of-file is not waited for, and what is read at that point has a bound.
 * End-of-file comes while a worker lives if a plugin closes its output. Process: [supervisor].
 */
#include "process/child_log.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE (64 * 1024) /* what a pipe has by default */
#define DRAIN_READS_MAX 16      /* a pipe may be enlarged to 1 MiB without a privilege */

/* ---- lines ----------------------------------------------------------------------------------------------------- */

static void log_held_back(const char *what, unsigned count)
{
    if (count > 0) {
        log_line("... %u more lines of %s not shown", count, what);
    }
}

/* Whether a line may be shown; what was held back before it is said first. */
static bool pass(struct child_logs *logs, struct rate_limit *limit, const char *what)
{
    uint64_t now_ns = event_loop_now(logs->loop);
    unsigned missed;

    if (rate_limit_pass(limit, now_ns, &missed)) {
        log_held_back(what, missed);
        return true;
    }
    if (logs->period.link == NULL) {
        event_loop_start_timer(logs->loop, &logs->period, now_ns + CHILD_LOG_PERIOD_MS * NS_PER_MS);
    }
    return false;
}

static void say_held_back(struct child_logs *logs, bool now)
{
    uint64_t now_ns = event_loop_now(logs->loop);

    log_held_back("the workers' log", rate_limit_flush(&logs->engine_lines, now_ns, now));
    log_held_back("plugins' output", rate_limit_flush(&logs->output_lines, now_ns, now));
}

static void period_is_over(void *context)
{
    say_held_back(context, false);
}

static void show_line(struct child_log *log)
{
    log->line[log->len] = '\0';
    if (log->line[0] == LOG_MARK && strncmp(log->line + 1, LOG_PREFIX, strlen(LOG_PREFIX)) == 0) {
        if (pass(log->logs, &log->logs->engine_lines, "the workers' log")) {
            log_line("%s", log->line + 1 + strlen(LOG_PREFIX));
        }
    } else if (pass(log->logs, &log->logs->output_lines, "plugins' output")) {
        log_line("output of %s: %.*s%s", log->name, CHILD_LOG_OUTPUT_MAX, log->line,
                 log->cut || log->len > CHILD_LOG_OUTPUT_MAX ? "..." : "");
    }
}

static void end_line(struct child_log *log)
{
    if (log->len > 0) {
        show_line(log);
    }
    log->len = 0;
    log->cut = false;
}

/* A line of the engine's code was written whole, so its mark also ends a line that a plugin has not ended. */
static void take_byte(struct child_log *log, char byte)
{
    if (byte == '\n' || byte == LOG_MARK) {
        end_line(log);
    }
    if (byte == '\n') {
        return;
    }
    if (log->len == LOG_LINE_MAX) {
        log->cut = true;
        return;
    }
    log->line[log->len++] = byte != '\0' ? byte : '?';
}

/* ---- pipes ----------------------------------------------------------------------------------------------------- */

/* Returns whether there may be more. */
static bool read_some(struct child_log *log)
{
    static char buffer[BUFFER_SIZE];
    ssize_t len = read(log->pipe.fd, buffer, sizeof(buffer));

    for (ssize_t i = 0; i < len; i++) {
        take_byte(log, buffer[i]);
    }
    if (len == 0) {
        event_loop_unwatch(log->logs->loop, &log->pipe); /* it would be an event for ever */
    }
    return len > 0;
}

static void pipe_ready(void *context, uint32_t events)
{
    (void)events;
    read_some(context);
}

void child_logs_init(struct child_logs *logs, struct event_loop *loop)
{
    const struct rate_limit limit = {.burst = CHILD_LOG_LINES, .period_ns = CHILD_LOG_PERIOD_MS * NS_PER_MS};

    *logs = (struct child_logs){.loop = loop,
                                .period = {.expired = period_is_over, .context = logs},
                                .engine_lines = limit,
                                .output_lines = limit};
}

/* Makes the pipe and watches our end. */
static int open_pipe(struct child_log *log, int *write_end)
{
    int ends[2];
    int code;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    log->pipe = (struct event_watch){.fd = ends[0], .ready = pipe_ready, .context = log};
    code = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (code == 0) {
        code = event_loop_watch(log->logs->loop, &log->pipe, EPOLLIN);
    }
    if (code < 0) {
        close(ends[0]);
        close(ends[1]);
        return code;
    }
    *write_end = ends[1];
    return 0;
}

int child_log_open(struct child_log *log, struct child_logs *logs, const char *name, int *write_end)
{
    int code;

    if (logs == NULL) {
        return 0;
    }
    log->logs = logs;
    log->len = 0;
    log->cut = false;
    snprintf(log->name, sizeof(log->name), "%s", name);
    code = open_pipe(log, write_end);
    if (code < 0) {
        log->logs = NULL;
        return code;
    }
    log->next = logs->first;
    log->link = &logs->first;
    if (log->next != NULL) {
        log->next->link = &log->next;
    }
    logs->first = log;
    return 0;
}

static void read_all(struct child_log *log)
{
    for (unsigned i = 0; i < DRAIN_READS_MAX && read_some(log); i++) {
    }
}

void child_log_drain(struct child_log *log)
{
    if (log->logs != NULL) {
        read_all(log);
        end_line(log);
    }
}

void child_log_close(struct child_log *log)
{
    if (log->logs == NULL) {
        return;
    }
    child_log_drain(log);
    event_loop_unwatch(log->logs->loop, &log->pipe);
    close_fd(&log->pipe.fd);
    *log->link = log->next;
    if (log->next != NULL) {
        log->next->link = log->link;
    }
    log->logs = NULL;
}

void child_logs_read(struct child_logs *logs)
{
    for (struct child_log *log = logs->first; log != NULL; log = log->next) {
        read_all(log);
    }
}

void child_logs_done(struct child_logs *logs)
{
    while (logs->first != NULL) {
        child_log_close(logs->first);
    }
    if (logs->loop != NULL) {
        event_loop_stop_timer(logs->loop, &logs->period);
        say_held_back(logs, true);
    }
}
