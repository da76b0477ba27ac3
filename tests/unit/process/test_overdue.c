/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fork servers that were killed and do not end: births go on with another one, and there is a bound for how many are left.
 *
 * A process that has been killed while another one traces it stays until its tracer lets it go, which is as good as a
 * system call that cannot be interrupted. Workers that stay are in test_losses.c, the end of the engine in
 * test_children_end.c.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LONG_MS 60000
#define BIRTH_MS 40
#define SHORT_MS 50
#define TOO_MANY "5 fork servers do not end; no more are started until one has"

static struct children *const children = &children_fixture.children;

static pid_t held;

static bool there_is_another(void)
{
    return children->forkserver.ready && children->forkserver.process.pid != held;
}

static bool is_killed(void)
{
    return children->forkserver.process.killed_ns != 0;
}

static void hold_forkserver(void)
{
    held = children->forkserver.process.pid;
    children_hold(held);
}

static void assert_overdue_line(unsigned line)
{
    char text[200];

    snprintf(text, sizeof(text),
             "the fork server %d was killed but is still there, perhaps in a system call that cannot be interrupted",
             held);
    assert_true(line < log_lines.count);
    assert_string_equal(log_lines.text[line], text);
}

/* It is killed since it makes no worker. */
static void test_workers_do_not_wait_for_a_fork_server_that_stays(void **state)
{
    pid_t worker;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    hold_forkserver();
    kill(held, SIGSTOP);
    worker = children_pid(0, 0);
    children->forkserver.birth_timeout_ms = BIRTH_MS;
    children_answer(0);
    children_kill_worker(0, 0);
    log_lines_clear();
    children_wait_opened(0, 0, worker);
    assert_true(there_is_another());
    assert_overdue_line(0);
    assert_string_equal(log_lines.text[1], "the fork server did not answer in time and was killed");
    assert_string_equal(log_lines.text[2], "the fork server is started again in 10 ms; the workers go on");
    assert_int_equal(log_lines.count, 3);
    assert_int_equal(kill(held, 0), 0); /* it is still there */
}

static void test_workers_do_not_wait_for_one_that_has_died_and_stays(void **state)
{
    pid_t worker;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    hold_forkserver();
    kill(held, SIGKILL);
    worker = children_pid(0, 0);
    children_answer(0);
    children_kill_worker(0, 0);
    children_wait_opened(0, 0, worker);
    assert_true(there_is_another());
}

static void hang(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void hang(struct engine *engine, const struct engine_programs *programs)
{
    (void)programs;
    engine->status->plugin = generation_plugin_ref(engine->generation, 1);
    engine->status->stage = FORKSERVER_LOADING;
    for (;;) {
        pause();
    }
}

static bool loads(void)
{
    return children_fixture.base.engine.status->stage == FORKSERVER_LOADING;
}

static void test_start_does_not_wait_for_one_that_stays_in_load(void **state)
{
    (void)state;
    children_fixture.programs.forkserver_run = hang;
    children_fixture_begin(SHORT_MS);
    children_start(children);
    hold_forkserver();
    children_turn_until(loads);
    children_assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: load() did not return within 50 ms");
    assert_int_equal(children->forkserver.process.pid, 0);
    assert_int_equal(children->forkserver.retry_ns, 0);
}

static bool too_many(void)
{
    return log_lines.count > 0 && strcmp(log_lines.text[log_lines.count - 1], TOO_MANY) == 0;
}

static void test_fork_servers_that_stay_have_a_bound(void **state)
{
    unsigned lines;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    for (unsigned i = 0; i <= CHILDREN_FORKSERVERS_LEFT_MAX; i++) {
        assert_false(too_many());
        hold_forkserver();
        kill(held, SIGKILL);
        children_turn_until(is_killed);
        children->forkserver.process.killed_ns = 1; /* long ago */
        children_turn_until(i < CHILDREN_FORKSERVERS_LEFT_MAX ? there_is_another : too_many);
    }
    assert_int_equal(children->forkserver.process.pid, held);
    lines = log_lines.count;
    children_turn_for(100);
    assert_int_equal(children->forkserver.process.pid, held);
    assert_int_equal(log_lines.count, lines);
    children_let_go(); /* the last one ends */
    children_turn_until(there_is_another);
}

static void test_place_of_one_that_has_ended_is_free_again(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start_serving();
    for (unsigned i = 0; i < 2 * CHILDREN_FORKSERVERS_LEFT_MAX; i++) {
        hold_forkserver();
        kill(held, SIGKILL);
        children_turn_until(is_killed);
        children->forkserver.process.killed_ns = 1;
        children_turn_until(there_is_another);
        children_let_go();
    }
    assert_false(too_many());
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_workers_do_not_wait_for_a_fork_server_that_stays),
        WITH_CHILDREN(test_workers_do_not_wait_for_one_that_has_died_and_stays),
        WITH_CHILDREN(test_start_does_not_wait_for_one_that_stays_in_load),
        WITH_CHILDREN(test_fork_servers_that_stay_have_a_bound),
        WITH_CHILDREN(test_place_of_one_that_has_ended_is_free_again),
    };

    return cmocka_run_group_tests_name("overdue", tests, NULL, NULL);
}
