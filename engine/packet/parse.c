/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header parser: finds the network and transport header and the payload of an IPv4 or IPv6 packet.
 *
 * The offset of a header that the packet does not have (later fragment, "no next header", unknown protocol) is
 * NFQE_NONE. If a header must be there but is malformed or was not captured, NFQE_PACKET_HEADERS_CUT is set as well,
 * so that a plugin can tell "not TCP" from "cannot know".
 *
 * Never reads beyond packet->len, and each step of the loop over IPv6 extension headers consumes captured bytes. Runs
 * in the worker, for every packet; allocates nothing.
 */
#include "packet/parse.h"

#include <stdbool.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000

/* IPv6 next-header numbers */
#define IPV6_HOP_BY_HOP 0
#define IPV6_ROUTING 43
#define IPV6_FRAGMENT 44
#define IPV6_AUTHENTICATION 51
#define IPV6_NO_NEXT 59
#define IPV6_DESTINATION 60
#define IPV6_MOBILITY 135
#define IPV6_HOST_IDENTITY 139
#define IPV6_SHIM6 140
#define IPV6_EXTENSION_UNIT 8

static void cut(struct nfqe_packet *packet)
{
    packet->flags |= NFQE_PACKET_HEADERS_CUT;
}

/* Where the captured bytes of the IP packet end; padding may follow. ip_len 0: a packet of more than 64 KiB. */
static uint32_t packet_end(const struct nfqe_packet *packet, uint32_t ip_len)
{
    return ip_len != 0 && ip_len < packet->len ? ip_len : packet->len;
}

/* Bytes of the fixed part of a transport header; 0: a protocol without accessor. */
static uint32_t transport_size(uint8_t protocol)
{
    switch (protocol) {
    case NFQE_PROTOCOL_TCP:
        return sizeof(struct nfqe_tcp);
    case NFQE_PROTOCOL_UDP:
        return sizeof(struct nfqe_udp);
    case NFQE_PROTOCOL_ICMP:
        return sizeof(struct nfqe_icmp);
    case NFQE_PROTOCOL_ICMPV6:
        return sizeof(struct nfqe_icmpv6);
    default:
        return 0;
    }
}

/*
 * Sets `transport`, and `payload` to the end of the transport header. ip_len: length of the IP packet, or 0. If the
 * header reaches beyond the IP packet, no offset is set: an accessor would read link-layer padding as ports.
 */
static void parse_transport(struct nfqe_packet *packet, uint32_t offset, uint32_t ip_len)
{
    uint32_t end = packet_end(packet, ip_len);
    uint32_t size = transport_size(packet->protocol);
    const struct nfqe_tcp *tcp;

    if (offset >= end || offset >= NFQE_NONE || (ip_len != 0 && ip_len - offset < size)) {
        cut(packet);
        return;
    }
    packet->transport = (uint16_t)offset;
    if (size == 0) {
        return;
    }
    tcp = nfqe_tcp(packet);
    if (tcp != NULL) {
        size = (uint32_t)(tcp->data_offset >> 4) * 4;
    }
    if (end - offset < size || size < transport_size(packet->protocol)) {
        cut(packet);
        return;
    }
    packet->payload = (uint16_t)(offset + size);
}

static void parse_ipv4(struct nfqe_packet *packet)
{
    const struct nfqe_ipv4 *header;
    uint32_t header_size;
    uint16_t fragment;

    packet->network = 0;
    header = nfqe_ipv4(packet);
    if (header == NULL) {
        packet->network = NFQE_NONE;
        cut(packet);
        return;
    }
    packet->protocol = header->protocol;
    header_size = (uint32_t)(header->version_ihl & 0x0f) * 4;
    if (header_size < sizeof(struct nfqe_ipv4)) {
        cut(packet);
        return;
    }
    fragment = nfqe_be16(header->fragment);
    if ((fragment & (IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS)) != 0) {
        packet->flags |= NFQE_PACKET_FRAGMENT;
        if ((fragment & IPV4_OFFSET_MASK) != 0) {
            return;
        }
    }
    parse_transport(packet, header_size, nfqe_be16(header->total_len));
}

static bool is_extension(uint8_t next_header)
{
    switch (next_header) {
    case IPV6_HOP_BY_HOP:
    case IPV6_ROUTING:
    case IPV6_FRAGMENT:
    case IPV6_AUTHENTICATION:
    case IPV6_DESTINATION:
    case IPV6_MOBILITY:
    case IPV6_HOST_IDENTITY:
    case IPV6_SHIM6:
        return true;
    default:
        return false;
    }
}

/* Walks the extension headers. Each has at least 8 captured bytes, which bounds the loop. */
static void parse_ipv6(struct nfqe_packet *packet)
{
    const struct nfqe_ipv6 *header;
    uint32_t offset = sizeof(struct nfqe_ipv6);
    uint32_t ip_len;
    uint8_t next;

    packet->network = 0;
    header = nfqe_ipv6(packet);
    if (header == NULL) {
        packet->network = NFQE_NONE;
        cut(packet);
        return;
    }
    next = header->next_header;
    ip_len = nfqe_be16(header->payload_len);
    ip_len += ip_len != 0 ? sizeof(struct nfqe_ipv6) : 0;
    for (;;) {
        const uint8_t *extension;

        if (next == IPV6_NO_NEXT) {
            packet->protocol = next;
            return;
        }
        if (!is_extension(next)) {
            packet->protocol = next;
            parse_transport(packet, offset, ip_len);
            return;
        }
        extension = (const uint8_t *)nfqe_bytes(packet, offset, IPV6_EXTENSION_UNIT);
        if (extension == NULL) {
            cut(packet);
            return;
        }
        if (next == IPV6_FRAGMENT) {
            uint16_t fragment = (uint16_t)((extension[2] << 8) | extension[3]);

            packet->flags |= NFQE_PACKET_FRAGMENT;
            if ((fragment & 0xfff8) != 0) {
                packet->protocol = is_extension(extension[0]) ? 0 : extension[0];
                return;
            }
            offset += IPV6_EXTENSION_UNIT;
        } else if (next == IPV6_AUTHENTICATION) {
            offset += ((uint32_t)extension[1] + 2) * 4;
        } else {
            offset += ((uint32_t)extension[1] + 1) * IPV6_EXTENSION_UNIT;
        }
        next = extension[0];
    }
}

void packet_parse(struct nfqe_packet *packet)
{
    unsigned protocol = packet->hw_protocol;

    packet->network = NFQE_NONE;
    packet->transport = NFQE_NONE;
    packet->payload = NFQE_NONE;
    packet->protocol = 0;
    packet->flags &= (uint16_t) ~(NFQE_PACKET_FRAGMENT | NFQE_PACKET_HEADERS_CUT);
    if (packet->len == 0) {
        cut(packet);
        return;
    }
    if (protocol == 0) {
        protocol = packet->data[0] >> 4 == 4 ? ETHERTYPE_IPV4 : packet->data[0] >> 4 == 6 ? ETHERTYPE_IPV6 : 0;
    }
    if (protocol == ETHERTYPE_IPV4) {
        parse_ipv4(packet);
    } else if (protocol == ETHERTYPE_IPV6) {
        parse_ipv6(packet);
    }
}
