/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of each protocol with a checksum, in the two buffers of one packet.
 *
 * The payload is no pattern that a sum could miss: each byte differs from those beside it.
 */
#include "change_fixture.h"

#include "unit.h"

#include "packet/change_rules.h"
#include "packet/parse.h"

uint8_t change_case_rooms[2][PACKET_CHANGE_ROOM];
uint8_t *change_case_spare;
struct change_model change_case_model;

void change_case_transport(struct builder *builder, uint8_t protocol)
{
    uint8_t *header = builder->bytes + builder->len;

    switch (protocol) {
    case NFQE_PROTOCOL_TCP:
        builder_tcp(builder, 4);
        return;
    case NFQE_PROTOCOL_UDP:
        builder_udp(builder);
        return;
    case NFQE_PROTOCOL_ICMP:
        builder_icmp(builder);
        return;
    case NFQE_PROTOCOL_ICMPV6:
        builder_icmpv6(builder);
        return;
    default:
        break;
    }
    builder_protocol(builder, protocol);
    builder->transport = builder->len;
    builder_bytes(builder, protocol == PROTOCOL_UDP_LITE ? 8 : 12);
    memset(header, 0, 12);
    header[4] = protocol == PROTOCOL_DCCP ? 3 : 0;
}

void change_case_payload(struct builder *builder, size_t len)
{
    size_t at = builder->len;

    builder_bytes(builder, len);
    for (size_t i = at; i < builder->len; i++) {
        builder->bytes[i] = (uint8_t)(i * 89 + 1);
    }
}

void change_case_end(struct builder *builder, uint8_t protocol)
{
    size_t len = builder->len - builder->transport;

    if (protocol == NFQE_PROTOCOL_UDP) {
        builder->bytes[builder->transport + 4] = (uint8_t)(len >> 8);
        builder->bytes[builder->transport + 5] = (uint8_t)len;
    }
    builder_finish(builder);
    change_model_make_right(builder->bytes, builder->len);
}

void change_case_begin(struct change_case *this, uint16_t flags)
{
    change_case_spare = change_case_rooms[1];
    packet_change_init(&this->change, change_case_rooms[0], &change_case_spare, CHANGE_RULES_ALL);
    this->packet = builder_packet(&this->builder, this->builder.bytes, this->builder.len);
    this->packet.wire_len = this->packet.len;
    this->packet.flags = flags;
    packet_parse(&this->packet);
    change_model_init(&change_case_model, this->builder.bytes, this->builder.len);
    change_case_model.ip_hook = true;
    change_case_model.pending = (flags & NFQE_PACKET_CHECKSUM_PENDING) != 0;
    change_case_model.gso = (flags & NFQE_PACKET_GSO) != 0;
    change_case_model.truncated = (flags & NFQE_PACKET_TRUNCATED) != 0;
}

void change_case_build(struct change_case *this, unsigned version, uint8_t protocol, size_t payload)
{
    if (version == 4) {
        builder_ipv4(&this->builder, 8, 0x4000);
    } else {
        builder_ipv6(&this->builder);
        builder_extension(&this->builder, IPV6_DESTINATION, 16);
    }
    change_case_transport(&this->builder, protocol);
    change_case_payload(&this->builder, payload);
    change_case_end(&this->builder, protocol);
    change_case_begin(this, 0);
}

uint8_t *change_case_write(struct change_case *this, uint32_t offset, uint32_t len)
{
    uint8_t *bytes = NULL;

    assert_int_equal(packet_change_writable(&this->change, &this->packet, offset, len, &bytes), 0);
    assert_int_equal(change_model_writable(&change_case_model, offset, len), 0);
    assert_ptr_equal(bytes, this->packet.data + offset);
    return bytes;
}

void change_case_write_byte(struct change_case *this, uint32_t offset, uint8_t value)
{
    *change_case_write(this, offset, 1) = value;
    change_case_model.bytes[offset] = value;
}

void change_case_splice(struct change_case *this, uint32_t offset, uint32_t remove, const char *bytes, uint32_t count)
{
    assert_int_equal(packet_change_splice(&this->change, &this->packet, offset, remove, (const uint8_t *)bytes, count),
                     0);
    assert_int_equal(change_model_splice(&change_case_model, offset, remove, (const uint8_t *)bytes, count), 0);
}

void change_case_finish(struct change_case *this)
{
    const char *wrong;

    assert_int_equal(packet_change_finish(&this->change, &this->packet), 0);
    assert_int_equal(change_model_check(&change_case_model), 0);
    wrong = change_model_compare(&change_case_model, this->packet.data, this->packet.len);
    if (wrong != NULL) {
        fail_msg("%s", wrong);
    }
}

void change_case_assert_right(const struct change_case *this)
{
    static uint8_t right[PACKET_CHANGE_ROOM];

    memcpy(right, this->packet.data, this->packet.len);
    change_model_make_right(right, this->packet.len);
    assert_memory_equal(right, this->packet.data, this->packet.len);
}
