/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that configure a queue in the kernel: bind, unbind, stop the queueing.
 *
 * Functions return 0 or a negative errno, the kernel's own where it refuses.
 */
#ifndef ENGINE_QUEUE_NFQUEUE_CONFIG_H
#define ENGINE_QUEUE_NFQUEUE_CONFIG_H

#include "config/queue_settings.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether this kernel knows the flag, 0: none, and this socket could bind the queue: 0, -EOPNOTSUPP or -EPERM. The queue
 * must not be bound by this socket. [supervisor]
 */
int nfqueue_probe_flag(int fd, uint16_t queue, uint32_t flag);

/*
 * Binds the queue and sets all its parameters in one message: a queue that is bound and has no copy mode drops its
 * packets. -EPERM: no CAP_NET_ADMIN, or another socket owns the queue; -EBUSY: this socket has it already; -EOPNOTSUPP:
 * the kernel lacks a flag. Nothing is consumed from the socket but an error answer. [supervisor]
 */
int nfqueue_bind(int fd, uint16_t queue, const struct queue_settings *settings);

/* Sets these parameters of a queue that is bound by this socket. As nfqueue_stop_queueing(), the answer is the reader's. */
int nfqueue_configure(int fd, uint16_t queue, const struct queue_settings *settings);

/* Unbinds; what was queued is dropped. -ENODEV: was not bound. [supervisor] */
int nfqueue_unbind(int fd, uint16_t queue);

/*
 * Makes the kernel queue nothing more: new packets are accepted without being queued, or dropped and counted. The
 * answer, if any, lands in the reader's stream: it carries NFQUEUE_SEQUENCE_CONFIGURATION. The setting is in force when
 * this returns 0. [queue process], or [supervisor] while there is none
 */
int nfqueue_stop_queueing(int fd, uint16_t queue, bool accept);

/* Bytes of a receive slot for one message of a queue with these settings. */
uint32_t nfqueue_slot_size(const struct queue_settings *settings);

#endif
