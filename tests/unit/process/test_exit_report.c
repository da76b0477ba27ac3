/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said of an end: every sentence, word by word, what the program exits with, and how many lines there are.
 *
 * A test writes into the memory of the queue and of the fork server what a process would have left there.
 */
#include "engine_fixture.h"
#include "guarded.h"
#include "log_lines.h"

#include "base/arith.h"
#include "base/shm.h"
#include "process/exit_report.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define TIMEOUT_MS 250
#define PID 4711
#define LINES_MAX_SHOWN 5 /* in ten seconds */
#define EXITED(code) ((code) << 8)

static struct {
    struct engine_fixture base;
    struct exit_report report;
    struct worker_exit exit;
    struct burst_guilt guilt;
} fixture;

static int set_up(void **state)
{
    struct generation *generation = &fixture.base.generation;

    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, 2, TIMEOUT_MS);
    generation->plugins[0] = (struct plugin){.path = "/p/first.so", .id = "first", .version = "1.0", .memfd = -1};
    generation->plugins[1] = (struct plugin){.path = "/p/second.so", .id = "second", .version = "2.0", .memfd = -1};
    generation->plugin_count = 2;
    exit_report_init(&fixture.report, &fixture.base.engine);
    fixture.exit = (struct worker_exit){.queue = 1, .pid = PID, .generation = ENGINE_FIXTURE_GENERATION};
    fixture.guilt = (struct burst_guilt){.plugin = BURST_NONE};
    log_lines_clear();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_fixture_done(&fixture.base);
    return 0;
}

static struct plugin_ref second_plugin(void)
{
    return generation_plugin_ref(&fixture.base.generation, 1);
}

static struct worker_control *control(void)
{
    return fixture.base.engine.queues[1].control;
}

static void assert_failure(enum exit_code exit_code, const char *line)
{
    char text[ERROR_LINE_MAX];

    assert_int_equal(fixture.report.failure.exit_code, exit_code);
    assert_string_equal(error_format(&fixture.report.failure, text), line);
    assert_int_equal(log_lines.count, 0);
    fixture.report.failure = (struct error){.exit_code = EXIT_CODE_OK};
}

static void test_reason_says_how_a_process_ended(void **state)
{
    /* The signal 64 has no name. */
    static const struct {
        int status;
        const char *reason;
    } cases[] = {
        {SIGSEGV, "crashed (SIGSEGV)"},          {SIGABRT, "crashed (SIGABRT)"},
        {SIGKILL, "was killed (SIGKILL)"},       {64, "crashed (SIG?)"},
        {EXITED(0), "exited with status 0"},     {EXITED(3), "exited with status 3"},
        {EXITED(255), "exited with status 255"},
    };
    char reason[EXIT_REPORT_REASON_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_string_equal(exit_report_reason(cases[i].status, reason), cases[i].reason);
    }
}

/* ---- before and after the start -------------------------------------------------------------------------------- */

static void test_first_failure_of_a_start_is_kept(void **state)
{
    (void)state;
    exit_report_report(&fixture.report, EXIT_CODE_PLUGIN, "x.so", "is %s", "bad");
    exit_report_report(&fixture.report, EXIT_CODE_RUN_TIME, NULL, "is worse");
    assert_int_equal(fixture.report.failure.code, -ECHILD);
    assert_failure(EXIT_CODE_PLUGIN, "x.so: is bad");
    exit_report_report(&fixture.report, EXIT_CODE_RUN_TIME, NULL, "is alone");
    assert_failure(EXIT_CODE_RUN_TIME, "is alone");
}

static void test_failures_after_the_start_are_logged_five_in_a_period(void **state)
{
    (void)state;
    fixture.report.running = true;
    for (unsigned i = 0; i < 3 * LINES_MAX_SHOWN; i++) {
        exit_report_report(&fixture.report, EXIT_CODE_PLUGIN, "x.so", "is bad");
    }
    assert_int_equal(log_lines.count, LINES_MAX_SHOWN);
    assert_string_equal(log_lines.text[LINES_MAX_SHOWN - 1], "x.so: is bad");
    assert_int_equal(fixture.report.failure.exit_code, EXIT_CODE_OK);
}

