/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fork server in a real process with real plugins, misbehave and misbehave_second of tests/plugins. The test is the
 * supervisor at the other end of its channel, and the subreaper that gets its workers, which only say what they find.
 *
 * A program that has this in its sources defines MISBEHAVE and MISBEHAVE_SECOND, and replaces fork() and
 * process_check_intact() (LINKER:--wrap): what a plugin may have taken from the process is the test's to say.
 */
#ifndef UNIT_FORKSERVER_FIXTURE_H
#define UNIT_FORKSERVER_FIXTURE_H

#include "engine_fixture.h"

#include <sys/types.h>

#define SERVED_QUEUES 3
#define HARMLESS "do=crash,in=handle" /* there are no packets here */
#define EXITED(code) ((code) << 8)
#define WORKER_STATUS 20 /* and the queue */

/* What a worker finds in its process. */
struct seen {
    unsigned runs;
    _Atomic bool hangs;   /* in the second fork */
    bool channel_closed;  /* that of the fork server */
    unsigned descriptors; /* that are open */
    bool has_status;      /* the memory that the fork server and the supervisor share */
    bool loaded;
    struct worker_birth birth;
    bool dropped;         /* it could become birth.uid and give up all rights */
    pid_t parent;
};

struct served {
    struct engine_fixture base;
    struct engine_programs programs;
    struct seen *seen; /* shared memory */
    int channel;
    int their_channel;
    struct forkserver_status *status; /* where it is mapped */
    unsigned forks_until_failure; /* calls of fork() in the fork server; 0: none fails */
    enum {
        FORKS_RETURN,
        SECOND_FORK_HANGS, /* in the process between, as in a fork handler of a plugin */
        FORKSERVER_DIES_AFTER_FORKS, /* when there is a worker, before the process between can exit */
    } forking;
    unsigned forks; /* calls of fork() in the fork server and the process between */
    pid_t forkserver; /* in them: the fork server */
    pid_t pid;
    bool as_user; /* it begins as an ordinary user */
    unsigned checks_until_loss; /* calls of process_check_intact() until something is missing; 0: never */
};

extern struct served served;

unsigned served_count_descriptors(void);

/* For cmocka. */
int served_set_up(void **state);
int served_tear_down(void **state);

/* Appends a plugin to the chain. */
void served_add_plugin(const char *path, const char *values);

/* Starts it with the plugins that were added; or with both of them, the second one with these values. */
void served_start(void);
void served_start_with(const char *values);
void served_wait_ready(void);

void served_tell_to_leave(void);

/* Asks for a worker. Returns our end of its channel. */
int served_request_birth(const struct worker_birth *birth);
int served_request(uint32_t queue);

/* What is said on a worker's channel, after which it is closed; 0: nothing but end-of-file. */
int served_refusal(int channel);

/* Waits for the fork server's end; or for that of a worker, which is our child. Returns its status. */
int served_wait_status(void);
int served_wait_worker(void);

/* It says nothing on the channel, and why in its status; NULL: it could not. */
void served_assert_ended(int status, enum forkserver_stage stage, unsigned plugin, const char *error);

/* The line of a file in /proc/PID that begins with `name`. */
void served_assert_proc(const char *file, const char *name, const char *expected);

#endif
