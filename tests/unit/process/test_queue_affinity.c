/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process keeps to a CPU while it has time, and leaves it when it must wait or has much to do. CPU time and run
 * delay are the test's, CPUs the kernel's.
 */
#include "affinity_fixture.h"
#include "unit.h"

#include "process/queue_affinity.h"
#include "process/ring.h"

#include <errno.h>
#include <unistd.h>

static uint64_t now_ns;
static uint64_t used_ns;
static uint64_t delay_ns;
static unsigned readings;
static bool unknown; /* the kernel says neither */
static struct queue_affinity affinity;

int __wrap_proc_schedstat_read(pid_t pid, struct proc_schedstat *schedstat);

int __wrap_proc_schedstat_read(pid_t pid, struct proc_schedstat *schedstat)
{
    assert_int_equal(pid, getpid());
    readings++;
    if (unknown) {
        return -ENOENT;
    }
    *schedstat = (struct proc_schedstat){.used_ns = used_ns, .delay_ns = delay_ns};
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    now_ns = 100 * NS_PER_S;
    used_ns = delay_ns = 0;
    unknown = false;
    if (affinity_set_up() < 0) {
        return -1;
    }
    queue_affinity_init(&affinity, false);
    queue_affinity_look(&affinity, now_ns); /* after a long time without packets: it settles */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return affinity_restore();
}

/* The next look, after so much time of which the process had these parts, in percent. */
static bool look_after(uint64_t passed_ns, unsigned used, unsigned delay)
{
    now_ns += passed_ns;
    used_ns += passed_ns * used / 100;
    delay_ns += passed_ns * delay / 100;
    return queue_affinity_look(&affinity, now_ns);
}

static bool look(unsigned used, unsigned delay)
{
    return look_after(QUEUE_AFFINITY_LOOK_NS, used, delay);
}

static void assert_runs_on(uint32_t expected)
{
    assert_int_equal(affinity.cpu, expected);
    assert_affinity(expected);
}

static void settle(void)
{
    if (affinity.cpu == RING_CPU_ANY) {
        assert_true(look(0, 0));
    }
    assert_int_not_equal(affinity.cpu, RING_CPU_ANY);
    assert_runs_on(affinity.cpu);
}

/* ---- CPUs ---------------------------------------------------------------------------------------------------------- */

static void test_process_with_time_settles_and_stays(void **state)
{
    uint32_t cpu;

    (void)state;
    settle();
    cpu = affinity.cpu;
    for (unsigned i = 0; i < 100; i++) {
        assert_false(look(QUEUE_AFFINITY_LEAVE_USED, QUEUE_AFFINITY_LEAVE_DELAY));
    }
    assert_runs_on(cpu);
}

static void test_process_that_must_wait_or_has_much_to_do_leaves(void **state)
{
    const unsigned reasons[][2] = {{QUEUE_AFFINITY_LEAVE_USED + 1, 0}, {0, QUEUE_AFFINITY_LEAVE_DELAY + 1}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        settle();
        assert_true(look(reasons[i][0], reasons[i][1]));
        assert_runs_on(RING_CPU_ANY);
        assert_true(look_after(QUEUE_AFFINITY_RETRY_MAX_MS * NS_PER_MS, 0, 0));
    }
}

static void test_process_settles_only_with_time_left(void **state)
{
    const unsigned reasons[][2] = {{QUEUE_AFFINITY_SETTLE_USED + 1, 0}, {0, QUEUE_AFFINITY_SETTLE_DELAY + 1}};

    (void)state;
    settle();
    look_after(QUEUE_AFFINITY_RETRY_MAX_MS * NS_PER_MS, 100, 0);
    look_after(QUEUE_AFFINITY_RETRY_MAX_MS * NS_PER_MS, 100, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_false(look(reasons[i][0], reasons[i][1]));
        assert_runs_on(RING_CPU_ANY);
    }
    assert_true(look(QUEUE_AFFINITY_SETTLE_USED, QUEUE_AFFINITY_SETTLE_DELAY));
}

