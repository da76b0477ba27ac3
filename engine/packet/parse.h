/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parses the headers of a packet once, so that the accessors of nfqe/packet.h only compare and add.
 *
 * Does not depend on where the bytes came from. Never reads beyond packet->len.
 */
#ifndef ENGINE_PACKET_PARSE_H
#define ENGINE_PACKET_PARSE_H

#include <nfqe/packet.h>

/*
 * Sets network, transport, payload, payload_len, protocol and the flags that tell of headers from data and len.
 * hw_protocol selects IPv4 or IPv6; if it is 0, the version field of the IP header does. [queue process]
 */
void packet_parse(struct nfqe_packet *packet);

#endif
