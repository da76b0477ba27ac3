/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sending IP packets of the engine's own: the answers to packets that are dropped.
 *
 * The sockets are opened once for all queues, by the supervisor, which has the right to; the queue processes, which have
 * not, share them. They are never read from, and nothing that they do waits.
 */
#ifndef ENGINE_QUEUE_RAW_SOCKETS_H
#define ENGINE_QUEUE_RAW_SOCKETS_H

#include <stdint.h>

struct raw_sockets {
    int ipv4;
    int ipv6;  /* -1: this machine has no IPv6 */
};

/* mark: of the packets. Returns 0 or a negative errno: -EPERM without CAP_NET_RAW. [supervisor] */
int raw_sockets_open(struct raw_sockets *raw, uint32_t mark);

void raw_sockets_close(struct raw_sockets *raw);

/*
 * Sends an IPv4 or IPv6 packet, which is complete. ifindex: the interface of a link-local address that it is for. Returns 0,
 * or a negative errno: -EPERM: the firewall has dropped it; -EACCES: it is for a broadcast address. [queue process]
 */
int raw_sockets_send(const struct raw_sockets *raw, const uint8_t *packet, uint32_t len, uint32_t ifindex);

#endif
