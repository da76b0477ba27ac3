/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an IPv6 packet goes in the end, if a routing header takes it elsewhere first.
 *
 * The answering host is the last one, and the checksum of the transport header is made with its address. Never reads
 * beyond packet->len.
 */
#ifndef ENGINE_PACKET_FINAL_DEST_H
#define ENGINE_PACKET_FINAL_DEST_H

#include <nfqe/packet.h>

#include <stdint.h>

/*
 * The 16 bytes of the last destination of an IPv6 packet whose transport header was found: that of the IPv6 header,
 * unless a routing header has segments left. NULL: the routing header is of a type whose addresses are not known here,
 * or malformed. [worker] [queue process]
 */
const uint8_t *packet_final_dest(const struct nfqe_packet *packet);

#endif
