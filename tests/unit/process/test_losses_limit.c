/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plugins that lose too many workers: what each action of --on-crash-limit does, and which ends count.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LONG_MS 60000
#define RETRY_MS 200
#define LIMIT 3

static struct children *const children = &children_fixture.children;

/* The start does not wait for spares. One that is late would do what the test has chosen for those after it. */
static void serve(enum crash_limit_action action, unsigned spares)
{
    struct queue_group *group = &children_fixture.base.group;

    children_fixture_prepare(LONG_MS);
    group->crash_limit.count = LIMIT;
    group->crash_limit.window_ms = LONG_MS;
    group->on_crash_limit = action;
    group->outage_retry_ms = RETRY_MS;
    group->spares = spares;
    children_fixture_init();
    children_start_serving();
    for (unsigned slot = 0; slot <= spares; slot++) {
        children_wait_opened(0, slot, 0);
    }
}

/* From now on, each worker of the queue that ends does so in this plugin; PLUGINS_MAX: in none. */
static void crash_in(unsigned queue, unsigned plugin)
{
    children_fixture.scripts[queue].loss = (struct queue_message){.stage = RING_OPENED,
                                                                  .plugin = plugin,
                                                                  .in_plugin = plugin != PLUGINS_MAX,
                                                                  .packet_known = plugin != PLUGINS_MAX,
                                                                  .packet_id = 1};
}

static void crash(unsigned queue, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        children_wait_opened(queue, 0, 0);
        children_answer(queue);
        children_kill_worker(queue, 0);
    }
}

/* The line of a limit that was reached is the last one. */
static void assert_limit_line(const char *plugin, const char *consequence)
{
    char line[300];

    snprintf(line, sizeof(line),
             "queue 7: plugin %s has crashed, hung or failed to open 3 times within 60000 ms, the --crash-limit; %s",
             plugin, consequence);
    assert_true(log_lines.count > 0);
    assert_string_equal(log_lines.text[log_lines.count - 1], line);
}

#define OUTAGE "the queue has an outage"
#define SKIPPED "it is left out of the plugin chain until the engine is started again"

static void assert_no_limit(void)
{
    for (unsigned i = 0; i < log_lines.count; i++) {
        assert_null(strstr(log_lines.text[i], "--crash-limit"));
    }
    assert_false(children->queues[0].given_up);
    assert_true(children->queues[0].skipped == 0);
    assert_false(children->stop_wanted);
}

/* ---- outage ------------------------------------------------------------------------------------------------------ */

static uint32_t changes; /* of which the queue process was told before the limit was reached, */
static unsigned told; /* and how many more it is to be told of */

static bool has_told(void)
{
    return children_fixture.scripts[0].changes >= changes + told;
}

static bool is_given_up(void)
{
    return children->queues[0].given_up;
}

static void test_limit_gives_the_queue_up_until_a_worker_is_open(void **state)
{
    uint64_t before_ns;
    uint32_t births;
    uint32_t later;

    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    crash_in(0, 1);
    crash(0, LIMIT - 1);
    children_wait_opened(0, 0, 0);
    assert_no_limit();
    changes = children_fixture.scripts[0].changes;
    before_ns = monotonic_ns();
    children_answer(0);
    kill(children_pid(0, 0), SIGKILL);
    children_turn_until(is_given_up); /* nothing of what follows changes until the next turn */
    assert_limit_line("second", OUTAGE);
    assert_int_equal(children_control(0)->give_up, 1);
    assert_int_equal(children_control(0)->retired, children->births);
    assert_false(children->queues[1].given_up);
    assert_int_equal(children_control(1)->give_up, 0);
    births = children->births;
    told = 1;
    children_turn_until(has_told); /* it sleeps until it is told */
    children_turn_for(RETRY_MS / 2);
    later = children->births;
    assert_true(later == births || monotonic_ns() - before_ns >= RETRY_MS * NS_PER_MS);
    children_wait_opened(0, 0, 0);
    assert_true(monotonic_ns() - before_ns >= RETRY_MS * NS_PER_MS);
    assert_false(children->queues[0].given_up);
    assert_int_equal(children_control(0)->give_up, 0);
    assert_int_equal(children_control(0)->retired, births);
    assert_true(children_worker(0, 0)->number > births);
    told = 2;
    children_turn_until(has_told); /* and that it is over */
    assert_int_equal(children_fixture.scripts[0].changes, changes + 2);
}

