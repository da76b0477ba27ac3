/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stop: which queue process is asked to leave, and when, who stops the queueing, and when the stop is over.
 *
 * The table of children is the real one, with made-up queue processes. What the kernel says of its queues, and what is sent to
 * it, is replaced at link time: a look and a change of a process's state between two steps of it can only be told apart
 * so.
 */
/* Longer than 500 lines: all tests begin with the same queues and processes, which are a third of it */
#include "engine_fixture.h"
#include "log_lines.h"

#include "base/channel.h"
#include "base/clock.h"
#include "process/drain.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_proc.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUES 7
#define LONG_MS 3600000
#define BLOCKED_S 20
#define UNKNOWN (-1) /* /proc has no such queue */
#define PORT_ID 4711
#define STRANGER 12345
#define DROPPED 100 /* by the kernel, of the first queue */
#define RECEIVING 1 /* of the journal's phase: something is in flight */

static struct {
    struct engine_fixture base;
    struct children children;
    struct drain drain;
    int channels[QUEUES];     /* the queue processes' ends */
    int64_t waiting[QUEUES];  /* what the kernel says */
    unsigned unbinds[QUEUES];
    unsigned stops[QUEUES];   /* how often the supervisor stopped the queueing */
    bool fail_open;           /* and how, the last time */
    bool drains_during_look;  /* the first queue's process, after its state was read */
    bool unreadable;          /* /proc */
    bool stolen;              /* another program has bound the first queue since it was unbound */
    unsigned readings;        /* of the table */
} fixture;

int __wrap_nfqueue_each_status(void (*each)(void *context, const struct nfqueue_status *status), void *context);
int __wrap_nfqueue_stop_queueing(int socket, uint16_t queue, bool fail_open);

int __wrap_nfqueue_each_status(void (*each)(void *context, const struct nfqueue_status *status), void *context)
{
    struct nfqueue_status stranger = {.queue = ENGINE_FIXTURE_QUEUE + QUEUES, .waiting = 0};

    fixture.readings++;
    if (fixture.unreadable) {
        return -EACCES;
    }
    each(context, &stranger);
    if (fixture.drains_during_look) {
        fixture.base.engine.queues[0].control->state = QUEUE_DRAINING;
    }
    for (unsigned i = 0; i < QUEUES; i++) {
        struct nfqueue_status status = {.queue = (uint16_t)(ENGINE_FIXTURE_QUEUE + i),
                                        .port_id = fixture.stolen && i == 0 ? STRANGER : PORT_ID + i,
                                        .queue_dropped = DROPPED + i};

        if (fixture.waiting[i] != UNKNOWN) {
            status.waiting = (uint32_t)fixture.waiting[i];
            each(context, &status);
        }
    }
    return 0;
}

int __wrap_nfqueue_stop_queueing(int socket, uint16_t queue, bool fail_open)
{
    unsigned index = queue - ENGINE_FIXTURE_QUEUE;

    assert_true(index < QUEUES);
    assert_int_equal(socket, fixture.base.engine.queues[index].kernel.socket);
    fixture.stops[index]++;
    fixture.fail_open = fail_open;
    return 0;
}

int __wrap_nfqueue_unbind(int socket, uint16_t queue);
int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status);

int __wrap_nfqueue_unbind(int socket, uint16_t queue)
{
    unsigned index = queue - ENGINE_FIXTURE_QUEUE;

    assert_true(index < QUEUES);
    assert_int_equal(socket, fixture.base.engine.queues[index].kernel.socket);
    fixture.unbinds[index]++;
    fixture.waiting[index] = UNKNOWN;
    return 0;
}

int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status)
{
    fixture.readings++;
    *status = (struct nfqueue_status){.queue = queue, .port_id = PORT_ID + queue - ENGINE_FIXTURE_QUEUE};
    return 0;
}

