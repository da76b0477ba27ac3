/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RFC 1122 3.2.2 and RFC 4443 2.4 (e), for resets, too: no answer to multicast and broadcast, of IP or of the link; to a
 * source that is not one host; to later fragments; to ICMP errors and redirects. And none to a TCP reset (RFC 9293 3.10.7.1).
 * So no answer of this engine, or of a REJECT rule, is answered.
 *
 * What cannot be read is not answered, since it could be one of these. Neither is what its receiver would ignore, for
 * a wrong checksum: an answer would say more about this machine than a host does. Of ICMP, the messages that are no errors
 * are named, so that a type that is not known counts as an error. Process: [queue process].
 */
#include "packet/reject_rules.h"

#include "packet/checksum.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define LOOPBACK_NET 127
#define MULTICAST_NET 224 /* and above it, the reserved addresses and the limited broadcast */
#define MULTICAST_V6 0xff
#define LINK_GROUP_BIT 1 /* of the first byte of a link-layer address: multicast and broadcast */

#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129

static const uint8_t ipv6_unspecified[16];
static const uint8_t ipv6_loopback[16] = {[15] = 1};

static bool is_unicast(const uint8_t *address, uint32_t size)
{
    return size == sizeof(ipv6_unspecified) ? address[0] != MULTICAST_V6 && memcmp(address, ipv6_unspecified, size) != 0
                                            : address[0] != 0 && address[0] < MULTICAST_NET;
}

static bool is_loopback(const uint8_t *address, uint32_t size)
{
    return size == sizeof(ipv6_loopback) ? memcmp(address, ipv6_loopback, size) == 0 : address[0] == LOOPBACK_NET;
}

bool reject_rules_are_hosts(const uint8_t *source, const uint8_t *dest, uint32_t size)
{
    return is_unicast(source, size) && is_unicast(dest, size) && is_loopback(source, size) == is_loopback(dest, size);
}

/* Echo, timestamp, information and address mask, each with its reply. */
static bool is_icmp_query(uint8_t type)
{
    return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

/* Neighbour discovery and multicast groups are the link's own, and redirects must not be answered. */
static bool is_icmpv6_query(uint8_t type)
{
    return type == ICMPV6_ECHO_REQUEST || type == ICMPV6_ECHO_REPLY;
}

static bool is_icmp_error(const struct nfqe_packet *packet)
{
    const struct nfqe_icmp_header *icmp = nfqe_icmp(packet);
    const struct nfqe_icmpv6_header *icmpv6 = nfqe_icmpv6(packet);

    if (packet->protocol == NFQE_PROTOCOL_ICMP) {
        return icmp == NULL || !is_icmp_query(icmp->type);
    }
    return packet->protocol == NFQE_PROTOCOL_ICMPV6 && (icmpv6 == NULL || !is_icmpv6_query(icmpv6->type));
}

static bool is_reset(const struct nfqe_packet *packet)
{
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);

    return packet->protocol == NFQE_PROTOCOL_TCP && (tcp == NULL || (tcp->flags & NFQE_TCP_RST) != 0);
}

bool reject_rules_allow(const struct nfqe_packet *packet)
{
    bool readable = (packet->flags & NFQE_PACKET_PROTOCOL_KNOWN) != 0 &&
                    (packet->flags & (NFQE_PACKET_HEADERS_CUT | NFQE_PACKET_SOURCE_ROUTE)) == 0 &&
                    packet->transport != NFQE_NONE; /* a later fragment has none */
    bool to_group = packet->link_header_len > 0 && (packet->link_header[0] & LINK_GROUP_BIT) != 0;

    return readable && !to_group && packet->family != AF_BRIDGE && !is_icmp_error(packet) && !is_reset(packet) &&
           !packet_checksum_is_wrong(packet);
}
