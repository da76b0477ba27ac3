/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The children of a process, as /proc has them. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CHILD_LIST_H
#define ENGINE_PROCESS_CHILD_LIST_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Calls found() for each child, also for one that has ended and is not reaped, until it returns false. Of a process that
 * is not there, for none.
 */
void child_list_each(pid_t parent, bool (*found)(void *context, pid_t pid), void *context);

#endif
