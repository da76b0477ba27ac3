/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Computes the flow key of a packet and the keyed hash of a key.
 *
 * The two ends of a flow are put in an order that does not depend on the direction, so both directions have the same
 * key. Only bytes that were captured and that lie inside the IP packet are read. A packet has no flow if the ports, or
 * the bytes that say whether it begins a connection, are not among them; of a first fragment the ports are enough. It
 * has none either if its transport header contradicts its length: its receiver ignores it. Every byte of a key is
 * defined, padding included, since keys are compared and hashed as memory.
 *
 * Pure functions, except for the making of the seed. Allocates nothing. Process: [queue process], for every packet.
 */
#include "flow/flow_key.h"

#include "packet/final_dest.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>

#define AH_MIN 8 /* bytes of it; its length is in the second one */
#define PORTS_SIZE 4
#define FRAGMENT_MIN 8 /* bytes of IP payload in a first fragment: offsets are counted in units of 8 */
#define IPV4_OFFSET_MASK 0x1fff
#define SCTP_CHUNK 12 /* offset of the first chunk's type */
#define SCTP_INIT 1
#define DCCP_TYPE 8 /* offset of the byte with the packet type in bits 1 to 4 */
#define DCCP_TYPE_MASK 0x1e
#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129

_Static_assert(sizeof(struct flow_key) == FLOW_KEY_WORDS * sizeof(uint32_t), "the hash covers the key");
_Static_assert(sizeof(struct flow_key) == 5 * sizeof(uint64_t), "and so does flow_key_same()");

int flow_seed_make(struct flow_seed *seed)
{
    return getrandom(seed, sizeof(*seed), 0) == (ssize_t)sizeof(*seed) ? 0 : -errno;
}

/* Puts the ends of the flow in the order of their addresses, then of their ports. */
static void set_ends(struct flow_key *key, const uint8_t *source, const uint8_t *dest, size_t size,
                     const uint16_t ports[2])
{
    int order = memcmp(source, dest, size);
    unsigned first = order > 0 || (order == 0 && ports[0] > ports[1]);

    memcpy(key->address[first], source, size);
    memcpy(key->address[!first], dest, size);
    key->port[first] = ports[0];
    key->port[!first] = ports[1];
}

/* Of an echo, the identifier is used as the port of the side that asks; the other side's is 0. False: no echo. */
static bool find_echo(const struct nfqe_packet *packet, const uint8_t *bytes, uint16_t ports[2])
{
    bool v6 = packet->protocol == NFQE_PROTOCOL_ICMPV6;
    bool request = bytes[0] == (v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO_REQUEST);

    if ((!request && bytes[0] != (v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY)) || bytes[1] != 0) {
        return false;
    }
    ports[request] = 0;
    memcpy(&ports[!request], bytes + PORTS_SIZE, sizeof(ports[0]));
    return true;
}

/* Bytes of the transport header that have the ports and whether a connection begins; 0: the protocol has no flows. */
static uint32_t flow_header_size(uint8_t protocol)
{
    switch (protocol) {
    case NFQE_PROTOCOL_TCP:
        return sizeof(struct nfqe_tcp_header);
    case NFQE_PROTOCOL_ICMP:
    case NFQE_PROTOCOL_ICMPV6:
        return sizeof(struct nfqe_icmp_header);
    case NFQE_PROTOCOL_UDP:
    case IPPROTO_UDPLITE:
        return sizeof(struct nfqe_udp_header);
    case IPPROTO_SCTP:
        return SCTP_CHUNK + 1;
    case IPPROTO_DCCP:
        return DCCP_TYPE + 1;
    default:
        return 0;
    }
}

/* The transport header, as far as it is in the packet and was captured. */
struct transport {
    const uint8_t *bytes;
    uint32_t captured;
    uint32_t len; /* bytes from it to the end of the IP packet */
};

