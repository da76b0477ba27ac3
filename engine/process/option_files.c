/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening the files that the user named in options.
 *
 * To open a device or a FIFO has effects of its own, so the path is first opened with O_PATH, which has none, and only if
 * that shows a regular file it is opened for reading, through /proc/self/fd: the file that was looked at, whatever the
 * path leads to by then. Process: [supervisor].
 */
#include "process/option_files.h"

#include "base/fd.h"
#include "plugin/option_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void option_files_init(struct option_files *files)
{
    *files = (struct option_files){.count = 0};
}

/* The descriptor or a negative errno. */
static int open_regular(const char *path)
{
    char reopened[32]; /* /proc/self/fd/N */
    struct stat status;
    int place = open(path, O_PATH | O_CLOEXEC);
    int fd;

    if (place < 0) {
        return -errno;
    }
    if (fstat(place, &status) < 0 || !S_ISREG(status.st_mode)) {
        close_fd(&place);
        return -EINVAL;
    }
    snprintf(reopened, sizeof(reopened), "/proc/self/fd/%d", place);
    fd = open(reopened, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        fd = -errno;
    }
    close_fd(&place);
    return fd;
}

/* The descriptor or a negative errno. */
static int open_item(const char *text, unsigned item)
{
    char *path;
    int fd = option_text_copy_value(text, item, &path);

    if (fd == 0) {
        fd = open_regular(path);
        free(path);
    }
    return fd;
}

int option_files_get(struct option_files *files, const struct generation *generation, unsigned plugin, unsigned item)
{
    int fd;

    if (plugin >= generation->plugin_count) {
        return -ENOENT;
    }
    for (unsigned i = 0; i < files->count; i++) {
        if (files->files[i].plugin == plugin && files->files[i].item == item) {
            return files->files[i].fd;
        }
    }
    if (files->sealed) {
        return -EPERM;
    }
    if (files->count == OPTION_FILES_MAX) {
        return -EMFILE;
    }
    fd = open_item(generation->plugins[plugin].values_text, item);
    if (fd >= 0) {
        files->files[files->count++] = (struct option_file){plugin, item, fd};
    }
    return fd;
}

void option_files_seal(struct option_files *files)
{
    files->sealed = true;
}

void option_files_done(struct option_files *files)
{
    for (unsigned i = 0; i < files->count; i++) {
        close_fd(&files->files[i].fd);
    }
    option_files_init(files);
}
