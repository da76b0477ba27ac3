/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksums of a packet, as the RFCs define them: a sum of bytes with their place values, modulo 65535, over a copy that
 * has the pseudo-header in front. Shares no code with engine/.
 */
#ifndef UNIT_CHECKSUMS_H
#define UNIT_CHECKSUMS_H

#include "builder.h"

/* Fills in those of the IPv4 header and of TCP, UDP, ICMP or ICMPv6. After builder_finish(). */
void checksums_put(struct builder *builder);

/*
 * Whether those of a packet with IPv4 without options, or IPv6 without extension headers, and TCP, ICMP or ICMPv6, are
 * right, and its length is the one in its IP header.
 */
bool checksums_are_right(const uint8_t *packet, size_t len);

#endif
