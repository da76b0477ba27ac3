/* SPDX-License-Identifier: MIT */
/*
 * nfqe/packet.h - a packet as a plugin sees it.
 *
 * The engine fills `struct nfqe_packet`; the plugin only reads it. Numbers in it are in host byte order.
 * The bytes that `data` points to are as on the wire, so the fields of the header structs below
 * (struct nfqe_tcp_header and so on) are in network byte order. They have types of their own, nfqe_be16_t and
 * nfqe_be32_t, which cannot be compared or added by mistake; nfqe_be16() and nfqe_be32() read them.
 *
 * Each accessor (nfqe_tcp(), nfqe_ipv6(), ...) returns a pointer into `data`, or NULL. The struct that it
 * points to lies completely inside the captured bytes, so its fields may be read without a further check.
 * The pointer is valid for as long as the packet: until handle() or handle_batch() returns.
 *
 * Process: everything here may be called [worker] in handle() and handle_batch(). Nothing allocates or
 * blocks; the only failure is to return NULL.
 */
#ifndef NFQE_PACKET_H
#define NFQE_PACKET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The offset of a header that the packet does not have, or that is not known. */
#define NFQE_NONE UINT16_C(0xffff)

/* nfqe_packet.present: the optional fields that the kernel delivered. A field that is not present is 0. */
#define NFQE_HAS_MARK (UINT32_C(1) << 0)
#define NFQE_HAS_TIMESTAMP (UINT32_C(1) << 1)       /* up to forward; while a socket asks for timestamps */
#define NFQE_HAS_IN_IFINDEX (UINT32_C(1) << 2)
#define NFQE_HAS_OUT_IFINDEX (UINT32_C(1) << 3)
#define NFQE_HAS_PHYS_IN_IFINDEX (UINT32_C(1) << 4) /* bridge only */
#define NFQE_HAS_PHYS_OUT_IFINDEX (UINT32_C(1) << 5)
#define NFQE_HAS_HW_ADDRESS (UINT32_C(1) << 6)      /* up to forward; not on segments made by the kernel */
#define NFQE_HAS_UID (UINT32_C(1) << 7)             /* local sockets only */
#define NFQE_HAS_GID (UINT32_C(1) << 8)
#define NFQE_HAS_PRIORITY (UINT32_C(1) << 9)
#define NFQE_HAS_CONNTRACK_MARK (UINT32_C(1) << 10) /* only with NFQE_NEED_CONNTRACK, of tracked packets */
#define NFQE_HAS_SECCTX (UINT32_C(1) << 11)         /* only with NFQE_NEED_SECCTX, of local sockets */

/* nfqe_packet.flags */
#define NFQE_PACKET_TRUNCATED UINT16_C(0x01)        /* len < wire_len: the kernel copied less than all */
#define NFQE_PACKET_GSO UINT16_C(0x02)              /* several segments in one packet, larger than the MTU */
#define NFQE_PACKET_CHECKSUM_PENDING UINT16_C(0x04) /* checksums are computed later; normal for local output */
#define NFQE_PACKET_FRAGMENT UINT16_C(0x08)         /* an IP fragment, first or later */
#define NFQE_PACKET_MODIFIED UINT16_C(0x10)         /* an earlier plugin changed it; never in ABI 1.1 */
/*
 * Not all headers can be read, so the transport header is unknown, not absent. A filter that must not be evaded drops
 * such packets: a sender can move the ports beyond what is captured, or spread the header over fragments. Set if
 *   - nothing was captured, or of IPv4 or IPv6 not the whole fixed header, or one of another version
 *   - one of the headers does not lie, with all of its length, inside the captured bytes and inside the IP packet. These
 *     headers are: IPv4 with its options; AH, also of IPv4; each IPv6 extension header; TCP and DCCP with their options;
 *     GRE with the fields that its flags announce; 8 bytes of UDP, UDP-Lite, ICMP, ICMPv6 and ESP; 12 bytes of SCTP
 *   - the length in one of these headers is less than the header has at least: an IPv4 header length below 5, a TCP data
 *     offset below 5, a DCCP one below 3 (4 with long sequence numbers), a UDP length from 1 to 7
 *   - a transport protocol that is not named here begins where the captured bytes end, and the IP packet goes on
 * and never else. Bytes after the IP packet, such as Ethernet padding, are read as no header. An IP length of 0 (of more
 * than 64 KiB, made by segmentation offload) means that the packet is as long as wire_len says. A later fragment
 * (offset not 0) has no transport header: of it, only the headers up to the fragment offset count. A packet that ends
 * after its IP headers, of a protocol that is not named here or with "no next header", is complete.
 */
