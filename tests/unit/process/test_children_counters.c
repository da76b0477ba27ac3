/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters of plugins in the table of children: each worker gets cells of its own, and what it has counted is added
 * once to what was counted in its queue, when it has ended or when the engine ends.
 *
 * The workers have no plugins; the test counts in their place.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include <signal.h>
#include <string.h>

#define LONG_MS 60000
#define COUNTERS 3

static struct children *const children = &children_fixture.children;
static uint64_t counted[CHILDREN_QUEUES][COUNTERS_MAX];

/* The fork server's plugin has counters, as it said before. */
static void serve(void)
{
    struct engine *engine = &children_fixture.base.engine;

    children_fixture_begin(LONG_MS);
    engine->reasons_known = true;
    for (unsigned i = 1; i <= PLUGINS_MAX; i++) {
        engine->counters.first[i] = COUNTERS;
    }
    memset(counted, 0, sizeof(counted));
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        engine->queues[i].counted = counted[i];
    }
    children_start_serving();
}

/* Once for each worker. */
static void count_in_worker(unsigned queue, uint64_t n)
{
    uint64_t *places[PLUGINS_MAX];

    assert_int_equal(
        counter_cells_enter(children_worker(queue, 0)->cells.fd, children_fixture.base.engine.counters.first, places),
        0);
    places[0][COUNTERS - 1] = n;
}

static pid_t killed;

static bool is_replaced(void)
{
    pid_t pid = children_pid(0, 0);

    return pid != 0 && pid != killed && children_worker(0, 0)->opened && children_worker(0, 0)->cells.fd >= 0;
}

static void test_each_worker_gets_cells_with_its_ring(void **state)
{
    (void)state;
    serve();
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_int_equal(children_fixture.scripts[i].descriptors, RING_FDS + 1);
        assert_true(children_worker(i, 0)->cells.fd >= 0);
    }
    assert_ptr_not_equal(children_worker(0, 0)->cells.memory, children_worker(1, 0)->cells.memory);
}

static void test_what_a_killed_worker_counted_is_added_to_its_queue(void **state)
{
    unsigned descriptors;

    (void)state;
    serve();
    descriptors = children_count_descriptors();
    for (uint64_t n = 1; n <= 3; n++) {
        count_in_worker(0, n);
        killed = children_pid(0, 0);
        assert_int_equal(kill(killed, SIGKILL), 0);
        children_turn_until(is_replaced);
        assert_int_equal(counted[0][COUNTERS - 1], n * (n + 1) / 2);
    }
    assert_int_equal(counted[0][0] + counted[1][COUNTERS - 1], 0);
    assert_int_equal(children_count_descriptors(), descriptors);
}

static void test_at_the_end_workers_that_live_are_added_once(void **state)
{
    (void)state;
    serve();
    count_in_worker(1, 7);
    children_collect_counters(children);
    children_collect_counters(children);
    children_end_all();
    assert_int_equal(counted[1][COUNTERS - 1], 7);
}

/* Memory of the queues is gone when the last workers have ended. */
static void test_workers_that_end_after_the_queues_are_forgotten(void **state)
{
    (void)state;
    serve();
    count_in_worker(0, 7);
    children_fixture.base.engine.queues[0].counted = NULL;
    children_end_all();
    assert_int_equal(counted[0][COUNTERS - 1], 0);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_each_worker_gets_cells_with_its_ring),
        WITH_CHILDREN(test_what_a_killed_worker_counted_is_added_to_its_queue),
        WITH_CHILDREN(test_at_the_end_workers_that_live_are_added_once),
        WITH_CHILDREN(test_workers_that_end_after_the_queues_are_forgotten),
    };

    return cmocka_run_group_tests_name("children_counters", tests, NULL, NULL);
}
