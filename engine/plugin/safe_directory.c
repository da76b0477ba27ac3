/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who can write to a directory can replace what is in it, and who can write to one above it can replace the directory.
 * So a path is as safe as the least safe directory on it. Process: [supervisor].
 */
#include "plugin/safe_directory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int check(const char *directory, bool searched)
{
    struct stat status;

    if (stat(directory, &status) < 0) {
        return -errno;
    }
    return (status.st_mode & S_IWOTH) != 0 && (searched || (status.st_mode & S_ISVTX) == 0) ? -EPERM : 0;
}

int safe_directory_check(const char *directory, bool searched, char *fault)
{
    int code;

    snprintf(fault, PATH_MAX, "%s", directory);
    code = check(fault, searched);
    while (code == 0 && strcmp(fault, "/") != 0) {
        char *end = strrchr(fault, '/');

        end[end == fault ? 1 : 0] = '\0';
        code = check(fault, false);
    }
    return code;
}
