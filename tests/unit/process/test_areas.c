/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Areas as the supervisor keeps them: which declarations it takes, which file a worker gets, and which files stay when
 * there is another fork server, or a worker is given up.
 */
#include "unit.h"

#include "process/areas.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUES 2
#define SLOTS 3
#define PLUGINS 2
#define LIMIT (64 * SHM_PAGE_SIZE)
#define PAGE SHM_PAGE_SIZE

static struct areas areas;
static int table = -1;

static unsigned descriptors; /* before the test */

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static int set_up(void **state)
{
    (void)state;
    descriptors = count_descriptors();
    areas_init(&areas, QUEUES, SLOTS, PLUGINS, LIMIT);
    areas_begin(&areas);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    areas_done(&areas);
    if (table >= 0) {
        close(table);
        table = -1;
    }
    assert_int_equal(count_descriptors(), descriptors);
    return 0;
}

static int declare(uint32_t plugin, uint32_t kind, const char *name, uint64_t len)
{
    struct area_declaration declared = {.plugin = plugin, .kind = kind, .len = len};

    for (unsigned i = 0; i < AREA_NAME_SIZE && name[i] != '\0'; i++) {
        declared.name[i] = name[i];
    }
    return areas_declare(&areas, &declared, &table);
}

static ino_t file_of(int fd)
{
    struct stat file;

    assert_int_equal(fstat(fd, &file), 0);
    return file.st_ino;
}

/* One area of each kind that is passed: WORKER, QUEUE, SHARED. */
static void declare_all(void)
{
    assert_int_equal(declare(0, NFQE_AREA_WORKER, "w", 1), 0);
    assert_int_equal(declare(0, NFQE_AREA_QUEUE, "q", PAGE + 1), 0);
    assert_int_equal(declare(1, NFQE_AREA_SHARED, "s", PAGE), 0);
    areas_commit(&areas);
}

/* For the worker in this slot; the files that it gets into files[3]. Returns which were fresh. */
static uint32_t pass(unsigned queue, unsigned slot, ino_t files[3])
{
    struct areas_passed passed;

    assert_int_equal(areas_get(&areas, queue, slot, &passed), 0);
    assert_int_equal(passed.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        files[i] = file_of(passed.fds[i]);
    }
    areas_note_passed(&areas, queue, slot);
    return passed.fresh;
}

/* ---- declarations ------------------------------------------------------------------------------------------------ */

static void test_what_is_no_area_is_refused(void **state)
{
    static const char *const names[] = {"", "a b", "a/b", "\xc3\xa9", "x2345678901234567890123456789012"};

    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(declare(0, NFQE_AREA_QUEUE, names[i], 1), -EINVAL);
    }
    assert_int_equal(declare(0, 0, "a", 1), -EINVAL);
    assert_int_equal(declare(0, NFQE_AREA_SHARED + 1, "a", 1), -EINVAL);
    assert_int_equal(declare(0, NFQE_AREA_SHARED, "a", 0), -EINVAL);
    assert_int_equal(declare(0, NFQE_AREA_SHARED, "a", UINT64_MAX), -EINVAL);
    assert_int_equal(declare(PLUGINS, NFQE_AREA_SHARED, "a", 1), -EINVAL);
    assert_int_equal(declare(0, NFQE_AREA_SHARED, "A-z_0123456789012345678901234567", 1), -EINVAL);
    assert_int_equal(declare(0, NFQE_AREA_SHARED, "A-z_012345678901234567890123456", 1), 0);
}

static void test_a_plugin_has_each_name_once(void **state)
{
    (void)state;
    assert_int_equal(declare(0, NFQE_AREA_SHARED, "a", 1), 0);
    assert_int_equal(declare(0, NFQE_AREA_QUEUE, "a", 2), -EEXIST);
    assert_int_equal(declare(1, NFQE_AREA_SHARED, "a", 1), 0);
    areas_begin(&areas); /* another fork server */
    assert_int_equal(declare(0, NFQE_AREA_QUEUE, "a", 2), 0);
}

