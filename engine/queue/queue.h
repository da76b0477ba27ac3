/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One queue of the kernel as the supervisor has it: its netlink socket, opened, checked, bound, unbound, closed.
 *
 * What can be refused without binding is refused by queue_open(): until a queue is bound, the firewall's `bypass`
 * applies. Functions that fail return a negative errno with the reason in *error. Process: [supervisor]; a queue
 * process inherits the socket.
 */
#ifndef ENGINE_QUEUE_QUEUE_H
#define ENGINE_QUEUE_QUEUE_H

#include "base/error.h"
#include "config/plan.h"
#include "config/queue_settings.h"
#include "queue/nfqueue_proc.h"

#include <stdbool.h>
#include <stdint.h>

struct queue {
    uint16_t number;
    int socket;                     /* -1: closed; read by the queue process alone */
    uint32_t port_id;
    bool bound;
    struct queue_settings settings; /* those of the plan, less an optional flag that the kernel lacks */
    uint64_t wanted_receive_buffer; /* bytes */
    uint64_t receive_buffer;        /* bytes that the kernel granted */
    bool limited_receive_buffer;    /* it was sized here, not by the user */
    bool unbound;                   /* it was bound, and is not any more */
    int last_code;                  /* then: as queue_read_status() is to answer */
    struct nfqueue_status last;
};

/* Bytes of the receive buffer that a message with all that is copied takes at most. */
uint64_t queue_message_cost(const struct queue_settings *settings);

/* Sets up a closed queue. */
void queue_init(struct queue *queue, uint16_t number);

/*
 * Opens the socket, checks that no other program owns the queue, asks the kernel for each flag of the plan, and sizes
 * the receive buffer. To be followed by queue_close(), also after a failure. If the kernel lacks a flag, the exit code
 * is EXIT_CODE_PLUGIN if a plugin needs it and EXIT_CODE_CONFIGURATION if only the user asked for it; otherwise it is
 * EXIT_CODE_QUEUE.
 */
int queue_open(struct queue *queue, const struct plan *plan, struct error *error);

/* Binds the queue with its settings. EXIT_CODE_QUEUE: another program owns it, or the kernel refuses. */
int queue_bind(struct queue *queue, struct error *error);

/*
 * The kernel's figures of the queue; once it is unbound, its last ones. -ENODEV: there is no such queue, or it is that of
 * another socket. Returns 0 or a negative errno.
 */
int queue_read_status(const struct queue *queue, struct nfqueue_status *status);

/* Unbinds the queue if it is bound, whatever process has the socket, too; what is queued is dropped. */
void queue_unbind(struct queue *queue);

/* The same for a caller that has just read its last figures: *last if code is 0, else why there are none. */
void queue_unbind_after(struct queue *queue, int code, const struct nfqueue_status *last);

/* Unbinds the queue if it is bound, and closes its socket. Also for one that was never opened, and twice. */
void queue_close(struct queue *queue);

#endif
