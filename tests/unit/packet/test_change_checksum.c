/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksums of a changed packet: right if they were right, made if there was none to start from, and never right for
 * a packet that was damaged before.
 */
#include "unit.h"

#include "change_fixture.h"
#include "packet/crc32c.h"

#include <errno.h>

#define PAYLOAD 40

static void test_damaged_packet_stays_damaged(void **state)
{
    static const uint8_t protocols[] = {NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP, PROTOCOL_SCTP, PROTOCOL_UDP_LITE};
    struct change_case this;

    (void)state;
    for (size_t i = 0; i < sizeof(protocols); i++) {
        change_case_build(&this, 6, protocols[i], PAYLOAD);
        this.builder.bytes[this.builder.len - 7] ^= 0x10;
        change_case_begin(&this, 0);
        change_case_write_byte(&this, this.packet.len - 2, 0);
        change_case_splice(&this, this.packet.len, 0, "three", 5);
        change_case_finish(&this);
        change_model_init(&change_case_model, this.packet.data, this.packet.len);
        change_model_make_right(change_case_model.bytes, change_case_model.len);
        assert_memory_not_equal(change_case_model.bytes, this.packet.data, change_case_model.len);
    }
}

static void test_checksum_is_made_where_there_is_none_to_start_from(void **state)
{
    static const uint16_t flags[] = {NFQE_PACKET_CHECKSUM_PENDING, NFQE_PACKET_GSO, 0};
    static const uint8_t protocols[] = {NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP, PROTOCOL_SCTP};

    (void)state;
    for (size_t i = 0; i < 3 * sizeof(protocols); i++) {
        struct change_case this;
        uint8_t other[200];
        uint32_t len;

        change_case_build(&this, i % 2 == 0 ? 4 : 6, protocols[i / 3], PAYLOAD);
        this.builder.bytes[this.builder.transport + 6] ^= 1;
        this.builder.bytes[this.builder.transport + 17] ^= 1;
        change_case_begin(&this, flags[i % 3]);
        len = this.packet.len;
        memcpy(other, this.packet.data, len);
        if (flags[i % 3] == 0) { /* a packet of the plugin's own */
            assert_int_equal(packet_change_replace(&this.change, &this.packet, other, len), 0);
            assert_int_equal(change_model_replace(&change_case_model, other, len), 0);
        } else {
            change_case_write_byte(&this, len - 1, 3);
        }
        change_case_finish(&this);
        change_case_assert_right(&this);
    }
}

/* 0: the sender made none. Over IPv6, that is nothing that a plugin can choose. */
static void test_udp_checksum_of_zero(void **state)
{
    struct change_case this;
    const struct nfqe_udp_header *udp;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        unsigned version = i % 2 == 0 ? 4 : 6;
        bool received = (i & 2) != 0;
        bool pending = (i & 4) != 0;

        change_case_build(&this, version, NFQE_PROTOCOL_UDP, PAYLOAD);
        memset(this.builder.bytes + this.builder.transport + 6, received ? 0 : 1, 2);
        change_case_begin(&this, pending ? NFQE_PACKET_CHECKSUM_PENDING : 0);
        change_case_write_byte(&this, this.packet.len - 1, 3);
        if (!received) {
            change_case_write_byte(&this, this.packet.transport + 6u, 0);
            change_case_write_byte(&this, this.packet.transport + 7u, 0);
        }
        change_case_finish(&this);
        udp = nfqe_udp(&this.packet);
        assert_int_equal(nfqe_be16(udp->checksum) == 0, !pending && (received || version == 4));
    }
    for (unsigned i = 0; i < 0x10000; i += unit_cases(1, 17)) { /* a sum of 0 is written as 0xffff, and never as 0 */
        change_case_build(&this, 4, NFQE_PROTOCOL_UDP, 2);
        change_case_write(&this, this.packet.payload, 2)[0] = change_case_model.bytes[this.packet.payload] =
            (uint8_t)(i >> 8);
        change_case_write_byte(&this, this.packet.payload + 1u, (uint8_t)i);
        change_case_finish(&this);
        assert_int_not_equal(nfqe_be16(nfqe_udp(&this.packet)->checksum), 0);
    }
}

/* The fragments are put together again, and then the datagram is right. */
static void test_first_fragment_gets_the_checksum_of_its_datagram(void **state)
{
    static const uint8_t protocols[] = {NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP, NFQE_PROTOCOL_ICMP};

    (void)state;
    for (size_t i = 0; i < sizeof(protocols); i++) {
        struct change_case this;
        struct builder whole;
        size_t len = 20 + 48; /* of the fragment */

        builder_ipv4(&whole, 0, 0);
        change_case_transport(&whole, protocols[i]);
        change_case_payload(&whole, 200);
        change_case_end(&whole, protocols[i]);
        this.builder = whole;
        this.builder.len = len;
        this.builder.bytes[6] = 0x20;
        builder_finish(&this.builder);
        change_case_begin(&this, 0);
        change_case_write_byte(&this, this.packet.transport, 0x99);
        change_case_write_byte(&this, (uint32_t)len - 1, 0x99);
        change_case_write_byte(&this, 15, 0x99); /* the sender's address */
        assert_int_equal(packet_change_splice(&this.change, &this.packet, 60, 1, NULL, 0), -EOPNOTSUPP);
        change_case_finish(&this);
        memcpy(whole.bytes + 12, this.packet.data + 12, len - 12);
        memcpy(this.builder.bytes, whole.bytes, whole.len);
        change_model_make_right(this.builder.bytes, whole.len);
        assert_memory_equal(this.builder.bytes + 12, whole.bytes + 12, whole.len - 12);
    }
}

