/* SPDX-License-Identifier: MIT */
/*
 * nfqe/packet.h - how a plugin reads the headers of a packet, and what it can change.
 *
 * The types are in nfqe/abi.h. The engine fills `struct nfqe_packet`; the plugin reads it, and changes it by functions. The bytes that `data`
 * points to are as on the wire, so the fields of the header structs (struct nfqe_tcp_header and so on) are in network
 * byte order. They have types of their own, nfqe_be16_t and nfqe_be32_t, which cannot be compared or added by mistake;
 * nfqe_be16() and nfqe_be32() read them.
 *
 * Each accessor (nfqe_tcp(), nfqe_ipv6(), ...) returns a pointer into `data`, or NULL. The struct that it
 * points to lies completely inside the captured bytes, so its fields may be read without a further check.
 * The pointer is valid for as long as the packet: until handle() or handle_batch() returns; or until the packet is
 * changed.
 *
 * Process: everything here may be called [worker] in handle() and handle_batch(). Nothing allocates or
 * blocks; the only failure of an accessor is to return NULL.
 */
#ifndef NFQE_PACKET_H
#define NFQE_PACKET_H

#include <nfqe/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A cast that neither -Wold-style-cast nor a C compiler minds. */
#ifdef __cplusplus
#define NFQE_CAST_(type, value) static_cast<type>(value)
#else
#define NFQE_CAST_(type, value) ((type)(value))
#endif

/* The value of a big-endian field, in host byte order. */
static inline uint16_t nfqe_be16(nfqe_be16_t field)
{
    return NFQE_CAST_(uint16_t, (field.bytes[0] << 8) | field.bytes[1]);
}

static inline uint32_t nfqe_be32(nfqe_be32_t field)
{
    return (NFQE_CAST_(uint32_t, field.bytes[0]) << 24) | (NFQE_CAST_(uint32_t, field.bytes[1]) << 16) |
           (NFQE_CAST_(uint32_t, field.bytes[2]) << 8) | field.bytes[3];
}

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
    const void *header = nfqe_bytes(packet, packet->network, sizeof(struct nfqe_ipv4_header));
    const struct nfqe_ipv4_header *ipv4 = NFQE_CAST_(const struct nfqe_ipv4_header *, header);

    return ipv4 != NULL && ipv4->version_ihl >> 4 == 4 ? ipv4 : NULL;
}

/* The fixed IPv6 header; NULL if the packet is not IPv6. */
static inline const struct nfqe_ipv6_header *nfqe_ipv6(const struct nfqe_packet *packet)
{
    const void *header = nfqe_bytes(packet, packet->network, sizeof(struct nfqe_ipv6_header));
    const struct nfqe_ipv6_header *ipv6 = NFQE_CAST_(const struct nfqe_ipv6_header *, header);

    return ipv6 != NULL && ipv6->version_class_flow.bytes[0] >> 4 == 6 ? ipv6 : NULL;
}

/* The transport header, if it is of this protocol and `size` bytes of it were captured; else NULL. */
static inline const void *nfqe_transport(const struct nfqe_packet *packet, uint8_t protocol, uint32_t size)
{
    return packet->protocol == protocol ? nfqe_bytes(packet, packet->transport, size) : NULL;
}

/* The TCP header without its options. NULL: not TCP, a later fragment, or cut (NFQE_PACKET_HEADERS_CUT). */
static inline const struct nfqe_tcp_header *nfqe_tcp(const struct nfqe_packet *packet)
{
    return NFQE_CAST_(const struct nfqe_tcp_header *,
                      nfqe_transport(packet, NFQE_PROTOCOL_TCP, sizeof(struct nfqe_tcp_header)));
}

/* The UDP header. NULL: not UDP, a later fragment, or cut. */
static inline const struct nfqe_udp_header *nfqe_udp(const struct nfqe_packet *packet)
{
    return NFQE_CAST_(const struct nfqe_udp_header *,
                      nfqe_transport(packet, NFQE_PROTOCOL_UDP, sizeof(struct nfqe_udp_header)));
}

/* The first 8 bytes of an ICMP message. NULL: not ICMP, a later fragment, or cut. */
static inline const struct nfqe_icmp_header *nfqe_icmp(const struct nfqe_packet *packet)
{
    return NFQE_CAST_(const struct nfqe_icmp_header *,
                      nfqe_transport(packet, NFQE_PROTOCOL_ICMP, sizeof(struct nfqe_icmp_header)));
}

/* The first 8 bytes of an ICMPv6 message. NULL: not ICMPv6, a later fragment, or cut. */
static inline const struct nfqe_icmpv6_header *nfqe_icmpv6(const struct nfqe_packet *packet)
{
    return NFQE_CAST_(const struct nfqe_icmpv6_header *,
                      nfqe_transport(packet, NFQE_PROTOCOL_ICMPV6, sizeof(struct nfqe_icmpv6_header)));
}

/*
 * The captured bytes after the transport header, as far as the lengths of the IP packet and of UDP go: without
 * link-layer padding, and without what follows a UDP datagram in its IP packet. *len gets their number. NULL
 * and 0 if the transport header is unknown or none of them was captured. Without NFQE_NEED_PAYLOAD, a plugin
 * is only sure to get its header bytes.
 */