static void test_crashes_are_logged_five_in_a_period_and_the_others_counted(void **state)
{
    (void)state;
    fixture.report.running = true;
    fixture.exit.status = SIGSEGV;
    for (unsigned i = 0; i < LINES_MAX_SHOWN + 7; i++) {
        exit_report_worker(&fixture.report, &fixture.exit, &fixture.guilt);
    }
    assert_int_equal(log_lines.count, LINES_MAX_SHOWN);
    exit_report_flush(&fixture.report, false); /* the period is not over */
    assert_int_equal(log_lines.count, LINES_MAX_SHOWN);
    exit_report_report(&fixture.report, EXIT_CODE_PLUGIN, NULL, "another kind"); /* has its own limit */
    assert_int_equal(log_lines.count, LINES_MAX_SHOWN + 1);
    exit_report_flush(&fixture.report, true);
    assert_int_equal(log_lines.count, LINES_MAX_SHOWN + 2);
    assert_string_equal(log_lines.text[LINES_MAX_SHOWN + 1], "... 7 more crashes not shown");
    exit_report_flush(&fixture.report, true);
    assert_int_equal(log_lines.count, LINES_MAX_SHOWN + 2);
}

/* The next one that is shown says it, if it comes before the flush. */
static void test_crash_in_the_next_period_says_how_many_were_not_shown(void **state)
{
    static const char *const lines[] = {"... 1 more crashes not shown",
                                        "queue 8: worker 4711 crashed (SIGSEGV) between two packets; it is replaced",
                                        NULL};

    (void)state;
    fixture.exit.status = SIGSEGV;
    for (unsigned i = 0; i < LINES_MAX_SHOWN + 1; i++) {
        exit_report_worker(&fixture.report, &fixture.exit, &fixture.guilt);
    }
    log_lines_clear();
    fixture.report.crash_log.period_start_ns -= fixture.report.crash_log.period_ns;
    exit_report_worker(&fixture.report, &fixture.exit, &fixture.guilt);
    log_lines_assert_all(lines);
}

/* ---- the fork server ------------------------------------------------------------------------------------------- */

static void forkserver_at(enum forkserver_stage stage, struct plugin_ref plugin, const char *error)
{
    struct forkserver_status *status = fixture.base.engine.status;

    status->stage = stage;
    status->plugin = plugin;
    snprintf(status->error, sizeof(status->error), "%s", error);
}

static void test_forkserver_that_refused_a_plugin(void **state)
{
    (void)state;
    forkserver_at(FORKSERVER_LOADING, second_plugin(), "load() failed: no such file");
    exit_report_forkserver(&fixture.report, EXITED(PROCESS_EXIT_FAILED), false);
    assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: load() failed: no such file");
    forkserver_at(FORKSERVER_LOADING, second_plugin(), "x"); /* however short */
    exit_report_forkserver(&fixture.report, EXITED(PROCESS_EXIT_FAILED), false);
    assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: x");
}

static void test_forkserver_that_ended_in_plugin_code(void **state)
{
    (void)state;
    forkserver_at(FORKSERVER_LINKING, second_plugin(), "");
    exit_report_forkserver(&fixture.report, SIGSEGV, false);
    assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: a constructor crashed (SIGSEGV)");
    forkserver_at(FORKSERVER_LOADING, generation_plugin_ref(&fixture.base.generation, 0), "");
    exit_report_forkserver(&fixture.report, EXITED(3), false);
    assert_failure(EXIT_CODE_PLUGIN, "/p/first.so: load() exited with status 3");
    exit_report_forkserver(&fixture.report, SIGKILL, true);
    assert_failure(EXIT_CODE_PLUGIN, "/p/first.so: load() did not return within 250 ms");
}

