/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the promises of nfqe/packet.h for a parsed packet: what always holds, and what the reference parser of the unit
 * tests says of the same bytes.
 *
 * All bytes that an accessor returns are read. The caller has the packet at the end of an allocation, so the address
 * sanitizer notices bytes that do not belong to it.
 */
#include "packet_promises.h"

#include "promise.h"
#include "reference.h"

#include <stdbool.h>
#include <stdint.h>

static volatile uint8_t read_bytes; /* keeps the reads from being optimised away */

/* [start, start + size) lies inside the captured bytes, at `offset`. NULL is fine. */
static void check_place(const struct nfqe_packet *packet, const void *start, size_t size, size_t offset)
{
    const uint8_t *bytes = start;
    uint8_t sum = 0;

    if (start == NULL) {
        return;
    }
    PROMISE(packet->data != NULL);
    PROMISE(offset <= packet->len && size <= packet->len - offset);
    PROMISE(bytes == packet->data + offset);
    for (size_t i = 0; i < size; i++) {
        sum ^= bytes[i];
    }
    read_bytes = sum;
}

static void check_offsets(const struct nfqe_packet *packet)
{
    bool cut = (packet->flags & NFQE_PACKET_HEADERS_CUT) != 0;

    PROMISE(packet->network == NFQE_NONE || packet->network == 0);
    if (packet->network == NFQE_NONE) {
        PROMISE(packet->transport == NFQE_NONE && packet->payload == NFQE_NONE && packet->protocol == 0);
    } else {
        PROMISE((nfqe_ipv4(packet) != NULL) != (nfqe_ipv6(packet) != NULL));
    }
    if (packet->len == 0) {
        PROMISE(cut && packet->network == NFQE_NONE);
    }
    if (packet->transport == NFQE_NONE) {
        PROMISE(packet->payload == NFQE_NONE);
    } else {
        PROMISE(packet->transport >= 20 && packet->transport < packet->len);
    }
    if (packet->payload != NFQE_NONE) {
        PROMISE(!cut);
        PROMISE(packet->payload > packet->transport && packet->payload <= packet->len);
    }
}

/* The transport header is complete, or marked as cut; the payload starts where it ends. */
/* What an accessor returns belongs to the IP packet, not to the padding after it. */
static void check_inside_ip(const struct nfqe_packet *packet, size_t size)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    uint32_t ip_len = ipv4 != NULL ? nfqe_be16(ipv4->total_len) : 0;

    if (ipv6 != NULL && nfqe_be16(ipv6->payload_len) != 0) {
        ip_len = nfqe_be16(ipv6->payload_len) + (uint32_t)sizeof(*ipv6);
    }
    PROMISE(ip_len == 0 || packet->transport + size <= ip_len);
}

static void check_transport(const struct nfqe_packet *packet)
{
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);
    const struct nfqe_udp_header *udp = nfqe_udp(packet);
    const struct nfqe_icmp_header *icmp = nfqe_icmp(packet);
    const struct nfqe_icmpv6_header *icmpv6 = nfqe_icmpv6(packet);
    bool whole = packet->transport != NFQE_NONE && (packet->flags & NFQE_PACKET_HEADERS_CUT) == 0;
    unsigned size = 8;

    PROMISE((tcp != NULL) + (udp != NULL) + (icmp != NULL) + (icmpv6 != NULL) <= 1);
    if (tcp != NULL) {
        check_inside_ip(packet, sizeof(*tcp));
    }
    if (udp != NULL) {
        check_inside_ip(packet, sizeof(*udp));
    }
    check_place(packet, tcp, sizeof(*tcp), packet->transport);
    check_place(packet, udp, sizeof(*udp), packet->transport);
    check_place(packet, icmp, sizeof(*icmp), packet->transport);
    check_place(packet, icmpv6, sizeof(*icmpv6), packet->transport);
    switch (packet->protocol) {
    case NFQE_PROTOCOL_TCP:
        PROMISE(!whole || tcp != NULL);
        size = tcp != NULL ? (unsigned)(tcp->data_offset >> 4) * 4 : 0;
        break;
    case NFQE_PROTOCOL_UDP:
        PROMISE(!whole || udp != NULL);
        break;
    case NFQE_PROTOCOL_ICMP:
        PROMISE(!whole || icmp != NULL);
        break;
    case NFQE_PROTOCOL_ICMPV6:
        PROMISE(!whole || icmpv6 != NULL);
        break;
    default:
        PROMISE(packet->payload == NFQE_NONE);
        return;
    }
    PROMISE(whole == (packet->payload != NFQE_NONE));
    if (whole) {
        PROMISE(packet->payload == packet->transport + size && size >= 8);
    }
}