#define NFQE_PACKET_HEADERS_CUT UINT16_C(0x20)
/*
 * Since 1.1. The packet has still to go by other addresses, which its sender wrote into it: an IPv6 routing header with
 * segments left, of any type (SRv6 has them), or an IPv4 source route. `dest` is the next address, not the final one.
 */
#define NFQE_PACKET_SOURCE_ROUTE UINT16_C(0x40)

/*
 * One packet. Borrowed: valid until handle() or handle_batch() returns. All plugins get the same struct, so a
 * plugin must not write to it; the bytes at `data` are mapped read-only. Members are only ever appended;
 * `size` says how many bytes of the struct this engine filled.
 */
struct nfqe_packet {
    uint32_t size;
    uint32_t present;             /* NFQE_HAS_... */
    const uint8_t *data;          /* captured bytes from the network header on; NULL if len is 0 */
    uint32_t len;                 /* captured bytes at data */
    uint32_t wire_len;            /* bytes of the packet on the wire, from the network header on; 0 if unknown */
    uint64_t timestamp_ns;        /* when the packet arrived, CLOCK_REALTIME nanoseconds */
    uint32_t mark;                /* packet mark */
    uint32_t conntrack_mark;
    uint32_t queue;               /* number of the netfilter queue */
    uint32_t id;                  /* the kernel's id of this packet in its queue; wraps */
    uint32_t in_ifindex;
    uint32_t out_ifindex;
    uint32_t phys_in_ifindex;     /* the bridge port, where in_ifindex is the bridge */
    uint32_t phys_out_ifindex;
    uint32_t uid;                 /* owner of the local socket */
    uint32_t gid;
    uint32_t priority;            /* the kernel's skb priority */
    uint16_t hw_protocol;         /* Ethernet type: 0x0800 IPv4, 0x86dd IPv6 */
    uint16_t hw_address_len;      /* bytes used in hw_address */
    uint8_t hw_address[8];        /* the sender's link-layer address */
    uint8_t hook;                 /* 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting */
    uint8_t family;               /* AF_INET, AF_INET6, AF_BRIDGE: of the hook, not of the packet */
    uint8_t protocol;             /* IP protocol of the transport header (6 TCP, 17 UDP, ...), after AH and all IPv6
                                     extension headers; 0 if unknown */
    uint8_t reserved;
    uint16_t flags;               /* NFQE_PACKET_... */
    uint16_t network;             /* offset of the IPv4 or IPv6 header in data, or NFQE_NONE */
    uint16_t transport;           /* offset of the transport header, of which one byte or more was captured and for
                                     which the IP packet has room; NFQE_NONE for a later fragment too */
    uint16_t payload;             /* offset of the first byte after the transport header of TCP, UDP, ICMP and
                                     ICMPv6; may equal len (nothing captured); NFQE_NONE if unknown */
    uint32_t secctx_len;          /* bytes at secctx */
    const char *secctx; /* security context of the local socket, such as an SELinux label; no NUL at its end */
};

/* Big-endian numbers in a packet. They need no alignment, and allow no arithmetic by mistake. */
typedef struct {
    uint8_t bytes[2];
} nfqe_be16_t;

typedef struct {
    uint8_t bytes[4];
} nfqe_be32_t;