static void test_areas_are_limited_in_number(void **state)
{
    char name[8];

    (void)state;
    for (unsigned i = 0; i < AREAS_MAX; i++) {
        snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(declare(i % PLUGINS, NFQE_AREA_SHARED, name, 1), 0);
    }
    assert_int_equal(declare(0, NFQE_AREA_SHARED, "more", 1), -ENOSPC);
}

/* In whole pages, and as often as there can be memory of it. */
static void test_areas_are_limited_in_size(void **state)
{
    static const struct {
        uint32_t kind;
        unsigned files;
    } kinds[] = {
        {NFQE_AREA_TABLE, 1}, {NFQE_AREA_WORKER, QUEUES * SLOTS}, {NFQE_AREA_QUEUE, QUEUES}, {NFQE_AREA_SHARED, 1}};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        areas_begin(&areas);
        assert_int_equal(declare(0, NFQE_AREA_SHARED, "a", LIMIT - kinds[i].files * PAGE), 0);
        assert_int_equal(declare(0, kinds[i].kind, "b", PAGE + 1), -ENOSPC);
        assert_int_equal(declare(0, kinds[i].kind, "b", PAGE), 0);
        assert_int_equal(declare(0, kinds[i].kind, "c", 1), -ENOSPC);
        tear_down(NULL);
    }
    areas_begin(&areas);
    assert_int_equal(declare(0, NFQE_AREA_WORKER, "a", AREA_LEN_MAX), -ENOSPC);
    areas_init(&areas, QUEUES, SLOTS, PLUGINS, 0);
    assert_int_equal(declare(0, NFQE_AREA_TABLE, "a", 1), -ENOSPC);
    assert_int_equal(table, -1);
}

