/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workers of a queue as its queue process has them: those that get packets, and spares.
 *
 * A worker is known by a number that the supervisor gave it. It has a ring from its birth on; it may get packets once it
 * has said in its ring that its plugins are open. Each of the active places (--workers) is taken by one such worker;
 * the others are spares, and take a place as soon as it is free.
 *
 * Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_WORKERS_H
#define ENGINE_PROCESS_QUEUE_WORKERS_H

#include "base/event_loop.h"
#include "base/limits.h"
#include "process/ring_submit.h"
#include "process/run_delay.h"

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_WORKERS_MAX (WORKERS_MAX + SPARES_MAX)
#define QUEUE_NO_PLACE UINT32_MAX

struct queue_lives;

struct queue_worker {
    uint32_t number;        /* 0: none */
    pid_t pid;
    bool opened;            /* its plugins are open */
    bool has_batch;         /* one of its plugins has handle_batch() */
    bool retired;           /* it gets no more packets; when it has none, it is asked to leave, and has no place */
    bool leaving;           /* it was asked to leave */
    uint32_t place;         /* among the active ones, or QUEUE_NO_PLACE: it is a spare */
    bool rung;              /* it has signalled since the last turn */
    uint64_t since_ns; /* when it last did what it is waited for: an answer, or the next plugin's open() or close() */
    bool delay_begun;       /* half of the time-out has passed, */
    struct run_delay delay; /* and this was read then, or when it was excused last */
    unsigned excuses;       /* time-outs that it has had in addition, since it had too little CPU */
    uint64_t waited_ns; /* how long it was waited for since then, see queue_lives.h */
    uint64_t slow_since_ns; /* the since_ns of a wait that was long; 0: there is none to be told of */
    bool slow_begun;        /* the wait has become long, */
    struct run_delay slow_delay; /* and this was read then */
    bool slow_judged;       /* the wait need not be looked at again */
    uint32_t slow_plugin;   /* that had the packet then */
    bool hung; /* given up for taking too long */
    uint32_t said; /* while it opens or leaves: how far it is, as it says */
    unsigned steps; /* how often that has changed */
    struct ring_submit ring;
    struct event_watch bell;
    struct event_watch end; /* its pidfd */
    struct queue_lives *lives; /* what the watches call */
};

struct queue_workers {
    struct queue_worker all[QUEUE_WORKERS_MAX];
    unsigned end;                             /* entries from here on are free, and hold anything */
    struct queue_worker *places[WORKERS_MAX]; /* NULL: the place is free */
    unsigned place_count; /* --workers */
    bool held; /* no worker gets a place that it has not */
};

/* How a worker ended, as far as its packets say. */
struct queue_guilt {
    bool in_plugin; /* a plugin had packets, as it says, or too many have ended over a packet */
    bool packet_known; /* `packet_id` got the --on-crash verdict; false, and in_plugin: it was in handle_batch() */
    uint32_t packet_id;
    uint32_t plugin; /* what the worker said last, or PLUGINS_MAX */
};

void queue_workers_init(struct queue_workers *workers, unsigned place_count);

/* A free entry, with the number. NULL: there is none. */
struct queue_worker *queue_workers_add(struct queue_workers *workers, uint32_t number);

/* The worker with this number, or NULL. */
struct queue_worker *queue_workers_find(struct queue_workers *workers, uint32_t number);

/*
 * Gives free places to spares that are open and not retired, unless all are held back. Returns whether some got one. A
 * spare that has ended gets none: it would only be suspected of a packet.
 */
bool queue_workers_fill(struct queue_workers *workers);

/* Its place, if it has one, is free. It has no packets. */
void queue_workers_leave_place(struct queue_workers *workers, struct queue_worker *worker);

/* Forgets a worker: its place is free, its ring is gone. The watches are the caller's to remove before. */
void queue_workers_remove(struct queue_workers *workers, struct queue_worker *worker);

/* The place of packets with this hash of their flow. */
static inline unsigned queue_workers_place(const struct queue_workers *workers, uint32_t hash)
{
    return workers->place_count <= 1 ? 0 : hash % workers->place_count;
}

#endif