static inline const uint8_t *nfqe_payload(const struct nfqe_packet *packet, uint32_t *len)
{
    *len = packet->payload_len;
    return packet->payload_len == 0 ? NULL : packet->data + packet->payload;
}

/*
 * Sets the bits of `mask` in the packet mark to those of `bits`; packet->mark has the new value. The kernel's packet
 * gets it with the verdict; it stays as it was received if it is dropped, if its flow is decided, if the verdict is
 * invalid, or if the worker dies before it. Returns 0 or a negative errno, and then nothing is changed. EINVAL: `bits`
 * has some that `mask` has not; `mask` has some that the engine uses (--bypass-mark, --repeat-mark); it is no packet
 * that the plugin has now; it is called from another thread.
 */
static inline int nfqe_set_mark(struct nfqe_packet *packet, uint32_t bits, uint32_t mask)
{
    return packet->operations->set_mark(packet, bits, mask);
}

/*
 * Changing bytes: nfqe_writable(), nfqe_splice(), nfqe_replace(). Needs NFQE_NEED_MODIFY, and is about the whole packet from
 * the network header on.
 *
 * The first change copies the packet, without padding after it; a packet that is not changed costs nothing. After each of
 * the three, packet->data, len, wire_len and all that is found in the bytes (network, transport, protocol, payload, ...) are
 * those of the changed packet, also for later plugins, and NFQE_PACKET_MODIFIED is set. Pointers into the packet from
 * before are dead, also those of nfqe_writable(). The length of IP, and that of UDP, follow the packet at once; checksums
 * (IPv4, TCP, UDP, UDP-Lite, ICMP, ICMPv6, DCCP, SCTP) are made once, when the packet has its verdict, so later plugins
 * see old ones. A packet that was received with a wrong checksum keeps a wrong one; a UDP checksum of 0 stays 0.
 *
 * The changed packet goes on with the verdict, if that is not DROP. It goes on as it was received if its flow is decided,
 * if the verdict is invalid, or if the worker dies before it; DROP drops it, whatever was changed.
 *
 * Kernels drop what they do not take of a changed packet without a word, so it is an error before that, and counted
 * (changes_refused). The rules are those of all known kernels:
 *   EMSGSIZE     the packet was not received whole (NFQE_PACKET_TRUNCATED), or would have more than 65,531 bytes
 *   EOPNOTSUPP   another IP version; another length, options or fragment bits ("don't fragment" may change) of IPv4;
 *                another next header or other extension headers of IPv6, or more than twelve; a packet that ends before
 *                its transport header; one on a bridge; another length of a packet of segmentation offload or of a
 *                fragment; a checksum that cannot be made, of a fragment that is not the first one or of an IPv6 routing
 *                header of an unknown type
 * What is written by nfqe_writable() is looked at by the next call for this packet, and when the plugin's function
 * returns: if it is not allowed then, the verdict is invalid. nfqe_check_change() tells before.
 *
 * All of them: EINVAL: it is no packet that the plugin has now; it is called from another thread; the range is not in the
 * packet. EPERM: the plugin has not declared the need. A call that fails has changed nothing. Up to 250 ns for a
 * packet of 1,400 bytes.
 */

/* `len` bytes at `offset` of the packet, to be written until the next change of the packet. NULL: see errno. */
static inline uint8_t *nfqe_writable(struct nfqe_packet *packet, uint32_t offset, uint32_t len)
{
    return packet->operations->writable(packet, offset, len);
}

/*
 * Puts `n` bytes in place of the `remove` bytes at `offset`; what comes after them moves. bytes: may be in the packet; NULL
 * only if n is 0. Bytes that are put in where a UDP datagram ends belong to it. Returns 0 or a negative errno.
 */
static inline int nfqe_splice(struct nfqe_packet *packet, uint32_t offset, uint32_t remove, const void *bytes,
                              uint32_t n)
{
    return packet->operations->splice(packet, offset, remove, bytes, n);
}

/*
 * Puts `len` bytes in place of the whole packet, from the network header on. Its checksums are made whatever they were
 * before, but for those of fragments. Returns 0 or a negative errno.
 */
static inline int nfqe_replace(struct nfqe_packet *packet, const void *bytes, uint32_t len)
{
    return packet->operations->replace(packet, bytes, len);
}

/* Whether the packet can go on as it is now: 0, or -EOPNOTSUPP. */
static inline int nfqe_check_change(struct nfqe_packet *packet)
{
    return packet->operations->check_change(packet);
}

/*
 * The conntrack entry of the packet, as it was when the packet was queued; valid as long as the packet, and written by
 * the engine alone. Needs NFQE_NEED_CONNTRACK. Decoded by the first call. NULL, with errno ENOENT: the packet has none,
 * since it is invalid or not tracked, or the kernel was not asked for it. EINVAL: it is no packet that the plugin has
 * now; it is called from another thread.
 */
static inline const struct nfqe_conntrack_entry *nfqe_conntrack(struct nfqe_packet *packet)
{
    return packet->operations->conntrack(packet);
}

#ifdef __cplusplus
}
#endif

#endif
