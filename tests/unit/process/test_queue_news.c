/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a queue process says: rings are passed on, workers that are open, outages and their lines; and how much is read at
 * a time.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/channel.h"
#include "process/queue_news.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000

static struct children *const children = &children_fixture.children;

static void serve(enum outage_action action)
{
    struct queue_group *group = &children_fixture.base.group;

    children_fixture_prepare(LONG_MS);
    group->on_outage = action;
    group->outage_timeout_ms = 3000;
    group->outage_retry_ms = 7000;
    children_fixture_init();
    children_start_serving();
}

/* The queue process changes its word, and says so. */
static void change_outage(uint32_t places)
{
    const struct queue_message message = queue_message_make(QUEUE_CHANGED, 0);

    children_control(0)->outage = places;
    children_say(0, &message);
}

/* ---- rings ------------------------------------------------------------------------------------------------------- */

static void test_ring_reaches_its_worker(void **state)
{
    (void)state;
    serve(OUTAGE_DROP);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_int_equal(children_fixture.scripts[i].descriptors, RING_FDS); /* there is no log to print into */
        assert_int_equal(children_worker(i, 0)->channel.fd, -1); /* that was the last message to it */
        assert_false(children_worker(i, 0)->channel.watched);
    }
}

static void test_ring_comes_with_the_pipe_of_the_workers_log(void **state)
{
    static struct child_logs logs;
    static struct child_log forkserver_log;

    (void)state;
    children_fixture_begin(LONG_MS);
    child_logs_init(&logs, &children_fixture.base.loop);
    children->logs = &logs;
    children->forkserver_log = &forkserver_log;
    children_fixture.scripts[0].way = WAY_PRINT;
    children_start(children);
    children_wait_lines(1);
    assert_int_equal(children_fixture.scripts[0].descriptors, RING_FDS + 1);
    log_lines_assert("output of worker queue 7: hello");
    children_end_all();
    child_logs_done(&logs);
}

/* Its channel was closed with the first. */
static void test_second_ring_is_dropped(void **state)
{
    struct queue_message message;
    unsigned descriptors;

    (void)state;
    serve(OUTAGE_DROP);
    descriptors = children_count_descriptors();
    message = queue_message_make(QUEUE_RING, children_worker(0, 0)->number);
    children_say(0, &message);
    message = queue_message_make(QUEUE_RING, 4711);
    children_say(0, &message);
    children_turn_for(30);
    assert_int_equal(children_count_descriptors(), descriptors);
    assert_non_null(children_worker(0, 0));
    assert_int_equal(log_lines.count, 0);
}

/* ---- outages ----------------------------------------------------------------------------------------------------- */

#define BEGUN "queue 7: outage, there was no worker for 3000 ms; packets get verdict %s until there is one"

static void assert_begun(enum outage_action action, const char *verdict)
{
    char line[160];

    serve(action);
    change_outage(1);
    children_wait_lines(1);
    snprintf(line, sizeof(line), BEGUN, verdict);
    log_lines_assert(line);
    assert_int_equal(children_control(0)->outages, 1);
    assert_int_equal(children_control(1)->outages, 0);
    assert_false(children->stop_wanted);
}

static void test_outage_says_which_verdict_packets_get_and_when_it_is_over(void **state)
{
    (void)state;
    assert_begun(OUTAGE_DROP, "drop");
    log_lines_clear();
    change_outage(0);
    children_wait_lines(1);
    log_lines_assert("queue 7: the outage is over, a worker has opened its plugins");
    assert_int_equal(children_control(0)->outages, 1);
    change_outage(1);
    children_wait_lines(2);
    assert_int_equal(children_control(0)->outages, 2);
}

static void test_outage_that_accepts_says_so(void **state)
{
    (void)state;
    assert_begun(OUTAGE_ACCEPT, "accept");
}

static void test_outage_of_more_places_is_the_same_one(void **state)
{
    (void)state;
    assert_begun(OUTAGE_DROP, "drop");
    change_outage(3);
    change_outage(2);
    children_turn_for(30);
    assert_int_equal(log_lines.count, 1);
    assert_int_equal(children_control(0)->outages, 1);
}

static void test_outage_of_a_queue_that_is_given_up_says_when_a_worker_is_tried(void **state)
{
    (void)state;
    serve(OUTAGE_ACCEPT);
    children->queues[0].given_up = true;
    change_outage(1);
    children_wait_lines(1);
    log_lines_assert("queue 7: outage, packets get verdict accept; a worker is tried again in 7000 ms");
    children->queues[0].given_up = false;
}

