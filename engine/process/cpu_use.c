/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state in /proc/PID/stat, and the first number of /proc/PID/schedstat.
 *
 * The delay that schedstat has, too, counts a wait for the CPU only once it is over, and a process that was just forked
 * may not have run at all. So the state is looked at, from time to time, by whoever wants to know. A process may have
 * chosen its name, so the state is what follows the last bracket. Reading takes no lock that the process could hold.
 * Process: [supervisor].
 */
#include "process/cpu_use.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STAT_MAX 512 /* the name and the state are in the first 40 bytes */

static bool is_ready(pid_t pid)
{
    char text[STAT_MAX] = "";
    const char *bracket;
    char path[40];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    bracket = strrchr(text, ')');
    return bracket != NULL && bracket[1] == ' ' && bracket[2] == 'R';
}

static uint64_t used_ns(pid_t pid)
{
    uint64_t ns = 0;
    char path[40];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%" SCNu64, &ns) != 1) {
            ns = 0;
        }
        fclose(file);
    }
    return ns;
}

struct cpu_use cpu_use_read(pid_t pid)
{
    return (struct cpu_use){.ready = is_ready(pid), .used_ns = used_ns(pid)};
}