/* The value of a big-endian field, in host byte order. */
static inline uint16_t nfqe_be16(nfqe_be16_t field)
{
    return (uint16_t)((field.bytes[0] << 8) | field.bytes[1]);
}

static inline uint32_t nfqe_be32(nfqe_be32_t field)
{
    return ((uint32_t)field.bytes[0] << 24) | ((uint32_t)field.bytes[1] << 16) | ((uint32_t)field.bytes[2] << 8) |
           (uint32_t)field.bytes[3];
}

struct nfqe_ipv4_header {
    uint8_t version_ihl; /* version in the high 4 bits, header length in 4-byte words in the low 4 */
    uint8_t tos;
    nfqe_be16_t total_len;
    nfqe_be16_t id;
    nfqe_be16_t fragment; /* 3 flag bits, then the offset in units of 8 bytes */
    uint8_t ttl;
    uint8_t protocol;
    nfqe_be16_t checksum;
    uint8_t source[4];
    uint8_t dest[4];
};

struct nfqe_ipv6_header {
    nfqe_be32_t version_class_flow;
    nfqe_be16_t payload_len;
    uint8_t next_header; /* of the first header after this one; see nfqe_packet.protocol */
    uint8_t hop_limit;
    uint8_t source[16];
    uint8_t dest[16];
};

#define NFQE_TCP_FIN UINT8_C(0x01)
#define NFQE_TCP_SYN UINT8_C(0x02)
#define NFQE_TCP_RST UINT8_C(0x04)
#define NFQE_TCP_PSH UINT8_C(0x08)
#define NFQE_TCP_ACK UINT8_C(0x10)
#define NFQE_TCP_URG UINT8_C(0x20)

struct nfqe_tcp_header {
    nfqe_be16_t source; /* port */
    nfqe_be16_t dest; /* port */
    nfqe_be32_t seq;
    nfqe_be32_t ack_seq;
    uint8_t data_offset; /* header length in 4-byte words, in the high 4 bits */
    uint8_t flags; /* NFQE_TCP_... */
    nfqe_be16_t window;
    nfqe_be16_t checksum;
    nfqe_be16_t urgent;
};

struct nfqe_udp_header {
    nfqe_be16_t source; /* port */
    nfqe_be16_t dest; /* port */
    nfqe_be16_t len; /* of header and payload; 0: as long as the IP packet */
    nfqe_be16_t checksum;
};

struct nfqe_icmp_header {
    uint8_t type;
    uint8_t code;
    nfqe_be16_t checksum;
    nfqe_be32_t rest; /* meaning depends on type */
};

struct nfqe_icmpv6_header {
    uint8_t type;
    uint8_t code;
    nfqe_be16_t checksum;
    nfqe_be32_t rest; /* meaning depends on type */
};

#define NFQE_PROTOCOL_ICMP 1
#define NFQE_PROTOCOL_TCP 6
#define NFQE_PROTOCOL_UDP 17
#define NFQE_PROTOCOL_ICMPV6 58

/* `size` captured bytes at `offset`, or NULL if not all of them were captured. For headers not listed here. */
static inline const void *nfqe_bytes(const struct nfqe_packet *packet, uint32_t offset, uint32_t size)
{
    if (offset == NFQE_NONE || offset > packet->len || packet->len - offset < size) {
        return NULL;
    }
    return packet->data == NULL ? NULL : packet->data + offset;
}

/* The IPv4 header without its options; NULL if the packet is not IPv4. */
static inline const struct nfqe_ipv4_header *nfqe_ipv4(const struct nfqe_packet *packet)
{
    const uint8_t *header = (const uint8_t *)nfqe_bytes(packet, packet->network, sizeof(struct nfqe_ipv4_header));
    return header != NULL && header[0] >> 4 == 4 ? (const struct nfqe_ipv4_header *)(const void *)header : NULL;
}

