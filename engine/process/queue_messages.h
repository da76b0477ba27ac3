/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the supervisor and a queue process say to each other: messages on the queue process's channel, and the control
 * words, which are a section of the queue's shared memory so that they can be read after a death.
 *
 * Each control word has one writer. Whoever changes one sends QUEUE_CHANGED after it, to wake the other side. No plugin
 * runs in either process, so neither side doubts what the other one says; but what a queue process tells of a worker, the
 * worker may have made up. The layouts are versioned, since a successor of the engine will read them.
 *
 * Process: [supervisor] [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_MESSAGES_H
#define ENGINE_PROCESS_QUEUE_MESSAGES_H

#include "base/error.h"
#include "base/limits.h"
#include "process/ring.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the control words, in the CONTROL section of the queue's shared memory ---- */

#define QUEUE_CONTROL_VERSION 4
#define QUEUE_MESSAGE_TEXT_MAX 512 /* why a queue process cannot go on */

/* What the supervisor asks of the queue process. Only ever later ones. */
enum queue_request {
    QUEUE_OPEN, /* have workers open the plugins; do not touch the socket, the queue is not bound */
    QUEUE_RUN,  /* finish what a predecessor left, answer the queue's packets */
    QUEUE_STOP, /* let the kernel queue nothing more, answer what is queued */
    QUEUE_EXIT, /* when nothing is in flight: have the workers close the plugins, and leave */
};

/* How far the queue process has come. */
enum queue_state {
    QUEUE_STARTING,
    QUEUE_OPENED,   /* waits for QUEUE_RUN */
    QUEUE_SERVING,
    QUEUE_DRAINING, /* the kernel was told to queue nothing more */
    QUEUE_CLOSING,  /* nothing is in flight, the workers are leaving */
    QUEUE_FAILED,   /* exits; `text` says why */
};

struct queue_control {
    /* supervisor to queue process */
    _Atomic uint32_t request; /* enum queue_request */
    _Atomic uint32_t give_up; /* not 0: the crash limit is reached, an outage begins without waiting for a worker */
    _Atomic uint32_t
        retired; /* workers with numbers up to this one get no more packets, and leave when they have none */
    _Atomic uint32_t reasons[PLUGINS_MAX + 1]; /* reason_names.first, before the first worker is born */

    /* queue process to supervisor */
    _Atomic uint32_t state;   /* enum queue_state */
    _Atomic uint32_t outage;  /* bit i: place i has no worker, and its packets get the --on-outage verdict */
    _Atomic uint32_t closing; /* QUEUE_CLOSING: position of the plugin in close() in some worker, or PLUGINS_MAX */
    _Atomic uint32_t cpu;     /* that it and its workers keep to, or CPU_SET_ALL */
    _Atomic uint32_t starved; /* n + 1: workers get no time on CPU n, to which they keep; the supervisor sets it to 0 */
    char text[QUEUE_MESSAGE_TEXT_MAX];

    /* supervisor only */
    uint64_t restarts; /* workers and queue processes that were replaced */
    uint64_t outages; /* that have begun */
};

_Static_assert(sizeof(struct queue_control) == 824, "part of QUEUE_CONTROL_VERSION");

/* ---- messages on the channel (base/channel.h) ---- */

#define QUEUE_MESSAGE_VERSION 1

enum queue_message_kind {
    QUEUE_CHANGED = 1, /* either: a control word has changed */
    QUEUE_NEW_WORKER, /* supervisor: a worker was born, `worker`; a descriptor: its pidfd */
    QUEUE_RING, /* queue process: its ring; RING_FDS descriptors for the worker */
    QUEUE_WORKER_OPENED, /* queue process: its plugins are open */
    QUEUE_WORKER_LOST, /* queue process: it gets no packets any more, and is to be killed */
    QUEUE_KINDS_END,
};

enum queue_message_sender { QUEUE_FROM_SUPERVISOR, QUEUE_FROM_PROCESS };

/* Why a worker is lost. */
enum queue_loss {
    QUEUE_LOSS_ENDED = 1, /* its process has ended */
    QUEUE_LOSS_HUNG, /* it took too long over a packet, or over open(), or over close() */
    QUEUE_LOSS_BROKEN, /* it has broken the protocol of the ring */
    QUEUE_LOSS_REFUSED, /* it has no ring; `text` says why */
    QUEUE_LOSSES_END,
};

struct queue_message {
    uint32_t version; /* QUEUE_MESSAGE_VERSION */
    uint32_t kind; /* enum queue_message_kind */
    uint32_t worker; /* its number, from 1; 0 with QUEUE_CHANGED */

    uint32_t pid; /* of QUEUE_NEW_WORKER; otherwise 0 */

    /* of QUEUE_WORKER_LOST; otherwise 0 */
    uint32_t loss; /* enum queue_loss */
    uint32_t stage; /* what the worker said last of itself: enum ring_state */
    uint32_t plugin; /* position of the plugin that ran, as the worker said, or PLUGINS_MAX */
    uint32_t in_plugin; /* not 0: a plugin had packets */
    uint32_t
        packet_known; /* not 0: packet_id got the --on-crash verdict; else, if in_plugin, it was in handle_batch() */
    uint32_t packet_id;
    uint64_t timeout_ms; /* of QUEUE_LOSS_HUNG: what it had for what it was waited for */
    char text[RING_TEXT_SIZE]; /* why the worker failed, as it said: printable ASCII characters, and a NUL */
};

/* A message of this version. */
struct queue_message queue_message_make(enum queue_message_kind kind, uint32_t worker);

/*
 * Whether a message of `len` bytes, which may be more than the struct has, is one that `from` sends. Returns 0;
 * -EMSGSIZE: it has another length; -EPROTO: another version; -EBADMSG: a kind that `from` does not send, or a field
 * that is out of bounds.
 */
int queue_message_check(const struct queue_message *message, size_t len, enum queue_message_sender from);

#endif
