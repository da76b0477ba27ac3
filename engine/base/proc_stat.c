/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading /proc/PID/stat (proc_pid_stat(5)) and /proc/PID/schedstat (Documentation/scheduler/sched-stats.rst).
 *
 * A process may choose its name, with brackets and spaces in it, so the fields are counted from the last bracket. The
 * flags say of a process that is ending what its state does not: it may still run, in the kernel. A file that is gone, and
 * one that cannot be read, are errors; no field is guessed. Process: any.
 */
#include "base/proc_stat.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 40
#define TEXT_SIZE 1024 /* 52 fields of up to 20 digits, few of which are long */
#define SKIP_21 " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
/* PF_EXITING and PF_SIGNALED (a signal has killed it): the kernel's flags of a process. */
#define FLAGS_ENDING 0x404
#define SIGKILL_BIT (UINT64_C(1) << (SIGKILL - 1))

/* The beginning of a file of the process, as a string. */
static int read_file(pid_t pid, const char *name, char text[TEXT_SIZE])
{
    char path[PATH_SIZE];
    FILE *file;
    size_t len;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    file = fopen(path, "re");
    if (file == NULL) {
        return -errno;
    }
    len = fread(text, 1, TEXT_SIZE - 1, file);
    text[len] = '\0';
    fclose(file);
    return len > 0 ? 0 : -EIO; /* the process has ended since it was opened */
}

int proc_stat_read(pid_t pid, struct proc_stat *stat)
{
    char text[TEXT_SIZE];
    struct proc_stat found;
    const char *name;
    char *end;
    unsigned flags;
    uint64_t pending;
    int code = read_file(pid, "stat", text);

    if (code < 0) {
        return code;
    }
    name = strchr(text, '(');
    end = strrchr(text, ')');
    if (name == NULL || end == NULL ||
        sscanf(end + 1, " %c %d %*s %*s %*s %*s %u" SKIP_21 " %" SCNu64, &found.state, &found.parent, &flags,
               &pending) != 4) {
        return -EIO;
    }
    *end = '\0';
    snprintf(found.name, sizeof(found.name), "%s", name + 1);
    found.ending =
        found.state == 'Z' || found.state == 'X' || (flags & FLAGS_ENDING) != 0 || (pending & SIGKILL_BIT) != 0;
    *stat = found;
    return 0;
}

int proc_schedstat_read(pid_t pid, struct proc_schedstat *schedstat)
{
    char text[TEXT_SIZE];
    struct proc_schedstat found;
    int code = read_file(pid, "schedstat", text);

    if (code < 0) {
        return code;
    }
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &found.used_ns, &found.delay_ns) != 2) {
        return -EIO;
    }
    *schedstat = found;
    return 0;
}
