/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header parser: finds the network and transport header and the payload of an IPv4 or IPv6 packet.
 *
 * The offset of a header that the packet does not have (later fragment, "no next header", unknown protocol) is
 * NFQE_NONE. NFQE_PACKET_HEADERS_CUT is set by the rule that nfqe/packet.h spells out, so that a plugin can tell "not
 * TCP" from "cannot know".
 *
 * A header is read only if all of it lies before limits.end: it was captured, and it belongs to the IP packet and not
 * to the padding after it. Each step of the loop over extension headers consumes at least 8 such bytes. One table says
 * for each protocol number what header it has. Runs in the queue process, for every packet; allocates nothing.
 */
#include "packet/parse.h"

#include <netinet/in.h>
#include <stdbool.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OPTION_END 0
#define IPV4_OPTION_NONE 1
#define IPV4_LOOSE_ROUTE 131
#define IPV4_STRICT_ROUTE 137

#define IPV6_OFFSET_MASK 0xfff8
#define IPV6_EXTENSION_UNIT 8

#define PROTOCOL_HOST_IDENTITY 139
#define PROTOCOL_SHIM6 140

#define GRE_CHECKSUM_OR_ROUTING 0xc0
#define GRE_KEY 0x20
#define GRE_SEQUENCE 0x10
#define GRE_ACKNOWLEDGMENT 0x80
#define GRE_VERSION 0x07
#define GRE_FIELD 4
#define DCCP_LONG_SEQUENCE 0x01

enum kind {
    KIND_TRANSPORT,
    KIND_AUTHENTICATION, /* the only one that IPv4 has, too */
    KIND_EXTENSION,
    KIND_ROUTING,
    KIND_FRAGMENT,
    KIND_NO_NEXT,
};

static const struct protocol {
    uint8_t kind;    /* enum kind */
    uint8_t size;    /* bytes of the fixed part of its header; 0: not known here */
    uint8_t payload; /* not 0: nfqe_packet.payload says where its header ends */
} protocols[256] = {
    [IPPROTO_HOPOPTS] = {KIND_EXTENSION, 8, 0},
    [NFQE_PROTOCOL_ICMP] = {KIND_TRANSPORT, sizeof(struct nfqe_icmp_header), 1},
    [NFQE_PROTOCOL_TCP] = {KIND_TRANSPORT, sizeof(struct nfqe_tcp_header), 1},
    [NFQE_PROTOCOL_UDP] = {KIND_TRANSPORT, sizeof(struct nfqe_udp_header), 1},
    [IPPROTO_DCCP] = {KIND_TRANSPORT, 12, 0},
    [IPPROTO_ROUTING] = {KIND_ROUTING, 8, 0},
    [IPPROTO_FRAGMENT] = {KIND_FRAGMENT, 8, 0},
    [IPPROTO_GRE] = {KIND_TRANSPORT, 4, 0},
    [IPPROTO_ESP] = {KIND_TRANSPORT, 8, 0},
    [IPPROTO_AH] = {KIND_AUTHENTICATION, 8, 0},
    [NFQE_PROTOCOL_ICMPV6] = {KIND_TRANSPORT, sizeof(struct nfqe_icmpv6_header), 1},
    [IPPROTO_NONE] = {KIND_NO_NEXT, 0, 0},
    [IPPROTO_DSTOPTS] = {KIND_EXTENSION, 8, 0},
    [IPPROTO_SCTP] = {KIND_TRANSPORT, 12, 0},
    [IPPROTO_MH] = {KIND_EXTENSION, 8, 0},
    [IPPROTO_UDPLITE] = {KIND_TRANSPORT, 8, 0},
    [PROTOCOL_HOST_IDENTITY] = {KIND_EXTENSION, 8, 0},
    [PROTOCOL_SHIM6] = {KIND_EXTENSION, 8, 0},
};

struct limits {
    uint32_t end;    /* of the bytes that were captured and belong to the IP packet */
    uint32_t ip_end; /* of the IP packet; UINT32_MAX: not known */
};

/* ip_len: as the IP header says; 0: longer than the field can say, made by segmentation offload. */
static struct limits find_limits(const struct nfqe_packet *packet, uint32_t ip_len)
{
    uint32_t wire_len = packet->wire_len >= packet->len ? packet->wire_len : UINT32_MAX;
    uint32_t ip_end = ip_len != 0 ? ip_len : wire_len;
    uint32_t end = packet->len < NFQE_NONE ? packet->len : NFQE_NONE - 1; /* no offset has the value NFQE_NONE */

    return (struct limits){.end = end < ip_end ? end : ip_end, .ip_end = ip_end};
}

