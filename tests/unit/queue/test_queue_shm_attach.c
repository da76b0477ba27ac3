/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue's shared memory in another process: it is not inherited, it is attached by its descriptor, and memory that is
 * not what the process expects is refused.
 */
#include "unit.h"

#include "base/shm.h"
#include "faults.h"
#include "queue/queue_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUEUE 7

static const struct queue_shm_layout layout = {
    .control_version = 9, .control_size = 100, .slot_size = 1152, .flows_size = 4160};
static struct queue_shm made;

static int set_up(void **state)
{
    (void)state;
    return queue_shm_new(QUEUE, &layout, &made);
}

static int tear_down(void **state)
{
    (void)state;
    queue_shm_done(&made);
    return 0;
}

/* Attaches a copy of the descriptor; what is refused leaves *shm and the descriptor alone. */
static int attach(uint16_t queue, const struct queue_shm_layout *expected, struct queue_shm *shm)
{
    int fd = fcntl(made.fd, F_DUPFD_CLOEXEC, 0);
    int code;

    queue_shm_init(shm);
    code = queue_shm_attach(fd, queue, expected, shm);
    if (code < 0) {
        assert_null(shm->header);
        assert_int_equal(shm->fd, -1);
        assert_int_equal(close(fd), 0);
    }
    return code;
}

static void test_sections_are_where_the_maker_has_them(void **state)
{
    struct queue_shm shm;

    (void)state;
    assert_int_equal(attach(QUEUE, &layout, &shm), 0);
    assert_ptr_not_equal(shm.header, made.header);
    assert_int_equal(shm.size, made.size);
    assert_int_equal(shm.layout.control_version, layout.control_version);
    assert_int_equal(shm.layout.control_size, layout.control_size);
    assert_int_equal(shm.layout.slot_size, layout.slot_size);
    assert_int_equal(shm.layout.flows_size, layout.flows_size);
    *(uint8_t *)made.control = 1;
    made.journal->bursts[0].sequence = 2;
    *(uint8_t *)made.slots = 3;
    *(uint8_t *)made.flows = 4;
    assert_int_equal(*(uint8_t *)shm.control, 1);
    assert_int_equal(shm.journal->bursts[0].sequence, 2);
    assert_int_equal(*(uint8_t *)shm.slots, 3);
    assert_int_equal(*(uint8_t *)shm.flows, 4);
    queue_shm_done(&shm);
    assert_int_equal(*(uint8_t *)made.flows, 4);
}

static void test_no_child_has_the_memory_of_its_parent(void **state)
{
    struct queue_shm shm;

    (void)state;
    assert_int_equal(attach(QUEUE, &layout, &shm), 0);
    assert_true(faults((uint8_t *)made.header, false));
    assert_true(faults((uint8_t *)made.flows, false));
    assert_true(faults((uint8_t *)shm.control, false));
    queue_shm_done(&shm);
}

static void test_memory_of_another_layout_or_queue_is_refused(void **state)
{
    struct queue_shm_layout other = layout;
    struct queue_shm shm;

    (void)state;
    assert_int_equal(attach(QUEUE + 1, &layout, &shm), -EUCLEAN);
    other.control_version++;
    assert_int_equal(attach(QUEUE, &other, &shm), -EUCLEAN);
    other = layout;
    other.control_size++;
    assert_int_equal(attach(QUEUE, &other, &shm), -EUCLEAN);
    other = layout;
    other.flows_size -= QUEUE_SHM_SLOT_ALIGN;
    assert_int_equal(attach(QUEUE, &other, &shm), -EUCLEAN);
    other = layout;
    other.flows_size = 0;
    assert_int_equal(attach(QUEUE, &other, &shm), -EUCLEAN);
    other = layout;
    other.slot_size += QUEUE_SHM_SLOT_ALIGN;
    assert_int_equal(attach(QUEUE, &other, &shm), -EUCLEAN);
    assert_int_equal(queue_shm_attach(-1, QUEUE, &layout, &shm), -EBADF);
}

/* A plugin can have written anything there. The maker's table, written again, is taken. */
static void test_damaged_table_is_refused_until_it_is_restored(void **state)
{
    struct queue_shm shm;

    (void)state;
    made.header->magic++;
    assert_int_equal(attach(QUEUE, &layout, &shm), -EPROTO);
    queue_shm_restore_table(&made, QUEUE);
    made.header->sections[1].offset += SHM_PAGE_SIZE;
    assert_int_equal(attach(QUEUE, &layout, &shm), -EUCLEAN);
    queue_shm_restore_table(&made, QUEUE);
    made.header->section_count--;
    assert_int_equal(attach(QUEUE, &layout, &shm), -EUCLEAN);
    memset(made.header, 0xff, sizeof(*made.header));
    assert_int_equal(attach(QUEUE, &layout, &shm), -EPROTO);
    queue_shm_restore_table(&made, QUEUE);
    assert_int_equal(attach(QUEUE, &layout, &shm), 0);
    queue_shm_done(&shm);
}

static void test_file_of_another_size_is_not_even_mapped(void **state)
{
    int fd = memfd_create("short", MFD_CLOEXEC);
    struct queue_shm shm;

    (void)state;
    assert_int_equal(ftruncate(fd, SHM_PAGE_SIZE), 0);
    assert_int_equal(queue_shm_attach(fd, QUEUE, &layout, &shm), -EUCLEAN);
    close(fd);
}

int main(void)
{
#define WITH_MEMORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_MEMORY(test_sections_are_where_the_maker_has_them),
        WITH_MEMORY(test_no_child_has_the_memory_of_its_parent),
        WITH_MEMORY(test_memory_of_another_layout_or_queue_is_refused),
        WITH_MEMORY(test_damaged_table_is_refused_until_it_is_restored),
        WITH_MEMORY(test_file_of_another_size_is_not_even_mapped),
    };

    return cmocka_run_group_tests_name("queue_shm_attach", tests, NULL, NULL);
}
