/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop's descriptors: which callbacks a turn makes, that one may remove whatever it likes, and what goes
 * wrong.
 */
#include "loop_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#define MANY (EVENT_LOOP_BATCH + 5)

static void test_readable_descriptor_is_called_back_until_it_was_read(void **state)
{
    struct loop_item item;
    uint64_t value;

    (void)state;
    loop_item_watch(&item);
    loop_turn();
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 2);
    assert_ptr_equal(loop_fixture.calls[0], &item);
    assert_int_equal(loop_fixture.events, EPOLLIN);
    assert_int_equal(read(item.watch.fd, &value, sizeof(value)), sizeof(value));
    loop_item_start(&item, 0);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 3); /* the timer's */
    loop_item_release(&item);
}

static void test_events_are_those_asked_for_and_what_epoll_always_says(void **state)
{
    struct loop_item reader;
    struct loop_item writer;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    loop_item_init(&reader, ends[0]);
    loop_item_init(&writer, ends[1]);
    assert_int_equal(event_loop_watch(&loop_fixture.loop, &reader.watch, EPOLLIN), 0);
    assert_int_equal(event_loop_watch(&loop_fixture.loop, &writer.watch, EPOLLOUT), 0);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 1);
    assert_ptr_equal(loop_fixture.calls[0], &writer);
    assert_int_equal(loop_fixture.events, EPOLLOUT);
    loop_item_release(&writer);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 2);
    assert_ptr_equal(loop_fixture.calls[1], &reader);
    assert_int_equal(loop_fixture.events, EPOLLHUP);
    loop_item_release(&reader);
}

static void test_unwatched_descriptor_is_not_called_back(void **state)
{
    struct loop_item first;
    struct loop_item second;

    (void)state;
    loop_item_watch(&first);
    loop_item_watch(&second);
    event_loop_unwatch(&loop_fixture.loop, &first.watch);
    event_loop_unwatch(&loop_fixture.loop, &first.watch);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 1);
    assert_ptr_equal(loop_fixture.calls[0], &second);
    assert_int_equal(event_loop_watch(&loop_fixture.loop, &first.watch, EPOLLIN), 0);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 3);
    loop_item_release(&first);
    loop_item_release(&second);
}

static void test_what_cannot_be_watched_is_refused(void **state)
{
    struct loop_item item;
    int fd;

    (void)state;
    loop_item_watch(&item);
    assert_int_equal(event_loop_watch(&loop_fixture.loop, &item.watch, EPOLLIN), -EEXIST);
    fd = item.watch.fd;
    loop_item_release(&item);
    assert_int_equal(event_loop_watch(&loop_fixture.loop, &item.watch, EPOLLIN), -EBADF);
    assert_false(item.watch.watched);
    event_loop_unwatch(&loop_fixture.loop, &item.watch);
    assert_int_equal(item.watch.fd, fd);
}

static void test_more_ready_descriptors_than_a_batch_all_have_their_turn(void **state)
{
    struct loop_item items[MANY];
    bool called[MANY] = {false};

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        loop_item_watch(&items[i]);
    }
    loop_turn();
    assert_int_equal(loop_fixture.call_count, EVENT_LOOP_BATCH);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 2 * EVENT_LOOP_BATCH);
    for (unsigned i = 0; i < MANY; i++) {
        called[loop_fixture.calls[i] - items] = true;
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(called[i]);
        loop_item_release(&items[i]);
    }
}

/* What is freed while the callbacks of a turn are made: the sanitizer would notice a use after that. */
static void free_other(struct loop_item *item)
{
    loop_item_release(item->other);
    memset(item->other, 0xff, sizeof(*item->other));
    free(item->other);
    item->then = NULL;
}

static void test_callback_may_unwatch_and_free_one_that_is_ready_too(void **state)
{
    struct loop_item *first = malloc(sizeof(*first));
    struct loop_item *second = malloc(sizeof(*second));

    (void)state;
    loop_item_watch(first);
    loop_item_watch(second);
    first->other = second;
    second->other = first;
    first->then = second->then = free_other;
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 1);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 2);
    assert_ptr_equal(loop_fixture.calls[0], loop_fixture.calls[1]);
    first = loop_fixture.calls[0] == first ? first : second;
    loop_item_release(first);
    free(first);
}