/* Every queue has a process that serves and packets that wait. */
static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, QUEUES, LONG_MS);
    children_init(&fixture.children, &fixture.base.engine, NULL, &fixture.base.loop);
    for (unsigned i = 0; i < QUEUES; i++) {
        int ends[2];

        fixture.children.queues[i].process.pid = getpid();
        assert_int_equal(channel_new_pair(ends), 0);
        fixture.children.queues[i].channel.fd = ends[0];
        fixture.channels[i] = ends[1];
        fixture.base.engine.queues[i].control->state = QUEUE_SERVING;
        fixture.base.engine.queues[i].control->closing = PLUGINS_MAX;
        fixture.base.engine.queues[i].kernel.bound = true;
        fixture.base.engine.queues[i].kernel.port_id = PORT_ID + i;
        fixture.waiting[i] = 5;
    }
    log_lines_clear();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < QUEUES; i++) {
        close(fixture.children.queues[i].channel.fd);
        close(fixture.channels[i]);
    }
    free(fixture.children.queues);
    free(fixture.children.workers);
    engine_fixture_done(&fixture.base);
    return 0;
}

/* Whether a process was woken up since the last time that this was asked. */
static bool is_woken(unsigned queue)
{
    struct queue_message message;
    ssize_t len = channel_take(fixture.channels[queue], &message, sizeof(message), NULL, 0);

    if (len == -EAGAIN) {
        return false;
    }
    assert_int_equal(queue_message_check(&message, (size_t)len, QUEUE_FROM_SUPERVISOR), 0);
    assert_int_equal(message.kind, QUEUE_CHANGED);
    return true;
}

static void begin(void)
{
    drain_begin(&fixture.drain, &fixture.base.engine, &fixture.children, &fixture.base.loop);
    for (unsigned i = 0; i < QUEUES; i++) {
        assert_true(is_woken(i));
    }
}

static enum queue_request asked(unsigned queue)
{
    return fixture.base.engine.queues[queue].control->request;
}

static void process_says(unsigned queue, enum queue_state state)
{
    fixture.base.engine.queues[queue].control->state = state;
}

/* Of the first queues: nothing more is queued, and no packet waits. */
static void answer_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        process_says(i, QUEUE_DRAINING);
        fixture.waiting[i] = 0;
    }
}

static void process_leaves(unsigned queue)
{
    fixture.children.queues[queue].process.pid = 0;
    fixture.children.queues[queue].exited = true;
}

static void test_every_queue_process_is_asked_to_stop_the_queueing(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < QUEUES; i++) {
        assert_int_equal(asked(i), QUEUE_STOP);
        assert_int_equal(fixture.children.queues[i].requested, QUEUE_STOP);
    }
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(fixture.stops[0] + fixture.stops[1] + fixture.stops[2], 0);
}

static void test_loop_wakes_up_again_and_again(void **state)
{
    uint64_t start_ns = monotonic_ns();

    (void)state;
    begin();
    event_loop_stop_timer(&fixture.base.loop, &fixture.children.tick); /* it would wake up the loop as well */
    alarm(BLOCKED_S);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
        assert_false(drain_check(&fixture.drain));
    }
    alarm(0);
    assert_true(monotonic_ns() - start_ns >= 10 * NS_PER_MS); /* not a busy loop */
}

static void test_queue_process_leaves_when_it_drains_and_nothing_waits(void **state)
{
    (void)state;
    begin();
    process_says(1, QUEUE_DRAINING);
    fixture.waiting[1] = 0;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(0), QUEUE_STOP);
    assert_int_equal(asked(1), QUEUE_EXIT);
    assert_int_equal(asked(2), QUEUE_STOP);
    assert_true(is_woken(1));
    assert_false(is_woken(0));
}

static void test_queue_process_that_has_left_does_not_keep_the_others(void **state)
{
    (void)state;
    begin();
    process_leaves(0);
    process_says(1, QUEUE_DRAINING);
    fixture.waiting[1] = 0;
    fixture.children.queues[2].process.pid = 0;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(1), QUEUE_EXIT);
    assert_int_equal(fixture.stops[2], 1);
}

static void test_queue_process_stays_while_packets_wait(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < QUEUES; i++) {
        process_says(i, QUEUE_DRAINING);
    }
    fixture.waiting[0] = 1;
    fixture.waiting[1] = UNKNOWN;
    assert_false(drain_check(&fixture.drain));
    for (unsigned i = 0; i < QUEUES; i++) {
        assert_int_equal(asked(i), QUEUE_STOP);
    }
}

