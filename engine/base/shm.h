/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared memory: a memfd whose size is sealed, mapped between two guards.
 *
 * Always: no process can shorten memory that another one has mapped, which would then die of SIGBUS; and an access
 * before or after a mapping faults, so that an overrun cannot reach the memory of another queue. New memory is zero.
 * Functions return 0 or a negative errno; results are untouched on failure. Process: any.
 */
#ifndef ENGINE_BASE_SHM_H
#define ENGINE_BASE_SHM_H

#include <stdbool.h>
#include <stddef.h>

#define SHM_PAGE_SIZE 4096 /* sizes and offsets of mappings are multiples of it */
#define SHM_GUARD_SIZE ((size_t)64 * 1024) /* unmapped, on either side of a mapping */

/*
 * Makes a memory file of `size` bytes, a multiple of SHM_PAGE_SIZE. It is close-on-exec, and with Linux 6.3 or newer it
 * cannot be made executable. name: what /proc shows of it.
 */
int shm_new(const char *name, size_t size, int *fd);

/*
 * The same for memory that only this process writes: it is mapped writable here, then sealed so that neither another
 * process nor this one can map it writable again, write it with write(2), or punch holes into it, whatever the
 * descriptor allows; the mapping that exists stays writable, also for a process that inherits it. *fd is to be passed to
 * readers.
 */
int shm_new_read_only(const char *name, size_t size, int *fd, void **memory);

/*
 * The same for memory that another process will write: this one may map it for reading alone. The other process maps it
 * writable, then seals it with shm_seal_writers().
 */
int shm_new_for_writer(const char *name, size_t size, int *fd);

/*
 * From here on no process can map the file writable, write it with write(2), or punch holes into it. Mappings that exist
 * stay writable.
 */
int shm_seal_writers(int fd);

/*
 * Whether that was done. Until then, a process with the descriptor can take the pages away while others read them; each
 * read is a page fault then, and waits as long as the kernel works on the hole, which can be seconds.
 */
bool shm_has_sealed_writers(int fd);

/* The mapping is in no core dump, and is not inherited over fork(). */
int shm_keep_private(void *memory, size_t size);

/*
 * Allocates the memory of a part of the file now instead of at the first access of each page, where a failure would
 * be a SIGBUS.
 */
int shm_reserve(int fd, size_t offset, size_t size);

/* Maps the first `size` bytes of the file between two guards. writable false: a write faults. */
int shm_map(int fd, size_t size, bool writable, void **memory);

/*
 * Keeps what shm_map() returned, with its guards, out of every process that this one forks from now on: there the
 * addresses are free.
 */
int shm_keep_from_children(void *memory, size_t size);

/* Unmaps what shm_map() returned, with its guards. NULL is fine. */
void shm_unmap(void *memory, size_t size);

/*
 * Makes the page table entries of memory[size] in this process, for writing; the content does not change. memory: a
 * multiple of SHM_PAGE_SIZE.
 */
void shm_populate(void *memory, size_t size);

#endif
