/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks a plugin's file and copies it into a sealed memfd.
 *
 * Type, size and permissions are checked on the open file; then it is copied, and the content of the copy is checked,
 * and the libraries that it needs. The copy is what the fork server loads, so replacing the file after a check changes
 * nothing. The seals keep everybody from changing the copy, the engine included. Opening never blocks, also not on a FIFO.
 *
 * Always: on failure nothing stays open. Runs in the supervisor; executes nothing of the plugin.
 */
#include "plugin/plugin_file.h"

#include "base/fd.h"
#include "plugin/plugin_head.h"
#include "plugin/plugin_libraries.h"
#include "plugin/safe_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PLUGIN_FILE_MAX (256L * 1024 * 1024)
#define LINK_NAME_MAX 32 /* /proc/self/fd/N */

/* The path as it is written, from the root. */
static int make_absolute(const char *path, char *absolute)
{
    size_t len = 0;

    if (path[0] != '/') {
        if (getcwd(absolute, PATH_MAX - 1) == NULL) {
            return -errno;
        }
        len = strlen(absolute);
        absolute[len++] = '/';
    }
    return snprintf(absolute + len, PATH_MAX - len, "%s", path) < (int)(PATH_MAX - len) ? 0 : -ENAMETOOLONG;
}

/*
 * Checks the directory of `path` and every one above it: whoever can write to one of them can replace the file. Also on
 * the way as it is written, since a link on it can be replaced, too.
 */
static int check_directories(const char *path, struct error *error)
{
    char written[PATH_MAX];
    char directory[PATH_MAX];
    char fault[PATH_MAX];
    int code = make_absolute(path, written);

    if (code < 0 || realpath(dirname(written), directory) == NULL) {
        code = code < 0 ? code : -errno;
        return error_set(error, EXIT_CODE_PLUGIN, code, "its directory cannot be found: %s", strerror(-code));
    }
    code = safe_directory_check(directory, false, fault);
    if (code == 0) {
        code = safe_directory_check(written, false, fault);
    }
    if (code == -EPERM) {
        return error_set(error, EXIT_CODE_PLUGIN, -EACCES, "anybody may write to its directory %s; run: chmod o-w %s",
                         fault, fault);
    }
    if (code < 0) {
        return error_set(error, EXIT_CODE_PLUGIN, code, "its directory %s cannot be read: %s", fault, strerror(-code));
    }
    return 0;
}

/* Checks the directory of the file that is open: the path may be a link, or lead elsewhere by now. */
static int check_opened_directory(int fd, struct error *error)
{
    char name[LINK_NAME_MAX];
    char opened[PATH_MAX] = "";

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    if (readlink(name, opened, sizeof(opened) - 1) < 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -errno, "its directory cannot be found: %s", strerror(errno));
    }
    return check_directories(opened, error);
}

/* Of a copy in memory the kernel does not know where it is from, so it would let it run. */
static int check_file_system(int fd, struct error *error)
{
    struct statvfs status;

    if (fstatvfs(fd, &status) == 0 && (status.f_flag & ST_NOEXEC) != 0) {
        return error_set(
            error, EXIT_CODE_PLUGIN, -EACCES,
            "is on a file system that is mounted noexec, so nothing on it may run; copy it to another one");
    }
    return 0;
}

static int check_file(struct plugin *plugin, int fd, size_t *size, struct error *error)
{
    struct stat status;
    int code;

    if (fstat(fd, &status) < 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -errno, "cannot be read: %s", strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL, "not a regular file; a plugin is a shared object (.so)");
    }
    if ((status.st_mode & S_IWOTH) != 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -EACCES, "anybody may write to it; run: chmod o-w %s", plugin->path);
    }
    if (status.st_size > PLUGIN_FILE_MAX) {
        return error_set(error, EXIT_CODE_PLUGIN, -EFBIG, "larger than %ld MiB", PLUGIN_FILE_MAX / (1024 * 1024));
    }
    plugin->owner = status.st_uid;
    plugin->foreign_owner = status.st_uid != 0 && status.st_uid != geteuid();
    *size = (size_t)status.st_size;
    /* Whoever can write to the directory of a link can make it point elsewhere. */
    code = check_directories(plugin->path, error);
    if (code == 0) {
        code = check_opened_directory(fd, error);
    }
    return code != 0 ? code : check_file_system(fd, error);
}

/* Copies the file into a new memfd and seals that. */
static int copy_file(int from, size_t size, int *memfd, struct error *error)
{
    size_t copied = 0;
    int fd = memfd_create("nfqe-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -errno, "no memory file for its copy: %s", strerror(errno));
    }
    while (copied < size) {
        ssize_t part = sendfile(fd, from, NULL, size - copied);

        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part <= 0) {
            int code = part < 0 ? -errno : -EIO;

            close(fd);
            if (code == -EFBIG) {
                return error_set(error, EXIT_CODE_PLUGIN, code,
                                 "its copy in memory is larger than this process may make a file; run: ulimit -f "
                                 "unlimited");
            }
            return error_set(error, EXIT_CODE_PLUGIN, code, "cannot be read: %s",
                             part < 0 ? strerror(-code) : "it became shorter");
        }
        copied += (size_t)part;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        int code = -errno;

        close(fd);
        return error_set(error, EXIT_CODE_PLUGIN, code, "its copy cannot be sealed: %s", strerror(-code));
    }
    *memfd = fd;
    return 0;
}

/* Checks the content of the copy. */
static int check_copy(struct plugin *plugin, size_t size, struct error *error)
{
    void *data;
    int code;

    if (size == 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC, "the file is empty");
    }
    data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, plugin->memfd, 0);
    if (data == MAP_FAILED) {
        return error_set(error, EXIT_CODE_PLUGIN, -errno, "its copy cannot be mapped: %s", strerror(errno));
    }
    code = plugin_head_read(plugin, data, size, error);
    munmap(data, size);
    return code != 0 ? code : plugin_libraries_check(plugin->memfd, error);
}

int plugin_file_check(struct plugin *plugin, struct error *error)
{
    int fd = open(plugin->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t size = 0;
    int code;

    plugin->memfd = -1;
    if (fd < 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -errno, "cannot be opened: %s", strerror(errno));
    }
    code = check_file(plugin, fd, &size, error);
    if (code == 0) {
        code = copy_file(fd, size, &plugin->memfd, error);
    }
    close(fd);
    if (code == 0) {
        code = check_copy(plugin, size, error);
    }
    if (code != 0) {
        close_fd(&plugin->memfd);
    }
    return code;
}

void plugin_file_close(struct plugin *plugin)
{
    close_fd(&plugin->memfd);
}
