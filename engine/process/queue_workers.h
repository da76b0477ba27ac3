/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workers of a queue as its queue process has them: those that get packets, and spares.
 *
 * A worker is known by a number that the supervisor gave it. It has a ring from its birth on; it may get packets once
 * the supervisor has said that its plugins are open. Each of the active places (--workers) is taken by one such worker;
 * the others are spares, and take a place as soon as it is free.
 *
 * Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_WORKERS_H
#define ENGINE_PROCESS_QUEUE_WORKERS_H

#include "base/event_loop.h"
#include "base/limits.h"
#include "process/ring_submit.h"

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_WORKERS_MAX (WORKERS_MAX + SPARES_MAX)
#define QUEUE_NO_PLACE UINT32_MAX

struct queue_worker {
    uint32_t number;        /* 0: none */
    bool opened;            /* its plugins are open */
    bool has_batch;         /* one of its plugins has handle_batch() */
    uint32_t place;         /* among the active ones, or QUEUE_NO_PLACE: it is a spare */
    bool rung;              /* it has signalled since the last turn */
    uint32_t opening;       /* the plugin that it opens, as it says */
    uint64_t since_ns;      /* since when it opens that plugin, or its oldest packet is the oldest */
    struct ring_submit ring;
    struct event_watch bell;
    struct event_watch end; /* its pidfd */
};

struct queue_workers {
    struct queue_worker all[QUEUE_WORKERS_MAX];
    struct queue_worker *places[WORKERS_MAX]; /* NULL: the place is free */
    unsigned place_count;                     /* --workers */
};

/* How a worker ended, as far as its packets say. */
struct queue_guilt {
    bool in_plugin;      /* a plugin had packets, as it says, or it is the second one that ends over a packet */
    bool packet_known;   /* `packet_id` got the --on-crash verdict; false, and in_plugin: it was in handle_batch() */
    uint32_t packet_id;
    uint32_t plugin;     /* what the worker said last, or PLUGINS_MAX */
};

void queue_workers_init(struct queue_workers *workers, unsigned place_count);

/* A free entry, with the number. NULL: there is none. */
struct queue_worker *queue_workers_add(struct queue_workers *workers, uint32_t number);

/* The worker with this number, or NULL. */
struct queue_worker *queue_workers_find(struct queue_workers *workers, uint32_t number);

/* Gives free places to spares that are open. Returns whether some got one. */
bool queue_workers_fill(struct queue_workers *workers);

/* Forgets a worker: its place is free, its ring is gone. The watches are the caller's to remove before. */
void queue_workers_remove(struct queue_workers *workers, struct queue_worker *worker);

/* Whether a place is taken. */
bool queue_workers_any(const struct queue_workers *workers);

/* The worker for a packet with this hash of its flow. NULL: its place is free. */
static inline struct queue_worker *queue_workers_for(const struct queue_workers *workers, uint32_t hash)
{
    return workers->places[workers->place_count <= 1 ? 0 : hash % workers->place_count];
}

#endif
