/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event loop: descriptors and timers to callbacks, over one epoll descriptor.
 *
 * Watches and timers lie in the memory of their owners, zeroed while they are not in use, so the loop allocates nothing
 * and has no capacity that could be exceeded. A callback may watch, unwatch, start and stop anything, also itself, and
 * free what it has removed. A turn waits at most once and reads the clock at most once; without timers it does not
 * read it unless a callback asks.
 *
 * Functions that fail return a negative errno. One thread. Process: [supervisor] [queue process] [worker].
 */
#ifndef ENGINE_BASE_EVENT_LOOP_H
#define ENGINE_BASE_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define EVENT_LOOP_BATCH 16 /* ready descriptors that a turn takes; the others are ready in the next one */

/* A descriptor. The owner fills in the first three fields; fd stays open until it is unwatched. */
struct event_watch {
    int fd;
    void (*ready)(void *context, uint32_t events); /* events: EPOLL... */
    void *context;
    bool watched;
};

/* A point in time. The owner fills in the first two fields. */
struct event_timer {
    void (*expired)(void *context);
    void *context;
    uint64_t due_ns;
    struct event_timer *next;
    struct event_timer **link; /* what points to this one; NULL: it does not run */
};

struct event_loop {
    int epoll;
    uint64_t now_ns;              /* the clock in this turn; 0: not read yet */
    struct event_timer *timers;   /* that run, the earliest first */
    struct event_timer *expired;  /* whose callbacks this turn has still to call */
    struct epoll_event pending[EVENT_LOOP_BATCH]; /* data.ptr: the watch; NULL: it was unwatched meanwhile */
    int pending_count;
};

int event_loop_init(struct event_loop *loop);

/* Closes the epoll descriptor. Watches and timers are forgotten. Also for a loop whose init failed. */
void event_loop_done(struct event_loop *loop);

/* Calls watch->ready for events (EPOLLIN, EPOLLOUT) of watch->fd, as long as they last. -EEXIST: it is watched. */
int event_loop_watch(struct event_loop *loop, struct event_watch *watch, uint32_t events);

/* No callback comes any more, also of this turn. One that is not watched is fine. */
void event_loop_unwatch(struct event_loop *loop, struct event_watch *watch);

/* Calls timer->expired once, when the clock has reached due_ns. One that runs already gets the new time. */
void event_loop_start_timer(struct event_loop *loop, struct event_timer *timer, uint64_t due_ns);

/* No callback comes any more, also of this turn. One that does not run is fine. */
void event_loop_stop_timer(struct event_loop *loop, struct event_timer *timer);

/* CLOCK_MONOTONIC, read by the first call in a turn; until the next turn, every call returns the same. */
uint64_t event_loop_now(struct event_loop *loop);

/*
 * Waits until a descriptor is ready, a timer has expired or a signal came, then makes the callbacks: descriptors first,
 * then timers, the earliest first. A timer that is started by the callback of a timer waits for the next turn, even if
 * it is due. A timer is late by up to a millisecond and what the callbacks of the turn before took.
 */
int event_loop_turn(struct event_loop *loop);

/* The same, but it does not wait: for callbacks between two pieces of work. */
int event_loop_turn_now(struct event_loop *loop);

/* The same, but it does not look at descriptors, which costs a system call. */
void event_loop_turn_timers(struct event_loop *loop);

#endif
