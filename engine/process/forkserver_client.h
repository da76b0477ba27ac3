/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server as the supervisor has it: started, asked for workers, listened to, asked to leave, and given up if it
 * does not answer in time.
 *
 * Always: there is at most one fork server. It has no descriptor but 0 to 2, its channel, the pipe that it prints into,
 * and the copies of the plugins, and no memory of a queue. No function waits. When the owner of the client has seen that
 * it was reaped, it calls forkserver_client_ended(). What becomes of a request is heard on the worker's own channel
 * (births.h).
 *
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_FORKSERVER_CLIENT_H
#define ENGINE_PROCESS_FORKSERVER_CLIENT_H

#include "base/backoff.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "process/areas.h"
#include "process/child.h"
#include "process/engine.h"
#include "process/option_files.h"

#define FORKSERVER_LEAVE_WAIT_MS 1000 /* for unload() */

/* What it is doing while it starts. */
struct forkserver_step {
    struct plugin_ref plugin;
    uint32_t stage;
};

struct forkserver_client {
    struct engine *engine;
    const struct engine_programs *programs;
    struct event_loop *loop;
    struct child process;
    struct event_watch channel; /* fd -1: none */
    bool ready;                /* it has loaded the plugins and makes workers */
    bool hung;                 /* it was killed for not answering in time */
    bool leaving;              /* it was asked to leave */
    uint64_t timeout_ns;       /* to link or load the next plugin, or to leave; 0: it is not waited for */
    uint64_t waited_ns;        /* of it, */
    uint64_t looked_ns;        /* at the last look */
    struct forkserver_step step; /* what it is waited for */
    unsigned birth_timeout_ms; /* for one worker; once it is ready */
    struct option_files files; /* that it has asked for */
    struct areas areas;        /* that its plugins have declared, and those of fork servers before it */
    uint64_t retry_ns;         /* when to start the next one; 0: not waiting */
    struct backoff backoff;
};

/*
 * Prepares a client without a fork server. The owner sets what is called when a message arrives and when the process
 * has ended: ready and context of client->channel and of client->process.end.
 */
void forkserver_client_init(struct forkserver_client *client, struct engine *engine,
                            const struct engine_programs *programs, struct event_loop *loop);

/* Starts a fork server. On failure it is tried again after a wait. */
int forkserver_client_start(struct forkserver_client *client, struct error *error);

/*
 * Asks for a worker by a FORKSERVER_FORK message; it gets a copy of `channel`, its end of a channel to the supervisor.
 * Returns false if there is no fork server that is ready, or it reads no requests.
 */
bool forkserver_client_request(struct forkserver_client *client, const struct process_message *message, int channel);

/*
 * Takes messages that have arrived, a few at a time: a plugin may write faster than they are read. Returns whether the
 * fork server has become ready.
 */
bool forkserver_client_receive(struct forkserver_client *client);

/*
 * Whether it has ended; then it is reaped and forgotten, and *status is as from waitpid(2). Workers that it was making
 * are killed, as far as they have not begun.
 */
bool forkserver_client_reap(struct forkserver_client *client, int *status);

/* Forgets one that was killed and does not end. */
void forkserver_client_forget(struct forkserver_client *client);

/* It was reaped, or forgotten: closes the channel. There is no fork server now. */
void forkserver_client_ended(struct forkserver_client *client);

/* Arranges for the owner's next look at retry_ns to start the next one after a wait. Returns that, in milliseconds. */
unsigned forkserver_client_retry(struct forkserver_client *client);

/* Kills it, since it does not answer. Its end is then that of one that hung; until then it is asked for nothing. */
void forkserver_client_give_up(struct forkserver_client *client);

/*
 * To be called every few milliseconds while client->timeout_ns is not 0: gives it up if it takes too long over a plugin
 * or over its end. Returns whether it did.
 */
bool forkserver_client_look(struct forkserver_client *client, uint64_t now_ns);

/*
 * Asks it to unload the plugins and leave, within FORKSERVER_LEAVE_WAIT_MS; kills it if it cannot be asked, since it is
 * still loading or reads no requests. Without one, nothing happens.
 */
void forkserver_client_leave(struct forkserver_client *client);

/* Closes the channel, the files and the areas, and forgets the process. */
void forkserver_client_done(struct forkserver_client *client);

#endif
