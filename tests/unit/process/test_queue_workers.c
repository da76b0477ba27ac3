/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of a queue's workers: who has a place, who is a spare, and whose packet a hash is.
 */
#include "resident.h"
#include "unit.h"

#include "base/shm.h"
#include "process/queue_workers.h"

#include <string.h>
#include <unistd.h>

static struct queue_workers workers;

static struct queue_worker *add(uint32_t number, bool opened)
{
    struct queue_worker *worker = queue_workers_add(&workers, number);

    assert_non_null(worker);
    worker->opened = opened;
    return worker;
}

/* Who gets packets with this hash of their flow. */
static struct queue_worker *worker_for(uint32_t hash)
{
    return workers.places[queue_workers_place(&workers, hash)];
}

static void test_place_is_given_to_a_worker_that_is_open_and_only_once(void **state)
{
    struct queue_worker *first;
    struct queue_worker *second;

    (void)state;
    queue_workers_init(&workers, 1);
    assert_null(workers.places[0]);
    first = add(1, false);
    assert_false(queue_workers_fill(&workers));
    first->opened = true;
    assert_true(queue_workers_fill(&workers));
    assert_int_equal(first->place, 0);
    assert_non_null(workers.places[0]);
    second = add(2, true);
    assert_false(queue_workers_fill(&workers));
    assert_int_equal(second->place, QUEUE_NO_PLACE);
    queue_workers_remove(&workers, first);
    assert_null(queue_workers_find(&workers, 1));
    assert_null(workers.places[0]);
    assert_true(queue_workers_fill(&workers));
    assert_ptr_equal(worker_for(12345), second);
    queue_workers_remove(&workers, second);
}

static void test_spare_that_is_retired_or_held_back_gets_no_place(void **state)
{
    struct queue_worker *worker;

    (void)state;
    queue_workers_init(&workers, 1);
    worker = add(1, true);
    worker->retired = true;
    assert_false(queue_workers_fill(&workers));
    assert_null(workers.places[0]);
    worker->retired = false;
    workers.held = true;
    assert_false(queue_workers_fill(&workers));
    assert_null(workers.places[0]);
    workers.held = false;
    assert_true(queue_workers_fill(&workers));
    queue_workers_remove(&workers, worker);
}

/* It has left its place before it ends, and another one has that. */
static void test_end_of_a_worker_that_has_left_its_place_does_not_free_it(void **state)
{
    struct queue_worker *first;
    struct queue_worker *second;

    (void)state;
    queue_workers_init(&workers, 1);
    first = add(1, true);
    second = add(2, true);
    assert_true(queue_workers_fill(&workers));
    first->retired = true;
    queue_workers_leave_place(&workers, first);
    assert_int_equal(first->place, QUEUE_NO_PLACE);
    assert_true(queue_workers_fill(&workers));
    queue_workers_remove(&workers, first);
    assert_ptr_equal(workers.places[0], second);
    queue_workers_remove(&workers, second);
}

/* Its pidfd is readable. That it is lost is found later. */
static void test_spare_that_has_ended_gets_no_place(void **state)
{
    struct queue_worker *worker;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    queue_workers_init(&workers, 1);
    worker = add(1, true);
    worker->end.fd = ends[0];
    assert_int_equal(write(ends[1], "", 1), 1);
    assert_false(queue_workers_fill(&workers));
    assert_null(workers.places[0]);
    queue_workers_remove(&workers, worker);
    close(ends[0]);
    close(ends[1]);
}

/* A worker that was a spare leaves no hole. */
static void test_end_of_a_spare_frees_no_place(void **state)
{
    struct queue_worker *spare;

    (void)state;
    queue_workers_init(&workers, 1);
    add(1, true);
    queue_workers_fill(&workers);
    spare = add(2, true);
    queue_workers_remove(&workers, spare);
    assert_non_null(workers.places[0]);
    assert_false(queue_workers_fill(&workers));
    assert_int_equal(worker_for(0)->number, 1);
}

