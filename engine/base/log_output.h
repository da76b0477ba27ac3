/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Standard error as a place where log lines go without waiting.
 *
 * Lines that standard error does not take at once wait in a buffer and are tried again by a timer of the event loop,
 * whatever the reason: a pipe or a terminal that is not read, a disk that is full. If the buffer is full, the oldest
 * line in it is dropped and counted, so that the last lines, which have the final counters, remain. The count is said
 * before the next line that is written.
 *
 * Standard error may be shared with other programs, so its O_NONBLOCK is left alone. A pipe or a terminal is opened once
 * more, with a flag of its own; on a socket each call says that it does not wait; a regular file and a device take what
 * they are given. A pipe or terminal that cannot be opened again (it is another user's, or there is no /proc) is written
 * to only after poll(2) has said that there is room; a writer that takes the room in between can then make us wait.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_BASE_LOG_OUTPUT_H
#define ENGINE_BASE_LOG_OUTPUT_H

#include "base/event_loop.h"

#include <stdbool.h>

#define LOG_OUTPUT_BUFFER_SIZE (256 * 1024) /* the final counters of 256 queues */
#define LOG_OUTPUT_RETRY_MIN_MS 10
#define LOG_OUTPUT_RETRY_MAX_MS 200

/* From now on log_line() writes to `fd` in this way. Returns 0, or why it cannot be opened again; it works then too. */
int log_output_begin(int fd);

/* Tries again by a timer of this loop. Until then, waiting lines are tried again with the next line. */
void log_output_attach(struct event_loop *loop);

/* The descriptor that was opened, for children to close; -1: none was. */
int log_output_descriptor(void);

/* Whether lines wait to be read. */
bool log_output_waits(void);

/* Writes what can be written, drops the rest; log_line() waits for standard error again. */
void log_output_end(void);

#endif
