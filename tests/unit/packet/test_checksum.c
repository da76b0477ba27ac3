/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which packets have a checksum that is surely wrong.
 *
 * The right checksum is computed here, byte by byte, over a pseudo-header that the test writes down. Every single bit
 * that is changed under it must be noticed, and none where the checksum cannot be known.
 */
#include "unit.h"

#include "builder.h"
#include "guarded.h"
#include "packet/checksum.h"
#include "packet/parse.h"

#include <string.h>

#define PAYLOAD 7 /* odd */
#define PADDING 16
#define ALIGNMENTS 4

static const uint8_t protocols[] = {NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP, NFQE_PROTOCOL_ICMP, NFQE_PROTOCOL_ICMPV6};
#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

static size_t checksum_place(uint8_t protocol)
{
    return protocol == NFQE_PROTOCOL_TCP ? 16 : protocol == NFQE_PROTOCOL_UDP ? 6 : 2;
}

/* Of so many bytes of transport header and payload. dest: the address in the pseudo-header. */
static uint16_t checksum(const struct builder *builder, size_t len, const uint8_t *dest)
{
    uint8_t bytes[BUILDER_SIZE + 64] = {0};
    size_t address = builder->version == 4 ? 4 : 16;
    size_t total = 0;
    uint64_t sum = 0;

    if (builder->protocol != NFQE_PROTOCOL_ICMP) {
        memcpy(bytes, builder->bytes + (builder->version == 4 ? 12 : 8), address);
        memcpy(bytes + address, dest, address);
        total = 2 * address;
        bytes[total + 2] = (uint8_t)(len >> 8);
        bytes[total + 3] = (uint8_t)len;
        bytes[total + 5] = builder->protocol;
        total += 6;
    }
    memcpy(bytes + total, builder->bytes + builder->transport, len);
    for (size_t i = 0; i < total + len; i++) {
        sum += i % 2 == 0 ? (uint64_t)bytes[i] << 8 : bytes[i];
    }
    return (uint16_t) ~(sum % 0xffff); /* the sum is never 0 */
}

static void put_checksum(struct builder *builder, size_t len, const uint8_t *dest)
{
    uint8_t *place = builder->bytes + builder->transport + checksum_place(builder->protocol);
    uint16_t value;

    memset(place, 0, 2);
    value = checksum(builder, len, dest);
    place[0] = (uint8_t)(value >> 8);
    place[1] = (uint8_t)value;
}

static const uint8_t *dest_of(const struct builder *builder)
{
    return builder->bytes + (builder->version == 4 ? 16 : 24);
}

static void append(struct builder *builder, uint8_t protocol, size_t payload)
{
    switch (protocol) {
    case NFQE_PROTOCOL_TCP:
        builder_tcp(builder, 8);
        break;
    case NFQE_PROTOCOL_UDP:
        builder_udp(builder);
        builder->bytes[builder->transport + 4] = (uint8_t)((8 + payload) >> 8);
        builder->bytes[builder->transport + 5] = (uint8_t)(8 + payload);
        break;
    case NFQE_PROTOCOL_ICMP:
        builder_icmp(builder);
        break;
    default:
        builder_icmpv6(builder);
        break;
    }
    builder_bytes(builder, payload);
    builder_finish(builder);
}

/* A packet with so many bytes of payload. */
static void build_len(struct builder *builder, unsigned version, uint8_t protocol, size_t payload)
{
    if (version == 4) {
        builder_ipv4(builder, 4, 0);
    } else {
        builder_ipv6(builder);
        builder->bytes[39] = 9;
    }
    append(builder, protocol, payload);
}

/* A packet with the right checksum. */
static void build(struct builder *builder, unsigned version, uint8_t protocol)
{
    build_len(builder, version, protocol, PAYLOAD);
    put_checksum(builder, builder->len - builder->transport, dest_of(builder));
}