/* Each try comes after the whole wait, and fails silently for the limit. */
static void test_worker_that_does_not_open_is_tried_again_after_the_same_wait(void **state)
{
    uint64_t start_ns;
    unsigned lines;

    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    crash_in(0, 1);
    children_fixture.scripts[0].way = WAY_EXIT;
    children_kill_worker(0, 0);
    start_ns = monotonic_ns();
    while (!children->queues[0].given_up) {
        children_turn_for(1);
    }
    start_ns = monotonic_ns();
    lines = log_lines.count;
    children_wait_lines(lines + 2);
    assert_true(monotonic_ns() - start_ns >= 2 * (RETRY_MS - 20) * NS_PER_MS);
    assert_true(children->queues[0].given_up);
    assert_int_equal(children_control(0)->give_up, 1);
    assert_null(strstr(log_lines.text[lines], "--crash-limit"));
    children_fixture.scripts[0].way = WAY_SERVE;
    children_wait_opened(0, 0, 0);
    assert_false(children->queues[0].given_up);
}

static void test_queue_that_is_given_up_stays_so_over_the_death_of_its_process(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    crash_in(0, 1);
    crash(0, LIMIT);
    children_fixture.scripts[0].way = WAY_HANG_IN_OPEN;
    children_control(0)->give_up = 0;
    children_kill_queue(0);
    children_wait_serving(0, 0);
    assert_int_equal(children_control(0)->give_up, 1);
    assert_true(children->queues[0].given_up);
}

/* It opens its plugins, but was born before: it is to leave, and gets no packets. */
static void test_worker_that_is_to_leave_does_not_end_it_when_it_opens(void **state)
{
    struct queue_message message;
    uint32_t number;

    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 1);
    children_fixture.scripts[0].way = WAY_HANG_IN_OPEN;
    crash_in(0, 1);
    children_kill_worker(0, 1); /* its successor does not open */
    while (children_pid(0, 1) == 0) {
        children_turn_for(1);
    }
    number = children_worker(0, 1)->number;
    children_fixture.scripts[0].way = WAY_SERVE;
    crash(0, LIMIT - 1);
    assert_true(children->queues[0].given_up);
    children_fixture.scripts[0].way = WAY_HANG_IN_OPEN; /* for those that are born from now on */
    assert_int_equal(children_worker(0, 1)->number, number);
    message = queue_message_make(QUEUE_WORKER_OPENED, number);
    children_say(0, &message);
    while (!children_worker(0, 1)->opened) {
        children_turn_for(1);
    }
    assert_true(children->queues[0].given_up);
    assert_int_equal(children_control(0)->give_up, 1);
}

/* ---- skip -------------------------------------------------------------------------------------------------------- */

static void assert_skips(unsigned spares)
{
    uint32_t births;

    serve(CRASH_LIMIT_SKIP, spares);
    assert_true(children_fixture.scripts[0].skipped == 0);
    crash_in(0, 1);
    crash(0, LIMIT);
    assert_limit_line("second", SKIPPED);
    births = children_control(0)->retired;
    assert_true(births >= CHILDREN_QUEUES + LIMIT - 1);
    assert_true(children->queues[0].skipped == 2);
    while (children_worker(0, 0) == NULL || children_worker(0, 0)->number <= births || !children_worker(0, 0)->opened) {
        children_turn_for(1);
    }
    assert_true(children_fixture.scripts[0].skipped == 2);
    assert_true(children->queues[1].skipped == 0);
    assert_false(children->queues[0].given_up);
    assert_int_equal(children_control(0)->give_up, 0);
}

