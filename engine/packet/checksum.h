/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksum of a transport header and its payload, and the sums that it is made of.
 *
 * Does not depend on where the bytes came from. Never reads beyond packet->len.
 */
#ifndef ENGINE_PACKET_CHECKSUM_H
#define ENGINE_PACKET_CHECKSUM_H

#include <nfqe/packet.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * The sum of 16-bit words in this machine's byte order, with the carries not added yet. After the last byte of an odd
 * number a 0 is added. len: at most 64 KiB.
 */
uint64_t checksum_sum(const uint8_t *bytes, uint32_t len);

/* Adds the carries. 0 only for the sum 0. */
uint16_t checksum_fold(uint64_t sum);

/*
 * The part of the pseudo-header that is not length and protocol, of an IPv4 or IPv6 packet. *dest_known: false if the
 * address of the last receiver is not known; then the sum has that of the sender alone.
 */
uint64_t checksum_addresses(const struct nfqe_packet *packet, bool *dest_known);

/*
 * Whether the checksum of TCP, UDP, ICMP or ICMPv6 is wrong, so that the host that the packet is for ignores it. False
 * also if that cannot be known: the checksum will be computed later, or not all bytes were captured, or it is a
 * fragment, a packet of segmentation offload, or another protocol. [worker] [queue process]
 */
bool packet_checksum_is_wrong(const struct nfqe_packet *packet);

#endif
