/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor at rest: it wakes up for what there is to do, when it is to be done, and not over and over for what it
 * cannot do anything about.
 */
#include "children_fixture.h"

#include "base/arith.h"
#include "base/clock.h"

#include <signal.h>
#include <sys/wait.h>

#define LONG_MS 60000
#define REST_MS 500
#define WAIT_MS 20
#define ROUNDS 5
#define BIRTH_TURNS_MAX 50 /* there are some messages, and the looks of the birth watch */
#define TURNS_MAX (2 + 2 * REST_MS / WATCHDOG_IDLE_MS) /* a sample is taken each time; there is room for a late one */

static struct children *const children = &children_fixture.children;

static void do_nothing(void *context)
{
    (void)context;
}

/* How many turns the event loop makes until REST_MS are over. */
static unsigned count_turns(void)
{
    struct event_loop *loop = &children_fixture.base.loop;
    struct event_timer end = {.expired = do_nothing};
    unsigned turns = 0;

    event_loop_stop_timer(loop, &children_fixture.poll);
    event_loop_start_timer(loop, &end, event_loop_now(loop) + REST_MS * NS_PER_MS);
    while (end.link != NULL) {
        assert_int_equal(event_loop_turn(loop), 0);
        turns++;
    }
    return turns;
}

static void start(void)
{
    children_fixture_begin(LONG_MS);
    children_start_serving();
    children_turn_for(20); /* the last messages */
}

static void test_supervisor_whose_children_serve_rests(void **state)
{
    (void)state;
    start();
    assert_in_range(count_turns(), 1, TURNS_MAX);
}

/* It has ended, so its end and its channel are readable, but it cannot be reaped. */
static void test_queue_process_that_cannot_be_reaped_is_no_event_for_ever(void **state)
{
    pid_t pid;

    (void)state;
    start();
    pid = children_queue_pid(0);
    children_hold(pid);
    kill(pid, SIGKILL);
    children_turn_for(20);
    assert_in_range(count_turns(), 1, TURNS_MAX);
    assert_int_equal(children_queue_pid(0), pid);
    children_let_go();
    children_wait_serving(0, pid);
}

/* Each of its messages is an event once: the birth watch alone would see them as well, but later. */
static void test_birth_takes_some_turns(void **state)
{
    const struct children_worker *worker = NULL;
    unsigned turns = 0;

    (void)state;
    start();
    children_answer(0);
    children_kill_worker(0, 0);
    event_loop_stop_timer(&children_fixture.base.loop, &children_fixture.poll);
    while (worker == NULL || !worker->opened) {
        assert_int_equal(event_loop_turn(&children_fixture.base.loop), 0);
        worker = children_worker(0, 0);
        turns++;
    }
    assert_in_range(turns, 1, BIRTH_TURNS_MAX);
}

/* Between two samples. The fastest of some counts: the machine may be busy. */
static void test_wait_for_a_worker_is_not_longer_than_it_has_to_be(void **state)
{
    uint64_t late_ns = UINT64_MAX;

    (void)state;
    start();
    children->queues[0].births_backoff.min_ms = children->queues[0].births_backoff.max_ms = WAIT_MS;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint32_t births = children->births;
        uint64_t due_ns;

        children_kill_worker(0, 0);
        due_ns = children->queues[0].births_ns;
        assert_true(due_ns > 0 || children->births != births); /* the wait may be over already */
        while (children->births == births) {
            assert_int_equal(event_loop_turn(&children_fixture.base.loop), 0);
        }
        assert_true(monotonic_ns() >= due_ns);
        late_ns = due_ns > 0 ? min_u64(late_ns, monotonic_ns() - due_ns) : late_ns;
        children_wait_opened(0, 0, 0);
    }
    assert_in_range(late_ns, 0, WATCHDOG_IDLE_MS / 4 * NS_PER_MS);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_supervisor_whose_children_serve_rests),
        WITH_CHILDREN(test_queue_process_that_cannot_be_reaped_is_no_event_for_ever),
        WITH_CHILDREN(test_birth_takes_some_turns),
        WITH_CHILDREN(test_wait_for_a_worker_is_not_longer_than_it_has_to_be),
    };

    return cmocka_run_group_tests_name("children_rest", tests, NULL, NULL);
}
