/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet's host side: finds the headers in the captured bytes, so that the accessors of
 * nfqe/packet.h are a comparison and an addition.
 *
 * Knows nothing of where the bytes came from. Never reads beyond packet->len.
 */
#ifndef ENGINE_PACKET_PARSE_H
#define ENGINE_PACKET_PARSE_H

#include <nfqe/packet.h>

/*
 * Sets network, transport, payload, protocol and the flags FRAGMENT and HEADERS_CUT from data and len.
 * hw_protocol chooses IPv4 or IPv6; where it is 0, the version nibble does. [worker]
 */
void packet_parse(struct nfqe_packet *packet);

#endif
