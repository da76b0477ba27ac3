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
uint64_t checksum_sum(const uint8_t *bytes, uint32_t len)
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

uint16_t checksum_fold(uint64_t sum)
{
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static bool is_right(uint64_t total)
{
    return checksum_fold(total) == 0xffff;
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

uint64_t checksum_addresses(const struct nfqe_packet *packet, bool *dest_known)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    const uint8_t *dest;

    if (ipv4 != NULL) {
        *dest_known = true;
        return checksum_sum(ipv4->source, sizeof(ipv4->source)) + checksum_sum(ipv4->dest, sizeof(ipv4->dest));
    }
    dest = packet_final_dest(packet);
    *dest_known = dest != NULL;
    return checksum_sum(ipv6->source, sizeof(ipv6->source)) +
           (dest != NULL ? checksum_sum(dest, sizeof(ipv6->dest)) : 0);
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
    bool dest_known;
    uint64_t total;

    switch (packet->protocol) {
    case NFQE_PROTOCOL_TCP:
    case NFQE_PROTOCOL_ICMPV6:
        break;
    case NFQE_PROTOCOL_UDP:
        len = udp_len(packet, len);
        break;
    case NFQE_PROTOCOL_ICMP:
        return len != 0 && !is_right(checksum_sum(packet->data + packet->transport, len));
    default:
        return false;
    }
    if (len == 0) {
        return false;
    }
    total = checksum_addresses(packet, &dest_known) + htonl(len) + htonl(packet->protocol);
    return dest_known && !is_right(total + checksum_sum(packet->data + packet->transport, len));
}
