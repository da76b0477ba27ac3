/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ps shows of a process: a title in place of the program's arguments.
 *
 * The title is written where the kernel put arguments and environment at the start of the program. Both are copied away
 * first, so argv, environ and getenv() mean what they meant; only /proc/PID/cmdline and /proc/PID/environ show what is
 * there now. A forked process begins with the title of its parent. A title that does not fit is cut. Process: any.
 */
#ifndef ENGINE_BASE_PROCESS_TITLE_H
#define ENGINE_BASE_PROCESS_TITLE_H

#define PROCESS_TITLE_MAX 64

/* First thing in main(), before anything keeps a pointer into argv or environ. */
void process_title_init(int argc, char *argv[]);

/* "nfq-engine: " and this, of which PROCESS_TITLE_MAX - 1 characters are shown. Before init, nothing happens. */
void process_title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