static void test_queue_process_stays_until_it_says_that_nothing_more_is_queued(void **state)
{
    (void)state;
    begin();
    fixture.waiting[0] = 0;
    process_says(0, QUEUE_SERVING);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(0), QUEUE_STOP);
    process_says(0, QUEUE_DRAINING);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(0), QUEUE_EXIT);
}

/* The kernel's figure may be from before. */
static void test_queue_process_that_says_so_during_a_look_waits_for_the_next_one(void **state)
{
    (void)state;
    begin();
    fixture.waiting[0] = 0;
    fixture.drains_during_look = true;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(0), QUEUE_STOP);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(0), QUEUE_EXIT);
}

static void test_figure_of_an_earlier_look_does_not_count(void **state)
{
    (void)state;
    begin();
    fixture.waiting[0] = 0;
    assert_false(drain_check(&fixture.drain));
    process_says(0, QUEUE_DRAINING);
    fixture.waiting[0] = UNKNOWN;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(0), QUEUE_STOP);
}

static void test_stop_is_over_when_every_queue_process_has_left(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < QUEUES; i++) {
        assert_false(drain_check(&fixture.drain));
        process_leaves(i);
    }
    assert_true(drain_check(&fixture.drain));
    assert_int_equal(fixture.stops[0] + fixture.stops[1] + fixture.stops[2], 0);
    assert_int_equal(log_lines.count, 0);
}

static unsigned count_unbinds(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < QUEUES; i++) {
        count += fixture.unbinds[i];
    }
    return count;
}

/* The others still have packets, and its plugins have not closed. */
static void test_queue_is_unbound_when_nothing_is_in_flight(void **state)
{
    (void)state;
    begin();
    process_says(1, QUEUE_DRAINING);
    fixture.waiting[1] = 0;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(1), QUEUE_EXIT);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(count_unbinds(), 0); /* it may have to answer something that it has received */
    process_says(1, QUEUE_CLOSING);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(fixture.unbinds[1], 1);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(count_unbinds(), 1);
    assert_false(children_exited(&fixture.children, 1));
}

/* A word from before the stop says nothing of it. */
static void test_queue_is_not_unbound_before_its_process_was_asked_to_leave(void **state)
{
    (void)state;
    begin();
    process_says(1, QUEUE_CLOSING);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(count_unbinds(), 0);
}

static void test_queue_whose_process_has_left_or_is_not_needed_is_unbound(void **state)
{
    (void)state;
    begin();
    fixture.children.queues[0].process.pid = 0;
    fixture.waiting[0] = 0;
    process_leaves(2);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(fixture.unbinds[2], 1);
    assert_int_equal(count_unbinds(), 1);
    assert_false(drain_check(&fixture.drain));
    assert_true(children_exited(&fixture.children, 0));
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(fixture.unbinds[0], 1);
    assert_int_equal(count_unbinds(), 2);
}

static void test_queue_that_is_unbound_has_no_packets_though_the_kernel_does_not_say_so(void **state)
{
    (void)state;
    begin();
    answer_all(2);
    assert_false(drain_check(&fixture.drain));
    process_says(0, QUEUE_CLOSING);
    process_says(1, QUEUE_CLOSING);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(count_unbinds(), 2);
    fixture.children.queues[1].process.pid = 0; /* it dies in close() */
    assert_false(drain_check(&fixture.drain));
    assert_false(drain_check(&fixture.drain));
    assert_true(children_exited(&fixture.children, 1));
    drain_hurry(&fixture.drain);
    assert_true(drain_check(&fixture.drain));
    log_lines_assert("queue 7: every packet is answered, but the workers have not left; they are killed");
}

