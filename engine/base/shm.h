/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared memory: a memfd whose size is sealed, mapped between two guards.
 *
 * Always: no process can cut the memory short under another one that has it mapped (that reader would die of SIGBUS), and
 * an access before or after a mapping faults, so that an overrun does not reach the memory of another queue. The
 * memory is zero when it is new. Functions return 0 or a negative errno; results are untouched on failure. Any process.
 */
#ifndef ENGINE_BASE_SHM_H
#define ENGINE_BASE_SHM_H

#include <stdbool.h>
#include <stddef.h>

#define SHM_PAGE_SIZE 4096 /* sizes and offsets of mappings are multiples of it */
#define SHM_GUARD_SIZE ((size_t)64 * 1024) /* unmapped, on either side of a mapping */

/*
 * Makes a memory file of `size` bytes, a multiple of SHM_PAGE_SIZE, close-on-exec, which cannot be made executable where the
 * kernel (6.3) has a flag for that. name: what /proc shows of it.
 */
int shm_new(const char *name, size_t size, int *fd);

/*
 * Takes the memory of a part of the file now rather than page by page: a page that cannot be had later is a SIGBUS for
 * whoever touches it.
 */
int shm_reserve(int fd, size_t offset, size_t size);

/* Maps the first `size` bytes of the file between two guards. writable false: a write faults. */
int shm_map(int fd, size_t size, bool writable, void **memory);

/* Unmaps what shm_map() returned, with its guards. NULL is fine. */
void shm_unmap(void *memory, size_t size);

/*
 * Makes the page table entries of memory[size] in this process, for writing. What the memory holds stays. memory: a
 * multiple of SHM_PAGE_SIZE.
 */
void shm_populate(void *memory, size_t size);

#endif
