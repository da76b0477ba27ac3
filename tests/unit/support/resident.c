/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An anonymous mapping, and mincore(2), which says of each of its pages whether it is there.
 *
 * Huge pages are refused: with them the first write would take all of it.
 */
#include "resident.h"

#include "unit.h"

#include "base/arith.h"

#include <sys/mman.h>
#include <unistd.h>

#define PAGES_MAX 1024

void *resident_new(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    madvise(memory, size, MADV_NOHUGEPAGE); /* a kernel without them refuses it */
    return memory;
}

void resident_free(void *memory, size_t size)
{
    munmap(memory, size);
}

size_t resident_bytes(void *memory, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = round_up(size, page) / page;
    static unsigned char present[PAGES_MAX];
    size_t count = 0;

    assert_true(pages <= PAGES_MAX);
    assert_int_equal(mincore(memory, size, present), 0);
    for (size_t i = 0; i < pages; i++) {
        count += present[i] & 1;
    }
    return count * page;
}