static void test_forkserver_that_ended_otherwise(void **state)
{
    (void)state;
    forkserver_at(FORKSERVER_LOADED, second_plugin(), "");
    exit_report_forkserver(&fixture.report, SIGKILL, false);
    assert_failure(EXIT_CODE_RUN_TIME, "the fork server was killed (SIGKILL)");
    exit_report_forkserver(&fixture.report, SIGKILL, true);
    assert_failure(EXIT_CODE_RUN_TIME, "the fork server did not answer in time and was killed");
    forkserver_at(FORKSERVER_LINKING, PLUGIN_REF_NONE, "");
    exit_report_forkserver(&fixture.report, EXITED(1), false);
    assert_failure(EXIT_CODE_RUN_TIME, "the fork server exited with status 1");
}

/* Plugins could write there: what it says is bounded, and a plugin that does not exist is not named. */
static void test_status_of_the_forkserver_is_read_with_bounds(void **state)
{
    struct forkserver_status *own = fixture.base.engine.status;
    struct guarded guarded; /* what follows the status cannot be read */

    (void)state;
    forkserver_at(FORKSERVER_LOADING, second_plugin(), "");
    memset(own->error, 'e', sizeof(own->error));
    guarded_init(&guarded, sizeof(*own));
    fixture.base.engine.status = guarded_put(&guarded, own, sizeof(*own), _Alignof(struct forkserver_status));
    exit_report_forkserver(&fixture.report, SIGSEGV, false);
    fixture.base.engine.status = own;
    guarded_done(&guarded);
    assert_int_equal(strlen(fixture.report.failure.text), ERROR_TEXT_MAX - 1);
    fixture.report.failure = (struct error){.exit_code = EXIT_CODE_OK};
    forkserver_at(FORKSERVER_LOADING, generation_plugin_ref(&fixture.base.generation, 2), "text of no plugin");
    exit_report_forkserver(&fixture.report, SIGSEGV, false);
    assert_failure(EXIT_CODE_RUN_TIME, "the fork server crashed (SIGSEGV)");
    forkserver_at(FORKSERVER_LOADING, (struct plugin_ref){ENGINE_FIXTURE_GENERATION + 1, 1}, "");
    exit_report_forkserver(&fixture.report, SIGSEGV, false);
    assert_failure(EXIT_CODE_RUN_TIME, "the fork server crashed (SIGSEGV)");
}

static void test_unload_that_goes_wrong_names_the_plugin(void **state)
{
    (void)state;
    forkserver_at(FORKSERVER_UNLOADING, second_plugin(), "");
    exit_report_unload(&fixture.report, "crashed (SIGSEGV)");
    log_lines_assert("/p/second.so: unload() crashed (SIGSEGV)");
    log_lines_clear();
    forkserver_at(FORKSERVER_LOADED, second_plugin(), "");
    exit_report_unload(&fixture.report, "crashed (SIGSEGV)");
    forkserver_at(FORKSERVER_UNLOADING, PLUGIN_REF_NONE, "");
    exit_report_unload(&fixture.report, "crashed (SIGSEGV)");
    assert_int_equal(log_lines.count, 0);
}

/* ---- a worker that did not start ------------------------------------------------------------------------------- */

static void worker_at(enum worker_state worker_state, struct plugin_ref plugin, const char *message)
{
    control()->state = worker_state;
    control()->plugin = plugin;
    snprintf(control()->message, sizeof(control()->message), "%s", message);
}

static void test_worker_that_ended_in_open(void **state)
{
    (void)state;
    worker_at(WORKER_STARTING, second_plugin(), "");
    fixture.exit.status = SIGSEGV;
    exit_report_start(&fixture.report, &fixture.exit);
    assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: open() crashed (SIGSEGV)");
    fixture.exit.timed_out = true;
    exit_report_start(&fixture.report, &fixture.exit);
    assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: open() did not return within 250 ms");
    worker_at(WORKER_STARTING, second_plugin(), "open() failed: no device");
    exit_report_start(&fixture.report, &fixture.exit);
    assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: open() failed: no device");
    worker_at(WORKER_STARTING, second_plugin(), "x");
    exit_report_start(&fixture.report, &fixture.exit);
    assert_failure(EXIT_CODE_PLUGIN, "/p/second.so: x");
}

