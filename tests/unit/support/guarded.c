/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that is followed by a guard page.
 *
 * For len 0 the returned pointer is the guard page itself, so that any read ends the test.
 */
#include "guarded.h"

#include "unit.h"

#include "base/arith.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

void guarded_init(struct guarded *guarded, size_t capacity)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    guarded->capacity = round_up(capacity, page);
    guarded->region_size = guarded->capacity + page;
    guarded->region = mmap(NULL, guarded->region_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(guarded->region, MAP_FAILED);
    assert_int_equal(mprotect(guarded->region + guarded->capacity, page, PROT_NONE), 0);
}

void guarded_done(struct guarded *guarded)
{
    ASAN_UNPOISON_MEMORY_REGION(guarded->region, guarded->capacity);
    munmap(guarded->region, guarded->region_size);
}

void *guarded_put(struct guarded *guarded, const void *data, size_t len, size_t alignment)
{
    size_t offset = (guarded->capacity - len) & ~(alignment - 1);
    uint8_t *place = guarded->region + offset;

    assert_true(len <= guarded->capacity);
    ASAN_UNPOISON_MEMORY_REGION(guarded->region, guarded->capacity);
    if (data != NULL && len > 0) {
        memcpy(place, data, len);
    }
    ASAN_POISON_MEMORY_REGION(place + len, guarded->capacity - offset - len);
    return place;
}
