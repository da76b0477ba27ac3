/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a queue is lost, when its settings are set again, and what of the kernel's table is the engine's.
 *
 * The table is replaced at link time, and the time is that of the event loop, which the test sets. No process runs.
 */
#include "engine_fixture.h"
#include "log_lines.h"

#include "base/clock.h"
#include "process/queue_watch.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_proc.h"

#include <errno.h>
#include <string.h>

#define QUEUES 7
#define FIRST ENGINE_FIXTURE_QUEUE
#define PORT_ID 4711
#define COPY_RANGE 128
#define LOOK_MS 1000
#define SOON_MS 100

static struct {
    struct engine_fixture base;
    struct children children;
    struct children_queue queues[QUEUES];
    struct figures figures;
    struct queue_watch watch;
    struct nfqueue_status kernel[QUEUES]; /* number 0: the line is missing */
    int code;                             /* of reading it to the end */
    unsigned readings;
    unsigned configured;
    int configure_code;
} fixture;

int __wrap_nfqueue_each_status(nfqueue_visit_status *visit, void *context);
int __wrap_nfqueue_configure(int fd, uint16_t queue, const struct queue_settings *settings);

int __wrap_nfqueue_each_status(nfqueue_visit_status *visit, void *context)
{
    const struct nfqueue_status stranger = {.queue = FIRST + QUEUES, .port_id = PORT_ID, .queue_dropped = 4711};

    fixture.readings++;
    visit(context, &stranger);
    for (unsigned i = 0; i < QUEUES; i++) {
        if (fixture.kernel[i].queue != 0) {
            visit(context, &fixture.kernel[i]);
        }
    }
    return fixture.code;
}

int __wrap_nfqueue_configure(int fd, uint16_t queue, const struct queue_settings *settings)
{
    assert_int_equal(fd, fixture.base.engine.queues[queue - FIRST].kernel.socket);
    assert_ptr_equal(settings, &fixture.base.engine.queues[queue - FIRST].kernel.settings);
    fixture.configured++;
    return fixture.configure_code;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, QUEUES, 1000);
    fixture.children.engine = &fixture.base.engine;
    fixture.children.loop = &fixture.base.loop;
    fixture.children.queues = fixture.queues;
    exit_report_init(&fixture.children.exit_report, &fixture.base.engine);
    fixture.children.exit_report.running = true;
    for (unsigned i = 0; i < QUEUES; i++) {
        struct queue *kernel = &fixture.base.engine.queues[i].kernel;

        kernel->bound = true;
        kernel->port_id = PORT_ID + i;
        kernel->settings = (struct queue_settings){.copy_packet = true, .copy_range = COPY_RANGE, .max_len = 20};
        fixture.queues[i].children = &fixture.children;
        fixture.queues[i].queue = &fixture.base.engine.queues[i];
        fixture.queues[i].requested = QUEUE_RUN;
        fixture.kernel[i] = (struct nfqueue_status){
            .queue = FIRST + i, .port_id = PORT_ID + i, .copy_mode = 2, .copy_range = COPY_RANGE};
    }
    fixture.base.loop.now_ns = 5 * NS_PER_S;
    figures_begin(&fixture.figures, &fixture.base.engine, &fixture.base.loop);
    queue_watch_begin(&fixture.watch, &fixture.children, &fixture.figures);
    log_lines_clear();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    queue_watch_end(&fixture.watch);
    assert_null(fixture.base.loop.timers);
    engine_fixture_done(&fixture.base);
    return 0;
}

static unsigned ms_to_next(void)
{
    return (unsigned)((fixture.watch.timer.due_ns - fixture.base.loop.now_ns) / NS_PER_MS);
}

/* The one timer expires, as it was set. */
static void look(void)
{
    struct event_timer *timer = fixture.base.loop.timers;

    assert_ptr_equal(timer, &fixture.watch.timer);
    assert_null(timer->next);
    fixture.base.loop.now_ns = timer->due_ns;
    event_loop_stop_timer(&fixture.base.loop, timer);
    timer->expired(timer->context);
}

#define LOST(queue) "queue " queue ": another program has unbound it with the engine's own socket; the engine stops"

