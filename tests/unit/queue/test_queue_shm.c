/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shared memory of a queue: where its sections lie, what plugins can see of it, and that nothing of it is left
 * after a failure or queue_shm_done(). Which tables of sections are refused is in test_queue_shm_table.c.
 *
 * shm_map() is replaced at link time, and fails if the test says so before it is the real one.
 */
#include "unit.h"

#include "base/shm.h"
#include "queue/queue_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE 65535
#define CONTROL_VERSION 9
#define CONTROL_SIZE 100
#define SLOT_SIZE 1152

static int map_code; /* not 0: what shm_map() returns, without mapping anything */

int __real_shm_map(int fd, size_t size, bool writable, void **memory);
int __wrap_shm_map(int fd, size_t size, bool writable, void **memory);

int __wrap_shm_map(int fd, size_t size, bool writable, void **memory)
{
    return map_code != 0 ? map_code : __real_shm_map(fd, size, writable, memory);
}

/* The number that the next file gets. */
static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);

    assert_true(fd >= 0);
    close(fd);
    return fd;
}

/* Pages of addresses that this process has mapped. */
static unsigned long mapped_pages(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    return strtoul(text, NULL, 10);
}

/* The flags of the mapping at this address, as in proc_pid_smaps(5). */
static const char *mapping_flags(const void *address)
{
    static char line[512];
    FILE *file = fopen("/proc/self/smaps", "re");
    bool found = false;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        char *end;
        uintptr_t from = strtoul(line, &end, 16);

        if (*end == '-') {
            found = from == (uintptr_t)address;
        } else if (found && strncmp(line, "VmFlags:", 8) == 0) {
            fclose(file);
            return line;
        }
    }
    fail_msg("no mapping begins at %p", address);
    return NULL;
}

static struct queue_shm_layout layout_of(uint32_t slot_size, uint64_t flows_size)
{
    return (struct queue_shm_layout){.control_version = CONTROL_VERSION,
                                     .control_size = CONTROL_SIZE,
                                     .slot_size = slot_size,
                                     .flows_size = flows_size};
}

static int set_up(void **state)
{
    static struct queue_shm shm;
    const struct queue_shm_layout layout = layout_of(SLOT_SIZE, 4160);

    *state = &shm;
    return queue_shm_new(QUEUE, &layout, &shm);
}

static int tear_down(void **state)
{
    queue_shm_done(*state);
    return 0;
}

static void assert_refused(uint32_t slot_size, uint64_t flows_size)
{
    const struct queue_shm_layout layout = layout_of(slot_size, flows_size);
    struct queue_shm shm;

    queue_shm_init(&shm);
    assert_int_equal(queue_shm_new(1, &layout, &shm), -EINVAL);
    assert_null(shm.header);
    assert_int_equal(shm.fd, -1);
}

static void test_layout_outside_its_limits_is_refused_and_leaves_nothing(void **state)
{
    static const uint32_t slot_sizes[] = {
        0,
        1,
        63,
        65,
        QUEUE_SHM_SLOT_MAX - 1,
        QUEUE_SHM_SLOT_MAX + 1,
        QUEUE_SHM_SLOT_MAX + QUEUE_SHM_SLOT_ALIGN,
        UINT32_MAX,
        UINT32_MAX - QUEUE_SHM_SLOT_ALIGN + 1,
    };
    static const uint64_t flows_sizes[] = {1, 63, 65, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(slot_sizes) / sizeof(slot_sizes[0]); i++) {
        assert_refused(slot_sizes[i], 0);
    }
    for (size_t i = 0; i < sizeof(flows_sizes) / sizeof(flows_sizes[0]); i++) {
        assert_refused(SLOT_SIZE, flows_sizes[i]);
    }
}

static void test_memory_that_cannot_be_mapped_is_refused_and_leaves_nothing(void **state)
{
    static const uint64_t flows_sizes[] = {0, 4160};

    (void)state;
    map_code = -ENOMEM;
    for (size_t i = 0; i < sizeof(flows_sizes) / sizeof(flows_sizes[0]); i++) {
        const struct queue_shm_layout layout = layout_of(SLOT_SIZE, flows_sizes[i]);
        int before = next_fd();
        struct queue_shm shm;

        queue_shm_init(&shm);
        assert_int_equal(queue_shm_new(1, &layout, &shm), -ENOMEM);
        assert_null(shm.header);
        assert_int_equal(shm.fd, -1);
        assert_int_equal(next_fd(), before);
    }
    map_code = 0;
}

