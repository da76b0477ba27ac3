/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one loop of the program, and the notes of its callbacks.
 */
#include "loop_fixture.h"

#include "base/clock.h"

#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct loop_fixture loop_fixture;

int __real_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
    loop_fixture.timeout_ms = timeout_ms;
    return __real_epoll_wait(epoll, events, count, timeout_ms);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    loop_fixture.clock_readings++;
    return __real_clock_gettime(clock, now);
}

static void note_call(struct loop_item *item)
{
    assert_true(loop_fixture.call_count < LOOP_CALLS_MAX);
    loop_fixture.calls[loop_fixture.call_count++] = item;
    if (item->then != NULL) {
        item->then(item);
    }
}

static void note_ready(void *context, uint32_t events)
{
    loop_fixture.events = events;
    note_call(context);
}

static void note_expired(void *context)
{
    const struct loop_item *item = context;
    struct timespec now;

    __real_clock_gettime(CLOCK_MONOTONIC, &now);
    assert_true((uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec >= item->timer.due_ns);
    note_call(context);
}

void loop_item_init(struct loop_item *item, int fd)
{
    *item = (struct loop_item){.watch = {.fd = fd, .ready = note_ready, .context = item},
                               .timer = {.expired = note_expired, .context = item}};
}

void loop_item_watch(struct loop_item *item)
{
    loop_item_init(item, eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    assert_int_equal(event_loop_watch(&loop_fixture.loop, &item->watch, EPOLLIN), 0);
}

void loop_item_release(struct loop_item *item)
{
    event_loop_unwatch(&loop_fixture.loop, &item->watch);
    close(item->watch.fd);
}

void loop_item_start(struct loop_item *item, int ms)
{
    event_loop_start_timer(&loop_fixture.loop, &item->timer,
                           event_loop_now(&loop_fixture.loop) + (uint64_t)((int64_t)ms * (int64_t)NS_PER_MS));
}

void loop_turn(void)
{
    assert_int_equal(event_loop_turn(&loop_fixture.loop), 0);
}

void loop_turn_until_calls(unsigned count)
{
    while (loop_fixture.call_count < count) {
        loop_turn();
    }
    assert_int_equal(loop_fixture.call_count, count);
}

int loop_fixture_set_up(void **state)
{
    (void)state;
    memset(&loop_fixture, 0, sizeof(loop_fixture));
    return event_loop_init(&loop_fixture.loop);
}

int loop_fixture_tear_down(void **state)
{
    (void)state;
    event_loop_done(&loop_fixture.loop);
    return 0;
}
