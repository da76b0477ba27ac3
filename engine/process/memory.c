/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the machine and of cgroups, both versions.
 *
 * The cgroup of a process is a path below the root of its hierarchy (/proc/self/cgroup). What is mounted need not be that
 * root: a container without a cgroup namespace has its own cgroup mounted, and the fourth field of mountinfo says which
 * one that is. Each directory from the process's own up to the mount can have a limit, and the kernel kills where the
 * first of them is reached. File cache counts as usage and is given back, so it is left out, as in MemAvailable.
 * Process: [supervisor].
 */
#include "process/memory.h"

#include "base/arith.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#define LINE_SIZE 4096
#define RECLAIMABLE 3

/* The files of a version, and the lines of memory.stat whose pages can be had again. */
struct version {
    const char *filesystem;
    const char *limit;
    const char *usage;
    const char *reclaimable[RECLAIMABLE];
};

static const struct version unified = {
    "cgroup2", "memory.max", "memory.current", {"inactive_file ", "active_file ", "slab_reclaimable "}};
static const struct version legacy = {
    "cgroup", "memory.limit_in_bytes", "memory.usage_in_bytes", {"total_inactive_file ", "total_active_file ", NULL}};

static void take_least(struct memory_available *available, uint64_t bytes, const char *owner, bool is_limit)
{
    if (bytes < available->bytes) {
        available->bytes = bytes;
        snprintf(available->owner, sizeof(available->owner), "%s", owner);
        available->is_limit = is_limit;
    }
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

/* Where there is no /proc/meminfo, all that the machine has is an upper bound. */
static uint64_t machine_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    uint64_t kib = UINT64_MAX / 1024;
    struct sysinfo info;
    char line[128];

    if (file == NULL) {
        return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
    }
    while (fgets(line, sizeof(line), file) != NULL && sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1) {
    }
    fclose(file);
    return kib == UINT64_MAX / 1024 ? UINT64_MAX : kib * 1024;
}

/* ---- a cgroup ---------------------------------------------------------------------------------------------------- */

static FILE *open_file(const char *directory, const char *name)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/%s", directory, name) < (int)sizeof(path) ? fopen(path, "re") : NULL;
}

/* A file with one number; "max", no file, or anything else: UINT64_MAX. */
static uint64_t read_number(const char *directory, const char *name)
{
    FILE *file = open_file(directory, name);
    uint64_t value = UINT64_MAX;

    if (file != NULL) {
        if (fscanf(file, "%" SCNu64, &value) != 1) {
            value = UINT64_MAX;
        }
        fclose(file);
    }
    return value;
}

static uint64_t read_reclaimable(const char *directory, const struct version *version)
{
    FILE *file = open_file(directory, "memory.stat");
    uint64_t sum = 0;
    char line[128];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        for (unsigned i = 0; i < RECLAIMABLE && version->reclaimable[i] != NULL; i++) {
            size_t len = strlen(version->reclaimable[i]);
            uint64_t value;

            if (strncmp(line, version->reclaimable[i], len) == 0 && sscanf(line + len, "%" SCNu64, &value) == 1) {
                sum += value;
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return sum;
}

static void look_at_cgroup(const char *directory, const struct version *version, struct memory_available *available)
{
    uint64_t limit = read_number(directory, version->limit);
    uint64_t usage = read_number(directory, version->usage);
    uint64_t reclaimable;
    char owner[MEMORY_OWNER_MAX];

    if (limit == UINT64_MAX || usage == UINT64_MAX) {
        return;
    }
    reclaimable = read_reclaimable(directory, version);
    usage -= min_u64(usage, reclaimable);
    snprintf(owner, sizeof(owner), "%.400s/%s", directory, version->limit);
    take_least(available, limit - min_u64(limit, usage), owner, true);
}

/* ---- where it is ------------------------------------------------------------------------------------------------- */

/* Finds the path of this process in the hierarchy of a version, into path[LINE_SIZE]. */
static bool find_path(const struct version *version, char *path)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[LINE_SIZE];
    bool found = false;

    while (!found && file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *controllers = strchr(line, ':');
        char *end = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

        line[strcspn(line, "\n")] = '\0';
        if (end == NULL) {
            continue;
        }
        *end = '\0';
        found = version == &unified ? controllers[1] == '\0' : strstr(controllers + 1, "memory") != NULL;
        if (found) {
            strcpy(path, end + 1);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* Finds where that hierarchy is mounted, into mount[LINE_SIZE], and which cgroup is, into root[LINE_SIZE]. */
static bool find_mount(const struct version *version, char *root, char *mount)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[LINE_SIZE];
    bool found = false;

    while (!found && file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *rest = strstr(line, " - ");
        char filesystem[32];
        char options[LINE_SIZE];

        found = rest != NULL && sscanf(rest, " - %31s %*s %4095s", filesystem, options) == 2 &&
                strcmp(filesystem, version->filesystem) == 0 &&
                (version == &unified || strstr(options, "memory") != NULL) &&
                sscanf(line, "%*s %*s %*s %4095s %4095s", root, mount) == 2;
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* The part of path that is below root; "" if it is root, or the mount does not show it. */
static const char *below(const char *path, const char *root)
{
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

    if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != '\0') || strstr(path, "/..") != NULL ||
        strcmp(path + len, "/") == 0) {
        return "";
    }
    return path + len;
}

static void look_at_hierarchy(const struct version *version, struct memory_available *available)
{
    char path[LINE_SIZE];
    char root[LINE_SIZE];
    char mount[LINE_SIZE];
    char directory[2 * LINE_SIZE];
    size_t shortest;

    if (!find_path(version, path) || !find_mount(version, root, mount)) {
        return;
    }
    shortest = strlen(mount);
    snprintf(directory, sizeof(directory), "%s%s", mount, below(path, root));
    for (;;) {
        look_at_cgroup(directory, version, available);
        if (strlen(directory) <= shortest) {
            return;
        }
        *strrchr(directory, '/') = '\0';
    }
}

void memory_find_available(struct memory_available *available)
{
    *available = (struct memory_available){.bytes = UINT64_MAX};
    take_least(available, machine_memory(), "this machine", false);
    look_at_hierarchy(&unified, available);
    look_at_hierarchy(&legacy, available);
}
