/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Computes the flow key of a packet and the keyed hash of a key.
 *
 * The two ends of a flow are put in an order that does not depend on the direction, so both directions have the same
 * key. Only bytes that were captured and that lie inside the IP packet are read; if the ports, or the bytes that say
 * whether the packet begins a connection, are not among them, the packet has no flow. Every byte of a key is defined,
 * padding included, since keys are compared and hashed as memory.
 *
 * Pure functions, except for the making of the seed. Runs in the worker, for every packet; allocates nothing.
 */
#include "flow/flow_key.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define PROTOCOL_SCTP 132
#define PROTOCOL_DCCP 33
#define PROTOCOL_UDP_LITE 136
#define PORTS_SIZE 4
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
        return sizeof(struct nfqe_tcp);
    case NFQE_PROTOCOL_ICMP:
    case NFQE_PROTOCOL_ICMPV6:
        return sizeof(struct nfqe_icmp);
    case NFQE_PROTOCOL_UDP:
    case PROTOCOL_UDP_LITE:
        return sizeof(struct nfqe_udp);
    case PROTOCOL_SCTP:
        return SCTP_CHUNK + 1;
    case PROTOCOL_DCCP:
        return DCCP_TYPE + 1;
    default:
        return 0;
    }
}

/* The ports of source and destination. False: the packet has no flow. ip_len: length of the IP packet. */
static bool find_ports(const struct nfqe_packet *packet, uint32_t ip_len, uint16_t ports[2], bool *begins)
{
    uint32_t size = flow_header_size(packet->protocol);
    const uint8_t *bytes = size > 0 ? nfqe_bytes(packet, packet->transport, size) : NULL;

    if (bytes == NULL || packet->transport - packet->network + size > ip_len) {
        return false;
    }
    memcpy(ports, bytes, PORTS_SIZE);
    switch (packet->protocol) {
    case NFQE_PROTOCOL_TCP: {
        const struct nfqe_tcp *tcp = (const void *)bytes;

        *begins = (tcp->flags & (NFQE_TCP_SYN | NFQE_TCP_ACK)) == NFQE_TCP_SYN;
        return (uint32_t)(tcp->data_offset >> 4) * 4 >= sizeof(*tcp);
    }
    case PROTOCOL_SCTP:
        *begins = bytes[SCTP_CHUNK] == SCTP_INIT;
        return true;
    case PROTOCOL_DCCP:
        *begins = (bytes[DCCP_TYPE] & DCCP_TYPE_MASK) == 0; /* Request */
        return true;
    case NFQE_PROTOCOL_ICMP:
    case NFQE_PROTOCOL_ICMPV6:
        return find_echo(packet, bytes, ports);
    default:
        return true;
    }
}

bool flow_key_find(const struct nfqe_packet *packet, struct flow_key *key, bool *begins)
{
    const struct nfqe_ipv4 *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6 *ipv6 = nfqe_ipv6(packet);
    uint16_t ports[2];
    uint32_t len; /* from the IP header; 0: longer than the field can say, made by segmentation offload */

    *begins = false;
    if ((packet->flags & NFQE_PACKET_FRAGMENT) != 0) {
        return false;
    }
    memset(key, 0, sizeof(*key));
    key->protocol = packet->protocol;
    if (ipv4 != NULL) {
        key->version = 4;
        len = nfqe_be16(ipv4->total_len);
    } else if (ipv6 != NULL && packet->transport == packet->network + sizeof(*ipv6)) {
        key->version = 6;
        len = nfqe_be16(ipv6->payload_len);
        len += len != 0 ? (uint32_t)sizeof(*ipv6) : 0;
    } else {
        return false;
    }
    if (!find_ports(packet, len != 0 ? len : UINT32_MAX, ports, begins)) {
        return false;
    }
    if (ipv4 != NULL) {
        set_ends(key, ipv4->source, ipv4->dest, sizeof(ipv4->source), ports);
    } else {
        set_ends(key, ipv6->source, ipv6->dest, sizeof(ipv6->source), ports);
    }
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