static void test_worker_that_ended_before_any_open(void **state)
{
    (void)state;
    worker_at(WORKER_STARTING, PLUGIN_REF_NONE, "");
    fixture.exit.status = EXITED(PROCESS_EXIT_FAILED);
    exit_report_start(&fixture.report, &fixture.exit);
    assert_failure(EXIT_CODE_RUN_TIME, "queue 8: the new worker exited with status 70 before it served");
    worker_at(WORKER_STARTING, PLUGIN_REF_NONE, "it cannot run on CPU 9");
    exit_report_start(&fixture.report, &fixture.exit);
    assert_failure(EXIT_CODE_RUN_TIME, "it cannot run on CPU 9");
}

static void test_control_words_are_read_with_bounds(void **state)
{
    (void)state;
    worker_at(WORKER_STARTING, (struct plugin_ref){ENGINE_FIXTURE_GENERATION, UINT32_MAX}, "");
    memset(control()->message, 'm', sizeof(control()->message));
    control()->restarts = UINT64_MAX; /* comes after the message */
    fixture.exit.status = SIGSEGV;
    exit_report_start(&fixture.report, &fixture.exit);
    assert_true(control()->restarts == UINT64_MAX);
    assert_int_equal(fixture.report.failure.exit_code, EXIT_CODE_RUN_TIME);
    assert_int_equal(strlen(fixture.report.failure.text), WORKER_MESSAGE_MAX - 1);
    worker_at(WORKER_FAILED, PLUGIN_REF_NONE, "");
    memset(control()->message, 'm', sizeof(control()->message));
    exit_report_worker(&fixture.report, &fixture.exit, &fixture.guilt);
    assert_int_equal(strlen(log_lines.text[0]),
                     strlen("queue 8: worker 4711: ; it is replaced") + WORKER_MESSAGE_MAX - 1);
}

/* ---- a worker that served -------------------------------------------------------------------------------------- */

static void assert_worker_line(const char *line)
{
    exit_report_worker(&fixture.report, &fixture.exit, &fixture.guilt);
    log_lines_assert(line);
    log_lines_clear();
    fixture.report.crash_log.passed = 0;
}

static void test_worker_that_ended_with_a_packet(void **state)
{
    (void)state;
    fixture.exit.status = SIGSEGV;
    fixture.guilt = (struct burst_guilt){.in_plugin = true, .packet_known = true, .packet_id = 99, .plugin = 1};
    assert_worker_line("queue 8: plugin second 2.0 crashed (SIGSEGV) on packet 99; verdict drop; worker 4711 replaced");
    fixture.exit.timed_out = true;
    fixture.base.group.on_crash = NFQE_ACCEPT;
    assert_worker_line("queue 8: plugin second 2.0 made no progress for 250 ms on packet 99; verdict accept; worker "
                       "4711 replaced");
}

static void test_worker_that_ended_with_a_burst(void **state)
{
    static const char *const lines[] = {
        "queue 8: plugin second 2.0 exited with status 0 in handle_batch(); its packets "
        "go through handle() one by one; worker 4711 replaced",
        "queue 8: 3 workers ended over the same burst; verdict drop for 1 of its "
        "packets",
        NULL};

    (void)state;
    fixture.guilt = (struct burst_guilt){.in_plugin = true, .plugin = 1};
    assert_worker_line(lines[0]);
    fixture.guilt.forced_count = 1;
    exit_report_worker(&fixture.report, &fixture.exit, &fixture.guilt);
    log_lines_assert_all(lines);
}

static void test_worker_that_ended_outside_of_plugins(void **state)
{
    (void)state;
    fixture.exit.status = SIGKILL;
    assert_worker_line("queue 8: worker 4711 was killed (SIGKILL) between two packets; it is replaced");
    worker_at(WORKER_FAILED, PLUGIN_REF_NONE, "its socket is gone");
    assert_worker_line("queue 8: worker 4711: its socket is gone; it is replaced");
}

/* A position is a plugin of the worker's generation only. */
static void test_plugin_of_another_generation_is_not_named(void **state)
{
    (void)state;
    fixture.exit.status = SIGSEGV;
    fixture.exit.generation = ENGINE_FIXTURE_GENERATION - 1;
    fixture.guilt = (struct burst_guilt){.in_plugin = true, .packet_known = true, .packet_id = 99, .plugin = 1};
    assert_worker_line("queue 8: plugin (unknown)  crashed (SIGSEGV) on packet 99; verdict drop; worker 4711 replaced");
}

