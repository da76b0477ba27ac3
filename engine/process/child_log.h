/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What queue processes, fork server and workers write to standard output and standard error, as lines of the engine's log.
 *
 * Each has a pipe of its own, so a line that one has written in part cannot get mixed with another's. The supervisor
 * reads all of them in its event loop. A line of the engine's own code in such a process, plugins' host->log() included,
 * is shown as it is; everything else is what a plugin has written, and is shown with the name of its process. A plugin
 * can imitate the former, so neither is more than a claim of that process.
 *
 * Always: lines of all children together are limited, those of the engine's code and the others each within a limit of
 * their own, and what is held back is counted and said. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CHILD_LOG_H
#define ENGINE_PROCESS_CHILD_LOG_H

#include "base/event_loop.h"
#include "base/log.h"
#include "base/rate_limit.h"

#include <stdbool.h>

#define CHILD_LOG_OUTPUT_MAX 1024 /* bytes of a line that a plugin has written; the rest of it is dropped */
#define CHILD_LOG_LINES 300       /* in a period: each of 256 workers may say something when it opens a plugin */
#define CHILD_LOG_PERIOD_MS 10000

struct child_logs;

/* What one process prints. Zeroed while it is not in use. */
struct child_log {
    struct child_logs *logs; /* NULL: not in use */
    struct child_log *next;  /* in use, in logs */
    struct child_log **link; /* what points to this one */
    struct event_watch pipe;
    char name[32];           /* of the process that writes */
    char line[LOG_LINE_MAX + 1];
    size_t len;
    bool cut; /* there was more than `line` has room for */
};

struct child_logs {
    struct event_loop *loop;
    struct child_log *first;        /* of those in use */
    struct event_timer period;      /* runs while lines are held back */
    struct rate_limit engine_lines; /* of the engine's code */
    struct rate_limit output_lines; /* of plugins */
};

/* Prepares for processes in `loop`. */
void child_logs_init(struct child_logs *logs, struct event_loop *loop);

/*
 * A process begins: makes a pipe for it, and *write_end its end to write to, which the caller passes on and closes. name:
 * of the process, for lines that plugins have written. Returns 0 or a negative errno; *write_end is untouched on
 * failure, and if logs is NULL.
 */
int child_log_open(struct child_log *log, struct child_logs *logs, const char *name, int *write_end);

/* Shows the lines that are in its pipe, up to a last line without an end. Also for one that is not in use. */
void child_log_drain(struct child_log *log);

/* The same, and closes the pipe: what a process that it has started writes there later is lost. */
void child_log_close(struct child_log *log);

/* Shows the lines that are in all pipes now, before the supervisor says what follows from what the children did. */
void child_logs_read(struct child_logs *logs);

/* Closes all pipes, and says what was held back. */
void child_logs_done(struct child_logs *logs);

#endif
