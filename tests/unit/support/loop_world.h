/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process's loop between a model of the kernel and workers, all in the test's own process.
 *
 * nfqueue_receive() and nfqueue_send() are replaced at link time (--wrap). The model of the kernel holds packets 1, 2,
 * ...; their ids are these numbers plus world_id_base. It checks each verdict that it gets: that the packet had none,
 * that the journal has this verdict for it, that no earlier packet of its flow is without one, and that it is what the
 * rules of the ABI make of the plugin's answers, in the flow's order. A batch answers all that are held up to its id.
 *
 * The workers are the engine's, with a plugin that is a part of the test. Both a worker and the queue process can die at
 * each of their steps, which are the calls of some functions, before and after: the dead one is left by a longjmp().
 */
#ifndef UNIT_LOOP_WORLD_H
#define UNIT_LOOP_WORLD_H

#include "unit.h"

#include "process/engine.h"
#include "process/queue_loop.h"
#include "process/worker_frames.h"

#include <setjmp.h>

#define WORLD_PACKETS 4000
#define WORLD_FLOWS 8    /* flow 0: none, the packets have no flow */
#define WORLD_WORKERS 12 /* alive at a time */
#define WORLD_SLOT 256
#define WORLD_MARK UINT32_C(0xaabb0000) /* what of a packet's mark is not the engine's */
#define WORLD_BYPASS_BITS UINT32_C(0x0400)
#define WORLD_BYPASS_MASK UINT32_C(0x0f00)
#define WORLD_NEVER UINT32_MAX
#define ACCEPT_FLOW (NFQE_ACCEPT | NFQE_FLOW)
#define DROP_FLOW (NFQE_DROP | NFQE_FLOW)

struct world_packet {
    uint32_t flow;
    bool begins;     /* a TCP SYN */
    bool fragment;   /* the first of some: it decides no flow, and is not accepted with one */
    bool marked;     /* it comes with the mark of an accepted flow */
    bool cut;        /* its message is larger than its slot */
    bool changes;    /* the plugin puts bytes at its end, which a fragment cannot have; with world_changes */
    uint32_t answer; /* of the plugin */

    bool received;   /* its message came into a slot */
    bool lost;       /* its message left the kernel and came nowhere */
    unsigned suspicion; /* how many workers died over it, and no plugin had it */
    bool guilty;     /* it is to get the --on-crash verdict */
    bool outage;     /* it is to get the --on-outage verdict */
    unsigned shown;  /* to the plugin */
    uint32_t verdict; /* what the kernel got; 0: nothing */
    bool by_batch;
    bool by_flow;    /* as the rules say */
    uint32_t order;  /* of its message */
};

struct world_worker {
    bool alive;
    bool killed; /* left at one of its steps: not to be served any more */
    uint32_t number;
    struct queue_worker *theirs;
    struct ring_answer ring;
    struct worker_frames frames;
};

struct world {
    struct engine engine;
    struct generation generation;
    struct queue_group group;
    struct queue_loop loop;
    struct world_worker workers[WORLD_WORKERS];
    uint32_t born;         /* workers, ever */
    bool batch;            /* the plugin has handle_batch() */
    unsigned places;       /* --workers */
    nfqe_verdict on_outage;
    uint64_t now_ns;

    /* of the kernel */
    struct world_packet packets[WORLD_PACKETS + 1]; /* from 1 on */
    uint32_t count;        /* that there will be */
    uint32_t queued;       /* that the kernel has sent so far: the test says so */
    uint32_t next;         /* the next one to be received */
    unsigned receive_max;  /* in one call */
    uint32_t noise;        /* so many receives give a message that is no packet, and nothing else */
    uint32_t messages;
    uint32_t batches;
    uint32_t late;         /* verdicts for packets that had one: only a successor may send these */
    uint32_t flow_state[WORLD_FLOWS]; /* as the rules say: the verdict, or 0 */

    /* deaths */
    uint32_t queue_steps;
    uint32_t queue_dies_at; /* WORLD_NEVER: not */
    bool queue_lives;       /* its steps count */
    bool count_deaths;      /* the supervisor counts them; else each time as if packets had been answered */
    uint64_t answered;      /* when the process was started */
    uint32_t poison;        /* who decodes this packet dies; 0: none is */
    char log[256];          /* the last line */
    jmp_buf queue_death;
    uint32_t worker_steps;
    uint32_t worker_dies_at;
    struct world_worker *running;
    uint32_t with_plugin;   /* packet that handle() has, or was called for last and that has no answer; 0: none */
    uint32_t shown_last;    /* packet that the plugin has */
    jmp_buf worker_death;
    void (*in_plugin)(void); /* called in each call of the plugin; NULL: nothing is */
};

extern struct world world;
extern uint32_t world_id_base;
extern bool world_changes; /* for world_init(): the plugin may change packets */

/* What it puts at the end of packet `number`: as many times the low byte of the number. */
static inline uint32_t world_added(uint32_t number)
{
    return 1 + number % 7;
}

/* A queue with so many places for workers. flows: the plugin may decide for flows. Its packets are the test's to say. */
void world_init(unsigned places, bool flows, bool batch);
void world_done(void);

/* Queue process: begins, or begins again after a death, and recovers. */
void world_start_queue(void);

/* A worker is born, opens its plugins, and is a spare or takes a place. Its index in world.workers. */
unsigned world_add_worker(void);

/* Handles one frame of a worker; returns whether there was one. If it dies then, `killed` is set. */
bool world_run_worker(unsigned index);

/* The queue process learns that the worker is dead. Checks whom it finds guilty. */
void world_lose_worker(unsigned index);

/* Steps of the queue process. */
void world_receive(void);
void world_take(unsigned index);
void world_send(void);

/* Everything that is queued is answered, in some rounds of all steps. Workers that were killed are lost, and replaced. */
void world_settle(void);

/* All packets have their verdict, and the journal says so. */
void world_assert_settled(void);

/* Between the two parts of this: a step of the queue process, and the entry of a packet of a burst in use, or NULL. */
void world_queue_step(void);
const struct burst_entry *world_entry_of(uint32_t id);

/* The next queue process gives up: packets that the journal has are guilty, other messages are as good as lost. */
void world_expect_unread(void);

/* Runs `play`. Returns false if the queue process died in it: then it is gone, and its workers with it. */
bool world_survives(void (*play)(void));

/* For each test: run with ids that wrap on the way; and, but with NFQE_QUICK=1, from 1 on, and where their sign changes. */
int world_run_tests(const char *name, const struct CMUnitTest *tests, size_t count);

#endif
