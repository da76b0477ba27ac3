/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said of an end: every sentence, word by word, what the program exits with, and how many lines there are.
 *
 * A test writes into the memory of the queue and of the fork server what a process would have left there.
 */
/* Longer than 500 lines: all sentences of one module, over one fixture */
#include "engine_fixture.h"
#include "guarded.h"
#include "log_lines.h"

#include "base/arith.h"
#include "base/shm.h"
#include "process/exit_report.h"

#include "process/queue_messages.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define TIMEOUT_MS 250
#define LOSS_TIMEOUT_MS 125 /* of a worker, as its queue process says */
#define PID 4711
#define LINES_MAX_SHOWN 5 /* in ten seconds */
#define EXITED(code) ((code) << 8)

static struct {
    struct engine_fixture base;
    struct exit_report report;
    struct worker_exit exit;
    struct queue_message loss;
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
    fixture.exit = (struct worker_exit){.queue = 1, .pid = PID, .loss = &fixture.loss};
    fixture.loss = queue_message_make(QUEUE_WORKER_LOST, 1);
    fixture.loss.loss = QUEUE_LOSS_ENDED;
    fixture.loss.plugin = PLUGINS_MAX;
    fixture.loss.timeout_ms = LOSS_TIMEOUT_MS;
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

static struct queue_control *control(void)
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
    fixture.exit.opened = true;
    fixture.exit.status = SIGSEGV;
    for (unsigned i = 0; i < LINES_MAX_SHOWN + 7; i++) {
        exit_report_worker(&fixture.report, &fixture.exit);
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
    fixture.exit.opened = true;
    fixture.exit.status = SIGSEGV;
    for (unsigned i = 0; i < LINES_MAX_SHOWN + 1; i++) {
        exit_report_worker(&fixture.report, &fixture.exit);
    }
    log_lines_clear();
    fixture.report.crash_log.period_start_ns -= fixture.report.crash_log.period_ns;
    exit_report_worker(&fixture.report, &fixture.exit);
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
    assert_failure(EXIT_CODE_RUN_TIME, "the fork server: text of no plugin");
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

/* ---- workers ------------------------------------------------------------------------------------------------------- */

static void ends_with(int status)
{
    fixture.loss.loss = QUEUE_LOSS_ENDED;
    fixture.exit.status = status;
}

static void says(const char *text)
{
    fixture.loss.stage = RING_FAILED;
    snprintf(fixture.loss.text, sizeof(fixture.loss.text), "%s", text);
}

static void assert_start(enum exit_code exit_code, const char *line)
{
    exit_report_worker(&fixture.report, &fixture.exit);
    assert_failure(exit_code, line);
}

static void test_worker_that_ended_in_open(void **state)
{
    (void)state;
    fixture.loss.plugin = 1;
    ends_with(SIGSEGV);
    assert_start(EXIT_CODE_PLUGIN, "/p/second.so: open() crashed (SIGSEGV)");
    fixture.loss.loss = QUEUE_LOSS_HUNG;
    assert_start(EXIT_CODE_PLUGIN, "/p/second.so: open() did not return within 125 ms");
    fixture.loss.loss = QUEUE_LOSS_BROKEN;
    assert_start(EXIT_CODE_PLUGIN, "/p/second.so: open() wrote over the memory in which a worker answers");
    ends_with(EXITED(PROCESS_EXIT_FAILED));
    says("open() failed: no device");
    assert_start(EXIT_CODE_PLUGIN, "/p/second.so: open() failed: no device");
    says("x"); /* however short */
    assert_start(EXIT_CODE_PLUGIN, "/p/second.so: x");
}

static void test_worker_that_ended_before_any_open(void **state)
{
    (void)state;
    ends_with(EXITED(PROCESS_EXIT_FAILED));
    assert_start(EXIT_CODE_RUN_TIME, "queue 8: the new worker exited with status 70 before it served");
    fixture.loss.loss = QUEUE_LOSS_HUNG;
    assert_start(EXIT_CODE_RUN_TIME, "queue 8: the new worker did not open within 125 ms before it served");
    fixture.loss.loss = QUEUE_LOSS_REFUSED;
    says("no memory for its ring");
    assert_start(EXIT_CODE_RUN_TIME, "no memory for its ring");
    ends_with(EXITED(PROCESS_EXIT_FAILED));
    says("it cannot run on CPU 9");
    assert_start(EXIT_CODE_RUN_TIME, "it cannot run on CPU 9");
}

static void assert_worker_line(const char *line)
{
    exit_report_worker(&fixture.report, &fixture.exit);
    log_lines_assert(line);
    log_lines_clear();
    fixture.report.crash_log.passed = 0;
}

static void assert_nothing_is_said(void)
{
    exit_report_worker(&fixture.report, &fixture.exit);
    assert_int_equal(log_lines.count, 0);
    assert_int_equal(fixture.report.failure.exit_code, EXIT_CODE_OK);
}

static void serves(void)
{
    fixture.exit.opened = true;
    fixture.loss.stage = RING_OPENED;
}

static void has_packet(void)
{
    serves();
    fixture.loss.plugin = 1;
    fixture.loss.in_plugin = 1;
    fixture.loss.packet_known = 1;
    fixture.loss.packet_id = 99;
}

static void test_worker_that_ended_with_a_packet(void **state)
{
    (void)state;
    has_packet();
    ends_with(SIGSEGV);
    assert_worker_line("queue 8: plugin second 2.0 crashed (SIGSEGV) on packet 99; verdict drop; worker 4711 replaced");
    fixture.base.group.on_crash = NFQE_ACCEPT;
    fixture.loss.loss = QUEUE_LOSS_HUNG;
    assert_worker_line("queue 8: plugin second 2.0 made no progress for 125 ms on packet 99; verdict accept; worker "
                       "4711 replaced");
    fixture.loss.loss = QUEUE_LOSS_BROKEN;
    assert_worker_line("queue 8: plugin second 2.0 wrote over the memory in which a worker answers on packet 99; "
                       "verdict accept; worker 4711 replaced");
}

static void test_worker_that_ended_with_a_burst(void **state)
{
    (void)state;
    has_packet();
    fixture.loss.packet_known = 0;
    ends_with(EXITED(0));
    assert_worker_line("queue 8: plugin second 2.0 exited with status 0 in handle_batch(); its packets go through "
                       "handle() one by one; worker 4711 replaced");
}

static void test_worker_that_ended_between_two_packets(void **state)
{
    (void)state;
    serves();
    ends_with(SIGKILL);
    assert_worker_line("queue 8: worker 4711 was killed (SIGKILL) between two packets; it is replaced");
    ends_with(EXITED(PROCESS_EXIT_FAILED));
    says("it cannot wait for packets");
    assert_worker_line("queue 8: worker 4711: it cannot wait for packets; it is replaced");
}

/* Nothing that it says of itself counts then. */
static void test_worker_that_broke_its_ring(void **state)
{
    (void)state;
    serves();
    says("spoilt");
    fixture.loss.loss = QUEUE_LOSS_BROKEN;
    fixture.loss.plugin = 1;
    assert_worker_line(
        "queue 8: plugin second 2.0 wrote over the memory in which a worker answers; worker 4711 replaced");
    fixture.loss.plugin = UINT32_MAX;
    assert_worker_line(
        "queue 8: plugin (unknown) wrote over the memory in which a worker answers; worker 4711 replaced");
    fixture.base.generation.plugin_count = 1; /* there is no other */
    assert_worker_line(
        "queue 8: plugin first 1.0 wrote over the memory in which a worker answers; worker 4711 replaced");
}

/* The worker says it, so it can be any number. */
static void test_plugin_that_the_generation_does_not_have_is_not_named(void **state)
{
    static const uint32_t plugins[] = {2, PLUGINS_MAX, UINT32_MAX};

    (void)state;
    has_packet();
    ends_with(SIGSEGV);
    for (size_t i = 0; i < ARRAY_SIZE(plugins); i++) {
        fixture.loss.plugin = plugins[i];
        assert_worker_line(
            "queue 8: plugin (unknown) crashed (SIGSEGV) on packet 99; verdict drop; worker 4711 replaced");
    }
}

static void test_worker_that_did_not_leave_in_order(void **state)
{
    (void)state;
    serves();
    fixture.exit.leaving = true;
    fixture.loss.stage = RING_CLOSING;
    fixture.loss.plugin = 1;
    ends_with(SIGSEGV);
    assert_worker_line("queue 8: /p/second.so: close() crashed (SIGSEGV); every packet had been answered");
    fixture.loss.loss = QUEUE_LOSS_HUNG;
    assert_worker_line("queue 8: /p/second.so: close() did not return within 125 ms; every packet had been answered");
    ends_with(EXITED(3));
    assert_worker_line("queue 8: /p/second.so: close() exited with status 3; every packet had been answered");
    fixture.loss.plugin = PLUGINS_MAX;
    assert_worker_line("queue 8: the worker exited with status 3; every packet had been answered");
    fixture.loss.stage = RING_OPENED; /* it had not begun to close them */
    assert_worker_line("queue 8: the worker exited with status 3; every packet had been answered");
}

static void test_worker_that_left_in_order_is_worth_no_line(void **state)
{
    (void)state;
    fixture.exit.leaving = true;
    fixture.loss.stage = RING_CLOSING;
    ends_with(EXITED(0));
    assert_nothing_is_said();
    serves();
    assert_nothing_is_said();
    fixture.loss.stage = RING_CLOSING;
    assert_nothing_is_said();
}

/* It was not wanted any more. */
static void test_worker_that_was_to_leave_before_it_had_opened_is_worth_no_line(void **state)
{
    (void)state;
    fixture.exit.leaving = true;
    ends_with(SIGKILL);
    assert_nothing_is_said();
}

/* It has packets, or was not asked to, whatever it says of itself. */
static void test_worker_that_only_says_that_it_leaves_is_reported_as_one_that_served(void **state)
{
    (void)state;
    has_packet();
    fixture.loss.stage = RING_CLOSING;
    ends_with(EXITED(0));
    assert_worker_line(
        "queue 8: plugin second 2.0 exited with status 0 on packet 99; verdict drop; worker 4711 replaced");
    fixture.exit.leaving = true;
    assert_worker_line(
        "queue 8: plugin second 2.0 exited with status 0 on packet 99; verdict drop; worker 4711 replaced");
    fixture.exit.leaving = false;
    fixture.loss.in_plugin = 0;
    assert_worker_line("queue 8: worker 4711 exited with status 0 between two packets; it is replaced");
}

static void test_worker_that_does_not_start_is_a_line_once_the_engine_runs(void **state)
{
    (void)state;
    fixture.report.running = true;
    fixture.loss.plugin = 0;
    ends_with(SIGSEGV);
    assert_worker_line("/p/first.so: open() crashed (SIGSEGV)");
}

/* ---- queue processes ------------------------------------------------------------------------------------------------ */

static void assert_queue_line(int status, bool timed_out, const char *line)
{
    exit_report_queue(&fixture.report, 1, PID, status, timed_out, true);
    log_lines_assert(line);
    log_lines_clear();
}

static void test_queue_process_that_ended(void **state)
{
    (void)state;
    fixture.report.running = true;
    assert_queue_line(SIGKILL, false,
                      "queue 8: queue process 4711 was killed (SIGKILL); another one goes on with its packets");
    assert_queue_line(SIGKILL, true,
                      "queue 8: queue process 4711 made no progress for 1000 ms; another one goes on with its packets");
    control()->state = QUEUE_FAILED;
    snprintf(control()->text, sizeof(control()->text), "no memory");
    assert_queue_line(EXITED(70), false,
                      "queue 8: queue process 4711: no memory; another one goes on with its packets");
    exit_report_queue(&fixture.report, 1, PID, EXITED(70), false, false);
    log_lines_assert("queue 8: queue process 4711: no memory");
}

static void test_queue_process_that_ended_before_the_engine_ran(void **state)
{
    (void)state;
    exit_report_queue(&fixture.report, 1, PID, EXITED(3), false, true);
    assert_failure(EXIT_CODE_RUN_TIME, "queue 8: queue process 4711 exited with status 3");
    control()->state = QUEUE_FAILED;
    snprintf(control()->text, sizeof(control()->text), "no memory");
    exit_report_queue(&fixture.report, 1, PID, EXITED(70), false, true);
    assert_failure(EXIT_CODE_RUN_TIME, "queue 8: queue process 4711: no memory");
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
    allow_writes(status, sizeof(*status), false);
    allow_writes(control(), sizeof(*control()), false);
    exit_report_forkserver(&fixture.report, SIGSEGV, false);
    assert_int_equal(strlen(fixture.report.failure.text), ERROR_TEXT_MAX - 1);
    fixture.report.failure = (struct error){.exit_code = EXIT_CODE_OK};
    exit_report_queue(&fixture.report, 1, PID, SIGSEGV, false, true);
    exit_report_worker(&fixture.report, &fixture.exit);
    allow_writes(status, sizeof(*status), true);
    allow_writes(control(), sizeof(*control()), true);
    assert_int_equal(log_lines.count, 0);
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
        WITH_ENGINE(test_worker_that_ended_with_a_packet),
        WITH_ENGINE(test_worker_that_ended_with_a_burst),
        WITH_ENGINE(test_worker_that_ended_between_two_packets),
        WITH_ENGINE(test_worker_that_broke_its_ring),
        WITH_ENGINE(test_plugin_that_the_generation_does_not_have_is_not_named),
        WITH_ENGINE(test_worker_that_did_not_leave_in_order),
        WITH_ENGINE(test_worker_that_left_in_order_is_worth_no_line),
        WITH_ENGINE(test_worker_that_was_to_leave_before_it_had_opened_is_worth_no_line),
        WITH_ENGINE(test_worker_that_only_says_that_it_leaves_is_reported_as_one_that_served),
        WITH_ENGINE(test_worker_that_does_not_start_is_a_line_once_the_engine_runs),
        WITH_ENGINE(test_queue_process_that_ended),
        WITH_ENGINE(test_queue_process_that_ended_before_the_engine_ran),
        WITH_ENGINE(test_memory_of_the_dead_is_only_read),
    };

    return cmocka_run_group_tests_name("exit_report", tests, NULL, NULL);
}