/* With 256 queues it has 256 lines. */
static void test_look_reads_the_table_once_whatever_follows(void **state)
{
    (void)state;
    begin();
    answer_all(QUEUES);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(fixture.readings, 1);
    for (unsigned i = 0; i < QUEUES; i++) {
        process_says(i, QUEUE_CLOSING);
    }
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(fixture.readings, 2);
    assert_int_equal(count_unbinds(), QUEUES);
    for (unsigned i = 0; i < QUEUES; i++) {
        struct nfqueue_status last;

        assert_int_equal(queue_read_status(&fixture.base.engine.queues[i].kernel, &last), 0);
        assert_int_equal(last.queue_dropped, DROPPED + i);
    }
    assert_int_equal(fixture.readings, 2);
}

static void test_queue_that_is_unbound_without_figures_has_none(void **state)
{
    struct nfqueue_status last;

    (void)state;
    begin();
    for (unsigned i = 0; i < QUEUES; i++) {
        process_leaves(i);
    }
    fixture.waiting[0] = UNKNOWN;
    assert_true(drain_check(&fixture.drain));
    assert_int_equal(count_unbinds(), QUEUES);
    assert_int_equal(queue_read_status(&fixture.base.engine.queues[0].kernel, &last), -ENODEV);
    assert_int_equal(queue_read_status(&fixture.base.engine.queues[1].kernel, &last), 0);
}

/* Whose packets are not the engine's. */
static void test_figures_of_another_program_s_queue_do_not_count(void **state)
{
    (void)state;
    fixture.stolen = true;
    begin();
    answer_all(2);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(0), QUEUE_STOP);
    assert_int_equal(asked(1), QUEUE_EXIT);
}

static void test_queue_without_a_process_is_stopped_by_the_supervisor(void **state)
{
    (void)state;
    begin();
    fixture.children.queues[1].process.pid = 0;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(fixture.stops[1], 1);
    assert_true(fixture.fail_open);
    assert_int_equal(fixture.stops[0] + fixture.stops[2], 0);
    fixture.base.group.on_stop = NFQE_DROP;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(fixture.stops[1], 2);
    assert_false(fixture.fail_open);
    assert_false(children_exited(&fixture.children, 1));
}

static void test_queue_without_a_process_is_done_once_nothing_waits_after_that(void **state)
{
    (void)state;
    begin();
    fixture.children.queues[0].process.pid = 0;
    for (unsigned i = 1; i < QUEUES; i++) {
        process_leaves(i);
    }
    fixture.waiting[0] = 0;
    assert_false(drain_check(&fixture.drain)); /* the figure is from before the queueing was stopped */
    assert_false(children_exited(&fixture.children, 0));
    fixture.waiting[0] = 2;
    assert_false(drain_check(&fixture.drain));
    fixture.waiting[0] = UNKNOWN;
    assert_false(drain_check(&fixture.drain));
    fixture.waiting[0] = 0;
    assert_true(drain_check(&fixture.drain));
    assert_true(children_exited(&fixture.children, 0));
    assert_int_equal(fixture.stops[0], 4);
    assert_true(drain_check(&fixture.drain));
    assert_int_equal(fixture.stops[0], 4);
}

/* One that starts may set the length to what it was. */
static void test_queue_process_that_came_and_went_makes_the_supervisor_begin_again(void **state)
{
    (void)state;
    begin();
    fixture.children.queues[0].process.pid = 0;
    fixture.waiting[0] = 0;
    assert_false(drain_check(&fixture.drain));
    fixture.children.queues[0].process.pid = getpid();
    assert_false(drain_check(&fixture.drain));
    fixture.children.queues[0].process.pid = 0;
    assert_false(drain_check(&fixture.drain));
    assert_false(children_exited(&fixture.children, 0));
    assert_false(drain_check(&fixture.drain));
    assert_true(children_exited(&fixture.children, 0));
}

static void test_deadline_ends_the_stop(void **state)
{
    (void)state;
    fixture.base.group.drain_timeout_ms = 20;
    begin();
    while (!drain_check(&fixture.drain)) {
        assert_true(event_loop_now(&fixture.base.loop) < fixture.drain.deadline_ns);
        assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
    }
    assert_true(event_loop_now(&fixture.base.loop) >= fixture.drain.deadline_ns);
    assert_int_equal(log_lines.count, 0);
}