static uint16_t read_be16(const uint8_t *bytes)
{
    return (uint16_t)((bytes[0] << 8) | bytes[1]);
}

static void set_protocol(struct nfqe_packet *packet, uint8_t protocol)
{
    packet->protocol = protocol;
    packet->flags |= NFQE_PACKET_PROTOCOL_KNOWN;
}

static void cut(struct nfqe_packet *packet)
{
    packet->flags |= NFQE_PACKET_HEADERS_CUT;
}

static uint32_t gre_size(const uint8_t *header)
{
    uint32_t fields =
        ((header[0] & GRE_CHECKSUM_OR_ROUTING) != 0) + ((header[0] & GRE_KEY) != 0) + ((header[0] & GRE_SEQUENCE) != 0);

    fields += (header[1] & GRE_VERSION) == 1 && (header[1] & GRE_ACKNOWLEDGMENT) != 0;
    return GRE_FIELD * (1 + fields);
}

/* Bytes of a transport header of which the fixed part is there; less than that part if its length field is wrong. */
static uint32_t transport_size(uint8_t protocol, const uint8_t *header)
{
    switch (protocol) {
    case NFQE_PROTOCOL_TCP:
        return (uint32_t)(header[12] >> 4) * 4;
    case NFQE_PROTOCOL_UDP: /* the length of a datagram, at least its header; 0: as long as the IP packet */
        return read_be16(header + 4) - 1U < sizeof(struct nfqe_udp_header) - 1 ? 0 : sizeof(struct nfqe_udp_header);
    case IPPROTO_DCCP: {
        uint32_t generic = (header[8] & DCCP_LONG_SEQUENCE) != 0 ? 16 : 12;

        return header[4] * 4U >= generic ? header[4] * 4U : 0;
    }
    case IPPROTO_GRE:
        return gre_size(header);
    default:
        return protocols[protocol].size;
    }
}

/* Captured bytes from `payload` on that belong to the IP packet, and of UDP to the datagram. */
static uint32_t payload_len(const struct nfqe_packet *packet, uint32_t payload, uint32_t ip_end)
{
    uint32_t end = packet->len < ip_end ? packet->len : ip_end;

    if (packet->protocol == NFQE_PROTOCOL_UDP) {
        uint32_t udp_len = read_be16(packet->data + packet->transport + 4);

        if (udp_len != 0 && packet->transport + udp_len < end) {
            end = packet->transport + udp_len;
        }
    }
    return end - payload;
}

/* fixed: bytes of the fixed part of the header; 0: not known. offset is at most limits.end. */
static void parse_transport(struct nfqe_packet *packet, uint32_t offset, struct limits limits, uint32_t fixed)
{
    uint32_t left = limits.end - offset;
    uint32_t size;

    if (left == 0 || limits.ip_end - offset < fixed) {
        if (fixed != 0 || offset != limits.ip_end) { /* an empty payload hides nothing */
            cut(packet);
        }
        return;
    }
    packet->transport = (uint16_t)offset;
    if (fixed == 0) {
        return;
    }
    size = left >= fixed ? transport_size(packet->protocol, packet->data + offset) : 0;
    if (size < fixed || size > left) {
        cut(packet);
    } else if (protocols[packet->protocol].payload != 0) {
        packet->payload = (uint16_t)(offset + size);
        packet->payload_len = payload_len(packet, offset + size, limits.ip_end);
    }
}

/* Whether an option of the IPv4 header names addresses that the packet has still to go to. */
static bool has_route_left(const uint8_t *option, const uint8_t *end)
{
    while (end - option >= 3 && *option != IPV4_OPTION_END) {
        if (*option == IPV4_OPTION_NONE) {
            option++;
            continue;
        }
        if (option[1] < 2 || option[1] > end - option) {
            break;
        }
        if (*option == IPV4_LOOSE_ROUTE || *option == IPV4_STRICT_ROUTE) {
            return option[1] >= 3 && option[2] <= option[1]; /* the pointer counts from 1 */
        }
        option += option[1];
    }
    return false;
}

/* Bytes of the extension header at `header`, of which `left` bytes may be read; 0: it is not all there. */
static uint32_t extension_size(enum kind kind, const uint8_t *header, uint32_t left)
{
    uint32_t size = IPV6_EXTENSION_UNIT;

    if (left < IPV6_EXTENSION_UNIT) {
        return 0;
    }
    if (kind == KIND_AUTHENTICATION) {
        size = (header[1] + 2U) * 4;
    } else if (kind != KIND_FRAGMENT) {
        size = (header[1] + 1U) * IPV6_EXTENSION_UNIT;
    }
    return size <= left ? size : 0;
}