/* No byte after the first `len` may be read. flags: of the packet, beside those of the parser. */
static bool is_wrong(const struct builder *builder, size_t len, uint16_t flags)
{
    struct guarded bytes;
    struct nfqe_packet packet;
    bool wrong;

    guarded_init(&bytes, BUILDER_SIZE);
    packet = builder_packet(builder, guarded_put(&bytes, builder->bytes, len, 1), len);
    packet_parse(&packet);
    packet.flags |= flags;
    wrong = packet_checksum_is_wrong(&packet);
    guarded_done(&bytes);
    return wrong;
}

static void test_right_checksum_is_not_wrong_also_if_padding_follows(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < PROTOCOLS; i++) {
            struct builder builder;

            build(&builder, version, protocols[i]);
            assert_false(is_wrong(&builder, builder.len, 0));
            builder_bytes(&builder, PADDING);
            assert_false(is_wrong(&builder, builder.len, 0));
        }
    }
}

/* The payload of one packet, and the address at which it is: its last bytes count, and those after it do not. */
static void assert_payload_counts(const struct builder *builder, size_t payload)
{
    for (size_t padding = 0; padding < ALIGNMENTS; padding++) {
        struct builder padded = *builder;

        builder_bytes(&padded, padding);
        assert_false(is_wrong(&padded, padded.len, 0));
        for (size_t back = 1; back <= payload && back <= ALIGNMENTS; back++) {
            padded.bytes[builder->len - back] ^= 0x40;
            assert_true(is_wrong(&padded, padded.len, 0));
            padded.bytes[builder->len - back] ^= 0x40;
        }
        for (size_t after = 0; after < padding; after++) {
            padded.bytes[builder->len + after] ^= 0x40;
            assert_false(is_wrong(&padded, padded.len, 0));
        }
    }
}

/*
 * Also of words whose sum is carried far. Packets end where the memory does, so each length begins at another address.
 */
static void test_any_length_at_any_address_is_summed(void **state)
{
    static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1456, 1457, 1458, 1459};

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < PROTOCOLS * sizeof(lengths) / sizeof(lengths[0]); i++) {
            size_t payload = lengths[i / PROTOCOLS];

            for (unsigned fill = 0; fill < 3; fill++) {
                struct builder builder;

                build_len(&builder, version, protocols[i % PROTOCOLS], payload);
                for (size_t at = builder.len - payload; at < builder.len; at++) {
                    builder.bytes[at] = (uint8_t)(fill == 0 ? 0xff : fill == 1 ? at * 37 : at % 2);
                }
                put_checksum(&builder, builder.len - builder.transport, dest_of(&builder));
                assert_payload_counts(&builder, payload);
            }
        }
    }
}

/* Of the addresses, of the header but for the fields that say how long it is, and of the payload. */
static void test_each_changed_bit_is_noticed(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < PROTOCOLS; i++) {
            size_t first = protocols[i] == NFQE_PROTOCOL_ICMP ? 0 : version == 4 ? 12 : 8;
            struct builder builder;

            build(&builder, version, protocols[i]);
            for (size_t at = first; at < builder.len; at++) {
                bool address = at < (version == 4 ? 20u : 40u);
                bool length = (protocols[i] == NFQE_PROTOCOL_TCP && at == builder.transport + 12) ||
                              (protocols[i] == NFQE_PROTOCOL_UDP && at / 2 == (builder.transport + 4) / 2);

                if (at == 20 && version == 4) {
                    at = builder.transport; /* options */
                }
                if (length || (address && first == 0)) {
                    continue;
                }
                for (unsigned bit = 0; bit < 8; bit++) {
                    builder.bytes[at] ^= (uint8_t)(1u << bit);
                    assert_true(is_wrong(&builder, builder.len, 0));
                    builder.bytes[at] ^= (uint8_t)(1u << bit);
                }
            }
        }
    }
}