static void test_hurry_ends_it_at_once(void **state)
{
    (void)state;
    begin();
    assert_false(drain_check(&fixture.drain));
    drain_hurry(&fixture.drain);
    assert_true(drain_check(&fixture.drain));
}

static void test_queue_process_that_has_not_left_is_named_at_the_deadline(void **state)
{
    (void)state;
    begin();
    process_says(1, QUEUE_DRAINING);
    fixture.waiting[1] = 0;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(1), QUEUE_EXIT);
    assert_int_equal(log_lines.count, 0);
    drain_hurry(&fixture.drain);
    assert_true(drain_check(&fixture.drain));
    log_lines_assert("queue 8: every packet is answered, but the workers have not left; they are killed");
}

static void test_plugin_whose_close_has_not_returned_is_named(void **state)
{
    (void)state;
    strcpy(fixture.base.generation.plugins[0].id, "first");
    fixture.base.generation.plugin_count = 1;
    begin();
    process_says(0, QUEUE_DRAINING);
    fixture.waiting[0] = 0;
    assert_false(drain_check(&fixture.drain));
    fixture.base.engine.queues[0].control->closing = 0;
    drain_hurry(&fixture.drain);
    assert_true(drain_check(&fixture.drain));
    log_lines_assert("queue 7: every packet is answered, but close() of plugin first has not returned; the worker is "
                     "killed");
}

/* A hurry may come before any was asked to leave. */
static void test_queue_process_that_was_not_asked_to_leave_is_not_said_to_stay(void **state)
{
    (void)state;
    begin();
    process_says(0, QUEUE_DRAINING);
    fixture.waiting[0] = 0;
    drain_hurry(&fixture.drain);
    assert_true(drain_check(&fixture.drain));
    assert_int_equal(log_lines.count, 0);
}

static void test_queue_processes_that_stay_are_a_few_lines(void **state)
{
    (void)state;
    begin();
    answer_all(QUEUES);
    assert_false(drain_check(&fixture.drain));
    drain_hurry(&fixture.drain);
    assert_true(drain_check(&fixture.drain));
    assert_int_equal(log_lines.count, 6);
    assert_string_equal(log_lines.text[4], "queue 11: every packet is answered, but the workers have not left; they "
                                           "are killed");
    assert_string_equal(log_lines.text[5], "... 2 more queues whose workers have not left");
}

static void test_no_queue_process_is_asked_to_leave_after_the_deadline(void **state)
{
    (void)state;
    begin();
    process_says(0, QUEUE_DRAINING);
    fixture.children.queues[1].process.pid = 0;
    assert_false(drain_check(&fixture.drain));
    fixture.waiting[0] = fixture.waiting[1] = 0;
    drain_hurry(&fixture.drain);
    assert_true(drain_check(&fixture.drain));
    assert_int_equal(asked(0), QUEUE_STOP);
    assert_false(children_exited(&fixture.children, 1));
    assert_int_equal(fixture.stops[1], 2);
}

/* ---- without the kernel's figures ---- */

/* Not before: a successor of one that dies with packets would get no workers. */
static void test_queue_process_leaves_without_figures_once_socket_and_journal_are_empty(void **state)
{
    const struct engine_queue *queue = &fixture.base.engine.queues[1];

    (void)state;
    fixture.unreadable = true;
    begin();
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(1), QUEUE_STOP);
    process_says(1, QUEUE_DRAINING);
    assert_int_equal(eventfd_write(queue->kernel.socket, 1), 0);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(1), QUEUE_STOP);
    queue->shm.journal->phase = RECEIVING;
    assert_int_equal(eventfd_read(queue->kernel.socket, &(eventfd_t){0}), 0);
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(1), QUEUE_STOP);
    queue->shm.journal->phase = 0;
    assert_false(drain_check(&fixture.drain));
    assert_int_equal(asked(1), QUEUE_EXIT);
    assert_int_equal(asked(0), QUEUE_STOP);
}