/* Offset of the byte of the transport header that says whether the packet begins a connection; 0: none does. */
static uint32_t begin_offset(uint8_t protocol)
{
    switch (protocol) {
    case NFQE_PROTOCOL_TCP:
        return offsetof(struct nfqe_tcp_header, flags);
    case IPPROTO_SCTP:
        return SCTP_CHUNK;
    case IPPROTO_DCCP:
        return DCCP_TYPE;
    default:
        return 0;
    }
}

/* Whether a packet of this protocol, one of begin_offset()'s, with this byte there begins a connection. */
static bool byte_begins(uint8_t protocol, uint8_t byte)
{
    if (protocol == NFQE_PROTOCOL_TCP) {
        return (byte & (NFQE_TCP_SYN | NFQE_TCP_ACK)) == NFQE_TCP_SYN;
    }
    return protocol == IPPROTO_SCTP ? byte == SCTP_INIT : (byte & DCCP_TYPE_MASK) == 0; /* DCCP: Request */
}

/* Of a first fragment. Its header may go on in a later one, but every receiver wants 8 bytes at least. */
static bool find_fragment_ports(uint8_t protocol, const struct transport *transport, uint16_t ports[2],
                                struct flow_traits *traits)
{
    uint32_t at = begin_offset(protocol);

    if (flow_header_size(protocol) == 0 || protocol == NFQE_PROTOCOL_ICMP || protocol == NFQE_PROTOCOL_ICMPV6 ||
        transport->captured < FRAGMENT_MIN) {
        return false;
    }
    memcpy(ports, transport->bytes, PORTS_SIZE);
    traits->begins = at != 0 && (at >= transport->captured || byte_begins(protocol, transport->bytes[at]));
    return true;
}

/* Whether UDP's own length is one that the receiver accepts. IPv6 has 0 for a datagram of more than 64 KiB. */
static bool udp_len_is_valid(const struct nfqe_packet *packet, const struct transport *transport)
{
    const struct nfqe_udp_header *udp = (const void *)transport->bytes;
    uint32_t len = nfqe_be16(udp->len);

    return len <= transport->len && (len >= sizeof(*udp) || (len == 0 && nfqe_ipv6(packet) != NULL));
}

/* The ports of source and destination. False: the packet has no flow. */
static bool find_ports(const struct nfqe_packet *packet, const struct transport *transport, uint16_t ports[2],
                       struct flow_traits *traits)
{
    const uint8_t *bytes = transport->bytes;
    uint32_t size = flow_header_size(packet->protocol);

    if (size == 0 || transport->captured < size) {
        return false;
    }
    memcpy(ports, bytes, PORTS_SIZE);
    switch (packet->protocol) {
    case NFQE_PROTOCOL_TCP: {
        const struct nfqe_tcp_header *tcp = (const void *)bytes;
        uint32_t header_len = (uint32_t)(tcp->data_offset >> 4) * 4;

        traits->begins = byte_begins(NFQE_PROTOCOL_TCP, tcp->flags);
        traits->resets = (tcp->flags & NFQE_TCP_RST) != 0;
        return header_len >= sizeof(*tcp) && header_len <= transport->len;
    }
    case NFQE_PROTOCOL_UDP:
        return udp_len_is_valid(packet, transport);
    case IPPROTO_SCTP:
    case IPPROTO_DCCP:
        traits->begins = byte_begins(packet->protocol, bytes[begin_offset(packet->protocol)]);
        return true;
    case NFQE_PROTOCOL_ICMP:
    case NFQE_PROTOCOL_ICMPV6:
        return find_echo(packet, bytes, ports);
    default:
        return true;
    }
}

/*
 * The offset of the transport header. Of an IPv4 fragment that has only a part of it, the parser knows none; only AH can
 * come before it there. NFQE_NONE: it begins in a later fragment, or there is none.
 */
