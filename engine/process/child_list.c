/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/task/PID/children (CONFIG_PROC_CHILDREN): those that the first thread has forked, or that were given to it.
 * Process: [supervisor].
 */
#include "process/child_list.h"

#include <stdio.h>

void child_list_each(pid_t parent, bool (*found)(void *context, pid_t pid), void *context)
{
    bool more = true;
    char path[48];
    FILE *file;
    pid_t pid;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
    file = fopen(path, "re");
    while (file != NULL && more && fscanf(file, "%d", &pid) == 1) {
        more = found(context, pid);
    }
    if (file != NULL) {
        fclose(file);
    }
}
