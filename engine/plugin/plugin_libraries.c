/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Searches as the dynamic loader does (ld.so(8)): breadth first; DT_RPATH of the file and of those that led to it,
 * unless it has DT_RUNPATH; LD_LIBRARY_PATH; DT_RUNPATH; then the system's directories. A library whose name is known
 * already is not searched for again; a file of another ELF class or for another machine is not the one that is found.
 *
 * A directory that is searched must be safe even where the library is not in it: whoever can write to it can put one
 * there. That includes one that does not exist yet, which is as safe as the directory in which it could be made.
 *
 * Always: no descriptor is left open. Process: [supervisor]; executes nothing of the files.
 */
#include "plugin/plugin_libraries.h"

#include "base/fd.h"
#include "plugin/elf_dynamic.h"
#include "plugin/safe_directory.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARIES_MAX 64 /* of one plugin, outside of the system's directories */
#define PLUGIN_ORIGIN "/proc/self/fd" /* the loader has the plugin from there: it finds nothing by $ORIGIN */

struct library {
    char path[PATH_MAX]; /* where the loader finds it; of the plugin: a name in PLUGIN_ORIGIN */
    char rpath[PATH_MAX];
    char runpath[PATH_MAX];
    struct elf_dynamic dynamic; /* with a descriptor; not that of the plugin, which is the caller's */
    unsigned loader; /* index of the library that needs it */
};

struct search {
    struct library libraries[LIBRARIES_MAX]; /* the plugin is the first */
    unsigned count;
    struct error *error;
};

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static int refuse_damaged(const struct search *search, const struct library *library)
{
    return error_set(search->error, EXIT_CODE_PLUGIN, -ENOEXEC,
                     "the list of libraries that %s needs cannot be read; build it again",
                     library == search->libraries ? "it" : library->path);
}

/* ---- names that are known -------------------------------------------------------------------------------------- */

static int compare_name(struct dl_phdr_info *info, size_t size, void *name)
{
    (void)size;
    return strcmp(last_part(info->dlpi_name), name) == 0;
}

static bool is_known(const struct search *search, const char *name)
{
    for (unsigned i = 1; i < search->count; i++) {
        if (strcmp(last_part(search->libraries[i].path), name) == 0) {
            return true;
        }
    }
    return dl_iterate_phdr(compare_name, (void *)(uintptr_t)name) != 0;
}

/* ---- directories ----------------------------------------------------------------------------------------------- */

/* As far as a path exists: without links into real[PATH_MAX]. *missing: it does not exist to its end. */
static int resolve(const char *path, char *real, bool *missing)
{
    char part[PATH_MAX];

    snprintf(part, sizeof(part), "%s", path);
    *missing = false;
    while (realpath(part, real) == NULL) {
        char *end = strrchr(part, '/');

        if ((errno != ENOENT && errno != ENOTDIR) || end == NULL || part[1] == '\0') {
            return -errno;
        }
        end[end == part ? 1 : 0] = '\0';
        *missing = true;
    }
    return 0;
}

static int refuse_directory(const struct search *search, const char *name, const char *directory, const char *fault,
                            int code)
{
    if (code == -EPERM) {
        return error_set(search->error, EXIT_CODE_PLUGIN, -EACCES,
                         "its library %s is searched for in %s, and anybody may write to %s; run: chmod o-w %s", name,
                         directory, fault, fault);
    }
    return error_set(search->error, EXIT_CODE_PLUGIN, code, "its library %s is searched for in %s, but %s: %s", name,
                     directory, fault, strerror(-code));
}