static void test_freed_memory_is_unmapped_and_closed(void **state)
{
    const struct queue_shm_layout layout = layout_of(SLOT_SIZE, 4160);
    unsigned long before = mapped_pages();
    int fd = next_fd();
    struct queue_shm shm;

    (void)state;
    assert_int_equal(queue_shm_new(QUEUE, &layout, &shm), 0);
    assert_true(mapped_pages() > before);
    queue_shm_done(&shm);
    assert_int_equal(mapped_pages(), before);
    assert_int_equal(next_fd(), fd);
}

/* That the section is in the table, where the process has its pointer, and inside of the memory. */
static void assert_section(const struct queue_shm *shm, enum queue_shm_kind kind, uint32_t version, const void *place,
                           uint64_t size)
{
    const struct queue_shm_section *section = queue_shm_find(shm->header, kind, version);

    assert_non_null(section);
    assert_ptr_equal((const char *)shm->header + section->offset, place);
    assert_int_equal(section->size, size);
    assert_int_equal(section->offset % SHM_PAGE_SIZE, 0);
    assert_true(section->offset + section->size <= shm->size);
}

static void test_table_says_where_each_section_is(void **state)
{
    static const uint32_t slot_sizes[] = {QUEUE_SHM_SLOT_ALIGN, SLOT_SIZE, 4096, QUEUE_SHM_SLOT_MAX};
    static const uint64_t flows_sizes[] = {0, 64, 4096, 4160, 1024 * 1024};

    (void)state;
    for (size_t i = 0; i < sizeof(slot_sizes) / sizeof(slot_sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(flows_sizes) / sizeof(flows_sizes[0]); j++) {
            struct queue_shm_layout layout = layout_of(slot_sizes[i], flows_sizes[j]);
            struct queue_shm shm;
            struct stat status;

            layout.changes = (i + j) % 2 != 0;

            assert_int_equal(queue_shm_new(QUEUE, &layout, &shm), 0);
            assert_int_equal(queue_shm_check(shm.header, shm.size), 0);
            assert_int_equal(shm.header->queue, QUEUE);
            assert_int_equal(fstat(shm.fd, &status), 0);
            assert_int_equal(status.st_size, shm.size);
            assert_section(&shm, QUEUE_SHM_CONTROL, CONTROL_VERSION, shm.control, CONTROL_SIZE);
            assert_section(&shm, QUEUE_SHM_JOURNAL, JOURNAL_VERSION, shm.journal, sizeof(struct journal));
            assert_section(&shm, QUEUE_SHM_SLOTS, 1, shm.slots, (uint64_t)BURSTS_IN_FLIGHT * BURST_MAX * slot_sizes[i]);
            if (layout.changes) {
                assert_section(&shm, QUEUE_SHM_CHANGES, 1, shm.changes, QUEUE_SHM_CHANGES_SIZE);
                assert_ptr_equal(queue_shm_change(shm.changes, BURSTS_IN_FLIGHT - 1, BURST_MAX - 1),
                                 (uint8_t *)shm.changes + QUEUE_SHM_CHANGES_SIZE - QUEUE_SHM_CHANGE_STRIDE);
            } else {
                assert_null(shm.changes);
            }
            if (flows_sizes[j] > 0) {
                assert_section(&shm, QUEUE_SHM_FLOWS, 3, shm.flows, flows_sizes[j]);
            } else {
                assert_null(shm.flows);
                assert_null(queue_shm_find(shm.header, QUEUE_SHM_FLOWS, 3));
            }
            assert_true(journal_is_idle(shm.journal));
            queue_shm_done(&shm);
            assert_int_equal(shm.fd, -1);
            assert_null(shm.header);
        }
    }
}

static void test_slots_share_no_cache_line_and_hold_their_size(void **state)
{
    const struct queue_shm *shm = *state;
    const struct journal before = *shm->journal;

    for (unsigned i = 0; i < BURSTS_IN_FLIGHT * BURST_MAX; i++) {
        const void *slots = queue_shm_burst_slots(shm->slots, i / BURST_MAX, SLOT_SIZE);
        char *slot = queue_shm_slot(slots, i % BURST_MAX, SLOT_SIZE);

        assert_int_equal((uintptr_t)slot % QUEUE_SHM_SLOT_ALIGN, 0);
        assert_ptr_equal(slot, (char *)shm->slots + (size_t)i * SLOT_SIZE);
        memset(slot, 0xff, SLOT_SIZE);
    }
    assert_memory_equal(shm->journal, &before, sizeof(before)); /* writing slots touched nothing else */
    assert_int_equal(*(const uint8_t *)shm->flows, 0);
}

