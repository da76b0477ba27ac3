/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's table of children over real processes: the real fork server, without plugins, and queue processes and
 * workers that do what the test has chosen for their queue.
 *
 * The test is the supervisor: it has the event loop and the subreaper's place. What a queue process would do to the
 * journal the test does itself, in the shared memory, and what it is to say the test can send it. Log lines are kept
 * (log_lines.h), and the kernel's last id is the test's to say, so a program that links this is linked with
 * LINKER:--wrap for log_line and nfqueue_read_status.
 */
#ifndef CHILDREN_FIXTURE_H
#define CHILDREN_FIXTURE_H

#include "engine_fixture.h"

#include "process/children.h"

#define CHILDREN_QUEUES 2
#define CHILDREN_PLUGINS 3      /* made up: first, second, third, with paths like /p/first.so */
#define CHILDREN_EXIT_STATUS 3  /* of a process that exits by itself */
#define CHILDREN_NO_QUEUE 9     /* of one that did not get what belongs to it */
#define CHILDREN_LAST_ID 4242   /* what the kernel says */

/* What a worker does, from its start to its end. It leaves when its queue process asks it to, or is gone. */
enum way {
    WAY_SERVE,          /* says hello, takes its ring, opens */
    WAY_NO_HELLO,       /* exits before it says hello */
    WAY_HELLO_AND_EXIT, /* exits with CHILDREN_EXIT_STATUS without waiting for its ring */
    WAY_EXIT,           /* exits with CHILDREN_EXIT_STATUS when it has its ring */
    WAY_HANG_IN_OPEN,
    WAY_LEAVE_BADLY,    /* exits with CHILDREN_EXIT_STATUS when it is asked to leave */
    WAY_STAY,           /* does not leave */
    WAY_PRINT,          /* the same as WAY_SERVE, and prints "hello" when it has its ring */
    WAY_TALK,           /* the same as WAY_SERVE, and says much on its channel after hello */
};

/* What a queue process does. */
enum queue_way {
    QUEUE_WAY_SERVE, /* makes rings, says what becomes of workers, and leaves when it is asked to */
    QUEUE_WAY_EXIT,  /* exits with CHILDREN_EXIT_STATUS at once */
    QUEUE_WAY_FAIL,  /* says why it cannot go on, and exits */
    QUEUE_WAY_SILENT, /* says nothing of its own */
    QUEUE_WAY_STAY,  /* as QUEUE_WAY_SERVE, but does not leave */
};

/* In memory that the processes share, of each queue. */
struct children_script {
    _Atomic uint32_t way;       /* of the workers that begin now: enum way */
    _Atomic uint32_t queue_way; /* of queue processes: enum queue_way */
    struct queue_message loss;  /* what is said of a worker that has ended; loss, kind and number are filled in */
    _Atomic uint64_t skipped;   /* what the last worker was born with, */
    _Atomic uint32_t slot;
    _Atomic uint32_t pid;         /* what the queue process was told of the last one, */
    _Atomic uint32_t descriptors; /* how many it got with its ring, */
    _Atomic uint32_t forked;    /* how many queue processes there were, */
    _Atomic uint32_t changes;   /* and how often one was told that a control word has changed */
};

struct children_fixture {
    struct engine_fixture base;
    struct engine_programs programs;
    struct children children;
    struct event_timer poll;
    struct children_script *scripts; /* shared memory; CHILDREN_QUEUES */
    int commands[CHILDREN_QUEUES][2]; /* what the test has a queue process say */
    bool kernel_silent; /* /proc has nothing of the queue */
};

extern struct children_fixture children_fixture;

/* Set-up and tear-down of a test. No process runs yet; the programs are the real fork server and those above. */
int children_fixture_set_up(void **state);
int children_fixture_tear_down(void **state);

/*
 * Starts with these time-outs, before anything else. What differs from one worker, no spare, no crash limit, the test
 * sets in children_fixture.base.group between the two.
 */
void children_fixture_prepare(uint64_t timeout_ms);
void children_fixture_init(void);

/* Both. */
void children_fixture_begin(uint64_t timeout_ms);

/* Turns and reaps until the condition holds; fails the test after some seconds. */
void children_turn_until(bool (*condition)(void));

/* The same for so many milliseconds. */
void children_turn_for(unsigned ms);

/* Starts everything, waits until all workers have opened, and lets the queue processes serve. */
void children_start_serving(void);

/* Ends everything, as the engine does at its end. */
void children_end_all(void);

/* The process of a queue, and its worker in a slot that is not lost; 0: none. */
pid_t children_queue_pid(unsigned queue);
pid_t children_pid(unsigned queue, unsigned slot);

/* The worker itself; NULL: there is none. */
struct children_worker *children_worker(unsigned queue, unsigned slot);

/* Kills the queue process of a queue, and waits until the table has noticed. */
void children_kill_queue(unsigned queue);

/*
 * Traces a process until children_let_go(), at the latest until the tear-down. One that is killed meanwhile cannot be reaped.
 * Skips the test where an ordinary user may not. The last one that is held is let go first.
 */
#define CHILDREN_HELD_MAX (CHILDREN_LINGERING_MAX + 1)
void children_hold(pid_t pid);
void children_let_go(void);

/* The same by another signal. */
void children_end_queue(unsigned queue, int signal_number);

/* Kills the worker in a slot, and waits until it was reaped and its queue process has said that it is lost. */
void children_kill_worker(unsigned queue, unsigned slot);

/* Waits until a slot has a worker that has opened and is not `before`. */
void children_wait_opened(unsigned queue, unsigned slot, pid_t before);

/* Waits until a queue has a process that serves and is not `before`. */
void children_wait_serving(unsigned queue, pid_t before);

/* Has the queue process say this. */
void children_say(unsigned queue, const struct queue_message *message);

/* That a worker is lost, for this reason; in_plugin: the plugin that had packets, or PLUGINS_MAX. */
void children_say_lost(unsigned queue, const struct children_worker *worker, enum queue_loss loss, unsigned in_plugin);

/* Whether the start has failed; whether there is a fork server that has loaded the plugins; whether all have opened. */
bool children_has_failed(void);
bool children_forkserver_is_ready(void);
bool children_have_opened(void);

/* Turns until the start has failed, and asserts with what. */
void children_assert_failure(enum exit_code exit_code, const char *line);

/* Turns until so many lines were logged. */
void children_wait_lines(unsigned count);

struct queue_control *children_control(unsigned queue);
struct journal *children_journal(unsigned queue);

/* As if a packet had been answered. */
void children_answer(unsigned queue);

/* Descriptors of this process. */
unsigned children_count_descriptors(void);

#endif