static void test_hash_has_the_same_place_whoever_is_there(void **state)
{
    struct queue_worker *by_place[4];

    (void)state;
    queue_workers_init(&workers, 4);
    for (uint32_t i = 0; i < 6; i++) {
        add(i + 1, true);
    }
    assert_true(queue_workers_fill(&workers));
    for (uint32_t i = 0; i < 4; i++) {
        by_place[i] = workers.places[i];
        assert_non_null(by_place[i]);
        for (uint32_t other = 0; other < i; other++) {
            assert_ptr_not_equal(by_place[i], by_place[other]);
        }
    }
    queue_workers_remove(&workers, by_place[2]);
    assert_null(worker_for(6));
    for (uint32_t hash = 0; hash < 100; hash++) {
        if (hash % 4 != 2) {
            assert_ptr_equal(worker_for(hash), by_place[hash % 4]);
        }
    }
    assert_true(queue_workers_fill(&workers));
    assert_int_equal(worker_for(6)->place, 2);
}

static void test_table_has_room_for_all_workers_and_spares(void **state)
{
    (void)state;
    queue_workers_init(&workers, WORKERS_MAX);
    for (uint32_t i = 0; i < QUEUE_WORKERS_MAX; i++) {
        add(i + 1, true);
    }
    assert_null(queue_workers_add(&workers, QUEUE_WORKERS_MAX + 1));
    queue_workers_remove(&workers, queue_workers_find(&workers, 3));
    assert_int_equal(add(100, false)->number, 100);
    assert_false(queue_workers_find(&workers, 100)->opened);
    assert_int_equal(workers.end, QUEUE_WORKERS_MAX); /* it is in the gap, and those after it are still there */
}

/* Most queues have one worker and one spare, of the 24 for which there are entries. */
static void test_table_takes_the_memory_of_the_workers_that_it_has(void **state)
{
    struct queue_workers *table = resident_new(sizeof(*table));

    (void)state;
    queue_workers_init(table, 1);
    assert_null(queue_workers_find(table, 1));
    assert_true(resident_bytes(table, sizeof(*table)) <= SHM_PAGE_SIZE); /* what comes after the entries */
    for (uint32_t number = 1; number <= 2; number++) {
        queue_workers_add(table, number)->opened = true;
    }
    assert_true(queue_workers_fill(table));
    assert_null(queue_workers_find(table, 3));
    assert_true(resident_bytes(table, sizeof(*table)) <= 2 * sizeof(struct queue_worker) + 2 * SHM_PAGE_SIZE);
    queue_workers_remove(table, queue_workers_find(table, 1));
    queue_workers_remove(table, queue_workers_find(table, 2));
    resident_free(table, sizeof(*table));
}

/* An entry after the end holds anything. */
static void test_worker_begins_with_nothing_of_what_was_there_before(void **state)
{
    struct queue_worker *worker;

    (void)state;
    memset(&workers, 0x5a, sizeof(workers));
    queue_workers_init(&workers, 2);
    assert_null(queue_workers_find(&workers, 0x5a5a5a5a));
    assert_null(workers.places[0]);
    assert_null(workers.places[1]);
    assert_false(queue_workers_fill(&workers));
    worker = add(7, true);
    assert_false(worker->retired || worker->leaving || worker->hung);
    assert_true(queue_workers_fill(&workers));
    assert_ptr_equal(workers.places[0], worker);
    queue_workers_remove(&workers, worker);
    assert_int_equal(workers.end, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_is_given_to_a_worker_that_is_open_and_only_once),
        cmocka_unit_test(test_spare_that_is_retired_or_held_back_gets_no_place),
        cmocka_unit_test(test_end_of_a_worker_that_has_left_its_place_does_not_free_it),
        cmocka_unit_test(test_spare_that_has_ended_gets_no_place),
        cmocka_unit_test(test_end_of_a_spare_frees_no_place),
        cmocka_unit_test(test_hash_has_the_same_place_whoever_is_there),
        cmocka_unit_test(test_table_has_room_for_all_workers_and_spares),
        cmocka_unit_test(test_table_takes_the_memory_of_the_workers_that_it_has),
        cmocka_unit_test(test_worker_begins_with_nothing_of_what_was_there_before),
    };

    return cmocka_run_group_tests_name("queue_workers", tests, NULL, NULL);
}
