/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that the processes of an engine say to each other: messages on the channels of the fork server and of each
 * worker, and the words in shared memory of a queue's worker and of the fork server.
 *
 * Each word in shared memory has one writer. A change of a worker's words, by the supervisor or by the worker, is
 * followed by WORKER_WAKE on the worker's channel. Plugins run in fork server and workers, so the supervisor keeps its
 * own copy of what it asked for, and checks what they say before it uses it. Who sent a message the kernel says.
 *
 * The layouts are versioned, since a successor of the engine will read them. Process: any.
 */
#ifndef ENGINE_PROCESS_MESSAGES_H
#define ENGINE_PROCESS_MESSAGES_H

#include "base/error.h"
#include "plugin/plugin_ref.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Exit status of a fork server or worker that failed; the reason is in its status or its control words. */
#define PROCESS_EXIT_FAILED 70

/* ---- the control words of a queue's worker, in the CONTROL section of the queue's shared memory ---- */

#define WORKER_CONTROL_VERSION 1
#define WORKER_MESSAGE_MAX 512 /* text from a worker that cannot go on */

/* What the supervisor asks of the worker. */
enum worker_request {
    WORKER_RUN, /* answer the queue's packets */
    WORKER_STOP, /* let the kernel queue nothing more, answer what is queued */
    WORKER_EXIT, /* leave between two bursts */
};

/* How far the worker has come. */
enum worker_state {
    WORKER_STARTING, /* opening the plugins; `plugin` is the one in open() */
    WORKER_OPENED, /* waits until it is the queue's owner */
    WORKER_SERVING,
    WORKER_DRAINING, /* the kernel was told to queue nothing more */
    WORKER_FAILED, /* was serving, and exits; `message` says why, as it does for one that fails while STARTING */
};

struct worker_control {
    /* supervisor to worker */
    _Atomic uint32_t owner; /* pid of the one worker that may read the socket */
    _Atomic uint32_t request; /* enum worker_request */

    /* worker to supervisor */
    _Atomic uint32_t state; /* enum worker_state */
    uint32_t reserved;
    _Atomic struct plugin_ref plugin; /* the one in open() or close(), or PLUGIN_REF_NONE */
    char message[WORKER_MESSAGE_MAX];

    /* supervisor only */
    uint64_t restarts; /* workers that were replaced */
};

_Static_assert(sizeof(struct worker_control) == 544, "part of WORKER_CONTROL_VERSION");

/* ---- the fork server's status, in memory that it shares with the supervisor ---- */

enum forkserver_stage { FORKSERVER_LINKING, FORKSERVER_LOADING, FORKSERVER_LOADED, FORKSERVER_UNLOADING };

/* How far it has come. In shared memory, since it may die on the way. */
struct forkserver_status {
    _Atomic uint32_t stage; /* enum forkserver_stage */
    uint32_t reserved;
    _Atomic struct plugin_ref plugin; /* the one being linked, loaded or unloaded, or PLUGIN_REF_NONE */
    char error[ERROR_TEXT_MAX]; /* why that one is refused */
};

/* ---- messages on a channel (base/channel.h) ---- */

#define MESSAGE_VERSION 2

enum message_kind {
    /* between supervisor and fork server */
    FORKSERVER_READY = 1, /* fork server: every plugin is loaded */
    FORKSERVER_FORK, /* supervisor: make a worker for queue `value`; a descriptor: its end of the worker's channel */
    FORKSERVER_LEAVE, /* supervisor: unload the plugins and exit */

    /* between supervisor and worker */
    WORKER_NOT_FORKED, /* fork server, in place of the worker: there is none; `value`: errno */
    WORKER_HELLO, /* worker: it is there, and a child of the supervisor */
    WORKER_DESCRIPTORS, /* supervisor: the queue's socket, its shared memory, and a pipe for what it prints */
    WORKER_WAKE, /* either: a control word has changed */
};

/* Who may have sent a message. A fork server has a worker's end until the worker is there. */
enum message_sender { FROM_SUPERVISOR, FROM_FORKSERVER, FROM_BIRTH, FROM_WORKER };

struct process_message {
    uint32_t version; /* MESSAGE_VERSION */
    uint32_t kind; /* enum message_kind */
    uint32_t value; /* 0 where the kind has none */
    uint32_t reserved;
};

_Static_assert(sizeof(struct process_message) == 16, "part of MESSAGE_VERSION");

/* A message of this version. */
struct process_message process_message_make(enum message_kind kind, uint32_t value);

/*
 * Whether a message of `len` bytes, which may be more than the struct has, is one that `from` sends to an engine with
 * so many queues. Returns 0; -EMSGSIZE: it has another length; -EPROTO: another version;
 * -EBADMSG: a kind that `from` does not send, or a field that is out of bounds or not part of the kind.
 */
int process_message_check(const struct process_message *message, size_t len, enum message_sender from, uint32_t queues);

#endif