static void test_worker_that_did_not_leave_in_order(void **state)
{
    (void)state;
    fixture.exit.status = SIGSEGV;
    control()->plugin = second_plugin();
    exit_report_leaving(&fixture.report, &fixture.exit);
    log_lines_assert("queue 8: /p/second.so: close() crashed (SIGSEGV); every packet had been answered");
    log_lines_clear();
    control()->plugin = PLUGIN_REF_NONE;
    exit_report_leaving(&fixture.report, &fixture.exit);
    log_lines_assert("queue 8: the worker crashed (SIGSEGV); every packet had been answered");
}

/* ---- what a dead process left ---------------------------------------------------------------------------------- */

static void allow_writes(void *memory, size_t size, bool allowed)
{
    uintptr_t start = (uintptr_t)memory & ~(uintptr_t)(SHM_PAGE_SIZE - 1);

    assert_int_equal(mprotect((void *)start, (uintptr_t)memory + size - start, PROT_READ | (allowed ? PROT_WRITE : 0)),
                     0);
}

/* A process that a plugin has started can still write there, so an end that is written after a text proves nothing. */
static void test_memory_of_the_dead_is_only_read(void **state)
{
    struct forkserver_status *status = fixture.base.engine.status;

    (void)state;
    forkserver_at(FORKSERVER_LOADING, second_plugin(), "");
    memset(status->error, 'e', sizeof(status->error));
    worker_at(WORKER_STARTING, second_plugin(), "");
    memset(control()->message, 'm', sizeof(control()->message));
    allow_writes(status, sizeof(*status), false);
    allow_writes(control(), sizeof(*control()), false);
    exit_report_forkserver(&fixture.report, SIGSEGV, false);
    assert_int_equal(strlen(fixture.report.failure.text), ERROR_TEXT_MAX - 1);
    fixture.report.failure = (struct error){.exit_code = EXIT_CODE_OK};
    exit_report_start(&fixture.report, &fixture.exit);
    assert_int_equal(strlen(fixture.report.failure.text), WORKER_MESSAGE_MAX - 1);
    exit_report_worker(&fixture.report, &fixture.exit, &fixture.guilt);
    allow_writes(status, sizeof(*status), true);
    allow_writes(control(), sizeof(*control()), true);
    assert_int_equal(log_lines.count, 1);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_reason_says_how_a_process_ended),
        WITH_ENGINE(test_first_failure_of_a_start_is_kept),
        WITH_ENGINE(test_failures_after_the_start_are_logged_five_in_a_period),
        WITH_ENGINE(test_crashes_are_logged_five_in_a_period_and_the_others_counted),
        WITH_ENGINE(test_crash_in_the_next_period_says_how_many_were_not_shown),
        WITH_ENGINE(test_forkserver_that_refused_a_plugin),
        WITH_ENGINE(test_forkserver_that_ended_in_plugin_code),
        WITH_ENGINE(test_forkserver_that_ended_otherwise),
        WITH_ENGINE(test_status_of_the_forkserver_is_read_with_bounds),
        WITH_ENGINE(test_unload_that_goes_wrong_names_the_plugin),
        WITH_ENGINE(test_worker_that_ended_in_open),
        WITH_ENGINE(test_worker_that_ended_before_any_open),
        WITH_ENGINE(test_control_words_are_read_with_bounds),
        WITH_ENGINE(test_worker_that_ended_with_a_packet),
        WITH_ENGINE(test_worker_that_ended_with_a_burst),
        WITH_ENGINE(test_worker_that_ended_outside_of_plugins),
        WITH_ENGINE(test_plugin_of_another_generation_is_not_named),
        WITH_ENGINE(test_worker_that_did_not_leave_in_order),
        WITH_ENGINE(test_memory_of_the_dead_is_only_read),
    };

    return cmocka_run_group_tests_name("exit_report", tests, NULL, NULL);
}
