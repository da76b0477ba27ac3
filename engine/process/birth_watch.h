/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a birth may take, and what follows if it takes longer: the fork server is given up.
 *
 * Always: a fork server that is stopped, or waits in a system call, is given up when the time for a birth is over. One
 * that others keep from running, or whose worker they keep, has eight times as long. After each that is given up the
 * next one has twice the time, up to four times, until there is a worker.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_BIRTH_WATCH_H
#define ENGINE_PROCESS_BIRTH_WATCH_H

#include "base/event_loop.h"
#include "process/watchdog.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BIRTH_WATCH_START_TRIES 3 /* fork servers that make no worker, before the start has failed */

#define BIRTH_WATCH_SEEN 8        /* more than have to do with a birth, but plugins may have left others */

struct children;

struct birth_process {
    pid_t pid;
    uint64_t used_ns; /* CPU time */
};

struct birth_watch {
    struct event_timer timer;   /* runs while a worker is asked for */
    struct watchdog watchdog;   /* its progress is the oldest request */
    uint64_t looked_ns;         /* at the last look */
    struct birth_process seen[BIRTH_WATCH_SEEN]; /* in it, those that had to do with the oldest request */
    unsigned seen_count;
    unsigned excused;           /* looks that did not count against the oldest request */
    unsigned given_up;          /* fork servers in a row, over a birth */
    bool over_birth;            /* the last one was given up over a birth, and has not ended */
};

void birth_watch_init(struct birth_watch *watch, struct children *children);

/* A worker was asked for. */
void birth_watch_begin(struct children *children);

/* A worker is there. */
void birth_watch_succeed(struct children *children);

/* The fork server has ended. Returns whether that is no failure of the start: it was given up over a birth, not often. */
bool birth_watch_forgives(struct children *children);

#endif