/* What is there, with links followed, and, since a link can be replaced, the way to it as it is written. */
static int check_directory(const struct search *search, const char *name, const char *directory)
{
    char real[PATH_MAX];
    char fault[PATH_MAX];
    bool missing;
    int code = resolve(directory, real, &missing);

    if (code < 0) {
        return refuse_directory(search, name, directory, directory, code);
    }
    code = safe_directory_check(real, true, fault);
    if (code == 0 && !missing) {
        code = safe_directory_check(directory, true, fault);
    }
    return code < 0 ? refuse_directory(search, name, directory, fault, code) : 0;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static void close_library(struct library *library)
{
    close_fd(&library->dynamic.fd);
}

/*
 * Reads what the new library needs. It is the last one, and has its path. Returns 1; 0: it is for another class or
 * machine; or a negative errno.
 */
static int read_library(struct search *search, struct library *library, int fd)
{
    uint64_t next = 0;
    int code = elf_dynamic_open(fd, &library->dynamic);

    if (code == -ENOTSUP) {
        return 0;
    }
    if (code == 0) {
        code = elf_dynamic_next(&library->dynamic, DT_RUNPATH, &next, library->runpath);
    }
    if (code == 0) { /* one with a RUNPATH has no RPATH */
        next = 0;
        code = elf_dynamic_next(&library->dynamic, DT_RPATH, &next, library->rpath);
    }
    return code < 0 ? refuse_damaged(search, library) : 1;
}

static int check_file(const struct search *search, const char *path, int fd)
{
    struct stat status;
    char copy[PATH_MAX];
    char real[PATH_MAX];

    if (fstat(fd, &status) < 0 || realpath(path, real) == NULL) {
        return error_set(search->error, EXIT_CODE_PLUGIN, -errno, "its library %s cannot be read: %s", path,
                         strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return error_set(search->error, EXIT_CODE_PLUGIN, -EINVAL, "its library %s is not a regular file", path);
    }
    if ((status.st_mode & S_IWOTH) != 0) {
        return error_set(search->error, EXIT_CODE_PLUGIN, -EACCES,
                         "anybody may write to its library %s; run: chmod o-w %s", path, path);
    }
    snprintf(copy, sizeof(copy), "%s", real);
    return check_directory(search, last_part(path), dirname(copy));
}

/* Adds the file, if there is one that the loader would take. Returns 1 if there is, 0 if not. */
static int add_file(struct search *search, unsigned loader, const char *path)
{
    struct library *library = &search->libraries[search->count];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int code;

    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : error_set(search->error, EXIT_CODE_PLUGIN, -errno, "its library %s cannot be opened: %s", path,
                               strerror(errno));
    }
    code = check_file(search, path, fd);
    if (code == 0 && search->count == LIBRARIES_MAX) {
        code = error_set(search->error, EXIT_CODE_PLUGIN, -E2BIG, "needs more than %d libraries", LIBRARIES_MAX);
    }
    if (code == 0) {
        snprintf(library->path, sizeof(library->path), "%s", path);
        library->loader = loader;
        code = read_library(search, library, fd);
    }
    if (code > 0) {
        search->count++;
    } else {
        close(fd);
    }
    return code;
}

/* ---- lists of directories -------------------------------------------------------------------------------------- */

/* $ORIGIN becomes the directory of the library that has the list. Returns -ENOTSUP for what only the loader knows. */
static int expand(const char *element, size_t len, const char *origin, char *directory)
{
    static const char *const names[] = {"$ORIGIN", "${ORIGIN}"};
    const char *end = element + len;
    size_t used = 0;

    while (element < end && used < PATH_MAX - 1) {
        const char *name = NULL;

        for (unsigned i = 0; i < 2 && name == NULL; i++) {
            name = strncmp(element, names[i], strlen(names[i])) == 0 ? names[i] : NULL;
        }
        if (name != NULL) {
            used += (size_t)snprintf(directory + used, PATH_MAX - used, "%s", origin);
            element += strlen(name);
        } else if (*element == '$') {
            return -ENOTSUP;
        } else {
            directory[used++] = *element++;
        }
    }
    if (element < end || used >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    directory[used] = '\0';
    return 0;
}

/* Searches one directory. Returns as search_list(). */
static int search_directory(struct search *search, unsigned loader, const char *name, const char *directory)
{
    char path[PATH_MAX];
    int code;

    if (directory[0] != '/') {
        return error_set(search->error, EXIT_CODE_PLUGIN, -EACCES,
                         "its library %s is searched for in \"%s\", which depends on the working directory; link with "
                         "an absolute -rpath",
                         name, directory);
    }
    code = check_directory(search, name, directory);
    if (code < 0) {
        return code;
    }
    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path)) {
        return 0; /* nor does the loader open it */
    }
    return add_file(search, loader, path);
}