static void test_outage_stops_the_engine_if_the_option_says_so(void **state)
{
    (void)state;
    serve(OUTAGE_STOP);
    assert_false(children->stop_wanted);
    change_outage(1);
    children_wait_lines(1);
    log_lines_assert("queue 7: outage, no worker decides; the engine stops, as --on-outage says");
    assert_true(children->stop_wanted);
    assert_int_equal(children_control(0)->outages, 1);
}

/* ---- how much is read -------------------------------------------------------------------------------------------- */

/* In place of the queue process's end, which is the test's here. */
static int begin_channel(struct children_queue *queue)
{
    int ends[2];

    assert_int_equal(channel_new_pair(ends), 0);
    queue->channel.fd = ends[0];
    return ends[1];
}

static void test_messages_are_read_up_to_a_number(void **state)
{
    struct children_queue *queue;
    const struct queue_message change = queue_message_make(QUEUE_CHANGED, 0);
    struct queue_message message;
    unsigned left = 0;
    int theirs;

    (void)state;
    children_fixture_begin(LONG_MS);
    queue = &children->queues[0];
    theirs = begin_channel(queue);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(channel_send(theirs, &change, sizeof(change), NULL, 0), 0);
    }
    assert_false(queue_news_receive(queue, 4));
    while (channel_take(queue->channel.fd, &message, sizeof(message), NULL, 0) > 0) {
        left++;
    }
    assert_int_equal(left, 6);
    assert_false(queue_news_receive(queue, 4)); /* there is none */
    close(theirs);
    assert_true(queue_news_receive(queue, 4)); /* the other end is closed */
    close(queue->channel.fd);
    queue->channel.fd = -1;
    assert_false(queue_news_receive(queue, 4));
}

static void test_messages_that_are_none_are_skipped_with_their_descriptors(void **state)
{
    struct children_queue *queue;
    struct queue_message message = queue_message_make(QUEUE_NEW_WORKER, 1); /* the supervisor's to say */
    const int fds[RING_FDS] = {STDIN_FILENO, STDIN_FILENO, STDIN_FILENO};
    unsigned descriptors;
    int theirs;

    (void)state;
    children_fixture_begin(LONG_MS);
    queue = &children->queues[0];
    theirs = begin_channel(queue);
    descriptors = children_count_descriptors();
    queue->workers[0].number = 1;
    assert_int_equal(channel_send(theirs, &message, sizeof(message), fds, RING_FDS), 0);
    message.version++;
    assert_int_equal(channel_send(theirs, &message, sizeof(message), fds, RING_FDS), 0);
    assert_int_equal(channel_send(theirs, &message, sizeof(message) - 1, fds, RING_FDS), 0);
    message = queue_message_make(QUEUE_CHANGED, 0);
    children_control(0)->outage = 1;
    assert_int_equal(channel_send(theirs, &message, sizeof(message), NULL, 0), 0);
    assert_false(queue_news_receive(queue, 10));
    assert_int_equal(children_control(0)->outages, 1); /* the last one was read */
    assert_false(queue->workers[0].lost || queue->workers[0].opened); /* and the others were not believed */
    queue->workers[0].number = 0;
    assert_int_equal(children_count_descriptors(), descriptors);
    close(theirs);
    close(queue->channel.fd);
    queue->channel.fd = -1;
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_ring_reaches_its_worker),
        WITH_CHILDREN(test_ring_comes_with_the_pipe_of_the_workers_log),
        WITH_CHILDREN(test_second_ring_is_dropped),
        WITH_CHILDREN(test_outage_says_which_verdict_packets_get_and_when_it_is_over),
        WITH_CHILDREN(test_outage_that_accepts_says_so),
        WITH_CHILDREN(test_outage_of_more_places_is_the_same_one),
        WITH_CHILDREN(test_outage_of_a_queue_that_is_given_up_says_when_a_worker_is_tried),
        WITH_CHILDREN(test_outage_stops_the_engine_if_the_option_says_so),
        WITH_CHILDREN(test_messages_are_read_up_to_a_number),
        WITH_CHILDREN(test_messages_that_are_none_are_skipped_with_their_descriptors),
    };

    return cmocka_run_group_tests_name("queue_news", tests, NULL, NULL);
}