/* Returns how long it took until it settled again. */
static uint64_t leave_and_settle(void)
{
    uint64_t left_ns;

    assert_true(look(100, 0));
    left_ns = now_ns;
    while (!look(0, 0)) {
        assert_true(now_ns - left_ns < 20 * NS_PER_S);
    }
    return (now_ns - left_ns) / NS_PER_MS;
}

static void test_it_is_tried_again_less_and_less_often(void **state)
{
    (void)state;
    settle();
    for (unsigned wait_ms = QUEUE_AFFINITY_RETRY_MIN_MS; wait_ms <= QUEUE_AFFINITY_RETRY_MAX_MS; wait_ms *= 2) {
        assert_int_equal(leave_and_settle(), wait_ms);
    }
    assert_int_equal(leave_and_settle(), QUEUE_AFFINITY_RETRY_MAX_MS);
    look_after(QUEUE_AFFINITY_GOOD_NS, 0, 0);
    assert_int_equal(leave_and_settle(), QUEUE_AFFINITY_RETRY_MIN_MS);
}

static void test_it_leaves_when_it_is_told(void **state)
{
    (void)state;
    settle();
    assert_true(queue_affinity_leave(&affinity, now_ns));
    assert_runs_on(RING_CPU_ANY);
    assert_false(queue_affinity_leave(&affinity, now_ns));
    assert_false(look(0, 0)); /* it is tried again after a while */
}

static void test_cpus_that_another_program_sets_stay(void **state)
{
    (void)state;
    settle();
    assert_int_equal(affinity_restore(), 0); /* taskset */
    affinity_fixture.changes = 0;
    for (unsigned i = 0; i < 100; i++) {
        look(i % 2 * 100, 0);
    }
    if (CPU_COUNT(&affinity_fixture.machine) > 1) {
        assert_int_equal(affinity_fixture.changes, 0);
    }
    assert_runs_on(RING_CPU_ANY);
}

static void test_change_that_is_refused_is_not_tried_again(void **state)
{
    (void)state;
    affinity_fixture.refused = true;
    affinity_fixture.changes = 0;
    look(0, 0);
    for (unsigned i = 0; i < 100; i++) {
        look_after(QUEUE_AFFINITY_RETRY_MAX_MS * NS_PER_MS, i % 2 * 100, 0);
    }
    assert_true(affinity_fixture.changes <= 1);
}

static void test_cpus_that_are_fixed_stay(void **state)
{
    (void)state;
    tear_down(NULL);
    queue_affinity_init(&affinity, true);
    affinity_fixture.changes = readings = 0;
    for (unsigned i = 0; i < 10; i++) {
        assert_false(look(i % 2 * 100, 0));
    }
    assert_int_equal(affinity_fixture.changes, 0);
    assert_int_equal(readings, 0);
    assert_runs_on(RING_CPU_ANY);
}

static void test_nothing_changes_if_the_kernel_does_not_say(void **state)
{
    (void)state;
    tear_down(NULL);
    unknown = true;
    queue_affinity_init(&affinity, false);
    affinity_fixture.changes = 0;
    for (unsigned i = 0; i < 10; i++) {
        assert_false(look(i % 2 * 100, 0));
    }
    assert_int_equal(affinity_fixture.changes, 0);
}

static void test_nothing_is_read_between_two_looks(void **state)
{
    (void)state;
    look(0, 0);
    readings = 0;
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(queue_affinity_look(&affinity, now_ns + QUEUE_AFFINITY_LOOK_NS - 1));
    }
    assert_int_equal(readings, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_process_with_time_settles_and_stays),
        TEST(test_process_that_must_wait_or_has_much_to_do_leaves),
        TEST(test_process_settles_only_with_time_left),
        TEST(test_it_is_tried_again_less_and_less_often),
        TEST(test_it_leaves_when_it_is_told),
        TEST(test_cpus_that_another_program_sets_stay),
        TEST(test_change_that_is_refused_is_not_tried_again),
        TEST(test_cpus_that_are_fixed_stay),
        TEST(test_nothing_changes_if_the_kernel_does_not_say),
        TEST(test_nothing_is_read_between_two_looks),
    };

    return cmocka_run_group_tests_name("queue_affinity", tests, NULL, NULL);
}
