/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds IP packets for tests, header by header.
 *
 * It follows the RFCs (791, 8200, 4302 and those of the transport protocols), not the parser: all lengths and offsets
 * are computed here, independently of the code under test.
 */
#include "builder.h"

#include <string.h>
#include <sys/socket.h>

static uint8_t *append(struct builder *builder, size_t len)
{
    uint8_t *place = builder->bytes + builder->len;

    memset(place, 0, len);
    builder->len += len;
    builder->headers_end = builder->len;
    return place;
}

static void put16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* Fills in the "next header" field of the header before. */
static void set_next_header(struct builder *builder, uint8_t protocol)
{
    builder->bytes[builder->next_header] = protocol;
}

void builder_ipv4(struct builder *builder, size_t option_bytes, uint16_t fragment)
{
    uint8_t *header;

    memset(builder, 0, sizeof(*builder));
    builder->version = 4;
    header = append(builder, 20 + option_bytes);
    header[0] = (uint8_t)(0x40 | (20 + option_bytes) / 4);
    put16(header + 4, 0x1234);
    put16(header + 6, fragment);
    header[8] = 64;
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): two addresses, no text */
    memcpy(header + 12, "\xc0\x00\x02\x01\xc6\x33\x64\x02", 8);
    memset(header + 20, 1, option_bytes); /* no operation */
    builder->next_header = 9;
}

void builder_ipv6(struct builder *builder)
{
    uint8_t *header;

    memset(builder, 0, sizeof(*builder));
    builder->version = 6;
    header = append(builder, 40);
    header[0] = 0x60;
    header[7] = 64;
    memset(header + 8, 0x20, 32);
    builder->next_header = 6;
}

void builder_extension(struct builder *builder, uint8_t kind, size_t size)
{
    uint8_t *header;

    set_next_header(builder, kind);
    builder->next_header = builder->len;
    header = append(builder, size);
    memset(header, 0xa5, size);
    header[1] = (uint8_t)(kind == IPV6_AUTHENTICATION ? size / 4 - 2 : size / 8 - 1);
}

void builder_fragment(struct builder *builder, uint16_t offset, bool more)
{
    uint8_t *header;

    set_next_header(builder, IPV6_FRAGMENT);
    builder->next_header = builder->len;
    header = append(builder, 8);
    put16(header + 2, (size_t)(offset << 3) | more);
    put16(header + 6, 0x4321);
}

static uint8_t *append_transport(struct builder *builder, uint8_t protocol, size_t size)
{
    builder_protocol(builder, protocol);
    builder->transport = builder->len;
    builder->has_transport = true;
    return append(builder, size);
}

void builder_tcp(struct builder *builder, size_t option_bytes)
{
    uint8_t *header = append_transport(builder, NFQE_PROTOCOL_TCP, 20 + option_bytes);

    put16(header, BUILDER_SOURCE_PORT);
    put16(header + 2, BUILDER_DEST_PORT);
    header[12] = (uint8_t)((20 + option_bytes) / 4 << 4);
    header[13] = NFQE_TCP_SYN;
}

void builder_udp(struct builder *builder)
{
    uint8_t *header = append_transport(builder, NFQE_PROTOCOL_UDP, 8);

    put16(header, BUILDER_SOURCE_PORT);
    put16(header + 2, BUILDER_DEST_PORT);
}

void builder_icmp(struct builder *builder)
{
    append_transport(builder, NFQE_PROTOCOL_ICMP, 8)[0] = 8;
}

void builder_icmpv6(struct builder *builder)
{
    append_transport(builder, NFQE_PROTOCOL_ICMPV6, 8)[0] = 128;
}

void builder_transport(struct builder *builder, uint8_t protocol, size_t payload)
{
    if (protocol == NFQE_PROTOCOL_TCP) {
        builder_tcp(builder, 8);
    } else if (protocol == NFQE_PROTOCOL_UDP) {
        builder_udp(builder);
        builder->bytes[builder->transport + 4] = (uint8_t)((8 + payload) / 256);
        builder->bytes[builder->transport + 5] = (uint8_t)(8 + payload);
    } else if (protocol == NFQE_PROTOCOL_ICMP) {
        builder_icmp(builder);
    } else {
        builder_icmpv6(builder);
    }
}

void builder_protocol(struct builder *builder, uint8_t protocol)
{
    set_next_header(builder, protocol);
    builder->protocol = protocol;
}

void builder_bytes(struct builder *builder, size_t len)
{
    size_t headers_end = builder->headers_end;

    memset(append(builder, len), 0xbb, len);
    builder->headers_end = headers_end;
}

void builder_finish(struct builder *builder)
{
    if (builder->version == 4) {
        put16(builder->bytes + 2, builder->len);
    } else {
        put16(builder->bytes + 4, builder->len - 40);
    }
}

struct nfqe_packet builder_packet(const struct builder *builder, const void *data, size_t len)
{
    return (struct nfqe_packet){
        .size = sizeof(struct nfqe_packet),
        .data = len > 0 ? data : NULL,
        .len = (uint32_t)len,
        .hw_protocol = builder->version == 4 ? 0x0800 : 0x86dd,
        .family = builder->version == 4 ? AF_INET : AF_INET6,
    };
}
