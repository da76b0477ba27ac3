/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes packets from the two ends of their flow: addresses, ports and protocol.
 *
 * Protocols for which the builder has no header get one with ports and zeros.
 */
#include "flow_ends.h"

#include <string.h>

#define UDP_SIZE 8
#define TRANSPORT_SIZE 16 /* of the protocols that the builder has no header for */

const uint8_t flow_port_protocols[5] = {
    NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP, FLOW_UDP_LITE, FLOW_SCTP, FLOW_DCCP,
};

struct flow_ends flow_ends_of(unsigned version, uint8_t protocol)
{
    struct flow_ends ends = {
        .version = version,
        .protocol = protocol,
        .icmp_type = version == 4 ? FLOW_ECHO : FLOW_ECHO_V6,
        .source_port = {0x12, 0x34},
        .dest_port = {0x00, 0x50},
    };

    for (unsigned i = 0; i < sizeof(ends.source); i++) {
        ends.source[i] = (uint8_t)(0x20 + i);
        ends.dest[i] = (uint8_t)(0x20 + i);
    }
    ends.dest[version == 4 ? 3 : 15] ^= 0xff; /* they differ in their last byte only */
    return ends;
}

struct flow_ends flow_ends_reversed(const struct flow_ends *ends)
{
    struct flow_ends other = *ends;

    memcpy(other.source, ends->dest, sizeof(other.source));
    memcpy(other.dest, ends->source, sizeof(other.dest));
    memcpy(other.source_port, ends->dest_port, sizeof(other.source_port));
    memcpy(other.dest_port, ends->source_port, sizeof(other.dest_port));
    return other;
}

/* ---- packets ------------------------------------------------------------------------------------------- */

void flow_build_transport(struct builder *builder, const struct flow_ends *ends)
{
    uint8_t *header;

    switch (ends->protocol) {
    case NFQE_PROTOCOL_TCP:
        builder_tcp(builder, 0);
        break;
    case NFQE_PROTOCOL_UDP:
        builder_udp(builder);
        builder->bytes[builder->transport + 5] = UDP_SIZE;
        break;
    case NFQE_PROTOCOL_ICMP:
        builder_icmp(builder);
        break;
    case NFQE_PROTOCOL_ICMPV6:
        builder_icmpv6(builder);
        break;
    default:
        builder_protocol(builder, ends->protocol);
        builder->transport = builder->len;
        builder_bytes(builder, TRANSPORT_SIZE);
        break;
    }
    header = builder->bytes + builder->transport;
    if (ends->protocol == NFQE_PROTOCOL_ICMP || ends->protocol == NFQE_PROTOCOL_ICMPV6) {
        header[0] = ends->icmp_type;
        header += 4;
    }
    memcpy(header, ends->source_port, 2);
    memcpy(header + 2, ends->dest_port, 2);
}

void flow_build_network(struct builder *builder, const struct flow_ends *ends, uint16_t fragment)
{
    if (ends->version == 4) {
        builder_ipv4(builder, 0, fragment);
        memcpy(builder->bytes + 12, ends->source, 4);
        memcpy(builder->bytes + 16, ends->dest, 4);
    } else {
        builder_ipv6(builder);
        memcpy(builder->bytes + 8, ends->source, 16);
        memcpy(builder->bytes + 24, ends->dest, 16);
    }
}

void flow_build(struct builder *builder, const struct flow_ends *ends)
{
    flow_build_network(builder, ends, 0);
    flow_build_transport(builder, ends);
    builder_finish(builder);
}
