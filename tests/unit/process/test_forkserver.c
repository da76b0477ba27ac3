/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server, with real plugins in a real process: it loads them or says why not, and leaves. Its workers are in
 * test_forkserver_workers.c.
 */
#include "forkserver_fixture.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- loading --------------------------------------------------------------------------------------------------- */

static void test_ready_when_every_plugin_is_loaded(void **state)
{
    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    assert_int_equal(served.base.engine.status->stage, FORKSERVER_LOADED);
    assert_string_equal(served.base.engine.status->error, "");
}

static void test_ready_without_plugins(void **state)
{
    (void)state;
    served_start();
    served_wait_ready();
}

static void test_load_that_fails_is_refused_with_the_plugins_words(void **state)
{
    (void)state;
    served_start_with("do=fail,in=load");
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LOADING, 1,
                        "load() failed: the list /etc/list cannot be read");
}

static void test_option_that_the_plugin_does_not_have_is_refused_before_load(void **state)
{
    (void)state;
    served_add_plugin(MISBEHAVE, "no-such-option=1");
    served_start();
    assert_int_equal(served_wait_status(), EXITED(PROCESS_EXIT_FAILED));
    assert_int_equal(served.base.engine.status->stage, FORKSERVER_LINKING);
    assert_non_null(strstr(served.base.engine.status->error, "no-such-option"));
}

static void test_crash_in_load_leaves_its_place(void **state)
{
    (void)state;
    served_start_with("do=crash,in=load");
    served_assert_ended(SIGSEGV, FORKSERVER_LOADING, 1, NULL);
}

static void test_exit_in_load_leaves_its_place(void **state)
{
    (void)state;
    served_start_with("do=_exit:0,in=load");
    served_assert_ended(EXITED(0), FORKSERVER_LOADING, 1, NULL);
}

static void test_thread_of_load_is_refused(void **state)
{
    (void)state;
    served_start_with("do=start-thread,in=load");
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LOADING, 1,
                        "load() started a thread, which would be missing in every worker; start it in open()");
}

/* Two checks a plugin: after its constructors, and after load(). */
static void test_plugin_that_takes_something_from_the_process_is_refused(void **state)
{
    (void)state;
    served.checks_until_loss = 3;
    served_start_with(HARMLESS);
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LINKING, 1, "a constructor took something");
    served.base.generation.plugin_count = 0;
    served.base.engine.status->error[0] = '\0';
    close(served.channel);
    served.checks_until_loss = 4;
    served_start_with(HARMLESS);
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LOADING, 1, "load() took something");
}

/* ---- the process, and its end ---------------------------------------------------------------------------------- */

static void test_process_has_a_name_and_leaves_signals_to_the_supervisor(void **state)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    served_assert_proc("comm", "", "nfqe-forkserver\n");
    served_assert_proc("limits", "Max core file size", "Max core file size        0                    0 ");
    for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        kill(served.pid, ignored[i]);
    }
    close(served_request(0));
    assert_int_equal(served_wait_worker(), EXITED(WORKER_STATUS));
}

static void test_leave_unloads_every_plugin(void **state)
{
    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    served_tell_to_leave();
    served_assert_ended(EXITED(0), FORKSERVER_UNLOADING, 1, NULL);
}

static void test_unload_that_exits_leaves_its_place(void **state)
{
    (void)state;
    served_add_plugin(MISBEHAVE, "do=_exit:5,in=unload");
    served_add_plugin(MISBEHAVE_SECOND, "do=_exit:6,in=unload");
    served_start();
    served_wait_ready();
    served_tell_to_leave();
    served_assert_ended(EXITED(5), FORKSERVER_UNLOADING, 0, NULL);
}

static void test_fork_server_ends_with_its_channel(void **state)
{
    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    close(served.channel);
    assert_int_equal(served_wait_status(), EXITED(PROCESS_EXIT_FAILED));
    served.channel = -1;
}

static void test_message_that_is_not_the_supervisors_ends_the_fork_server(void **state)
{
    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    close(served_request(SERVED_QUEUES));
    assert_int_equal(served_wait_status(), EXITED(PROCESS_EXIT_FAILED));
    assert_int_equal(served.seen->runs, 0);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, served_set_up, served_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_ready_when_every_plugin_is_loaded),
        WITH_ENGINE(test_ready_without_plugins),
        WITH_ENGINE(test_load_that_fails_is_refused_with_the_plugins_words),
        WITH_ENGINE(test_option_that_the_plugin_does_not_have_is_refused_before_load),
        WITH_ENGINE(test_crash_in_load_leaves_its_place),
        WITH_ENGINE(test_exit_in_load_leaves_its_place),
        WITH_ENGINE(test_thread_of_load_is_refused),
        WITH_ENGINE(test_plugin_that_takes_something_from_the_process_is_refused),
        WITH_ENGINE(test_process_has_a_name_and_leaves_signals_to_the_supervisor),
        WITH_ENGINE(test_leave_unloads_every_plugin),
        WITH_ENGINE(test_unload_that_exits_leaves_its_place),
        WITH_ENGINE(test_fork_server_ends_with_its_channel),
        WITH_ENGINE(test_message_that_is_not_the_supervisors_ends_the_fork_server),
    };

    return cmocka_run_group_tests_name("forkserver", tests, NULL, NULL);
}
