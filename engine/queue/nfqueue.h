/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel edge: the netlink socket of one queue.
 *
 * nfqueue_decode.c is the packet path (receive a burst, decode a message, send verdicts) and belongs to the
 * worker; nfqueue_config.c opens, binds, configures and observes, and belongs to the supervisor.
 * A queue belongs to its socket's port id, not to a process: workers come and go with the same
 * socket, and exactly one process at a time reads it.
 *
 * Functions return 0 (or a count) or a negative errno.
 */
#ifndef ENGINE_QUEUE_NFQUEUE_H
#define ENGINE_QUEUE_NFQUEUE_H

#include "base/limits.h"
#include "burst/arena.h"
#include "config/queue_settings.h"

#include <nfqe/packet.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * nlmsg_seq tells the kernel's answers apart, which may come a thousand packets later: configuration requests have
 * the first bit, verdicts that the kernel may have had already the second; below is the number of the burst.
 */
#define NFQUEUE_CONFIGURATION_SEQUENCE UINT32_C(0x80000000)
#define NFQUEUE_RESENT_SEQUENCE UINT32_C(0x40000000)

/* ---- nfqueue_config.c [supervisor] -------------------------------------------------------------- */

/* One line of /proc/net/netfilter/nfnetlink_queue. */
struct nfqueue_status {
    uint32_t queue;
    uint32_t port_id;
    uint32_t waiting;       /* packets queued and not yet answered */
    uint32_t copy_mode;     /* 0 none, 1 metadata, 2 packet */
    uint32_t copy_range;
    uint32_t queue_dropped; /* dropped since the queue was full */
    uint32_t user_dropped;  /* dropped since the socket's receive buffer was full */
    uint32_t last_id;
};

/* Opens a netlink socket, close-on-exec, with its own port id. no_enobufs: see --no-enobufs. */
int nfqueue_open(bool no_enobufs, int *fd, uint32_t *port_id);

/* Whether this kernel knows the flag: 0, or -EOPNOTSUPP. The queue must not be bound by this socket. */
int nfqueue_probe_flag(int fd, uint16_t queue, uint32_t flag);

/*
 * Sets the receive buffer to `bytes` if this process may, else to what it may. *granted gets the effective size
 * as the kernel counts it.
 */
int nfqueue_set_receive_buffer(int fd, uint64_t bytes, uint64_t *granted);

/*
 * Binds the queue and sets all its parameters in one message: back to back, since a new queue drops its packets.
 * -EPERM: no CAP_NET_ADMIN, or another socket owns the queue; -EBUSY: this socket has it already;
 * -EOPNOTSUPP: the kernel lacks a flag. Nothing is consumed from the socket but an error answer.
 */
int nfqueue_bind(int fd, uint16_t queue, const struct queue_settings *settings);

/* Unbinds; what was queued is dropped. -ENODEV: was not bound. */
int nfqueue_unbind(int fd, uint16_t queue);

/* The queue's line in /proc; -ENOENT: nobody has bound it. */
int nfqueue_read_status(uint16_t queue, struct nfqueue_status *status);

/* Reads /proc once and calls visit for each bound queue of the namespace. */
typedef void nfqueue_visit_status(void *context, const struct nfqueue_status *status);
int nfqueue_each_status(nfqueue_visit_status *visit, void *context);

/* Whether messages wait in the socket; does not read it. With a worker that does nothing: it does not run. */
bool nfqueue_has_unread(int fd);

/* Slot size for one message of a queue with these settings, for arena_new(). */
uint32_t nfqueue_slot_size(const struct queue_settings *settings);

/*
 * Makes the kernel queue nothing more: new packets are accepted unseen, or dropped and counted. The answer, if
 * any, lands in the reader's stream: it carries NFQUEUE_CONFIGURATION_SEQUENCE. The setting is in force when
 * this returns 0. [worker], or [supervisor] while no worker lives
 */
int nfqueue_stop_queueing(int fd, uint16_t queue, bool accept);

/* ---- nfqueue_decode.c [worker] -------------------------------------------------------------------------- */

/*
 * Receives up to BURST_MAX messages into the arena, without waiting; enters RECEIVING. Returns their number,
 * -EAGAIN when there is none, or what the kernel said. No error is fatal: count it and receive again.
 */
int nfqueue_receive(int fd, struct arena *arena);

enum nfqueue_kind {
    NFQUEUE_PACKET,
    NFQUEUE_TRUNCATED, /* a packet whose message did not fit its slot: only its id is known */
    NFQUEUE_ANSWER,    /* the kernel's answer to a verdict or a configuration request */
    NFQUEUE_MALFORMED, /* nothing that this queue's socket should receive */
};

struct nfqueue_answer {
    int error;       /* negative errno; 0: acknowledged */
    uint32_t sequence; /* nlmsg_seq of what it answers */
    bool verdict;    /* it answers a verdict, not a configuration request */
    bool resent;     /* of a verdict that may have been answered before */
};

/*
 * Decodes one message. PACKET: *packet is filled, its data points into the message. TRUNCATED: packet->id is.
 * ANSWER: *answer is filled. cut: the kernel said that the message was longer than the slot.
 * Never reads outside data[len].
 */
enum nfqueue_kind nfqueue_decode(const void *data, size_t len, bool cut, uint16_t queue, struct nfqe_packet *packet,
                                 struct nfqueue_answer *answer);

/* The most that one send can take: a burst, or a packet of the largest size, with its messages. */
#define NFQUEUE_SEND_MAX (128 * 1024)

/* Sends messages at once. Waits while the kernel is short of memory, at most NFQUEUE_SEND_TRIES ms. */
#define NFQUEUE_SEND_TRIES 1000
int nfqueue_send(int fd, const void *data, size_t len);

#endif
