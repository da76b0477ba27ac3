/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The turns of an event loop.
 *
 * epoll_wait() hands out a batch of watches by their addresses. A callback may remove a watch that is in the batch and
 * has not had its turn, so unwatching clears its place in the batch. Timers are a list sorted by time. Those that have
 * expired are moved to a list of their own before the first callback, so that each is called once a turn. A timer knows
 * the pointer that points to it, so it can be unlinked from either list. Process: [supervisor] [worker].
 */
#include "base/event_loop.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

int event_loop_init(struct event_loop *loop)
{
    *loop = (struct event_loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    return loop->epoll < 0 ? -errno : 0;
}

void event_loop_done(struct event_loop *loop)
{
    close_fd(&loop->epoll);
}

int event_loop_watch(struct event_loop *loop, struct event_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0) {
        return -errno;
    }
    watch->watched = true;
    return 0;
}

void event_loop_unwatch(struct event_loop *loop, struct event_watch *watch)
{
    if (!watch->watched) {
        return;
    }
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->watched = false;
    for (int i = 0; i < loop->pending_count; i++) {
        if (loop->pending[i].data.ptr == watch) {
            loop->pending[i].data.ptr = NULL;
        }
    }
}

/* ---- timers -------------------------------------------------------------------------------------------------- */

static void link_timer(struct event_timer **link, struct event_timer *timer)
{
    timer->next = *link;
    timer->link = link;
    *link = timer;
    if (timer->next != NULL) {
        timer->next->link = &timer->next;
    }
}

static void unlink_timer(struct event_timer *timer)
{
    *timer->link = timer->next;
    if (timer->next != NULL) {
        timer->next->link = timer->link;
    }
    timer->link = NULL;
}

void event_loop_start_timer(struct event_loop *loop, struct event_timer *timer, uint64_t due_ns)
{
    struct event_timer **link = &loop->timers;

    event_loop_stop_timer(loop, timer);
    while (*link != NULL && (*link)->due_ns <= due_ns) {
        link = &(*link)->next;
    }
    timer->due_ns = due_ns;
    link_timer(link, timer);
}

void event_loop_stop_timer(struct event_loop *loop, struct event_timer *timer)
{
    (void)loop;
    if (timer->link != NULL) {
        unlink_timer(timer);
    }
}

uint64_t event_loop_now(struct event_loop *loop)
{
    if (loop->now_ns == 0) {
        loop->now_ns = monotonic_ns();
    }
    return loop->now_ns;
}

/* For epoll_wait(): rounded up, since waking up too early would be a turn for nothing. */
static int timeout_ms(struct event_loop *loop)
{
    uint64_t now_ns;
    uint64_t ms;

    if (loop->timers == NULL) {
        return -1;
    }
    now_ns = event_loop_now(loop);
    if (loop->timers->due_ns <= now_ns) {
        return 0;
    }
    ms = (loop->timers->due_ns - now_ns - 1) / NS_PER_MS + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void run_timers(struct event_loop *loop)
{
    struct event_timer **end = &loop->expired;

    while (loop->timers != NULL && loop->timers->due_ns <= event_loop_now(loop)) {
        struct event_timer *timer = loop->timers;

        event_loop_stop_timer(loop, timer);
        link_timer(end, timer);
        end = &timer->next;
    }
    while (loop->expired != NULL) {
        struct event_timer *timer = loop->expired;

        event_loop_stop_timer(loop, timer);
        timer->expired(timer->context);
    }
}

/* ---- a turn -------------------------------------------------------------------------------------------------- */

static int turn(struct event_loop *loop, int timeout)
{
    int count = epoll_wait(loop->epoll, loop->pending, EVENT_LOOP_BATCH, timeout);

    loop->now_ns = 0;
    if (count < 0 && errno != EINTR) {
        return -errno;
    }
    loop->pending_count = count < 0 ? 0 : count;
    for (int i = 0; i < loop->pending_count; i++) {
        const struct event_watch *watch = loop->pending[i].data.ptr;

        if (watch != NULL) {
            watch->ready(watch->context, loop->pending[i].events);
        }
    }
    run_timers(loop);
    return 0;
}

int event_loop_turn(struct event_loop *loop)
{
    return turn(loop, timeout_ms(loop));
}

int event_loop_turn_now(struct event_loop *loop)
{
    return turn(loop, 0);
}

void event_loop_turn_timers(struct event_loop *loop)
{
    loop->now_ns = 0;
    run_timers(loop);
}
