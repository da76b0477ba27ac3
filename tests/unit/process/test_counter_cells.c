/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter cells: places in the file and in the worker, what is added up and when, and that a plugin that writes past its
 * cells faults. The worker's side runs in a child where it can die.
 */
#include "unit.h"

#include "base/shm.h"
#include "process/counter_cells.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FULL_PAGE (SHM_PAGE_SIZE / sizeof(uint64_t)) /* cells */

static uint32_t first[PLUGINS_MAX + 1];
static uint64_t sums[COUNTERS_MAX];
static struct counter_cells cells;

/* Plugins with so many counters each; those that are not named have none. */
static void declare(const uint32_t *counts, unsigned plugins)
{
    memset(first, 0, sizeof(first));
    for (unsigned i = 0; i < PLUGINS_MAX; i++) {
        first[i + 1] = first[i] + (i < plugins ? counts[i] : 0);
    }
    assert_int_equal(counter_cells_new(counter_cells_size(first), &cells), 0);
}

static int set_up(void **state)
{
    (void)state;
    counter_cells_init(&cells);
    memset(sums, 0, sizeof(sums));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    counter_cells_done(&cells);
    return 0;
}

static void test_plugins_without_counters_need_no_memory(void **state)
{
    (void)state;
    memset(first, 0, sizeof(first));
    assert_int_equal(counter_cells_size(first), 0);
    counter_cells_add(&cells, first, sums); /* there are none */
    counter_cells_done(&cells);
}

static void test_each_plugin_has_its_own_pages(void **state)
{
    static const uint32_t counts[] = {1, 0, FULL_PAGE, FULL_PAGE + 1};

    (void)state;
    declare(counts, 4);
    assert_int_equal(cells.size, (1 + 1 + 2) * SHM_PAGE_SIZE);
}

/* By another mapping of the same file, as in the worker; all values differ, so that no place is mixed up with another. */
static void test_what_is_counted_is_added_by_cell(void **state)
{
    static const uint32_t counts[] = {3, 0, FULL_PAGE, 7};
    uint64_t *places[PLUGINS_MAX] = {NULL};

    (void)state;
    declare(counts, 4);
    assert_int_equal(counter_cells_enter(cells.fd, first, places), 0);
    assert_null(places[1]);
    for (unsigned plugin = 0; plugin < 4; plugin++) {
        for (uint32_t i = 0; i < counts[plugin]; i++) {
            assert_int_equal(places[plugin][i], 0);
            places[plugin][i] = 1000 + first[plugin] + i;
        }
    }
    sums[0] = 5; /* counted by another worker */
    counter_cells_add(&cells, first, sums);
    assert_int_equal(sums[0], 1005);
    for (uint32_t cell = 1; cell < first[4]; cell++) {
        assert_int_equal(sums[cell], 1000 + cell);
    }
    assert_int_equal(sums[first[4]], 0);
}

/* Its pages could be taken away while they are read. */
static void test_a_file_that_is_not_sealed_counts_nothing(void **state)
{
    static const uint32_t counts[] = {1};
    uint64_t value = 7;

    (void)state;
    declare(counts, 1);
    assert_int_equal(pwrite(cells.fd, &value, sizeof(value), SHM_PAGE_SIZE - sizeof(value)), sizeof(value));
    counter_cells_add(&cells, first, sums);
    assert_int_equal(sums[0], 0);
    assert_int_equal(shm_seal_writers(cells.fd), 0);
    counter_cells_add(&cells, first, sums);
    assert_int_equal(sums[0], 7);
}

