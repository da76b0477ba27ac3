/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What supervisor and worker say to each other, in the CONTROL section of the queue's shared memory.
 *
 * Each word has one writer. A change by the supervisor is followed by a write to the queue's eventfd, a change by the
 * worker by one to the supervisor's. A worker runs plugin code, so the supervisor keeps its own copy of what it asked
 * for, and takes what the worker says for no more than a claim.
 */
#ifndef ENGINE_PROCESS_MESSAGES_H
#define ENGINE_PROCESS_MESSAGES_H

#include <stdatomic.h>
#include <stdint.h>

#define WORKER_CONTROL_VERSION 1
#define WORKER_MESSAGE_MAX 512 /* text from a worker that cannot go on */
#define WORKER_NO_PLUGIN UINT32_MAX

/* Exit status of fork server and workers, beside 0: the reason is in the control words or in the fork server's status. */
#define PROCESS_EXIT_FAILED 70

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
    _Atomic uint32_t plugin; /* position of the one in open() or close(), or WORKER_NO_PLUGIN */
    char message[WORKER_MESSAGE_MAX];

    /* supervisor only */
    uint64_t restarts; /* workers that were replaced */
};

_Static_assert(sizeof(struct worker_control) == 536, "part of WORKER_CONTROL_VERSION");

#endif
