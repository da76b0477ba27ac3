/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server and the areas of plugins: it asks the supervisor, which is the test, for each that load() declares; a
 * TABLE is filled in the file that came, and has no writer when the fork server is ready.
 */
#include "forkserver_fixture.h"

#include "base/channel.h"
#include "base/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLE_LEN 800000 /* of the plugin `keep` */

static void expect_area(uint32_t kind, const char *name, uint64_t len)
{
    const struct area_declaration *declared = &served.status->area;
    struct process_message message;

    assert_int_equal(channel_wait(served.channel, &message, sizeof(message), NULL, 0), sizeof(message));
    assert_int_equal(process_message_check(&message, sizeof(message), FROM_FORKSERVER, SERVED_QUEUES), 0);
    assert_int_equal(message.kind, FORKSERVER_AREA);
    assert_int_equal(message.value, 1);
    assert_int_equal(declared->plugin, 1);
    assert_int_equal(declared->kind, kind);
    assert_int_equal(declared->len, len);
    assert_string_equal(declared->name, name);
}

static void answer(uint32_t error, const int *fd)
{
    const struct process_message message = process_message_make(FORKSERVER_FILE, error);

    assert_int_equal(channel_send(served.channel, &message, sizeof(message), fd, fd != NULL), 0);
}

static void start(const char *options)
{
    served_add_plugin(MISBEHAVE, HARMLESS);
    served_add_plugin(KEEP, options);
    served_start();
    expect_area(NFQE_AREA_TABLE, "table", TABLE_LEN);
}

static int make_table(void)
{
    int fd;

    assert_int_equal(shm_new_for_writer("table", (TABLE_LEN + SHM_PAGE_SIZE - 1) / SHM_PAGE_SIZE * SHM_PAGE_SIZE, &fd),
                     0);
    return fd;
}

/* What load() tries beside, and what is no area, is not asked for. `again` is: the supervisor knows the names. */
static void answer_the_rest(void)
{
    expect_area(NFQE_AREA_WORKER, "worker", 8);
    answer(0, NULL);
    expect_area(NFQE_AREA_QUEUE, "queue", 100);
    answer(0, NULL);
    expect_area(NFQE_AREA_SHARED, "shared", 8);
    answer(0, NULL);
    expect_area(NFQE_AREA_QUEUE, "shared", 1);
    answer(EEXIST, NULL);
}

static void test_what_load_declares_is_asked_for(void **state)
{
    int table = make_table();

    (void)state;
    start("len=100");
    answer(0, &table);
    answer_the_rest();
    served_wait_ready();
    close(table);
}

/* Not even the supervisor could change it, nor take its pages. */
static void test_a_table_is_filled_and_has_no_writer_left(void **state)
{
    int table = make_table();
    void *memory;

    (void)state;
    start("len=100");
    answer(0, &table);
    answer_the_rest();
    served_wait_ready();
    assert_true(shm_has_sealed_writers(table));
    assert_ptr_equal(mmap(NULL, SHM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, table, 0), MAP_FAILED);
    assert_int_equal(fallocate(table, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SHM_PAGE_SIZE), -1);
    assert_int_equal(shm_map(table, SHM_PAGE_SIZE, false, &memory), 0);
    assert_int_equal(((const uint64_t *)memory)[1] - ((const uint64_t *)memory)[0], 8 * 31 + 1);
    shm_unmap(memory, SHM_PAGE_SIZE);
    close(table);
}

static void test_an_area_that_is_refused_is_an_error_of_load(void **state)
{
    (void)state;
    start("len=100");
    answer(ENOSPC, NULL);
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LOADING, 1, "load() failed: an area is refused (28)");
}

static void test_a_table_without_a_file_is_an_error(void **state)
{
    (void)state;
    start("len=100");
    answer(0, NULL);
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LOADING, 1, "load() failed: an area is refused (71)");
}

static void test_another_answer_ends_it(void **state)
{
    const struct process_message message = process_message_make(FORKSERVER_LEAVE, 0);

    (void)state;
    start("len=100");
    assert_int_equal(channel_send(served.channel, &message, sizeof(message), NULL, 0), 0);
    assert_int_equal(served_wait_status(), EXITED(PROCESS_EXIT_FAILED));
}

int main(void)
{
#define WITH_FORKSERVER(test) cmocka_unit_test_setup_teardown(test, served_set_up, served_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FORKSERVER(test_what_load_declares_is_asked_for),
        WITH_FORKSERVER(test_a_table_is_filled_and_has_no_writer_left),
        WITH_FORKSERVER(test_an_area_that_is_refused_is_an_error_of_load),
        WITH_FORKSERVER(test_a_table_without_a_file_is_an_error),
        WITH_FORKSERVER(test_another_answer_ends_it),
    };

    return cmocka_run_group_tests_name("forkserver_areas", tests, NULL, NULL);
}
