/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event loop under test: watches and timers whose callbacks note that they were called, in order, and then do what
 * the test has them do.
 *
 * Descriptors are eventfds and pipes, and the clock is the real one: what is asserted of time is that no timer is early
 * and how long epoll_wait() was told to wait. A program that links this replaces epoll_wait() and clock_gettime() by
 * functions that note the call and pass it on (LINKER:--wrap).
 */
#ifndef LOOP_FIXTURE_H
#define LOOP_FIXTURE_H

#include "unit.h"

#include "base/event_loop.h"

#define LOOP_CALLS_MAX 64

/* A watch and a timer, with what their callback does beside being noted. */
struct loop_item {
    struct event_watch watch;
    struct event_timer timer;
    void (*then)(struct loop_item *item);
    struct loop_item *other;
};

struct loop_fixture {
    struct event_loop loop;
    const struct loop_item *calls[LOOP_CALLS_MAX];
    unsigned call_count;
    uint32_t events;         /* of the last call of a watch */
    unsigned clock_readings;
    int timeout_ms;          /* of the last wait */
};

extern struct loop_fixture loop_fixture;

/* Set-up and tear-down of a test: a new loop. */
int loop_fixture_set_up(void **state);
int loop_fixture_tear_down(void **state);

/* An item with this descriptor, that is neither watched nor started. */
void loop_item_init(struct loop_item *item, int fd);

/* Watches an eventfd that is readable from the start. */
void loop_item_watch(struct loop_item *item);

/* Unwatches and closes it. */
void loop_item_release(struct loop_item *item);

/* Starts the timer, to be due `ms` from now; less than 0: it was. */
void loop_item_start(struct loop_item *item, int ms);

/* One turn, which must not fail. */
void loop_turn(void);

/* Turns until there were so many calls, and no more. */
void loop_turn_until_calls(unsigned count);

#endif
