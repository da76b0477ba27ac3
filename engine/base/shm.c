/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared memory made of memfd_create(2), fcntl(2) seals and mmap(2).
 *
 * A mapping and its guards are one reservation of addresses, of which the mapping replaces the middle (MAP_FIXED). So
 * no other mapping can be next to it, now or later, and one munmap() removes all of it. The size is sealed before the
 * file is used, so that no process can shorten memory that another one has mapped.
 *
 * Runs in every process; nothing here is called for a packet.
 */
#include "base/shm.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

/* Kernels before 6.3 refuse MFD_NOEXEC_SEAL with EINVAL. */
static int create_memory_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    return fd >= 0 || errno != EINVAL ? fd : memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* A memory file of a size, not sealed. */
static int create_sized(const char *name, size_t size, int *fd)
{
    int memfd = create_memory_file(name);

    if (memfd < 0) {
        return -errno;
    }
    if (ftruncate(memfd, (off_t)size) < 0) {
        int error = -errno;

        close_fd(&memfd);
        return error;
    }
    *fd = memfd;
    return 0;
}

static int add_seals(int fd, int seals)
{
    return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

/* A memory file whose size never changes. more: seals beside that. */
static int create_sealed(const char *name, size_t size, int more, int *fd)
{
    int memfd = -1;
    int code = create_sized(name, size, &memfd);

    if (code < 0) {
        return code;
    }
    code = add_seals(memfd, F_SEAL_SHRINK | F_SEAL_GROW | more);
    if (code < 0) {
        close_fd(&memfd);
        return code;
    }
    *fd = memfd;
    return 0;
}

int shm_new(const char *name, size_t size, int *fd)
{
    return create_sealed(name, size, F_SEAL_SEAL, fd);
}

int shm_new_for_writer(const char *name, size_t size, int *fd)
{
    return create_sealed(name, size, 0, fd);
}

int shm_new_read_only(const char *name, size_t size, int *fd, void **memory)
{
    void *mapped = NULL;
    int memfd = -1;
    int code = create_sealed(name, size, 0, &memfd);

    if (code < 0) {
        return code;
    }
    code = shm_map(memfd, size, true, &mapped);
    if (code == 0) {
        code = shm_seal_writers(memfd);
    }
    if (code < 0) {
        shm_unmap(mapped, size);
        close_fd(&memfd);
        return code;
    }
    *fd = memfd;
    *memory = mapped;
    return 0;
}

int shm_seal_writers(int fd)
{
    return add_seals(fd, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

bool shm_has_sealed_writers(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_FUTURE_WRITE) != 0;
}

int shm_keep_private(void *memory, size_t size)
{
    return madvise(memory, size, MADV_DONTFORK) < 0 || madvise(memory, size, MADV_DONTDUMP) < 0 ? -errno : 0;
}

int shm_reserve(int fd, size_t offset, size_t size)
{
    return fallocate(fd, 0, (off_t)offset, (off_t)size) < 0 ? -errno : 0;
}

int shm_map(int fd, size_t size, bool writable, void **memory)
{
    size_t reserved = size + 2 * SHM_GUARD_SIZE;
    char *base = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *mapped;

    if (base == MAP_FAILED) {
        return -errno;
    }
    mapped =
        mmap(base + SHM_GUARD_SIZE, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    if (mapped == MAP_FAILED) {
        int error = -errno;

        munmap(base, reserved);
        return error;
    }
    *memory = mapped;
    return 0;
}

int shm_keep_from_children(void *memory, size_t size)
{
    return madvise((char *)memory - SHM_GUARD_SIZE, size + 2 * SHM_GUARD_SIZE, MADV_DONTFORK) < 0 ? -errno : 0;
}

void shm_unmap(void *memory, size_t size)
{
    if (memory != NULL) {
        munmap((char *)memory - SHM_GUARD_SIZE, size + 2 * SHM_GUARD_SIZE);
    }
}

/* For kernels before 5.14, which do not know MADV_POPULATE_WRITE: writes one byte of each page. */
static void touch_pages(void *memory, size_t size)
{
    volatile unsigned char *byte = memory;

    for (size_t offset = 0; offset < size; offset += SHM_PAGE_SIZE) {
        byte[offset] = byte[offset]; // cppcheck-suppress selfAssignment ; the write is what makes the page
    }
}

void shm_populate(void *memory, size_t size)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(memory, size, MADV_POPULATE_WRITE) == 0) {
        return;
    }
#endif
    touch_pages(memory, size);
}
