/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lives of a queue's workers, as its queue process sees them: added, opened, asked for answers, lost, asked to
 * leave. Which worker has which packets is in queue_loop.h.
 *
 * A worker has a time-out for each thing that it is waited for: the next plugin's open() or close() (--load-timeout),
 * the answer to its first packet without one (--handle-timeout). What passes between two looks counts for a bounded
 * step: if this process or the machine stood still, the workers did, too, and none is given up for it. A worker that was
 * ready to run and got no CPU for much of the time has twice as long; one that got next to none, up to QUEUE_EXCUSED_NS: not
 * for ever, since its own plugin's threads may be what keeps it from running.
 *
 * A burst that a worker hung over in handle_batch() goes on with handle(), and has its time-out nearly used up: each packet
 * of it gets a QUEUE_RETRY_SHARE of one, so that the packet that does it all is found soon.
 *
 * A worker that is lost gets no packets any more. The supervisor is told, and kills it; whether it can be killed does
 * not matter here. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_LIVES_H
#define ENGINE_PROCESS_QUEUE_LIVES_H

#include "base/clock.h"
#include "base/event_loop.h"
#include "process/queue_loop.h"
#include "process/queue_tell.h"

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_LOOK_NS (5 * NS_PER_MS)        /* between two looks at what does not ring */
#define QUEUE_EXCUSED_NS (8 * NS_PER_S)      /* what a wait can take of a worker that gets no CPU, or two time-outs */
#define QUEUE_STEP_MAX_NS (20 * NS_PER_MS)   /* what passes between two counts for so much at most */
#define QUEUE_SLOW_NS (100 * NS_PER_MS)      /* a packet that takes longer is worth a line in the log */
#define QUEUE_RETRY_SHARE 4
#define QUEUE_RETRY_MIN_NS (100 * NS_PER_MS) /* or all of the time-out, since a new worker may begin slowly */

struct queue_lives {
    struct queue_loop *loop;
    struct event_loop *events;
    const struct queue_tell *tell;
    uint64_t open_timeout_ns;
    uint64_t handle_timeout_ns;
    uint64_t retry_timeout_ns; /* of packets in a burst that handle_batch() hung over */
    uint64_t slow_plugins;     /* that the log has named; bit i: the plugin at position i */
    uint64_t looked_ns; /* when the last look was */
    uint32_t cpu;       /* that workers may follow this process to, or RING_CPU_ANY */
    bool starved;       /* a worker gets no CPU; until the owner has seen it */
    bool leaving;       /* all were asked to leave */
};

/* The structs are to stay where they are. */
void queue_lives_init(struct queue_lives *lives, struct queue_loop *loop, struct event_loop *events,
                      const struct queue_tell *tell);

/* A worker was born, with this pid, and pidfd (-1: it did not come) is its. Makes its ring, which the supervisor passes to it. */
void queue_lives_add(struct queue_lives *lives, uint32_t number, pid_t pid, int pidfd);

/* Names the CPU that workers may follow this process to, or RING_CPU_ANY: to all, and to those that come. */
void queue_lives_name_cpu(struct queue_lives *lives, uint32_t cpu);

/* Takes the answers of all, and what they say of themselves. Returns whether one opens its plugins, or leaves. */
bool queue_lives_look(struct queue_lives *lives, uint64_t now_ns);

/* Before waiting. Returns false: do not wait, since a worker has said something. */
bool queue_lives_sleep(struct queue_lives *lives);

/* Wakes the workers that sleep and have frames. */
void queue_lives_wake(struct queue_lives *lives);

/* After waiting. */
void queue_lives_awake(struct queue_lives *lives);

/* From the next look on, all workers are asked to leave, and what is born is refused. Nothing is in flight. */
void queue_lives_leave(struct queue_lives *lives);

/* Whether there is a worker. */
bool queue_lives_any(const struct queue_lives *lives);

#endif