/* The protocol of a later fragment whose first header has this number, unless more headers come before it. */
static void set_fragment_protocol(struct nfqe_packet *packet, uint8_t next, bool ipv6)
{
    enum kind kind = protocols[next].kind;

    if (kind == KIND_TRANSPORT || kind == KIND_NO_NEXT || (!ipv6 && kind != KIND_AUTHENTICATION)) {
        set_protocol(packet, next);
    }
}

/* Walks the extension headers to the transport header. next: the number of the first one; of IPv4, it can be AH. */
static void walk(struct nfqe_packet *packet, uint8_t next, uint32_t offset, struct limits limits, bool ipv6)
{
    enum kind kind;

    while ((kind = protocols[next].kind) == KIND_AUTHENTICATION || (ipv6 && kind != KIND_TRANSPORT)) {
        const uint8_t *header = packet->data + offset;
        uint32_t size;

        if (kind == KIND_NO_NEXT) {
            set_protocol(packet, next);
            return;
        }
        size = extension_size(kind, header, limits.end - offset);
        if (size == 0) {
            cut(packet);
            return;
        }
        next = header[0];
        offset += size;
        if (kind == KIND_ROUTING && header[3] != 0) {
            packet->flags |= NFQE_PACKET_SOURCE_ROUTE;
        } else if (kind == KIND_FRAGMENT) {
            packet->flags |= NFQE_PACKET_FRAGMENT;
            if ((read_be16(header + 2) & IPV6_OFFSET_MASK) != 0) {
                set_fragment_protocol(packet, next, ipv6);
                return;
            }
        }
    }
    set_protocol(packet, next);
    parse_transport(packet, offset, limits, kind == KIND_TRANSPORT ? protocols[next].size : 0);
}

static void parse_ipv4(struct nfqe_packet *packet)
{
    const uint8_t *header = packet->data;
    uint32_t size = (header[0] & 0x0fU) * 4;
    struct limits limits = find_limits(packet, read_be16(header + 2));
    uint16_t fragment = read_be16(header + 6);

    packet->network = 0;
    set_fragment_protocol(packet, header[9], false);
    if ((fragment & (IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS)) != 0) {
        packet->flags |= NFQE_PACKET_FRAGMENT;
    }
    if (size < sizeof(struct nfqe_ipv4_header) || size > limits.end) {
        cut(packet);
        return;
    }
    if (size > sizeof(struct nfqe_ipv4_header) &&
        has_route_left(header + sizeof(struct nfqe_ipv4_header), header + size)) {
        packet->flags |= NFQE_PACKET_SOURCE_ROUTE;
    }
    if ((fragment & IPV4_OFFSET_MASK) == 0) {
        walk(packet, header[9], size, limits, false);
    }
}

static void parse_ipv6(struct nfqe_packet *packet)
{
    const uint8_t *header = packet->data;
    uint32_t len = read_be16(header + 4);
    struct limits limits = find_limits(packet, len != 0 ? len + sizeof(struct nfqe_ipv6_header) : 0);

    packet->network = 0;
    walk(packet, header[6], sizeof(struct nfqe_ipv6_header), limits, true);
}

void packet_parse(struct nfqe_packet *packet)
{
    unsigned protocol = packet->hw_protocol;
    unsigned version = packet->len != 0 ? packet->data[0] >> 4 : 0;

    packet->network = NFQE_NONE;
    packet->transport = NFQE_NONE;
    packet->payload = NFQE_NONE;
    packet->payload_len = 0;
    packet->protocol = 0;
    packet->flags &= (uint16_t) ~(NFQE_PACKET_FRAGMENT | NFQE_PACKET_HEADERS_CUT | NFQE_PACKET_SOURCE_ROUTE |
                                  NFQE_PACKET_PROTOCOL_KNOWN);
    if (protocol == 0) {
        protocol = version == 4 ? ETHERTYPE_IPV4 : version == 6 ? ETHERTYPE_IPV6 : 0;
    }
    if (protocol == ETHERTYPE_IPV4 && version == 4 && packet->len >= sizeof(struct nfqe_ipv4_header)) {
        parse_ipv4(packet);
    } else if (protocol == ETHERTYPE_IPV6 && version == 6 && packet->len >= sizeof(struct nfqe_ipv6_header)) {
        parse_ipv6(packet);
    } else if (protocol == ETHERTYPE_IPV4 || protocol == ETHERTYPE_IPV6 || packet->len == 0) {
        cut(packet);
    }
}
