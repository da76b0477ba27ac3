/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server as the supervisor has it: started, asked for workers, listened to, and given up if it does not answer
 * in time.
 *
 * Always: there is at most one fork server. Its process is reaped by the owner of the client, who then calls
 * forkserver_client_ended(). A worker that dies at once may end before the message that it was forked has come, so the
 * ends of unknown children are kept here while a request is outstanding.
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_FORKSERVER_CLIENT_H
#define ENGINE_PROCESS_FORKSERVER_CLIENT_H

#include "base/backoff.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "process/engine.h"

#define FORKSERVER_LEAVE_WAIT_MS 1000 /* for unload() */
#define FORKSERVER_EARLY_EXITS 64

struct forkserver_early_exit {
    pid_t pid;
    int status;
};

/* What it is doing while it starts. */
struct forkserver_step {
    struct plugin_ref plugin;
    uint32_t stage;
};

struct forkserver_client {
    struct engine *engine;
    const struct engine_programs *programs;
    struct event_loop *loop;
    const int *close_in_child; /* descriptors of the supervisor alone, ending with -1 */
    pid_t pid;                 /* 0: none */
    struct event_watch channel; /* fd -1: none */
    bool ready;                /* it has loaded the plugins and makes workers */
    bool hung;                 /* it was killed for not answering in time */
    uint64_t deadline_ns;      /* until it has linked or loaded the next plugin; 0: none */
    struct forkserver_step step; /* what the deadline is for */
    uint64_t retry_ns;         /* when to start the next one; 0: not waiting */
    struct backoff backoff;
    unsigned outstanding;           /* requests without an answer */
    struct forkserver_early_exit early_exits[FORKSERVER_EARLY_EXITS];
    unsigned early_exit_count;
};

/*
 * Prepares a client without a fork server. close_in_child outlives it. The owner sets what is called when a message
 * arrives: client->channel.ready and its context.
 */
void forkserver_client_init(struct forkserver_client *client, struct engine *engine,
                            const struct engine_programs *programs, struct event_loop *loop, const int *close_in_child);

/* Starts a fork server. On failure it is tried again after a wait. */
int forkserver_client_start(struct forkserver_client *client, struct error *error);

/* Asks for a worker of `queue`. Returns false if there is no fork server that is ready, or it reads no requests. */
bool forkserver_client_request(struct forkserver_client *client, unsigned queue);

/*
 * The next message that has arrived: FORKSERVER_READY, or FORKSERVER_FORKED with an existing queue. Returns false if
 * there is none.
 */
bool forkserver_client_receive(struct forkserver_client *client, struct forkserver_message *message);

/* The end of a child that is not known (yet). */
void forkserver_client_note_exit(struct forkserver_client *client, pid_t pid, int status);

/* Whether the end of this process was noted; then *status gets it. */
bool forkserver_client_find_exit(const struct forkserver_client *client, pid_t pid, int *status);

/* After all children that have ended were reaped: drops their ends, unless a request is outstanding. */
void forkserver_client_forget_exits(struct forkserver_client *client);

/* It was reaped, and its messages were received: closes the channel. There is no fork server now. */
void forkserver_client_ended(struct forkserver_client *client);

/* Arranges for forkserver_client_tick() to start the next one after a wait. Returns that, in milliseconds. */
unsigned forkserver_client_retry(struct forkserver_client *client);

/* Kills it, since it does not answer. Its end is then that of one that hung. */
void forkserver_client_give_up(struct forkserver_client *client);

/* Gives it up if it takes too long over a plugin. */
void forkserver_client_check_deadline(struct forkserver_client *client, uint64_t now_ns);

/*
 * Asks it to unload the plugins and leave, waits for that, kills it otherwise. Returns 0 with its exit status in
 * *status (0 also if it could not be asked), or -ETIMEDOUT. It is reaped in any case; without one, nothing happens.
 */
int forkserver_client_leave(struct forkserver_client *client, int *status);

/* Closes the channel. */
void forkserver_client_done(struct forkserver_client *client);

#endif