static void test_later_fragment_keeps_what_the_checksum_is_about(void **state)
{
    struct change_case this;

    (void)state;
    builder_ipv4(&this.builder, 0, 0x0010);
    builder_protocol(&this.builder, NFQE_PROTOCOL_UDP);
    change_case_payload(&this.builder, PAYLOAD);
    builder_finish(&this.builder);
    change_case_begin(&this, 0);
    change_case_write_byte(&this, 8, 3); /* how far it may go */
    change_case_write_byte(&this, 19, 3);
    change_case_finish(&this);
    change_case_write_byte(&this, 30, 3);
    assert_int_equal(packet_change_check(&this.change, &this.packet), -EOPNOTSUPP);
    this.builder.bytes[9] = 47; /* GRE has no checksum over all of it */
    change_case_begin(&this, 0);
    change_case_write_byte(&this, 30, 3);
    change_case_finish(&this);
}

/* With segments left, the checksum is made with an address that is no part of the IPv6 header. */
static void test_checksum_with_a_routing_header_is_that_of_the_last_receiver(void **state)
{
    (void)state;
    for (unsigned type = 3; type <= 4; type++) { /* where addresses are in type 3 is not known */
        struct change_case this;
        size_t at;

        builder_ipv6(&this.builder);
        at = this.builder.len;
        builder_extension(&this.builder, IPV6_ROUTING, 40);
        this.builder.bytes[at + 2] = (uint8_t)type;
        this.builder.bytes[at + 3] = 1;
        change_case_transport(&this.builder, NFQE_PROTOCOL_TCP);
        change_case_payload(&this.builder, PAYLOAD);
        change_case_end(&this.builder, NFQE_PROTOCOL_TCP);
        change_case_begin(&this, 0);
        change_case_write_byte(&this, 24, 0xfe); /* the next receiver */
        change_case_write_byte(&this, this.packet.len - 1, 0xfe);
        change_case_finish(&this);
        change_case_begin(&this, NFQE_PACKET_CHECKSUM_PENDING);
        change_case_write_byte(&this, this.packet.len - 1, 0xfe);
        assert_int_equal(packet_change_check(&this.change, &this.packet), type == 3 ? -EOPNOTSUPP : 0);
        assert_int_equal(packet_change_finish(&this.change, &this.packet), type == 3 ? -EOPNOTSUPP : 0);
    }
}

/* The kernel does not look at AH of IPv4, nor at IPv6 headers that it does not know, so these may change their length. */
static void test_transport_header_may_move(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (unsigned grow = 0; grow < 2; grow++) {
            struct change_case this;
            uint32_t header = version == 4 ? 20 : 40;
            uint32_t step = version == 4 ? 4 : 8;

            if (version == 4) {
                builder_ipv4(&this.builder, 0, 0);
                builder_extension(&this.builder, IPV6_AUTHENTICATION, 24);
            } else {
                builder_ipv6(&this.builder);
                builder_extension(&this.builder, IPV6_MOBILITY, 24);
            }
            change_case_transport(&this.builder, NFQE_PROTOCOL_TCP);
            change_case_payload(&this.builder, PAYLOAD);
            change_case_end(&this.builder, NFQE_PROTOCOL_TCP);
            change_case_begin(&this, 0);
            change_case_write_byte(&this, header + 1, (uint8_t)(this.packet.data[header + 1] + (grow != 0 ? 1 : -1)));
            change_case_splice(&this, header + 12, grow != 0 ? 0 : step, "12345678", grow != 0 ? step : 0);
            assert_int_equal(this.packet.transport, grow != 0 ? header + 24 + step : header + 24 - step);
            change_case_write_byte(&this, this.packet.len - 3, 0x21);
            change_case_finish(&this);
            change_case_assert_right(&this);
        }
    }
}

static void test_crc_of_sctp_is_castagnolis(void **state)
{
    (void)state;
    assert_true(crc32c_add(CRC32C_BEGIN, (const uint8_t *)"123456789", 9) == ~UINT32_C(0xe3069283));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_packet_stays_damaged),
        cmocka_unit_test(test_checksum_is_made_where_there_is_none_to_start_from),
        cmocka_unit_test(test_udp_checksum_of_zero),
        cmocka_unit_test(test_first_fragment_gets_the_checksum_of_its_datagram),
        cmocka_unit_test(test_later_fragment_keeps_what_the_checksum_is_about),
        cmocka_unit_test(test_checksum_with_a_routing_header_is_that_of_the_last_receiver),
        cmocka_unit_test(test_transport_header_may_move),
        cmocka_unit_test(test_crc_of_sctp_is_castagnolis),
    };

    return cmocka_run_group_tests_name("change_checksum", tests, NULL, NULL);
}