static uint32_t transport_offset(const struct nfqe_packet *packet, const struct nfqe_ipv4_header *ipv4)
{
    const uint8_t *header;
    uint32_t offset;
    uint8_t next;

    if (packet->transport != NFQE_NONE || ipv4 == NULL || (packet->flags & NFQE_PACKET_FRAGMENT) == 0 ||
        (nfqe_be16(ipv4->fragment) & IPV4_OFFSET_MASK) != 0) {
        return packet->transport;
    }
    offset = packet->network + (uint32_t)(ipv4->version_ihl & 0x0f) * 4;
    next = ipv4->protocol;
    while (next == IPPROTO_AH && (header = nfqe_bytes(packet, offset, AH_MIN)) != NULL) {
        next = header[0];
        offset += (header[1] + 2U) * 4;
    }
    return next == packet->protocol ? offset : NFQE_NONE;
}

/*
 * The packet has an IP header. ip_len: of the IP packet; 0: longer than the IP header can say, made by segmentation
 * offload.
 */
static bool find_transport(const struct nfqe_packet *packet, uint32_t offset, uint32_t ip_len,
                           struct transport *transport)
{
    uint32_t end = ip_len != 0 ? packet->network + ip_len : UINT32_MAX;
    uint32_t captured_end = end < packet->len ? end : packet->len;

    if (offset == NFQE_NONE || offset >= captured_end) {
        return false;
    }
    *transport = (struct transport){packet->data + offset, captured_end - offset, end - offset};
    return true;
}

/* The last destination of an IPv6 packet. NULL: not known. */
static const uint8_t *find_dest(const struct nfqe_packet *packet, const struct nfqe_ipv6_header *ipv6,
                                struct flow_traits *traits)
{
    const uint8_t *dest = ipv6->dest;

    if (packet->transport != packet->network + sizeof(*ipv6)) {
        dest = packet_final_dest(packet);
        traits->alone |= dest != ipv6->dest;
    }
    return dest;
}

bool flow_key_find(const struct nfqe_packet *packet, struct flow_key *key, struct flow_traits *traits)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    bool fragment = (packet->flags & NFQE_PACKET_FRAGMENT) != 0;
    struct transport transport;
    const uint8_t *dest;
    uint16_t ports[2];
    uint32_t len; /* from the IP header; 0: longer than the field can say, made by segmentation offload */

    *traits = (struct flow_traits){.alone = fragment || (packet->flags & NFQE_PACKET_SOURCE_ROUTE) != 0};
    if (ipv4 != NULL) {
        len = nfqe_be16(ipv4->total_len);
    } else if (ipv6 != NULL) {
        len = nfqe_be16(ipv6->payload_len);
        len += len != 0 ? (uint32_t)sizeof(*ipv6) : 0;
    } else {
        return false;
    }
    if (!find_transport(packet, transport_offset(packet, ipv4), len, &transport) ||
        !(fragment ? find_fragment_ports(packet->protocol, &transport, ports, traits)
                   : find_ports(packet, &transport, ports, traits))) {
        return false;
    }
    memset(key, 0, sizeof(*key));
    key->protocol = packet->protocol;
    if (ipv4 != NULL) {
        key->version = 4;
        set_ends(key, ipv4->source, ipv4->dest, sizeof(ipv4->source), ports);
        return true;
    }
    key->version = 6;
    dest = find_dest(packet, ipv6, traits);
    if (dest == NULL) {
        return false;
    }
    set_ends(key, ipv6->source, dest, sizeof(ipv6->source), ports);
    return true;
}

/*
 * The high half of a multilinear sum is a strongly universal hash: without the seed, no one can choose flows that
 * collide. The mixing steps after it are a bijection, which preserves that, and spread flows with consecutive ports
 * over the buckets.
 */
uint32_t flow_key_hash(const struct flow_seed *seed, const struct flow_key *key)
{
    uint32_t words[FLOW_KEY_WORDS];
    uint64_t sum = seed->words[FLOW_KEY_WORDS];
    uint32_t hash;

    memcpy(words, key, sizeof(words));
    for (unsigned i = 0; i < FLOW_KEY_WORDS; i++) {
        sum += seed->words[i] * words[i];
    }
    hash = (uint32_t)(sum >> 32);
    hash = (hash ^ (hash >> 16)) * UINT32_C(0x85ebca6b);
    hash = (hash ^ (hash >> 13)) * UINT32_C(0xc2b2ae35);
    return hash ^ (hash >> 16);
}