static void check_payload(const struct nfqe_packet *packet)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    const struct nfqe_udp_header *udp = nfqe_udp(packet);
    uint32_t len = UINT32_MAX;
    size_t end = packet->len;
    const uint8_t *payload = nfqe_payload(packet, &len);

    PROMISE((payload == NULL) == (len == 0));
    check_place(packet, payload, len, packet->payload);
    if (ipv4 != NULL && nfqe_be16(ipv4->total_len) != 0) {
        end = nfqe_be16(ipv4->total_len);
    } else if (ipv6 != NULL && nfqe_be16(ipv6->payload_len) != 0) {
        end = sizeof(*ipv6) + nfqe_be16(ipv6->payload_len);
    }
    if (packet->payload != NFQE_NONE) {
        PROMISE(packet->payload + len <= end); /* padding is not part of it */
    }
    if (udp != NULL && nfqe_be16(udp->len) != 0) {
        PROMISE(len == 0 || packet->payload + len <= (uint32_t)packet->transport + nfqe_be16(udp->len));
    }
}

/* A second parser says the same. */
static void check_reference(const struct nfqe_packet *packet)
{
    const struct reference expected = reference_read(packet->data, packet->len, packet->wire_len, packet->hw_protocol);
    uint32_t len;

    PROMISE(((packet->flags & NFQE_PACKET_HEADERS_CUT) != 0) == expected.cut);
    PROMISE(((packet->flags & NFQE_PACKET_FRAGMENT) != 0) == expected.fragment);
    PROMISE(((packet->flags & NFQE_PACKET_SOURCE_ROUTE) != 0) == expected.source_route);
    PROMISE(packet->protocol == expected.protocol);
    PROMISE(((packet->flags & NFQE_PACKET_PROTOCOL_KNOWN) != 0) == expected.protocol_known);
    PROMISE(packet->transport == expected.transport && packet->payload == expected.payload);
    nfqe_payload(packet, &len);
    PROMISE(len == expected.payload_len);
}

/* Offsets and sizes around every limit. */
static void check_bytes(const struct nfqe_packet *packet)
{
    const uint32_t places[] = {0,
                               1,
                               packet->network,
                               packet->transport,
                               packet->payload,
                               packet->len - 1,
                               packet->len,
                               packet->len + 1,
                               NFQE_NONE - 1,
                               NFQE_NONE,
                               UINT32_MAX - 1,
                               UINT32_MAX};
    const size_t count = sizeof(places) / sizeof(places[0]);

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            const void *bytes = nfqe_bytes(packet, places[i], places[k]);
            bool inside = (uint64_t)places[i] + places[k] <= packet->len && places[i] != NFQE_NONE;

            PROMISE((bytes != NULL) == (inside && packet->data != NULL));
            check_place(packet, bytes, places[k] < 64 ? places[k] : 0, places[i]);
        }
    }
}

void packet_promises_check(const struct nfqe_packet *packet)
{
    PROMISE((packet->data == NULL) == (packet->len == 0));
    check_offsets(packet);
    check_place(packet, nfqe_ipv4(packet), sizeof(struct nfqe_ipv4_header), packet->network);
    check_place(packet, nfqe_ipv6(packet), sizeof(struct nfqe_ipv6_header), packet->network);
    check_transport(packet);
    check_payload(packet);
    check_reference(packet);
    check_bytes(packet);
}

void packet_promises_check_shorter(const struct nfqe_packet *packet, const struct nfqe_packet *shorter)
{
    PROMISE(shorter->network == packet->network || shorter->network == NFQE_NONE);
    PROMISE(shorter->transport == packet->transport || shorter->transport == NFQE_NONE);
    PROMISE(shorter->payload == packet->payload || shorter->payload == NFQE_NONE);
    PROMISE(shorter->protocol == packet->protocol || shorter->protocol == 0);
    /* What is known for certain of the shorter one stays. */
    if ((shorter->flags & NFQE_PACKET_HEADERS_CUT) == 0) {
        PROMISE((packet->flags & NFQE_PACKET_HEADERS_CUT) == 0);
        PROMISE(shorter->transport == packet->transport && shorter->payload == packet->payload &&
                shorter->protocol == packet->protocol);
    }
}