/* The fixed IPv6 header; NULL if the packet is not IPv6. */
static inline const struct nfqe_ipv6_header *nfqe_ipv6(const struct nfqe_packet *packet)
{
    const uint8_t *header = (const uint8_t *)nfqe_bytes(packet, packet->network, sizeof(struct nfqe_ipv6_header));
    return header != NULL && header[0] >> 4 == 6 ? (const struct nfqe_ipv6_header *)(const void *)header : NULL;
}

/* The transport header, if it is of this protocol and `size` bytes of it were captured; else NULL. */
static inline const void *nfqe_transport(const struct nfqe_packet *packet, uint8_t protocol, uint32_t size)
{
    return packet->protocol == protocol ? nfqe_bytes(packet, packet->transport, size) : NULL;
}

/* The TCP header without its options. NULL: not TCP, a later fragment, or cut (NFQE_PACKET_HEADERS_CUT). */
static inline const struct nfqe_tcp_header *nfqe_tcp(const struct nfqe_packet *packet)
{
    return (const struct nfqe_tcp_header *)nfqe_transport(packet, NFQE_PROTOCOL_TCP, sizeof(struct nfqe_tcp_header));
}

/* The UDP header. NULL: not UDP, a later fragment, or cut. */
static inline const struct nfqe_udp_header *nfqe_udp(const struct nfqe_packet *packet)
{
    return (const struct nfqe_udp_header *)nfqe_transport(packet, NFQE_PROTOCOL_UDP, sizeof(struct nfqe_udp_header));
}

/* The first 8 bytes of an ICMP message. NULL: not ICMP, a later fragment, or cut. */
static inline const struct nfqe_icmp_header *nfqe_icmp(const struct nfqe_packet *packet)
{
    return (const struct nfqe_icmp_header *)nfqe_transport(packet, NFQE_PROTOCOL_ICMP, sizeof(struct nfqe_icmp_header));
}

/* The first 8 bytes of an ICMPv6 message. NULL: not ICMPv6, a later fragment, or cut. */
static inline const struct nfqe_icmpv6_header *nfqe_icmpv6(const struct nfqe_packet *packet)
{
    return (const struct nfqe_icmpv6_header *)nfqe_transport(packet, NFQE_PROTOCOL_ICMPV6,
                                                             sizeof(struct nfqe_icmpv6_header));
}

/*
 * The captured bytes after the transport header, as far as the lengths of the IP packet and of UDP go: without
 * link-layer padding, and without what follows a UDP datagram in its IP packet. *len gets their number. NULL
 * and 0 if the transport header is unknown or none of them was captured. Without NFQE_NEED_PAYLOAD, a plugin
 * is only sure to get its header bytes.
 */
static inline const uint8_t *nfqe_payload(const struct nfqe_packet *packet, uint32_t *len)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    const struct nfqe_udp_header *udp = nfqe_udp(packet);
    uint32_t end = packet->len;
    uint32_t ip_len = 0;  /* 0 in packets of more than 64 KiB, where the captured length counts */
    uint32_t udp_len = 0; /* 0 in such packets, too */

    if (ipv4 != NULL) {
        ip_len = nfqe_be16(ipv4->total_len);
    } else if (ipv6 != NULL && nfqe_be16(ipv6->payload_len) != 0) {
        ip_len = (uint32_t)sizeof(struct nfqe_ipv6_header) + nfqe_be16(ipv6->payload_len);
    }
    if (ip_len != 0 && packet->network + ip_len < end) {
        end = packet->network + ip_len;
    }
    if (udp != NULL) {
        udp_len = nfqe_be16(udp->len);
    }
    if (udp_len != 0 && packet->transport + udp_len < end) {
        end = packet->transport + udp_len;
    }
    if (packet->payload == NFQE_NONE || packet->payload >= end) {
        *len = 0;
        return NULL;
    }
    *len = end - packet->payload;
    return packet->data + packet->payload;
}

#ifdef __cplusplus
}
#endif

#endif