static void assert_not_lost(void)
{
    assert_false(fixture.children.queue_lost);
    assert_int_equal(log_lines.count, 0);
    for (unsigned i = 0; i < QUEUES; i++) {
        assert_false(fixture.queues[i].exited);
    }
}

/* ---- lost queues ------------------------------------------------------------------------------------------------- */

static void test_table_is_read_once_a_second(void **state)
{
    (void)state;
    assert_int_equal(ms_to_next(), LOOK_MS);
    for (unsigned i = 1; i <= 3; i++) {
        look();
        assert_int_equal(fixture.readings, i);
        assert_int_equal(ms_to_next(), LOOK_MS);
    }
    assert_not_lost();
}

static void test_queue_is_lost_if_two_looks_in_a_row_do_not_find_it(void **state)
{
    (void)state;
    look();
    fixture.kernel[2].queue = 0;
    look();
    assert_not_lost();
    assert_int_equal(ms_to_next(), SOON_MS);
    look();
    assert_true(fixture.children.queue_lost);
    for (unsigned i = 0; i < QUEUES; i++) {
        assert_int_equal(fixture.queues[i].exited, i == 2); /* a stop does not wait for it */
    }
    log_lines_assert(LOST("9"));
    look();
    look();
    assert_int_equal(log_lines.count, 1);
}

static void test_queue_of_another_socket_is_lost(void **state)
{
    (void)state;
    fixture.kernel[0].port_id = 12345;
    fixture.kernel[0].copy_range = 20; /* its settings are not the engine's */
    look();
    assert_not_lost();
    look();
    log_lines_assert(LOST("7"));
    assert_int_equal(fixture.configured, 0);
}

static void test_line_that_is_missing_once_means_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        fixture.kernel[1].queue = 0;
        look();
        fixture.kernel[1].queue = FIRST + 1;
        look();
        assert_int_equal(ms_to_next(), LOOK_MS);
    }
    fixture.kernel[3].queue = 0;
    look();
    fixture.kernel[3].queue = FIRST + 3;
    fixture.kernel[4].queue = 0; /* another one */
    look();
    assert_not_lost();
}

static void test_reading_that_fails_means_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < QUEUES; i++) {
        fixture.kernel[i].queue = 0;
    }
    fixture.code = -EIO;
    for (unsigned i = 0; i < 5; i++) {
        look();
        assert_int_equal(ms_to_next(), LOOK_MS);
    }
    assert_not_lost();
}

static void test_queue_that_is_not_served_is_not_lost(void **state)
{
    (void)state;
    for (unsigned i = 0; i < QUEUES; i++) {
        fixture.kernel[i].queue = 0;
        fixture.queues[i].requested = i % 2 == 0 ? QUEUE_STOP : QUEUE_EXIT;
    }
    fixture.base.engine.queues[0].kernel.bound = false;
    fixture.queues[0].requested = QUEUE_RUN;
    look();
    look();
    assert_not_lost();
}

