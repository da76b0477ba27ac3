/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making, mapping and adding up counter cells.
 *
 * The worker's mapping is one reservation of addresses, in which the pages of each plugin have a guard before and after
 * them. The supervisor's mapping has no gaps, so a cell is found by the pages of the plugins before it. Both compute the
 * places from the numbers of counters that the plugins declare; the supervisor has them from the first fork server, the
 * worker from its own, so the size of the file is compared. Process: [supervisor] [worker].
 */
#include "process/counter_cells.h"

#include "base/arith.h"
#include "base/fd.h"
#include "base/shm.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Of the pages of a plugin. */
static size_t pages_size(const uint32_t first[PLUGINS_MAX + 1], unsigned plugin)
{
    return round_up((first[plugin + 1] - first[plugin]) * sizeof(uint64_t), SHM_PAGE_SIZE);
}

/* Before the cells of a plugin, in its pages. */
static size_t unused_size(const uint32_t first[PLUGINS_MAX + 1], unsigned plugin)
{
    return pages_size(first, plugin) - (first[plugin + 1] - first[plugin]) * sizeof(uint64_t);
}

size_t counter_cells_size(const uint32_t first[PLUGINS_MAX + 1])
{
    size_t size = 0;

    for (unsigned i = 0; i < PLUGINS_MAX; i++) {
        size += pages_size(first, i);
    }
    return size;
}

/* ---- the supervisor's side --------------------------------------------------------------------------------------- */

void counter_cells_init(struct counter_cells *cells)
{
    *cells = (struct counter_cells){.fd = -1};
}

/* The memory is taken now: later, a worker would get SIGBUS if there is none, and so would the reader. */
int counter_cells_new(size_t size, struct counter_cells *cells)
{
    void *memory = NULL;
    int fd = -1;
    int code = shm_new_for_writer(COUNTER_CELLS_NAME, size, &fd);

    if (code == 0) {
        code = shm_reserve(fd, 0, size);
    }
    if (code == 0) {
        code = shm_map(fd, size, false, &memory);
    }
    if (code == 0) {
        code = shm_keep_from_children(memory, size);
    }
    if (code < 0) {
        shm_unmap(memory, size);
        close_fd(&fd);
        return code;
    }
    *cells = (struct counter_cells){.fd = fd, .size = size, .memory = memory};
    return 0;
}

void counter_cells_add(const struct counter_cells *cells, const uint32_t first[PLUGINS_MAX + 1], uint64_t *sums)
{
    const char *pages = cells->memory;

    if (cells->fd < 0 || !shm_has_sealed_writers(cells->fd)) {
        return;
    }
    for (unsigned i = 0; i < PLUGINS_MAX; i++) {
        const uint64_t *of_plugin = (const uint64_t *)(const void *)(pages + unused_size(first, i));

        for (uint32_t cell = first[i]; cell < first[i + 1]; cell++) {
            sums[cell] += __atomic_load_n(&of_plugin[cell - first[i]], __ATOMIC_RELAXED);
        }
        pages += pages_size(first, i);
    }
}

void counter_cells_done(struct counter_cells *cells)
{
    shm_unmap((void *)(uintptr_t)cells->memory, cells->size);
    close_fd(&cells->fd);
    counter_cells_init(cells);
}

/* ---- the worker's side ------------------------------------------------------------------------------------------- */

/* Puts the pages of each plugin into the reserved addresses. */
static int map_pages(int fd, const uint32_t first[PLUGINS_MAX + 1], char *reserved, uint64_t *places[PLUGINS_MAX])
{
    size_t offset = 0;

    for (unsigned i = 0; i < PLUGINS_MAX; i++) {
        size_t size = pages_size(first, i);
        char *at = reserved + SHM_GUARD_SIZE;

        if (size == 0) {
            continue;
        }
        if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED ||
            madvise(at, size, MADV_DONTFORK) < 0) {
            return -errno;
        }
        places[i] = (uint64_t *)(void *)(at + unused_size(first, i));
        reserved = at + size;
        offset += size;
    }
    return 0;
}

int counter_cells_enter(int fd, const uint32_t first[PLUGINS_MAX + 1], uint64_t *places[PLUGINS_MAX])
{
    size_t size = counter_cells_size(first);
    size_t reserved_size = size + (PLUGINS_MAX + 1) * SHM_GUARD_SIZE;
    struct stat file;
    void *reserved;
    int code;

    if (fstat(fd, &file) < 0) {
        return -errno;
    }
    if (file.st_size != (off_t)size) {
        return -EPROTO;
    }
    reserved = mmap(NULL, reserved_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
        return -errno;
    }
    code = map_pages(fd, first, reserved, places);
    if (code == 0) {
        code = shm_seal_writers(fd);
    }
    if (code < 0) {
        munmap(reserved, reserved_size);
    }
    return code;
}