static void test_checksum_that_cannot_be_known_is_not_wrong(void **state)
{
    static const uint16_t flags[] = {NFQE_PACKET_CHECKSUM_PENDING, NFQE_PACKET_GSO, NFQE_PACKET_FRAGMENT};

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < PROTOCOLS; i++) {
            struct builder builder;

            build(&builder, version, protocols[i]);
            builder.bytes[builder.transport + checksum_place(protocols[i])] ^= 1;
            assert_true(is_wrong(&builder, builder.len, 0));
            for (size_t j = 0; j < sizeof(flags) / sizeof(flags[0]); j++) {
                assert_false(is_wrong(&builder, builder.len, flags[j]));
            }
            for (size_t len = 0; len < builder.len; len++) {
                assert_false(is_wrong(&builder, len, 0));
            }
            memset(builder.bytes + (version == 4 ? 2 : 4), 0, 2); /* more than 64 KiB */
            assert_false(is_wrong(&builder, builder.len, 0));
        }
    }
}

static void test_other_protocols_have_none_that_is_known(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (unsigned protocol = 0; protocol < 256; protocol++) {
            struct builder builder;

            build(&builder, version, NFQE_PROTOCOL_TCP);
            builder.bytes[version == 4 ? 9 : 6] = (uint8_t)protocol;
            builder.bytes[builder.transport + 16] ^= 1;
            if (memchr(protocols, (int)protocol, PROTOCOLS) == NULL) {
                assert_false(is_wrong(&builder, builder.len, 0));
            }
        }
    }
}

/* UDP's checksum is about as much as its own length says. 0: the sender made none. */
static void test_udp_says_how_much_its_checksum_is_about(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct builder builder;
        uint8_t *udp = builder.bytes;

        build(&builder, version, NFQE_PROTOCOL_UDP);
        udp += builder.transport;
        for (size_t len = 8; len <= 8 + PAYLOAD; len++) {
            udp[5] = (uint8_t)len;
            put_checksum(&builder, len, dest_of(&builder));
            assert_false(is_wrong(&builder, builder.len, 0));
            udp[len - 1] ^= 1;
            assert_true(is_wrong(&builder, builder.len, 0));
            udp[len - 1] ^= 1;
            udp[6] ^= 1;
            assert_true(is_wrong(&builder, builder.len, 0));
        }
        udp[5] = 8 + PAYLOAD + 1; /* the receiver does not get as far as the checksum */
        assert_false(is_wrong(&builder, builder.len, 0));
        udp[5] = 8 + PAYLOAD;
        udp[6] = udp[7] = 0;
        assert_false(is_wrong(&builder, builder.len, 0));
    }
}

/* With a routing header it is made with the last address; with other headers it is the same as without. */
static void test_checksum_after_extension_headers_is_known(void **state)
{
    (void)state;
    for (unsigned left = 0; left < 2; left++) {
        struct builder builder;
        size_t at;

        builder_ipv6(&builder);
        builder_extension(&builder, IPV6_DESTINATION, 16);
        at = builder.len;
        builder_extension(&builder, IPV6_ROUTING, 24);
        builder.bytes[at + 2] = 4;
        builder.bytes[at + 3] = (uint8_t)left;
        builder.bytes[at + 23] = 7;
        append(&builder, NFQE_PROTOCOL_TCP, PAYLOAD);
        put_checksum(&builder, builder.len - builder.transport, left == 0 ? dest_of(&builder) : builder.bytes + at + 8);
        assert_false(is_wrong(&builder, builder.len, 0));
        builder.bytes[builder.len - 1] ^= 1;
        assert_true(is_wrong(&builder, builder.len, 0));
        builder.bytes[at + 2] = 3; /* its addresses are not known, if any are left */
        assert_int_equal(is_wrong(&builder, builder.len, 0), left == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_checksum_is_not_wrong_also_if_padding_follows),
        cmocka_unit_test(test_any_length_at_any_address_is_summed),
        cmocka_unit_test(test_each_changed_bit_is_noticed),
        cmocka_unit_test(test_checksum_that_cannot_be_known_is_not_wrong),
        cmocka_unit_test(test_other_protocols_have_none_that_is_known),
        cmocka_unit_test(test_udp_says_how_much_its_checksum_is_about),
        cmocka_unit_test(test_checksum_after_extension_headers_is_known),
    };

    return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