static void test_a_sealed_file_has_no_other_writer_and_keeps_its_pages(void **state)
{
    static const uint32_t counts[] = {1};
    uint64_t *places[PLUGINS_MAX];

    (void)state;
    declare(counts, 1);
    assert_int_equal(counter_cells_enter(cells.fd, first, places), 0);
    assert_ptr_equal(mmap(NULL, SHM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cells.fd, 0), MAP_FAILED);
    assert_int_equal(pwrite(cells.fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(cells.fd, 0), -1);
    assert_int_equal(fallocate(cells.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SHM_PAGE_SIZE), -1);
    assert_int_equal(madvise((char *)places[0] + sizeof(uint64_t) - SHM_PAGE_SIZE, SHM_PAGE_SIZE, MADV_REMOVE), -1);
}

/* What a worker counted until it died, by whatever signal, is there. */
static void test_what_a_dead_worker_counted_is_not_lost(void **state)
{
    static const uint32_t counts[] = {2, 1};
    int status;
    pid_t pid;

    (void)state;
    declare(counts, 2);
    pid = fork();
    if (pid == 0) {
        uint64_t *places[PLUGINS_MAX];

        if (counter_cells_enter(cells.fd, first, places) == 0) {
            places[0][1] = 17;
            places[1][0]++;
            raise(SIGKILL);
        }
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    counter_cells_add(&cells, first, sums);
    assert_int_equal(sums[0], 0);
    assert_int_equal(sums[1], 17);
    assert_int_equal(sums[2], 1);
}

/* Returns the signal that ended a child that has written to this cell of plugin 0; 0: none. */
static int write_past(long cell)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        uint64_t *places[PLUGINS_MAX];

        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would exit */
        if (counter_cells_enter(cells.fd, first, places) < 0) {
            _exit(1);
        }
        *(volatile uint64_t *)(places[0] + cell) = UINT64_MAX;
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/* The next plugin's counters are not in reach, nor anything else. */
static void test_a_write_past_the_cells_faults(void **state)
{
    static const uint32_t counts[] = {FULL_PAGE, 5};
    static const long guarded[] = {FULL_PAGE, FULL_PAGE + 1, FULL_PAGE + SHM_GUARD_SIZE / sizeof(uint64_t) - 1, -1};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        declare(counts, 2);
        assert_int_equal(write_past(guarded[i]), SIGSEGV);
        counter_cells_add(&cells, first, sums);
        assert_int_equal(sums[FULL_PAGE], 0);
        counter_cells_done(&cells);
    }
    declare(counts, 2);
    assert_int_equal(write_past(FULL_PAGE - 1), 0);
}

static void test_cells_are_not_inherited(void **state)
{
    static const uint32_t counts[] = {1};
    uint64_t *places[PLUGINS_MAX];
    int status;
    pid_t pid;

    (void)state;
    declare(counts, 1);
    assert_int_equal(counter_cells_enter(cells.fd, first, places), 0);
    pid = fork();
    if (pid == 0) {
        unsigned char resident;
        char *page = (char *)places[0] + sizeof(uint64_t) - SHM_PAGE_SIZE;

        _exit(mincore(page, SHM_PAGE_SIZE, &resident) == -1 && errno == ENOMEM ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The supervisor has the numbers from the first fork server; another one, in which plugins run, may say others. */
static void test_a_file_of_another_size_is_not_mapped(void **state)
{
    static const uint32_t counts[] = {1};
    uint64_t *places[PLUGINS_MAX] = {NULL};

    (void)state;
    declare(counts, 1);
    first[1] = first[2] = FULL_PAGE + 1;
    assert_int_equal(counter_cells_enter(cells.fd, first, places), -EPROTO);
    assert_null(places[0]);
    assert_int_equal(counter_cells_enter(-1, first, places), -EBADF);
}

int main(void)
{
#define WITH_CELLS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CELLS(test_plugins_without_counters_need_no_memory),
        WITH_CELLS(test_each_plugin_has_its_own_pages),
        WITH_CELLS(test_what_is_counted_is_added_by_cell),
        WITH_CELLS(test_a_file_that_is_not_sealed_counts_nothing),
        WITH_CELLS(test_a_sealed_file_has_no_other_writer_and_keeps_its_pages),
        WITH_CELLS(test_what_a_dead_worker_counted_is_not_lost),
        WITH_CELLS(test_a_write_past_the_cells_faults),
        WITH_CELLS(test_cells_are_not_inherited),
        WITH_CELLS(test_a_file_of_another_size_is_not_mapped),
    };

    return cmocka_run_group_tests_name("counter_cells", tests, NULL, NULL);
}