/*
 * Searches the directories of a list that `owner` has. Returns 1: found, and added; 0: not found; or a negative errno.
 */
static int search_list(struct search *search, unsigned owner, const char *list, unsigned loader, const char *name)
{
    char origin[PATH_MAX];
    int code = 0;

    if (list == NULL || list[0] == '\0') {
        return 0;
    }
    snprintf(origin, sizeof(origin), "%s", search->libraries[owner].path);
    dirname(origin);
    for (const char *element = list; code == 0; element++) {
        size_t len = strcspn(element, ":");
        char directory[PATH_MAX];

        code = expand(element, len, origin, directory);
        if (code < 0) {
            return error_set(search->error, EXIT_CODE_PLUGIN, code,
                             "its library %s is searched for in \"%.*s\", which the engine cannot check; link with "
                             "an absolute -rpath",
                             name, (int)len, element);
        }
        if (strncmp(directory, PLUGIN_ORIGIN, strlen(PLUGIN_ORIGIN)) != 0) {
            code = search_directory(search, loader, name, directory);
        }
        element += len;
        if (*element == '\0') {
            break;
        }
    }
    return code;
}

static int search_name(struct search *search, unsigned loader, const char *name)
{
    const struct library *library = &search->libraries[loader];
    unsigned owner = loader;
    int code = 0;

    while (code == 0 && library->runpath[0] == '\0') {
        code = search_list(search, owner, search->libraries[owner].rpath, loader, name);
        if (owner == 0) {
            break;
        }
        owner = search->libraries[owner].loader;
    }
    if (code == 0) {
        code = search_list(search, loader, getenv("LD_LIBRARY_PATH"), loader, name);
    }
    if (code == 0) {
        code = search_list(search, loader, library->runpath, loader, name);
    }
    return code;
}

/* ---- all ------------------------------------------------------------------------------------------------------- */

/* A name with a slash is a path. */
static int search_path(struct search *search, unsigned loader, const char *name)
{
    char path[PATH_MAX];
    char directory[PATH_MAX];

    snprintf(path, sizeof(path), "%s", name);
    snprintf(directory, sizeof(directory), "%s", dirname(path));
    return search_directory(search, loader, last_part(name), directory);
}

static int search_needed(struct search *search, unsigned loader)
{
    const struct library *library = &search->libraries[loader];
    char name[PATH_MAX];
    uint64_t next = 0;
    int code;

    while ((code = elf_dynamic_next(&library->dynamic, DT_NEEDED, &next, name)) > 0) {
        if (is_known(search, name)) {
            continue;
        }
        code = strchr(name, '/') != NULL ? search_path(search, loader, name) : search_name(search, loader, name);
        if (code < 0) {
            return code;
        }
    }
    return code < 0 ? refuse_damaged(search, library) : 0;
}

int plugin_libraries_check(int fd, struct error *error)
{
    struct search *search = calloc(1, sizeof(*search)); /* most of it is not touched */
    int code;

    if (search == NULL) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOMEM, "out of memory");
    }
    search->error = error;
    search->count = 1;
    snprintf(search->libraries[0].path, PATH_MAX, "%s/plugin", PLUGIN_ORIGIN);
    code = read_library(search, &search->libraries[0], fd) > 0 ? 0 : refuse_damaged(search, &search->libraries[0]);
    for (unsigned i = 0; code == 0 && i < search->count; i++) {
        code = search_needed(search, i);
    }
    for (unsigned i = 1; i < search->count; i++) {
        close_library(&search->libraries[i]);
    }
    free(search);
    return code;
}
