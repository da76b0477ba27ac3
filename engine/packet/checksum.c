/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Internet checksum (RFC 1071): the sum of 16-bit words, with each carry added again, over the pseudo-header of
 * addresses, length and protocol, and over the transport header with its payload. With the right checksum the sum is
 * 0xffff.
 *
 * Called for each packet on which a plugin decides a flow; under a flood of new flows, that is every packet. So it sums
 * 32 bits at a time, in this machine's byte order: the sum of swapped words is the swapped sum, and 0xffff is the same
 * in both. Process: [queue process], [worker].
 */
#include "packet/checksum.h"

#include "packet/final_dest.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define UDP_CHECKSUM 6 /* offset */
#define NOT_KNOWN (NFQE_PACKET_CHECKSUM_PENDING | NFQE_PACKET_GSO | NFQE_PACKET_FRAGMENT)

/* Of at most 64 KiB, so the carries of the 32-bit words have room in the upper half. */
static uint64_t sum(const uint8_t *bytes, uint32_t len)
{
    uint64_t total = 0;
    uint32_t word;

    for (; len >= sizeof(word); len -= (uint32_t)sizeof(word)) {
        memcpy(&word, bytes, sizeof(word)); /* at any address */
        total += word;
        bytes += sizeof(word);
    }
    word = 0; /* what follows the last byte counts as 0 */
    memcpy(&word, bytes, len);
    return total + word;
}

static bool is_right(uint64_t total)
{
    while (total > 0xffff) {
        total = (total & 0xffff) + (total >> 16);
    }
    return total == 0xffff;
}

/* Bytes of transport header and payload. 0: not known, or not all were captured. */
static uint32_t transport_len(const struct nfqe_packet *packet)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    uint32_t end = packet->network;

    if (ipv4 != NULL) {
        end += nfqe_be16(ipv4->total_len);
    } else if (ipv6 != NULL && nfqe_be16(ipv6->payload_len) != 0) {
        end += (uint32_t)sizeof(*ipv6) + nfqe_be16(ipv6->payload_len);
    }
    return packet->transport < end && end <= packet->len ? end - packet->transport : 0;
}

/* The part of the pseudo-header that is not length and protocol. False: the address of the receiver is not known. */
static bool sum_addresses(const struct nfqe_packet *packet, uint64_t *total)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    const uint8_t *dest;

    if (ipv4 != NULL) {
        *total = sum(ipv4->source, sizeof(ipv4->source)) + sum(ipv4->dest, sizeof(ipv4->dest));
        return true;
    }
    dest = packet_final_dest(packet);
    if (dest == NULL) {
        return false;
    }
    *total = sum(ipv6->source, sizeof(ipv6->source)) + sum(dest, sizeof(ipv6->dest));
    return true;
}

/* Bytes that UDP's checksum is about. 0: the sender made none, or there is no such length. */
static uint32_t udp_len(const struct nfqe_packet *packet, uint32_t len)
{
    const struct nfqe_udp_header *udp = nfqe_udp(packet);

    if (udp == NULL || nfqe_be16(udp->checksum) == 0 || nfqe_be16(udp->len) > len) {
        return 0;
    }
    return nfqe_be16(udp->len) != 0 ? nfqe_be16(udp->len) : len;
}

bool packet_checksum_is_wrong(const struct nfqe_packet *packet)
{
    uint32_t len = (packet->flags & NOT_KNOWN) == 0 && packet->transport != NFQE_NONE ? transport_len(packet) : 0;
    uint64_t total = 0;

    switch (packet->protocol) {
    case NFQE_PROTOCOL_TCP:
    case NFQE_PROTOCOL_ICMPV6:
        break;
    case NFQE_PROTOCOL_UDP:
        len = udp_len(packet, len);
        break;
    case NFQE_PROTOCOL_ICMP:
        return len != 0 && !is_right(sum(packet->data + packet->transport, len));
    default:
        return false;
    }
    if (len == 0 || !sum_addresses(packet, &total)) {
        return false;
    }
    return !is_right(total + htonl(len) + htonl(packet->protocol) + sum(packet->data + packet->transport, len));
}
