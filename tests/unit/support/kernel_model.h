/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process's loop on a model of the kernel that follows a script, with one worker in the same process: for what a
 * kernel can say, and what a dead process can have left, that loop_world.h does not draw.
 *
 * nfqueue_receive() and nfqueue_send() are replaced at link time (--wrap). The model holds packets until the first
 * verdict that covers them; a batch covers all that are held up to its id, also those that were never received.
 * Tests count ids from 1; the kernel's ids are those plus model_id_base, so each test also runs where ids wrap. What is
 * received comes from a script; at its end the loop ends when all is answered. The default verdict is accept and the
 * --on-crash verdict drop, so the two can be told apart.
 */
#ifndef UNIT_KERNEL_MODEL_H
#define UNIT_KERNEL_MODEL_H

#include "unit.h"

#include "burst/recovery.h"
#include "burst_fixture.h"
#include "kernel_messages.h"
#include "process/engine.h"

#define SLOT_SIZE 256
#define MODEL_LAYOUT(flows)                                                                                            \
    ((struct queue_shm_layout){.control_version = 1, .control_size = 64, .slot_size = SLOT_SIZE, .flows_size = (flows)})
#define IDS 30000         /* the model knows the ids 1 to IDS - 1 */
#define SCRIPT_MAX 32     /* receives of one process */
#define MODEL_LOG_SIZE 8192 /* more than is written in these tests */
#define FOR_EVER UINT32_MAX
#define ACKNOWLEDGED 1    /* an NLMSG_ERROR that says: no error */

/* What became of a packet. */
struct fate {
    uint32_t verdict; /* NFQE_ACCEPT or NFQE_DROP; 0: the kernel holds it */
    bool by_batch;
    uint32_t order;   /* of its message among all messages */
    uint32_t sequence; /* nlmsg_seq of its message */
    bool marked;      /* the verdict sets the packet's mark, */
    uint32_t mark;    /* to this */
    uint32_t shown;   /* how often a plugin saw it; a test's plugin counts that */
};

/* What one receive gives. */
struct step {
    int error;      /* 0: `count` packets */
    uint32_t first; /* id of the first one */
    unsigned count;
    uint64_t cut;   /* bit i: message i is larger than its slot */
    uint64_t other; /* bit i: instead of message i, and of its packet, comes what answer and sequence say */
    int answer;     /* an NLMSG_ERROR with this error, or ACKNOWLEDGED; 0: no message of the queue at all */
    uint32_t sequence;
};

struct kernel {
    struct step script[SCRIPT_MAX];
    unsigned steps;
    unsigned step;
    struct fate fates[IDS];
    uint32_t messages;
    uint32_t batches;
    uint32_t fresh;             /* messages that do not say they may have been sent before */
    uint32_t sends;
    uint32_t sends_until_death; /* the process ends in this send; FOR_EVER: never */
    uint32_t torn_sends;        /* those that were not whole messages */
    int send_error;             /* of every send; 0: none */
};

struct fixture {
    struct engine engine;
    struct generation generation;
    struct queue_group group;
    struct journal *journal;         /* of the only queue */
    struct burst *burst;             /* its first one */
    bool died; /* the last process, in a send */
    struct error error; /* why it could not go on; code 0: it could */
};

extern struct fixture fixture;
extern uint32_t model_id_base;
extern struct kernel *kernel;
extern char model_log[MODEL_LOG_SIZE];

/* Appends to the message of packet `id` what else the kernel would say of it. NULL: nothing. */
extern void (*model_describe)(struct message *message, uint32_t id);

/* Puts a message into a receive slot, as recvmmsg() would. cut: its payload is larger than the slot. */
void model_put_packet(unsigned index, uint32_t id, bool cut);

/* A process received `count` messages from `first_id` on and died in `phase`. */
void model_die_with_burst(uint32_t first_id, unsigned count, enum burst_phase phase);

/* What the supervisor does after a death in mid-burst. given: the last id that the kernel has given out. */
void model_supervise(uint32_t given);

/* The next receive of the script. */
void model_will(const struct step *step);
void model_will_receive(uint32_t first, unsigned count);
void model_will_fail(int error);

/* A process recovers and follows the rest of the script. */
void model_run(void);

/* The same; what it writes to its log is in model_log. */
void model_run_with_log(void);

/* The lines of model_log from *at on begin with `count` lines that are this one; *at moves past them. */
void model_assert_log_lines(const char **at, unsigned count, const char *line);

void model_assert_left_in_order(void);

/* It ended because it could not go on. Its reason contains `reason`. */
void model_assert_gave_up(const char *reason);

/* Got the --on-crash verdict, each by a message of its own: a batch would have answered what no process had seen. */
void model_assert_recovered(uint32_t first, uint32_t last);

/* The committed counters. */
const struct queue_stats *model_counters(void);

void model_assert_fates(uint32_t first, uint32_t last, uint32_t verdict);

/* Sets the newest id that was received, in the journal. */
void model_set_last_id(uint32_t id);

/* New memory for the queue, in place of what it has; flows_size: bytes of a flow table, or 0. */
void model_make_memory(uint64_t flows_size);

/* For cmocka: set up and tear down. */
int model_set_up(void **state);
int model_tear_down(void **state);

/* Runs all tests with ids from 1 on, and with ids that wrap, or change their sign, on the way. */
int model_run_tests(const char *name, const struct CMUnitTest *tests, size_t count);

#define WITH_KERNEL(test) cmocka_unit_test_setup_teardown(test, model_set_up, model_tear_down)

#endif
