/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process as in the engine, in a process of its own, with the test as its supervisor and as the kernel.
 *
 * In place of the netlink socket is a pair of datagram sockets: what the test sends is received as the kernel's messages
 * are, and a message that a process has taken from the socket is gone with it. nfqueue_send() is replaced at link time
 * (--wrap): it writes down, in shared memory, what each packet's verdict is. Ids begin with 1.
 *
 * Workers are processes that answer by worker_frames.h, with a plugin that does what the packet's id says.
 *
 * No worker is given up for being late, and no outage begins, unless the test sets a time-out: how soon a process gets a CPU
 * is the machine's affair. Where time is the promise, fixture_took() leaves out such delays.
 */
#ifndef UNIT_QUEUE_FIXTURE_H
#define UNIT_QUEUE_FIXTURE_H

#include "unit.h"

#include "base/clock.h"
#include "process/engine.h"
#include "process/queue_messages.h"

#include <nfqe/plugin.h>

#include <poll.h>
#include <sys/types.h>

#define FIXTURE_PACKETS 1024
#define FIXTURE_WORKERS 8
#define FIXTURE_TIMEOUT_MS 500
#define FIXTURE_SLOW_MS (FIXTURE_TIMEOUT_MS / 5) /* of IS_SLOW */
#define FIXTURE_NEVER_MS (1000 * 1000)
#define FIXTURE_SECONDS 30 /* what has not come by then does not come */
#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, queue_fixture_set_up, queue_fixture_tear_down)
#define WAIT_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        for (unsigned i_ = 0; !(condition); i_++) {                                                                    \
            assert_true(i_ < FIXTURE_SECONDS * 1000);                                                                  \
            poll(NULL, 0, 1);                                                                                          \
        }                                                                                                              \
    } while (0)

/* What the plugin does with a packet; without, it accepts odd ids, and drops even ones. */
enum deed { ANSWERS, KILLS_ITSELF, HANGS, IS_SLOW, WAITS_FOR_ME };

/* What is written in other processes than the test's. */
struct fixture_memory {
    _Atomic uint32_t verdicts[FIXTURE_PACKETS]; /* NFQE_ACCEPT, NFQE_DROP; 0: none yet */
    _Atomic uint32_t late;       /* verdicts for packets that have one */
    _Atomic uint32_t stops;      /* requests that change the queue's length */
    _Atomic uint32_t deeds[FIXTURE_PACKETS]; /* enum deed */
    _Atomic uint32_t shown[FIXTURE_PACKETS]; /* to a plugin */
    _Atomic pid_t shown_by[FIXTURE_PACKETS]; /* of that worker */
    _Atomic uint32_t go_on;      /* for WAITS_FOR_ME, and for a close() that waits */
    _Atomic uint32_t starved;    /* not 0: workers are ready to run for three fifths of the time, without a CPU */
};

/* What else a worker does. */
enum habit { IS_GOOD, NEVER_OPENS, OPENS_WHEN_I_SAY, IGNORES, BUSTLES, LIES, WAITS_IN_CLOSE, HANGS_IN_CLOSE, FAILS };

struct fixture_worker {
    pid_t pid; /* 0: none */
    int pidfd; /* the supervisor has it until the process is reaped */
};

struct queue_fixture {
    struct engine engine;
    struct generation generation;
    struct queue_group group;
    struct queue_control *control;
    struct fixture_memory *memory;
    struct fixture_worker workers[FIXTURE_WORKERS + 1]; /* by number, from 1 on */
    uint32_t born;
    uint32_t queued;  /* packets */
    int kernel;       /* the kernel's end of the socket */
    int channel;      /* to the queue process */
    pid_t process;    /* 0: none */
};

extern struct queue_fixture fixture;

/* What the plugin answers. */
static inline uint32_t fixture_answer_to(uint32_t id)
{
    return id % 2 != 0 ? NFQE_ACCEPT : NFQE_DROP;
}

/* The program of a worker, which gets its ring on the channel. */
void fixture_run_worker(int channel, enum habit habit) __attribute__((noreturn));

int queue_fixture_set_up(void **state);
int queue_fixture_tear_down(void **state);

/* Makes a request. */
void fixture_request(enum queue_request request);
void fixture_give_up(bool give_up);

/* The workers that were born are to leave. */
void fixture_retire(void);

/* Starts a queue process; request: what it finds. */
void fixture_start(enum queue_request request);

/* Starts a worker, and passes it its ring. Returns its number. fixture_open_worker() waits until it is open. */
uint32_t fixture_add_worker(enum habit habit);
uint32_t fixture_open_worker(enum habit habit);
void fixture_kill_worker(uint32_t number);

/* The next message that is not QUEUE_CHANGED; it has to be of this kind. fds[RING_FDS]: NULL: it passes none. */
struct queue_message fixture_next(enum queue_message_kind kind, int *fds);
struct queue_message fixture_lost(uint32_t number, enum queue_loss loss);

/* So many packets are queued at once, in one flow or in as many. */
void fixture_put(unsigned count);
void fixture_put_flows(unsigned count);

/* Waits until these packets have verdicts: the plugin's, or the one that is given (0: the plugin's). */
void fixture_answered(uint32_t first, uint32_t last, uint32_t verdict);

/* Asks the queue process to leave. It has to do so, and to leave nothing, nor have given a verdict twice. */
void fixture_leave(void);

const struct journal *fixture_journal(void);

/* Kills the queue process with its workers. */
void fixture_kill_process(void);

/*
 * A time, and how long until then the queue process, and the test, were ready to run and had no CPU. fixture_took(): at least
 * so many milliseconds since then, and at most so many without that.
 */
struct fixture_time {
    uint64_t ns;
    uint64_t delay_ns;
};

struct fixture_time fixture_now(void);
void fixture_took(struct fixture_time since, unsigned min_ms, unsigned max_ms);

/* Waits for the end of the queue process, which has to exit with this status. */
void fixture_ended(int status);

#endif
