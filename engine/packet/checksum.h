/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksum of a transport header and its payload.
 *
 * Does not depend on where the bytes came from. Never reads beyond packet->len.
 */
#ifndef ENGINE_PACKET_CHECKSUM_H
#define ENGINE_PACKET_CHECKSUM_H

#include <nfqe/packet.h>

#include <stdbool.h>

/*
 * Whether the checksum of TCP, UDP, ICMP or ICMPv6 is wrong, so that the host that the packet is for ignores it. False
 * also if that cannot be known: the checksum will be computed later, or not all bytes were captured, or it is a
 * fragment, a packet of segmentation offload, or another protocol. [worker] [queue process]
 */
bool packet_checksum_is_wrong(const struct nfqe_packet *packet);

#endif
