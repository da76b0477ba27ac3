/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answering a queue with plugins in other processes: receive, decode, commit, look up flows, submit to a worker, take
 * its answers, decide, encode, send, commit.
 *
 * Up to BURSTS_IN_FLIGHT bursts are in flight. Each received packet is undecided, with or without a worker that has it;
 * or has its verdict, to be sent; or is answered. Everything that matters after a death is in the journal; what is here
 * is made again by a successor (queue_recovery.h).
 *
 * A packet of a decided flow is decided at once, unless an earlier packet of the flow is with a worker: then it goes
 * the same way, so that a flow's packets leave in the order in which they came.
 *
 * The functions return 0 (or a result) or a negative errno with the reason in *error: then this process must end.
 * Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_LOOP_H
#define ENGINE_PROCESS_QUEUE_LOOP_H

#include "base/error.h"
#include "base/rate_limit.h"
#include "burst/decide.h"
#include "burst/journal.h"
#include "burst/outstanding.h"
#include "flow/flow_burst.h"
#include "flow/flow_in_flight.h"
#include "flow/flow_table.h"
#include "process/engine.h"
#include "process/queue_rejects.h"
#include "process/queue_workers.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_encode.h"

#include <stdbool.h>

/* What a burst in flight has beside its part of the journal. Bit i of a mask: packet i. */
struct queue_flight {
    struct nfqe_packet packets[BURST_MAX];
    struct nfqueue_conntrack conntracks[BURST_MAX];
    struct flow_burst flows;
    uint32_t flow_numbers[BURST_MAX]; /* of packets with a worker, or FLOW_IN_FLIGHT_NONE */
    uint64_t undecided;               /* has no verdict */
    uint64_t submitted;               /* of these: a worker has it */
    uint8_t suspicion[BURST_MAX];     /* how many workers ended while this was their next one, and no plugin had it */
    uint64_t waiting;                 /* had a verdict from the first, which may have to wait for earlier packets */
    uint64_t unsent;                  /* has a verdict that can be sent */
    bool one_by_one;                  /* goes through handle(), since a worker died in handle_batch() over it */
    bool hung;                        /* and that took all of the time-out */
};

struct queue_loop {
    const struct engine *engine;
    const struct engine_queue *queue;
    struct journal *journal;
    struct decide_policy policy;
    struct plugin_rights rights[PLUGINS_MAX + 1]; /* by position; of the last one, none: no plugin answered */
    uint32_t on_outage;               /* verdict of packets whose place has an outage */
    unsigned outage;                  /* places that had no worker for too long; bits by place */
    unsigned recovering;              /* bursts that a predecessor left and that are not answered; bits by index */
    unsigned alone[WORKERS_MAX]; /* by place: bursts until whose end its worker gets one packet at a time; bits */
    unsigned alone_places; /* that have such bursts; bits by place */
    bool resending; /* verdicts may have been sent by it already */
    struct flow_table *flows; /* NULL: no plugin gives verdicts for flows */
    struct flow_table flow_table;
    struct flow_in_flight in_flight;
    struct outstanding outstanding; /* what the next commit will say */
    struct queue_stats delta; /* what the next commit will add to the totals; 0 between two steps */
    struct reason_tally reasons; /* what the commit of the next send will add */
    struct queue_flight flights[BURSTS_IN_FLIGHT]; /* by the burst's index in the journal */
    unsigned order[BURSTS_IN_FLIGHT]; /* indices of the bursts in flight, the oldest first */
    unsigned order_count;
    unsigned waiting; /* packets of these, of queue_flight.waiting */
    struct queue_workers workers;
    unsigned receive_errors; /* in a row */
    int refused; /* what the kernel says of each verdict, if it takes none from this socket; or 0 */
    struct nfqueue_encoder encoder;
    struct verdict_payload payloads[BURST_MAX]; /* of the burst that is encoded, if plugins change packets */
    struct rate_limit invalid_log;
    struct rate_limit error_log;
    struct queue_rejects rejects;
};

/* Prepares for `queue`. Then queue_recover(), once. */
void queue_loop_init(struct queue_loop *loop, const struct engine *engine, const struct engine_queue *queue);

/* A worker has opened its plugins: the supervisor knows by now how many reasons each may give. */
void queue_loop_learn_reasons(struct queue_loop *loop);

/* Whether a burst can be received. */
static inline bool queue_loop_has_room(const struct queue_loop *loop)
{
    return loop->order_count < BURSTS_IN_FLIGHT;
}

/*
 * Receives a burst, decides what the flow table decides, submits the rest. There is room. now_ns: monotonic clock, for
 * idle times of flows and time-outs of workers. Returns 1: the socket may hold more; 0: it does not.
 */
int queue_loop_receive(struct queue_loop *loop, uint64_t now_ns, struct error *error);

/* Takes the answers of a worker. -EBADMSG: it has broken the protocol; those before are taken. */
int queue_loop_take_answers(struct queue_loop *loop, struct queue_worker *worker, uint64_t now_ns);

/* Whether a burst has all its verdicts, so that sending should not wait. */
bool queue_loop_should_send(const struct queue_loop *loop);

/* Whether there are verdicts to be sent. */
bool queue_loop_has_verdicts(const struct queue_loop *loop);

/* Sends all verdicts that are there. */
int queue_loop_send(struct queue_loop *loop, struct error *error);

/*
 * A worker is gone: its last answers are taken, the guilty packet gets the --on-crash verdict, the others go to the
 * worker that takes its place, if there is one, in the same order. *guilt: for the log.
 *
 * Guilty is the first packet without an answer, if the worker said that a plugin had it. If it did not say so, it ended
 * between two packets, or its memory was written over: then its last answers may be lost, and any packet in flight may
 * be the reason. So its successor gets one packet at a time until all of these are decided. If more workers in turn end
 * over one packet than the queue has at a time, they were not just killed together, and it is guilty.
 * A burst that was with handle_batch() goes on with handle(), where each packet is on its own.
 */
void queue_loop_lose_worker(struct queue_loop *loop, struct queue_worker *worker, uint64_t now_ns,
                            struct queue_guilt *guilt);

/* Burst `index` of the journal, which is committed and decoded, is in flight. For queue_recovery.c. */
void queue_loop_begin_flight(struct queue_loop *loop, unsigned index, uint64_t now_ns);

/* Verdicts that were there from the first are sent with the next ones, as far as they need not wait. For queue_recovery.c. */
void queue_loop_release(struct queue_loop *loop);

/* Submits packets that have no worker; after a worker has come, or an outage has begun, which decides them. */
void queue_loop_submit(struct queue_loop *loop, uint64_t now_ns);

#endif
