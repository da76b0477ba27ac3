/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The netlink socket of one queue: opened, sized, received from, sent to.
 *
 * A queue belongs to its socket's port id, not to a process: queue processes come and go with the same socket, and
 * exactly one at a time reads it. Functions return 0 (or a count) or a negative errno.
 */
#ifndef ENGINE_QUEUE_NFQUEUE_SOCKET_H
#define ENGINE_QUEUE_NFQUEUE_SOCKET_H

#include "burst/burst.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NFQUEUE_SEND_MAX (128 * 1024) /* the most that one send can take: a burst, or a packet of the largest size */
#define NFQUEUE_SEND_TRIES 1000       /* 1 ms apart, while the kernel is short of memory */

/*
 * Opens a netlink socket, close-on-exec, with its own port id, that only the kernel can send to. no_enobufs: what
 * --no-enobufs says. [supervisor]
 */
int nfqueue_open(bool no_enobufs, int *fd, uint32_t *port_id);

/*
 * Sets the receive buffer to `bytes` if this process may, else to what it may. *granted gets the effective size
 * as the kernel counts it. [supervisor]
 */
int nfqueue_set_receive_buffer(int fd, uint64_t bytes, uint64_t *granted);

/* Whether messages wait in the socket; reads none. A queue process without progress meanwhile hangs. [supervisor] */
bool nfqueue_has_unread(int fd);

/*
 * Receives up to BURST_MAX messages into the slots of a burst that burst_begin_receive() has cleared, without waiting.
 * Returns their number, -EAGAIN when there is none, or what the kernel said. No error is fatal: count it and receive
 * again. [queue process]
 */
int nfqueue_receive(int fd, struct burst *burst);

/* Sends messages, all in one system call. While the kernel is short of memory, waits up to NFQUEUE_SEND_TRIES ms. */
int nfqueue_send(int fd, const void *data, size_t len);

#endif