/* Nothing but the limit itself leads to the next request then. */
static void test_plugin_is_skipped_by_the_only_worker(void **state)
{
    (void)state;
    assert_skips(0);
}

static bool spares_are_born_after_the_limit(void)
{
    for (unsigned slot = 0; slot < 3; slot++) {
        const struct children_worker *worker = children_worker(0, slot);

        if (worker == NULL || worker->number <= children_control(0)->retired || !worker->opened) {
            return false;
        }
    }
    return true;
}

static void test_plugin_is_skipped_by_all_workers_that_come_later_and_those_before_leave(void **state)
{
    (void)state;
    assert_skips(2);
    children_turn_until(spares_are_born_after_the_limit);
    for (unsigned i = 0; i < log_lines.count; i++) {
        assert_null(strstr(log_lines.text[i], "every packet had been answered"));
    }
}

static void test_last_plugin_is_never_skipped(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_SKIP, 0);
    crash_in(0, 1);
    crash(0, LIMIT);
    crash_in(0, 0);
    crash(0, LIMIT);
    assert_limit_line("first", SKIPPED);
    assert_true(children->queues[0].skipped == 3);
    crash_in(0, 2);
    crash(0, LIMIT);
    assert_limit_line("third", OUTAGE);
    assert_true(children->queues[0].skipped == 3);
    assert_true(children->queues[0].given_up);
    children_wait_opened(0, 0, 0);
    assert_true(children_fixture.scripts[0].skipped == 3);
}

/* There is nothing to leave out. */
static void test_plugin_that_is_not_known_is_not_skipped(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_SKIP, 0);
    crash_in(0, PLUGINS_MAX - 1);
    crash(0, LIMIT);
    assert_limit_line("(unknown)", OUTAGE);
    assert_true(children->queues[0].skipped == 0);
}

/* ---- stop -------------------------------------------------------------------------------------------------------- */

static void test_limit_stops_the_engine(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_STOP, 0);
    crash_in(0, 1);
    crash(0, LIMIT - 1);
    assert_no_limit();
    crash(0, 1);
    assert_limit_line("second", "the engine stops, as --on-crash-limit says");
    assert_true(children->stop_wanted);
    assert_false(children->queues[0].given_up);
    log_lines_clear();
    crash(0, 1); /* said once */
    assert_null(strstr(log_lines.text[0], "--crash-limit"));
    assert_int_equal(log_lines.count, 1);
}

/* ---- which ends count -------------------------------------------------------------------------------------------- */

static void test_kills_between_two_packets_do_not_count(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    crash_in(0, PLUGINS_MAX);
    crash(0, 2 * LIMIT);
    assert_no_limit();
    assert_int_equal(children_control(0)->restarts, 2 * LIMIT);
}

static void test_plugins_and_queues_count_each_for_itself(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    for (unsigned plugin = 0; plugin < CHILDREN_PLUGINS; plugin++) {
        crash_in(0, plugin);
        crash_in(1, plugin);
        crash(0, LIMIT - 1);
        crash(1, LIMIT - 1);
    }
    assert_no_limit();
    assert_false(children->queues[1].given_up);
}

/* The process of one that hangs may never end, so it counts when it is given up. */
static void test_hangs_and_broken_rings_count_when_they_are_said(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    for (unsigned i = 0; i < LIMIT; i++) {
        struct queue_message loss = queue_message_make(QUEUE_WORKER_LOST, children_worker(0, 0)->number);
        pid_t pid = children_pid(0, 0);

        assert_false(children->queues[0].given_up);
        children_answer(0);
        loss.loss = i == 1 ? QUEUE_LOSS_BROKEN : QUEUE_LOSS_HUNG;
        loss.plugin = 2; /* as the worker said; what it had at that time is not known */
        children_say(0, &loss);
        children_wait_lines(i + 1);
        if (i < LIMIT - 1) {
            children_wait_opened(0, 0, pid);
        }
    }
    assert_limit_line("third", OUTAGE);
}

