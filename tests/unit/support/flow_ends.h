/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets made from the two ends of their flow, for the tests of flow keys.
 */
#ifndef UNIT_FLOW_ENDS_H
#define UNIT_FLOW_ENDS_H

#include "builder.h"

#define FLOW_SCTP 132
#define FLOW_DCCP 33
#define FLOW_UDP_LITE 136
#define FLOW_ECHO_REPLY 0
#define FLOW_ECHO 8
#define FLOW_ECHO_V6 128
#define FLOW_ECHO_REPLY_V6 129

/* Protocols that have ports. */
extern const uint8_t flow_port_protocols[5];

/* The ends of a packet's flow. For ICMP, the ports are the identifier and the sequence number. */
struct flow_ends {
    unsigned version;
    uint8_t protocol;
    uint8_t icmp_type;
    uint8_t source[16]; /* IPv4: the first 4 bytes */
    uint8_t dest[16];
    uint8_t source_port[2];
    uint8_t dest_port[2];
};

/* Two ends that differ in the last byte of the address, and in the port. */
struct flow_ends flow_ends_of(unsigned version, uint8_t protocol);

/* What the other end sends. */
struct flow_ends flow_ends_reversed(const struct flow_ends *ends);

/* A complete packet; or a fragment, with the 16 bits of flags and offset of IPv4. */
void flow_build(struct builder *builder, const struct flow_ends *ends);
void flow_build_network(struct builder *builder, const struct flow_ends *ends, uint16_t fragment);
void flow_build_transport(struct builder *builder, const struct flow_ends *ends);

#endif