static void test_flow_table_is_zero_and_its_memory_is_taken_at_once(void **state)
{
    const struct queue_shm_layout layout = layout_of(SLOT_SIZE, 1024 * 1024);
    struct queue_shm shm;
    struct stat status;

    (void)state;
    assert_int_equal(queue_shm_new(1, &layout, &shm), 0);
    assert_int_equal(fstat(shm.fd, &status), 0);
    assert_true((uint64_t)status.st_blocks * 512 >= layout.flows_size);
    for (uint64_t byte = 0; byte < layout.flows_size; byte++) {
        assert_int_equal(((const uint8_t *)shm.flows)[byte], 0);
    }
    queue_shm_done(&shm);
}

static void test_prepare_restores_the_header_and_keeps_what_outlives_a_worker(void **state)
{
    const struct queue_shm *shm = *state;
    const struct queue_shm_header whole = *shm->header;
    struct burst *burst = &shm->journal->bursts[3];

    memset(shm->header, 0xff, sizeof(*shm->header));
    memset(shm->flows, 0x77, shm->layout.flows_size);
    memset(shm->control, 0x66, CONTROL_SIZE);
    memset(&burst->messages[1].msg_hdr, 0xff, sizeof(burst->messages[1].msg_hdr));
    burst->messages[1].msg_len = 5;
    queue_shm_prepare(shm, QUEUE, 1);
    assert_memory_equal(shm->header, &whole, sizeof(whole));
    assert_int_equal(((const uint8_t *)shm->flows)[shm->layout.flows_size - 1], 0x77);
    assert_int_equal(((const uint8_t *)shm->control)[CONTROL_SIZE - 1], 0x66);
    assert_int_equal(burst->messages[1].msg_len, 5);
    assert_ptr_equal(burst->messages[1].msg_hdr.msg_iov->iov_base,
                     queue_shm_slot(shm->slots, 3 * BURST_MAX + 1, SLOT_SIZE));
    assert_int_equal(burst->messages[1].msg_hdr.msg_iov->iov_len, SLOT_SIZE);
}

/* A page that is not there when the kernel copies a message to it can cost the message. */
static void test_prepare_makes_every_page_and_keeps_it_out_of_core_dumps(void **state)
{
    static const uint64_t flows_sizes[] = {0, 4160};

    (void)state;
    for (unsigned i = 0; i < 2 * BURSTS_IN_FLIGHT; i++) {
        const struct queue_shm_layout layout = layout_of(SLOT_SIZE, flows_sizes[i % 2]);
        unsigned bursts = 1 + i / 2;
        size_t unused = (size_t)(BURSTS_IN_FLIGHT - bursts) * BURST_MAX * SLOT_SIZE; /* whole pages */
        struct queue_shm shm;
        struct stat status;

        assert_int_equal(queue_shm_new(QUEUE, &layout, &shm), 0);
        assert_null(strstr(mapping_flags(shm.header), " dd"));
        queue_shm_prepare(&shm, QUEUE, bursts);
        assert_non_null(strstr(mapping_flags(shm.header), " dd"));
        assert_int_equal(fstat(shm.fd, &status), 0);
        assert_int_equal(status.st_blocks * 512, shm.size - unused);
        queue_shm_done(&shm);
    }
}

static void test_freeing_no_memory_is_fine(void **state)
{
    struct queue_shm shm;

    (void)state;
    queue_shm_init(&shm);
    queue_shm_done(&shm);
    queue_shm_done(&shm);
    assert_int_equal(shm.fd, -1);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_outside_its_limits_is_refused_and_leaves_nothing),
        cmocka_unit_test(test_memory_that_cannot_be_mapped_is_refused_and_leaves_nothing),
        cmocka_unit_test(test_freed_memory_is_unmapped_and_closed),
        cmocka_unit_test(test_table_says_where_each_section_is),
        TEST(test_slots_share_no_cache_line_and_hold_their_size),
        cmocka_unit_test(test_flow_table_is_zero_and_its_memory_is_taken_at_once),
        TEST(test_prepare_restores_the_header_and_keeps_what_outlives_a_worker),
        cmocka_unit_test(test_prepare_makes_every_page_and_keeps_it_out_of_core_dumps),
        cmocka_unit_test(test_freeing_no_memory_is_fine),
    };

    return cmocka_run_group_tests_name("queue_shm", tests, NULL, NULL);
}