static void test_queue_without_process_and_figures_is_done_once_its_socket_is_empty(void **state)
{
    const struct engine_queue *queue = &fixture.base.engine.queues[0];

    (void)state;
    fixture.unreadable = true;
    begin();
    fixture.children.queues[0].process.pid = 0;
    for (unsigned i = 1; i < QUEUES; i++) {
        process_leaves(i);
    }
    assert_false(drain_check(&fixture.drain)); /* the socket was looked at before the queueing was stopped */
    assert_false(children_exited(&fixture.children, 0));
    assert_int_equal(eventfd_write(queue->kernel.socket, 1), 0);
    assert_false(drain_check(&fixture.drain));
    queue->shm.journal->phase = RECEIVING;
    assert_int_equal(eventfd_read(queue->kernel.socket, &(eventfd_t){0}), 0);
    assert_false(drain_check(&fixture.drain));
    queue->shm.journal->phase = 0;
    assert_true(drain_check(&fixture.drain));
    assert_true(children_exited(&fixture.children, 0));
}

static void test_queue_process_that_has_not_answered_all_is_not_said_to_have(void **state)
{
    (void)state;
    fixture.unreadable = true;
    begin();
    process_says(0, QUEUE_DRAINING);
    process_says(1, QUEUE_DRAINING);
    assert_false(drain_check(&fixture.drain));
    fixture.base.engine.queues[0].shm.journal->phase = RECEIVING; /* it has died, and so has its successor */
    drain_hurry(&fixture.drain);
    assert_true(drain_check(&fixture.drain));
    log_lines_assert("queue 8: every packet is answered, but the workers have not left; they are killed");
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_every_queue_process_is_asked_to_stop_the_queueing),
        WITH_ENGINE(test_loop_wakes_up_again_and_again),
        WITH_ENGINE(test_queue_process_leaves_when_it_drains_and_nothing_waits),
        WITH_ENGINE(test_queue_process_that_has_left_does_not_keep_the_others),
        WITH_ENGINE(test_queue_process_stays_while_packets_wait),
        WITH_ENGINE(test_queue_process_stays_until_it_says_that_nothing_more_is_queued),
        WITH_ENGINE(test_queue_process_that_says_so_during_a_look_waits_for_the_next_one),
        WITH_ENGINE(test_figure_of_an_earlier_look_does_not_count),
        WITH_ENGINE(test_stop_is_over_when_every_queue_process_has_left),
        WITH_ENGINE(test_queue_is_unbound_when_nothing_is_in_flight),
        WITH_ENGINE(test_queue_is_not_unbound_before_its_process_was_asked_to_leave),
        WITH_ENGINE(test_queue_whose_process_has_left_or_is_not_needed_is_unbound),
        WITH_ENGINE(test_queue_that_is_unbound_has_no_packets_though_the_kernel_does_not_say_so),
        WITH_ENGINE(test_look_reads_the_table_once_whatever_follows),
        WITH_ENGINE(test_queue_that_is_unbound_without_figures_has_none),
        WITH_ENGINE(test_figures_of_another_program_s_queue_do_not_count),
        WITH_ENGINE(test_queue_without_a_process_is_stopped_by_the_supervisor),
        WITH_ENGINE(test_queue_without_a_process_is_done_once_nothing_waits_after_that),
        WITH_ENGINE(test_queue_process_that_came_and_went_makes_the_supervisor_begin_again),
        WITH_ENGINE(test_deadline_ends_the_stop),
        WITH_ENGINE(test_hurry_ends_it_at_once),
        WITH_ENGINE(test_queue_process_that_has_not_left_is_named_at_the_deadline),
        WITH_ENGINE(test_plugin_whose_close_has_not_returned_is_named),
        WITH_ENGINE(test_queue_process_that_was_not_asked_to_leave_is_not_said_to_stay),
        WITH_ENGINE(test_queue_processes_that_stay_are_a_few_lines),
        WITH_ENGINE(test_no_queue_process_is_asked_to_leave_after_the_deadline),
        WITH_ENGINE(test_queue_process_leaves_without_figures_once_socket_and_journal_are_empty),
        WITH_ENGINE(test_queue_without_process_and_figures_is_done_once_its_socket_is_empty),
        WITH_ENGINE(test_queue_process_that_has_not_answered_all_is_not_said_to_have),
    };

    return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
