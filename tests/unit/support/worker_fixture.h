/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker in a process of its own, between the test, which is its supervisor and its queue process, and two plugins that
 * are a part of the test. What the plugins see is in memory that the test shares with them.
 *
 * A program that has this in its sources replaces log_line() (LINKER:--wrap): the line that a worker leaves while it has
 * no ring is in lone.seen.
 */
#ifndef UNIT_WORKER_FIXTURE_H
#define UNIT_WORKER_FIXTURE_H

#include "engine_fixture.h"
#include "ring_fixture.h"

#include "process/counter_cells.h"

#include <sys/types.h>

#define LONE_PLUGINS 2
#define EXITED(code) ((code) << 8)

/* What a plugin does and was called for. */
struct acting {
    nfqe_verdict answer;
    int (*in_open)(const struct nfqe_host *host);
    void (*in_handle)(void);
    void (*in_close)(void);
};

struct lone_seen {
    unsigned opened[LONE_PLUGINS];
    unsigned handled[LONE_PLUGINS];
    unsigned closed[LONE_PLUGINS];
    uid_t uid;
    int death_signal;
    int cpus; /* that it may run on */
    bool has_channel;
    char line[256]; /* in the log */
};

struct lone_worker {
    struct engine_fixture base;
    struct acting plugins[LONE_PLUGINS];
    struct lone_seen *seen; /* shared memory */
    struct ring_submit ring;
    struct counter_cells cells; /* passed with the ring, if there are some */
    int epoll;
    int channel;
    pid_t pid;
    const char *kind; /* of descriptors that open() closes */
    bool as_user; /* it begins as an ordinary user */
};

extern struct lone_worker lone;

/* For cmocka. */
int lone_set_up(void **state);
int lone_tear_down(void **state);

/* For the table of a plugin: handle() for each packet. */
void lone_handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out);

/* Starts it; then it is waited for, and gets its ring. lone_start(): with the rights of the test. */
void lone_start_birth(struct worker_birth birth);
void lone_start(void);
void lone_wait_hello(void);
void lone_pass_ring(void);
void lone_pass_ring_and_log(int log); /* the end of a pipe to print into */

/* Until the worker says more of itself than that it opens its plugins. */
uint32_t lone_wait_state(void);

/* A worker that has its ring; or one whose plugins are open. */
void lone_start_with_ring(void);
void lone_start_and_open(void);

/* Waits for its end. */
int lone_wait_status(void);

/* Each of so many packets gets this answer from this plugin. */
void lone_assert_answers(unsigned count, uint32_t answer, uint32_t plugin);

/* It ends and says this; no plugin was closed. */
void lone_assert_failed(const char *expected);

#endif