static void test_a_table_is_made_at_once_and_not_kept(void **state)
{
    struct areas_passed passed;
    struct stat file;

    (void)state;
    assert_int_equal(declare(0, NFQE_AREA_TABLE, "a", PAGE + 1), 0);
    assert_int_equal(fstat(table, &file), 0);
    assert_int_equal(file.st_size, 2 * PAGE);
    assert_int_equal(fcntl(table, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                     F_SEAL_SHRINK | F_SEAL_GROW); /* its writer seals the rest */
    areas_commit(&areas);
    assert_int_equal(areas_get(&areas, 0, 0, &passed), 0);
    assert_int_equal(passed.count, 0);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void test_files_have_their_size_for_ever(void **state)
{
    struct areas_passed passed;

    (void)state;
    declare_all();
    assert_int_equal(areas_get(&areas, 0, 0, &passed), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct stat file;

        assert_int_equal(fstat(passed.fds[i], &file), 0);
        assert_int_equal(file.st_size, i == 1 ? 2 * PAGE : PAGE);
        assert_int_equal(fcntl(passed.fds[i], F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                         F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    }
}

static void test_each_slot_queue_and_chain_has_its_file(void **state)
{
    ino_t files[QUEUES][SLOTS][3];

    (void)state;
    declare_all();
    for (unsigned queue = 0; queue < QUEUES; queue++) {
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            uint32_t fresh = pass(queue, slot, files[queue][slot]);

            assert_int_equal(fresh, 1 | (slot == 0) << 1 | (slot == 0 && queue == 0) << 2);
            assert_true(files[queue][slot][1] == files[queue][0][1]);
            assert_true(files[queue][slot][2] == files[0][0][2]);
            for (unsigned i = 0; i < queue * SLOTS + slot; i++) {
                assert_true(files[queue][slot][0] != files[i / SLOTS][i % SLOTS][0]);
            }
        }
    }
    assert_true(files[0][0][1] != files[1][0][1]);
    for (unsigned queue = 0; queue < QUEUES; queue++) {
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            ino_t again[3];

            assert_int_equal(pass(queue, slot, again), 0);
            assert_memory_equal(again, files[queue][slot], sizeof(again));
        }
    }
}

/* A worker that could not be told has touched nothing. */
static void test_what_was_not_passed_stays_fresh(void **state)
{
    struct areas_passed passed;
    ino_t files[3];

    (void)state;
    declare_all();
    assert_int_equal(areas_get(&areas, 0, 0, &passed), 0);
    assert_int_equal(passed.fresh, 7);
    assert_int_equal(pass(0, 0, files), 7);
    assert_int_equal(pass(0, 0, files), 0);
}

static void test_a_worker_that_is_given_up_takes_its_own_file(void **state)
{
    ino_t before[3];
    ino_t other[3];
    ino_t after[3];

    (void)state;
    declare_all();
    pass(1, 2, before);
    pass(1, 1, other);
    areas_abandon(&areas, 1, 2);
    assert_int_equal(pass(1, 2, after), 1);
    assert_true(after[0] != before[0]);
    assert_memory_equal(&after[1], &before[1], 2 * sizeof(ino_t));
    assert_int_equal(pass(1, 1, after), 0);
    assert_memory_equal(after, other, sizeof(after));
}

/* ---- fork servers ------------------------------------------------------------------------------------------------ */

static void test_the_next_fork_server_has_the_same_files(void **state)
{
    uint32_t number;
    ino_t before[3];
    ino_t after[3];

    (void)state;
    declare_all();
    pass(0, 1, before);
    number = areas.number;
    areas_begin(&areas);
    declare_all();
    assert_int_equal(pass(0, 1, after), 0);
    assert_memory_equal(after, before, sizeof(after));
    assert_int_equal(areas.number, number);
}

/* Until it is ready, workers are those of the one before. If it dies, its list is forgotten. */
static void test_a_list_counts_when_its_fork_server_is_ready(void **state)
{
    ino_t before[3];
    ino_t after[3];

    (void)state;
    declare_all();
    pass(0, 0, before);
    areas_begin(&areas);
    assert_int_equal(declare(0, NFQE_AREA_SHARED, "other", 1), 0);
    assert_int_equal(pass(0, 0, after), 0);
    assert_memory_equal(after, before, sizeof(after));
    areas_begin(&areas);
    declare_all();
    assert_int_equal(pass(0, 0, after), 0);
    assert_memory_equal(after, before, sizeof(after));
}

static void test_an_area_that_differs_is_another_one(void **state)
{
    struct areas_passed passed;
    uint32_t number;
    ino_t before[3];

    (void)state;
    declare_all();
    pass(0, 0, before);
    number = areas.number;
    areas_begin(&areas);
    assert_int_equal(declare(1, NFQE_AREA_SHARED, "s", PAGE), 0);
    assert_int_equal(declare(0, NFQE_AREA_QUEUE, "q", PAGE), 0); /* shorter */
    assert_int_equal(declare(1, NFQE_AREA_WORKER, "w", 1), 0); /* of another plugin */
    areas_commit(&areas);
    assert_int_not_equal(areas.number, number);
    assert_int_equal(areas_get(&areas, 0, 0, &passed), 0);
    assert_int_equal(passed.fresh, 6);
    assert_true(file_of(passed.fds[0]) == before[2]);
    assert_true(file_of(passed.fds[1]) != before[1]);
    assert_true(file_of(passed.fds[2]) != before[0]);
}

int main(void)
{
#define WITH_AREAS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_AREAS(test_what_is_no_area_is_refused),
        WITH_AREAS(test_a_plugin_has_each_name_once),
        WITH_AREAS(test_areas_are_limited_in_number),
        WITH_AREAS(test_areas_are_limited_in_size),
        WITH_AREAS(test_a_table_is_made_at_once_and_not_kept),
        WITH_AREAS(test_files_have_their_size_for_ever),
        WITH_AREAS(test_each_slot_queue_and_chain_has_its_file),
        WITH_AREAS(test_what_was_not_passed_stays_fresh),
        WITH_AREAS(test_a_worker_that_is_given_up_takes_its_own_file),
        WITH_AREAS(test_the_next_fork_server_has_the_same_files),
        WITH_AREAS(test_a_list_counts_when_its_fork_server_is_ready),
        WITH_AREAS(test_an_area_that_differs_is_another_one),
    };

    return cmocka_run_group_tests_name("areas", tests, NULL, NULL);
}