static void watch_again(struct loop_item *item)
{
    loop_item_release(item);
    loop_item_watch(item);
}

static void unwatch_and_watch_other(struct loop_item *item)
{
    event_loop_unwatch(&loop_fixture.loop, &item->other->watch);
    assert_int_equal(event_loop_watch(&loop_fixture.loop, &item->other->watch, EPOLLIN), 0);
    item->then = item->other->then = NULL;
}

static void test_callback_may_replace_itself(void **state)
{
    struct loop_item item;

    (void)state;
    loop_item_watch(&item);
    item.then = watch_again;
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 1);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 2);
    loop_item_release(&item);
}

/* Its event may be that of another descriptor, which had the same number. */
static void test_one_that_is_watched_again_waits_for_the_next_turn(void **state)
{
    struct loop_item first;
    struct loop_item second;

    (void)state;
    loop_item_watch(&first);
    loop_item_watch(&second);
    first.other = &second;
    second.other = &first;
    first.then = second.then = unwatch_and_watch_other;
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 1);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 3);
    loop_item_release(&first);
    loop_item_release(&second);
}

/* ---- what goes wrong ---- */

static void ignore_signal(int number)
{
    (void)number;
}

static void test_signal_ends_a_wait_without_an_error(void **state)
{
    const struct itimerval every_10_ms = {{0, 10000}, {0, 10000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = ignore_signal};
    struct loop_item was_ready;
    uint64_t value;

    (void)state;
    loop_item_watch(&was_ready);
    loop_turn();
    assert_int_equal(read(was_ready.watch.fd, &value, sizeof(value)), sizeof(value));
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every_10_ms, NULL);
    loop_turn();
    setitimer(ITIMER_REAL, &never, NULL);
    assert_int_equal(loop_fixture.timeout_ms, -1);
    assert_int_equal(loop_fixture.call_count, 1);
    loop_item_release(&was_ready);
}

static void test_lost_descriptor_of_the_loop_is_an_error(void **state)
{
    struct loop_item item;

    (void)state;
    loop_item_init(&item, -1);
    loop_item_start(&item, -1);
    close(loop_fixture.loop.epoll);
    assert_int_equal(event_loop_turn(&loop_fixture.loop), -EBADF);
    assert_int_equal(loop_fixture.call_count, 0);
    loop_fixture.loop.epoll = -1;
}

static void test_loop_that_cannot_be_opened_says_so_and_may_be_done(void **state)
{
    struct event_loop loop;
    struct rlimit limit;
    struct rlimit none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(event_loop_init(&loop), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    event_loop_done(&loop);
}

static void test_done_closes_the_descriptor(void **state)
{
    struct event_loop loop;
    int epoll;

    (void)state;
    assert_int_equal(event_loop_init(&loop), 0);
    epoll = loop.epoll;
    assert_int_equal(fcntl(epoll, F_GETFD), FD_CLOEXEC);
    event_loop_done(&loop);
    assert_int_equal(fcntl(epoll, F_GETFD), -1);
    event_loop_done(&loop);
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_fixture_set_up, loop_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_readable_descriptor_is_called_back_until_it_was_read),
        WITH_LOOP(test_events_are_those_asked_for_and_what_epoll_always_says),
        WITH_LOOP(test_unwatched_descriptor_is_not_called_back),
        WITH_LOOP(test_what_cannot_be_watched_is_refused),
        WITH_LOOP(test_more_ready_descriptors_than_a_batch_all_have_their_turn),
        WITH_LOOP(test_callback_may_unwatch_and_free_one_that_is_ready_too),
        WITH_LOOP(test_callback_may_replace_itself),
        WITH_LOOP(test_one_that_is_watched_again_waits_for_the_next_turn),
        WITH_LOOP(test_signal_ends_a_wait_without_an_error),
        WITH_LOOP(test_lost_descriptor_of_the_loop_is_an_error),
        WITH_LOOP(test_loop_that_cannot_be_opened_says_so_and_may_be_done),
        WITH_LOOP(test_done_closes_the_descriptor),
    };

    return cmocka_run_group_tests_name("event_loop", tests, NULL, NULL);
}
