/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening the files and directories that the user named in options.
 *
 * To open a device or a FIFO has effects of its own, so the path is first opened with O_PATH, which has none, and only if
 * that shows what is wanted it is opened, through /proc/self/fd: the file that was looked at, whatever the path leads to
 * by then. None is created or cut. Process: [supervisor].
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
static int open_path(const char *path, enum path_access access)
{
    static const struct {
        mode_t kind;
        int flags;
    } wanted[PATH_ACCESSES] = {
        [PATH_FILE] = {S_IFREG, O_RDONLY},
        [PATH_WRITABLE_FILE] = {S_IFREG, O_RDWR},
        [PATH_DIRECTORY] = {S_IFDIR, O_RDONLY},
    };
    char reopened[32]; /* /proc/self/fd/N */
    struct stat status;
    int place = open(path, O_PATH | O_CLOEXEC);
    int fd;

    if (place < 0) {
        return -errno;
    }
    if (fstat(place, &status) < 0 || (status.st_mode & S_IFMT) != wanted[access].kind) {
        close_fd(&place);
        return -EINVAL;
    }
    snprintf(reopened, sizeof(reopened), "/proc/self/fd/%d", place);
    fd = open(reopened, wanted[access].flags | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        fd = -errno;
    }
    close_fd(&place);
    return fd;
}

/* The descriptor or a negative errno. */
static int open_item(const char *text, unsigned item, enum path_access access)
{
    char *path;
    int fd = option_text_copy_value(text, item, &path);

    if (fd == 0) {
        fd = open_path(path, access);
        free(path);
    }
    return fd;
}

int option_files_get(struct option_files *files, const struct generation *generation, unsigned plugin, unsigned item,
                     enum path_access access)
{
    int fd;

    if (plugin >= generation->plugin_count) {
        return -ENOENT;
    }
    for (unsigned i = 0; i < files->count; i++) {
        const struct option_file *file = &files->files[i];

        if (file->plugin == plugin && file->item == item && file->access == access) {
            return file->fd;
        }
    }
    if (files->sealed) {
        return -EPERM;
    }
    if (files->count == OPTION_FILES_MAX) {
        return -EMFILE;
    }
    fd = open_item(generation->plugins[plugin].values_text, item, access);
    if (fd >= 0) {
        files->files[files->count++] = (struct option_file){plugin, item, access, fd};
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