static void test_plugins_that_fail_to_open_count(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    children_kill_worker(0, 0);
    crash_in(0, 0);
    children_fixture.scripts[0].loss.in_plugin = 0;
    children_wait_opened(0, 0, 0);
    children_fixture.scripts[0].way = WAY_EXIT;
    children_kill_worker(0, 0);
    while (!children->queues[0].given_up) {
        children_turn_for(1);
    }
    assert_limit_line("first", OUTAGE);
}

/* Workers that are killed or end by another signal while they open, LIMIT of them. */
static void end_while_opening(int signal_number)
{
    for (unsigned i = 0; i < LIMIT; i++) {
        pid_t pid;

        while ((pid = children_pid(0, 0)) == 0) {
            children_turn_for(1);
        }
        kill(pid, signal_number);
        while (children_pid(0, 0) == pid) {
            children_turn_for(1);
        }
    }
}

static void test_signals_in_open_count_unless_it_is_that_of_another_program(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    crash_in(0, 0);
    children_fixture.scripts[0].loss.in_plugin = 0;
    children_fixture.scripts[0].way = WAY_HANG_IN_OPEN;
    children_kill_worker(0, 0);
    end_while_opening(SIGKILL);
    assert_no_limit();
    end_while_opening(SIGUSR1);
    while (!children->queues[0].given_up) {
        children_turn_for(1);
    }
    assert_limit_line("first", OUTAGE);
}

/* A worker that was asked to leave says nothing of its plugins. */
static void test_workers_that_are_to_leave_do_not_count(void **state)
{
    (void)state;
    serve(CRASH_LIMIT_OUTAGE, 0);
    crash_in(0, 1);
    crash(0, LIMIT - 1);
    children_wait_opened(0, 0, 0);
    children_control(0)->retired = children->births;
    children_kill_worker(0, 0);
    assert_no_limit();
    assert_int_equal(children_control(0)->restarts, LIMIT - 1);
}

static void test_ends_before_the_engine_runs_do_not_count(void **state)
{
    (void)state;
    children_fixture_prepare(LONG_MS);
    children_fixture.base.group.crash_limit.count = 1;
    children_fixture.base.group.crash_limit.window_ms = LONG_MS;
    children_fixture.base.group.on_crash_limit = CRASH_LIMIT_STOP;
    children_fixture_init();
    crash_in(0, 1);
    children_fixture.scripts[0].way = WAY_EXIT;
    children_start(children);
    children_turn_until(children_has_failed);
    children_turn_for(50);
    assert_no_limit();
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_limit_gives_the_queue_up_until_a_worker_is_open),
        WITH_CHILDREN(test_worker_that_does_not_open_is_tried_again_after_the_same_wait),
        WITH_CHILDREN(test_queue_that_is_given_up_stays_so_over_the_death_of_its_process),
        WITH_CHILDREN(test_worker_that_is_to_leave_does_not_end_it_when_it_opens),
        WITH_CHILDREN(test_plugin_is_skipped_by_the_only_worker),
        WITH_CHILDREN(test_plugin_is_skipped_by_all_workers_that_come_later_and_those_before_leave),
        WITH_CHILDREN(test_last_plugin_is_never_skipped),
        WITH_CHILDREN(test_plugin_that_is_not_known_is_not_skipped),
        WITH_CHILDREN(test_limit_stops_the_engine),
        WITH_CHILDREN(test_kills_between_two_packets_do_not_count),
        WITH_CHILDREN(test_plugins_and_queues_count_each_for_itself),
        WITH_CHILDREN(test_hangs_and_broken_rings_count_when_they_are_said),
        WITH_CHILDREN(test_plugins_that_fail_to_open_count),
        WITH_CHILDREN(test_signals_in_open_count_unless_it_is_that_of_another_program),
        WITH_CHILDREN(test_workers_that_are_to_leave_do_not_count),
        WITH_CHILDREN(test_ends_before_the_engine_runs_do_not_count),
    };

    return cmocka_run_group_tests_name("losses_limit", tests, NULL, NULL);
}
