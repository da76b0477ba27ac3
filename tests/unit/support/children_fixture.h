/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's table of children over real processes: the real fork server, without plugins, and workers that do
 * what the test has chosen for their queue.
 *
 * The test is the supervisor: it has the event loop and the subreaper's place. What a worker would do to the journal
 * the test does itself, in the shared memory. Log lines are kept (log_lines.h), and the kernel's last id is the test's
 * to say, so a program that links this is linked with LINKER:--wrap for log_line and nfqueue_read_status.
 */
#ifndef CHILDREN_FIXTURE_H
#define CHILDREN_FIXTURE_H

#include "burst_fixture.h"
#include "engine_fixture.h"

#include "process/children.h"

#define CHILDREN_QUEUES 2
#define CHILDREN_PLUGINS 3      /* made up: first, second, third, with paths like /p/first.so */
#define CHILDREN_EXIT_STATUS 3  /* of a worker that exits by itself */
#define CHILDREN_NO_QUEUE 9     /* of a worker that did not get what belongs to its queue */
#define CHILDREN_LAST_ID 4242   /* what the kernel says */

/* What a worker does, from its start to its end. */
enum way {
    WAY_SERVE,        /* opens, waits to be the owner, serves, and leaves when it is asked to */
    WAY_NO_HELLO,     /* exits before it says hello */
    WAY_HELLO_AND_EXIT, /* exits with CHILDREN_EXIT_STATUS without waiting for an answer */
    WAY_EXIT,         /* exits with CHILDREN_EXIT_STATUS after it */
    WAY_FAIL,         /* says that it fails and exits */
    WAY_HANG_IN_OPEN, /* of the second plugin */
    WAY_OPEN_SLOWLY,  /* CHILDREN_PLUGINS plugins, each in two thirds of the time */
    WAY_LEAVE_BADLY,  /* serves, and when it is asked to leave, exits with CHILDREN_EXIT_STATUS in close() */
    WAY_STAY,         /* serves, and does not leave */
    WAY_CLOSE_CHANNEL, /* serves, and closes its channel */
};

struct children_fixture {
    struct engine_fixture base;
    struct engine_programs programs;
    struct children children;
    struct event_timer poll;
    enum way *ways; /* of each queue's workers from now on; shared memory */
    bool kernel_silent; /* /proc has nothing of the queue */
};

extern struct children_fixture children_fixture;

/* Set-up and tear-down of a test. No process runs yet; the programs are the real fork server and the worker above. */
int children_fixture_set_up(void **state);
int children_fixture_tear_down(void **state);

/* Starts with these time-outs, before anything else. */
void children_fixture_begin(uint64_t timeout_ms);

/* Turns and reaps until the condition holds; fails the test after some seconds. */
void children_turn_until(bool (*condition)(void));

/* The same for so many milliseconds. */
void children_turn_for(unsigned ms);

/* Starts the fork server, waits until all workers have opened, and lets them serve. */
void children_start_serving(void);

/* Ends everything, as the engine does at its end. */
void children_end_all(void);

/* The worker of a queue; 0: none. */
pid_t children_pid(unsigned queue);

/* Kills the worker of a queue, and waits until the table has noticed. */
void children_kill_worker(unsigned queue);

/* Waits until a queue's worker, which is not `before`, is its owner and serves. */
void children_wait_serving(unsigned queue, pid_t before);

/* Whether the start has failed; whether there is a fork server that has loaded the plugins. */
bool children_has_failed(void);
bool children_forkserver_is_ready(void);

/* Turns until the start has failed, and asserts with what. */
void children_assert_failure(enum exit_code exit_code, const char *line);

struct worker_control *children_control(unsigned queue);
struct journal *children_journal(unsigned queue);

/* As if a worker had answered a packet. */
void children_answer(unsigned queue);

#endif
