/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds IP packets header by header and records the offset of each; the tests compare them with what packet_parse()
 * finds.
 *
 * Each header is appended; then builder_finish() fills in the length field of the IP header. What is appended after
 * that is link-layer padding.
 */
#ifndef UNIT_BUILDER_H
#define UNIT_BUILDER_H

#include <nfqe/packet.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILDER_SIZE 4096

#define IPV6_HOP_BY_HOP 0
#define IPV6_ROUTING 43
#define IPV6_FRAGMENT 44
#define IPV6_ENCRYPTED 50
#define IPV6_AUTHENTICATION 51
#define IPV6_NO_NEXT 59
#define IPV6_DESTINATION 60
#define IPV6_MOBILITY 135
#define IPV6_HOST_IDENTITY 139
#define IPV6_SHIM6 140

#define BUILDER_SOURCE_PORT 0xc0de
#define BUILDER_DEST_PORT 0x1f90

struct builder {
    uint8_t bytes[BUILDER_SIZE];
    size_t len;
    unsigned version;      /* 4 or 6 */
    size_t next_header;    /* offset of the byte for the protocol of the next header */
    size_t transport;      /* offset of the transport header */
    size_t headers_end;    /* end of the transport header, or of all headers if there is none */
    bool has_transport;
    uint8_t protocol;      /* of the transport header */
};

/* option_bytes: a multiple of 4, up to 40. fragment: the 16 bits of flags and offset. */
void builder_ipv4(struct builder *builder, size_t option_bytes, uint16_t fragment);
void builder_ipv6(struct builder *builder);

/* Appends an IPv6 extension header of `size` bytes: a multiple of 8, for AUTHENTICATION of 4. */
void builder_extension(struct builder *builder, uint8_t kind, size_t size);

/* Appends an IPv6 fragment header; offset in units of 8 bytes. */
void builder_fragment(struct builder *builder, uint16_t offset, bool more);

void builder_tcp(struct builder *builder, size_t option_bytes);
void builder_udp(struct builder *builder);
void builder_icmp(struct builder *builder);
void builder_icmpv6(struct builder *builder);

/*
 * Appends the header of TCP, with 8 bytes of options, UDP, ICMP or ICMPv6. payload: bytes that come after it; the length of
 * UDP says so.
 */
void builder_transport(struct builder *builder, uint8_t protocol, size_t payload);

/* A protocol number without a header. */
void builder_protocol(struct builder *builder, uint8_t protocol);

/* Appends `len` bytes that are not zero. */
void builder_bytes(struct builder *builder, size_t len);

/* Fills in the IP length: the IP packet is what was appended so far. */
void builder_finish(struct builder *builder);

/* The packet as it is before packet_parse(). */
struct nfqe_packet builder_packet(const struct builder *builder, const void *data, size_t len);

#endif
