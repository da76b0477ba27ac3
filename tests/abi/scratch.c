/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The temporary directory of a test program.
 *
 * Returned paths are kept in a list and freed at the end, since the code under test keeps pointers to them. Runs in the
 * test program.
 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATHS_MAX 4096

#define TEMPLATE "/tmp/nfqe-abi-XXXXXX"

static char directory[] = TEMPLATE;
static char *paths[PATHS_MAX];
static unsigned path_count;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "the test cannot go on: %s: %s\n", what, strerror(errno));
    scratch_remove();
    exit(1);
}

const char *scratch_path(const char *name)
{
    if (path_count == 0 && mkdtemp(directory) == NULL) {
        give_up(directory);
    }
    if (path_count == PATHS_MAX || asprintf(&paths[path_count], "%s/%s", directory, name) < 0) {
        give_up("too many paths");
    }
    return paths[path_count++];
}

const char *scratch_directory(const char *name, unsigned mode)
{
    const char *path = scratch_path(name);

    if (mkdir(path, 0700) < 0 || chmod(path, mode) < 0) {
        give_up(path);
    }
    return path;
}

const char *scratch_write(const char *name, const void *data, size_t len)
{
    const char *path = scratch_path(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || fchmod(fd, 0644) < 0 || write(fd, data, len) != (ssize_t)len || close(fd) < 0) {
        give_up(path);
    }
    return path;
}

char *scratch_read(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    char *data;

    if (fd < 0 || fstat(fd, &status) < 0) {
        give_up(path);
    }
    data = malloc((size_t)status.st_size + 1);
    if (data == NULL || read(fd, data, (size_t)status.st_size) != status.st_size) {
        give_up(path);
    }
    close(fd);
    *len = (size_t)status.st_size;
    return data;
}

const char *scratch_built(const char *plugin)
{
    static char path[4096];
    const char *built = getenv("NFQE_ABI_PLUGINS");

    if (built == NULL) {
        errno = 0;
        give_up("NFQE_ABI_PLUGINS is not set; run the tests by ctest");
    }
    snprintf(path, sizeof(path), "%s/%s.so", built, plugin);
    return path;
}

const char *scratch_copy(const char *name, const char *plugin)
{
    size_t len;
    char *data = scratch_read(scratch_built(plugin), &len);
    const char *path = scratch_write(name, data, len);

    free(data);
    return path;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void scratch_remove(void)
{
    if (path_count > 0) {
        nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        memcpy(directory, TEMPLATE, sizeof(directory)); /* for the next use */
    }
    while (path_count > 0) {
        free(paths[--path_count]);
    }
}
