/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared memory: its size is sealed, its mappings have guards, and nothing of it is left after it is unmapped.
 */
#include "unit.h"

#include "base/shm.h"
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (4 * SHM_PAGE_SIZE)

struct memory {
    int fd;
    uint8_t *bytes;
};

static int set_up(void **state)
{
    static struct memory memory;
    void *bytes;

    assert_int_equal(shm_new("nfqe-test", SIZE, &memory.fd), 0);
    assert_int_equal(shm_map(memory.fd, SIZE, true, &bytes), 0);
    memory.bytes = bytes;
    *state = &memory;
    return 0;
}

static int tear_down(void **state)
{
    const struct memory *memory = *state;

    shm_unmap(memory->bytes, SIZE);
    return close(memory->fd);
}

static void test_new_memory_is_zero_and_of_the_size_asked_for(void **state)
{
    const struct memory *memory = *state;
    struct stat status;

    assert_int_equal(fstat(memory->fd, &status), 0);
    assert_int_equal(status.st_size, SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(memory->bytes[i], 0);
    }
}

static void test_no_process_can_change_its_size_or_seals(void **state)
{
    const struct memory *memory = *state;
    const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

    assert_int_equal(fcntl(memory->fd, F_GET_SEALS) & sealed, sealed);
    assert_int_equal(ftruncate(memory->fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(memory->fd, SIZE + SHM_PAGE_SIZE), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(memory->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(fcntl(memory->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void test_access_outside_a_mapping_faults(void **state)
{
    const struct memory *memory = *state;
    uint8_t *end = memory->bytes + SIZE;

    assert_false(faults(memory->bytes, false));
    assert_false(faults(end - 1, true));
    assert_true(faults(memory->bytes - 1, true));
    assert_true(faults(memory->bytes - SHM_GUARD_SIZE, false));
    assert_true(faults(end, true));
    assert_true(faults(end + SHM_GUARD_SIZE - 1, false));
}

static void test_read_only_mapping_shows_the_memory_and_cannot_be_written(void **state)
{
    const struct memory *memory = *state;
    uint8_t *view;
    void *mapped;

    assert_int_equal(shm_map(memory->fd, SHM_PAGE_SIZE, false, &mapped), 0);
    view = mapped;
    memory->bytes[7] = 0xab;
    assert_int_equal(view[7], 0xab);
    assert_false(faults(view, false));
    assert_true(faults(view, true));
    assert_true(faults(view + SHM_PAGE_SIZE, false)); /* a mapping of a part ends where it was said to */
    shm_unmap(view, SHM_PAGE_SIZE);
}

static void test_mapping_that_fails_leaves_nothing(void **state)
{
    void *untouched = (void *)(uintptr_t)0x77;
    void *mapped = untouched;

    (void)state;
    assert_int_equal(shm_map(-1, SIZE, true, &mapped), -EBADF);
    assert_ptr_equal(mapped, untouched);
    assert_int_equal(shm_map(-1, SIZE_MAX / 2, true, &mapped), -ENOMEM);
    assert_ptr_equal(mapped, untouched);
}

static void test_memory_that_cannot_be_had_is_refused_and_leaves_no_descriptor(void **state)
{
    int fd = -77;

    (void)state;
    assert_int_equal(shm_new("nfqe-test", SIZE_MAX & ~(size_t)(SHM_PAGE_SIZE - 1), &fd), -EINVAL);
    assert_int_equal(fd, -77);
}

static void test_reserved_memory_is_there_before_it_is_touched(void **state)
{
    const struct memory *memory = *state;
    struct stat status;

    assert_int_equal(fstat(memory->fd, &status), 0);
    assert_int_equal(status.st_blocks, 0);
    assert_int_equal(shm_reserve(memory->fd, SHM_PAGE_SIZE, 2 * SHM_PAGE_SIZE), 0);
    assert_int_equal(fstat(memory->fd, &status), 0);
    assert_int_equal(status.st_blocks * 512, 2 * SHM_PAGE_SIZE);
    assert_int_equal(shm_reserve(memory->fd, SIZE, SHM_PAGE_SIZE), -EPERM); /* beyond the end: it cannot grow */
}

static void test_populating_makes_all_pages_and_changes_no_byte(void **state)
{
    const struct memory *memory = *state;
    unsigned char present[SIZE / SHM_PAGE_SIZE];
    struct stat status;

    memory->bytes[SHM_PAGE_SIZE] = 0x5a;
    shm_populate(memory->bytes, SIZE);
    assert_int_equal(fstat(memory->fd, &status), 0);
    assert_int_equal(status.st_blocks * 512, SIZE);
    assert_int_equal(mincore(memory->bytes, SIZE, present), 0);
    for (size_t i = 0; i < sizeof(present); i++) {
        assert_int_equal(present[i] & 1, 1);
    }
    assert_int_equal(memory->bytes[SHM_PAGE_SIZE], 0x5a);
    assert_int_equal(memory->bytes[0], 0);
}

static void test_unmapping_returns_all_addresses(void **state)
{
    const struct memory *memory = *state;
    uintptr_t lowest = UINTPTR_MAX;
    uintptr_t highest = 0;

    for (unsigned i = 0; i < 100; i++) {
        void *mapped;

        assert_int_equal(shm_map(memory->fd, SIZE, true, &mapped), 0);
        lowest = (uintptr_t)mapped < lowest ? (uintptr_t)mapped : lowest;
        highest = (uintptr_t)mapped > highest ? (uintptr_t)mapped : highest;
        shm_unmap(mapped, SIZE);
    }
    assert_true(highest - lowest < 16 * (SIZE + 2 * SHM_GUARD_SIZE));
    shm_unmap(NULL, SIZE);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_new_memory_is_zero_and_of_the_size_asked_for),
        TEST(test_no_process_can_change_its_size_or_seals),
        TEST(test_access_outside_a_mapping_faults),
        TEST(test_read_only_mapping_shows_the_memory_and_cannot_be_written),
        TEST(test_mapping_that_fails_leaves_nothing),
        TEST(test_memory_that_cannot_be_had_is_refused_and_leaves_no_descriptor),
        TEST(test_reserved_memory_is_there_before_it_is_touched),
        TEST(test_populating_makes_all_pages_and_changes_no_byte),
        TEST(test_unmapping_returns_all_addresses),
    };

    return cmocka_run_group_tests_name("shm", tests, NULL, NULL);
}
