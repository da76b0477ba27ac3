/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel's routes say of an address: whether it is a broadcast address, and which address of this machine it is
 * reached from.
 *
 * Needs no right. Sends nothing, and nothing waits. Process: [queue process].
 */
#ifndef ENGINE_QUEUE_ROUTE_PROBE_H
#define ENGINE_QUEUE_ROUTE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct route_probe {
    int ipv4; /* -1: there is no such socket */
    int ipv6;
};

/* Without sockets, no address is one for broadcasts, and none is reached. */
void route_probe_open(struct route_probe *probe);

void route_probe_close(struct route_probe *probe);

/* Whether the IPv4 address is that of all hosts of a network that this machine is in. */
bool route_probe_is_broadcast(const struct route_probe *probe, const uint8_t address[4]);

/*
 * The source address that this machine has for packets to the address. ifindex: the interface of a link-local one. Returns
 * 0, or a negative errno: there is no route.
 */
int route_probe_source(const struct route_probe *probe, int family, const uint8_t *address, uint32_t ifindex,
                       uint8_t source[16]);

#endif
