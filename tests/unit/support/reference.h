/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be known of a packet's headers: a second parser, which the first one is compared with.
 *
 * It is written from the RFCs and from the rule for NFQE_PACKET_HEADERS_CUT in nfqe/packet.h, byte by byte and without
 * regard to speed; it shares no code, table or constant with packet/parse.c.
 */
#ifndef UNIT_REFERENCE_H
#define UNIT_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFERENCE_NONE 0xffff

struct reference {
    unsigned version; /* 4, 6; 0: no IP header */
    unsigned protocol;
    bool protocol_known;
    unsigned transport;
    unsigned payload;
    unsigned payload_len;
    bool fragment;
    bool source_route;
    bool cut;
};

/* The packet of which `len` bytes were captured. wire_len: 0 if it is not known. ether_type: 0 if it is not known. */
struct reference reference_read(const uint8_t *bytes, size_t len, size_t wire_len, unsigned ether_type);

#endif