/* With the limit of what did not start, the sixth would have no line. */
static void test_every_queue_that_is_lost_has_its_line(void **state)
{
    (void)state;
    for (unsigned i = 0; i < QUEUES; i++) {
        fixture.kernel[i].queue = 0;
    }
    look();
    look();
    assert_int_equal(log_lines.count, QUEUES);
    assert_string_equal(log_lines.text[QUEUES - 1], LOST("13"));
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static void test_settings_that_were_changed_are_set_again(void **state)
{
    const char *const lines[] = {
        "queue 7: another program has changed its settings in the kernel, to copy mode 1 with 0 "
        "bytes; they are set again",
        "queue 8: another program has changed its settings in the kernel, to copy mode 2 with 20 "
        "bytes; they are set again",
        NULL};

    (void)state;
    fixture.base.engine.queues[2].kernel.settings.copy_packet = false;
    fixture.kernel[2].copy_mode = 1;
    fixture.kernel[0].copy_mode = 1;
    fixture.kernel[0].copy_range = 0;
    fixture.kernel[1].copy_range = 20;
    look();
    assert_int_equal(fixture.configured, 2);
    log_lines_assert_all(lines);
}

static void test_settings_that_cannot_be_set_again_are_said_to_be_so(void **state)
{
    (void)state;
    fixture.configure_code = -ENODEV;
    fixture.kernel[0].copy_mode = 0;
    look();
    log_lines_assert(
        "queue 7: another program has changed its settings in the kernel, to copy mode 0 with 128 bytes; they "
        "cannot be set again: No such device");
}

/* They would start the queueing again. */
static void test_settings_of_a_queue_that_drains_are_left_alone(void **state)
{
    (void)state;
    fixture.queues[0].requested = QUEUE_STOP;
    fixture.queues[1].requested = QUEUE_EXIT;
    fixture.queues[2].exited = true;
    for (unsigned i = 0; i < 3; i++) {
        fixture.kernel[i].copy_mode = 1;
    }
    look();
    assert_int_equal(fixture.configured, 0);
    assert_int_equal(log_lines.count, 0);
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static void test_only_what_the_kernel_drops_of_the_engine_s_queues_is_said(void **state)
{
    (void)state;
    fixture.kernel[0].queue_dropped = 10;
    look();
    assert_int_equal(log_lines.count, 1);
    assert_non_null(strstr(log_lines.text[0], "queue 7: the kernel dropped 10 packets, since 20 waited already"));
    log_lines_clear();
    for (unsigned i = 0; i < 10; i++) {
        look();
    }
    fixture.kernel[0].port_id = 12345; /* whose figures began at 0 */
    fixture.kernel[0].queue_dropped = 2;
    look();
    assert_int_equal(log_lines.count, 0);
}

static void test_receives_that_fail_are_said_without_the_table(void **state)
{
    (void)state;
    fixture.code = -EACCES;
    fixture.base.engine.queues[1].shm.journal->totals[0].stats.receive_errors = 3;
    look();
    assert_int_equal(log_lines.count, 1);
    assert_non_null(strstr(log_lines.text[0], "queue 8: receives fail, 3 so far"));
}

/* ---- the timer --------------------------------------------------------------------------------------------------- */

static void test_end_of_a_queue_process_brings_the_look(void **state)
{
    (void)state;
    look();
    queue_watch_soon(&fixture.watch);
    assert_int_equal(ms_to_next(), SOON_MS); /* many ends are not as many looks */
    look();
    assert_int_equal(ms_to_next(), LOOK_MS);
    fixture.base.loop.now_ns += 500 * NS_PER_MS;
    queue_watch_soon(&fixture.watch);
    assert_int_equal(ms_to_next(), 0);
    look();
    fixture.kernel[0].queue = 0;
    look();
    queue_watch_soon(&fixture.watch);
    assert_int_equal(ms_to_next(), SOON_MS);
    queue_watch_soon(NULL);
}

static void test_no_look_comes_after_the_end(void **state)
{
    (void)state;
    queue_watch_end(&fixture.watch);
    queue_watch_soon(&fixture.watch);
    assert_null(fixture.base.loop.timers);
    memset(&fixture.watch, 0, sizeof(fixture.watch));
    queue_watch_soon(&fixture.watch);
    queue_watch_end(&fixture.watch);
    assert_null(fixture.base.loop.timers);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_table_is_read_once_a_second),
        WITH_ENGINE(test_queue_is_lost_if_two_looks_in_a_row_do_not_find_it),
        WITH_ENGINE(test_queue_of_another_socket_is_lost),
        WITH_ENGINE(test_line_that_is_missing_once_means_nothing),
        WITH_ENGINE(test_reading_that_fails_means_nothing),
        WITH_ENGINE(test_queue_that_is_not_served_is_not_lost),
        WITH_ENGINE(test_every_queue_that_is_lost_has_its_line),
        WITH_ENGINE(test_settings_that_were_changed_are_set_again),
        WITH_ENGINE(test_settings_that_cannot_be_set_again_are_said_to_be_so),
        WITH_ENGINE(test_settings_of_a_queue_that_drains_are_left_alone),
        WITH_ENGINE(test_only_what_the_kernel_drops_of_the_engine_s_queues_is_said),
        WITH_ENGINE(test_receives_that_fail_are_said_without_the_table),
        WITH_ENGINE(test_end_of_a_queue_process_brings_the_look),
        WITH_ENGINE(test_no_look_comes_after_the_end),
    };

    return cmocka_run_group_tests_name("queue_watch", tests, NULL, NULL);
}
