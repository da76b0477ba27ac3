/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet_parse() and the accessors of nfqe/packet.h on well-formed packets: each header is found where the builder
 * put it, for every IP version, extension header, fragment and transport protocol.
 *
 * The expected offsets come from the builder (builder.c), which records where it put each header. Damaged and truncated
 * packets are in test_parse_damage.c.
 */
#include "unit.h"

#include "builder.h"
#include "packet/parse.h"

#include <string.h>

static const uint8_t extension_kinds[] = {
    IPV6_HOP_BY_HOP, IPV6_ROUTING, IPV6_DESTINATION, IPV6_MOBILITY, IPV6_HOST_IDENTITY, IPV6_SHIM6, IPV6_AUTHENTICATION,
};

static struct nfqe_packet parsed(const struct builder *builder)
{
    struct nfqe_packet packet = builder_packet(builder, builder->bytes, builder->len);

    packet_parse(&packet);
    return packet;
}

/* All that the parser promises about a complete packet with `payload_len` bytes of payload. */
static void assert_found(const struct builder *builder, size_t payload_len)
{
    struct nfqe_packet packet = parsed(builder);
    const uint8_t *transport = builder->bytes + builder->transport;
    const uint8_t *payload;
    uint32_t len;

    assert_int_equal(packet.flags & NFQE_PACKET_HEADERS_CUT, 0);
    assert_int_equal(packet.network, 0);
    assert_int_equal(packet.protocol, builder->protocol);
    assert_int_equal(packet.transport, builder->transport);
    assert_int_equal(packet.payload, builder->headers_end);
    assert_ptr_equal(nfqe_ipv4(&packet), builder->version == 4 ? builder->bytes : NULL);
    assert_ptr_equal(nfqe_ipv6(&packet), builder->version == 6 ? builder->bytes : NULL);
    assert_ptr_equal(nfqe_tcp(&packet), builder->protocol == NFQE_PROTOCOL_TCP ? transport : NULL);
    assert_ptr_equal(nfqe_udp(&packet), builder->protocol == NFQE_PROTOCOL_UDP ? transport : NULL);
    assert_ptr_equal(nfqe_icmp(&packet), builder->protocol == NFQE_PROTOCOL_ICMP ? transport : NULL);
    assert_ptr_equal(nfqe_icmpv6(&packet), builder->protocol == NFQE_PROTOCOL_ICMPV6 ? transport : NULL);
    payload = nfqe_payload(&packet, &len);
    assert_int_equal(len, payload_len);
    assert_int_equal(packet.payload_len, payload_len);
    assert_ptr_equal(payload, payload_len > 0 ? builder->bytes + builder->headers_end : NULL);
}

static void assert_no_transport(const struct nfqe_packet *packet)
{
    uint32_t len = 1;

    assert_int_equal(packet->transport, NFQE_NONE);
    assert_int_equal(packet->payload, NFQE_NONE);
    assert_int_equal(packet->payload_len, 0);
    assert_null(nfqe_tcp(packet));
    assert_null(nfqe_udp(packet));
    assert_null(nfqe_icmp(packet));
    assert_null(nfqe_icmpv6(packet));
    assert_null(nfqe_payload(packet, &len));
    assert_int_equal(len, 0);
}

typedef void put_transport(struct builder *builder);

static void put_tcp(struct builder *builder)
{
    builder_tcp(builder, 0);
}

static void put_tcp_with_options(struct builder *builder)
{
    builder_tcp(builder, 40);
}

static put_transport *const transports[] = {put_tcp, put_tcp_with_options, builder_udp, builder_icmp, builder_icmpv6};

#define TRANSPORT_COUNT (sizeof(transports) / sizeof(transports[0]))

static void test_ipv4_transport_is_found_after_every_option_length(void **state)
{
    static struct builder builder;

    (void)state;
    for (size_t options = 0; options <= 40; options += 4) {
        for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
            for (size_t payload = 0; payload < 3; payload++) {
                builder_ipv4(&builder, options, 0);
                transports[i](&builder);
                builder_bytes(&builder, payload);
                builder_finish(&builder);
                assert_found(&builder, payload);
            }
        }
    }
}

static void test_ipv6_transport_is_found_after_the_fixed_header(void **state)
{
    static struct builder builder;

    (void)state;
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        for (size_t payload = 0; payload < 3; payload++) {
            builder_ipv6(&builder);
            transports[i](&builder);
            builder_bytes(&builder, payload);
            builder_finish(&builder);
            assert_found(&builder, payload);
        }
    }
}

static void test_ipv6_transport_is_found_after_each_extension_header_of_each_size(void **state)
{
    static struct builder builder;

    (void)state;
    for (size_t kind = 0; kind < sizeof(extension_kinds); kind++) {
        size_t step = extension_kinds[kind] == IPV6_AUTHENTICATION ? 4 : 8;
        size_t largest = extension_kinds[kind] == IPV6_AUTHENTICATION ? 257 * 4 : 256 * 8;

        for (size_t size = 8; size <= largest; size += step) {
            builder_ipv6(&builder);
            builder_extension(&builder, extension_kinds[kind], size);
            builder_tcp(&builder, 0);
            builder_bytes(&builder, 1);
            builder_finish(&builder);
            assert_found(&builder, 1);
        }
    }
}

static void test_ipv6_transport_is_found_after_each_pair_of_extension_headers(void **state)
{
    static struct builder builder;

    (void)state;
    for (size_t first = 0; first < sizeof(extension_kinds); first++) {
        for (size_t second = 0; second < sizeof(extension_kinds); second++) {
            for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
                builder_ipv6(&builder);
                builder_extension(&builder, extension_kinds[first], 24);
                builder_extension(&builder, extension_kinds[second], 8);
                transports[i](&builder);
                builder_finish(&builder);
                assert_found(&builder, 0);
            }
        }
    }
}

static void test_ipv6_transport_is_found_after_a_chain_of_all_extension_headers(void **state)
{
    static struct builder builder;

    (void)state;
    builder_ipv6(&builder);
    for (size_t kind = 0; kind < sizeof(extension_kinds); kind++) {
        builder_extension(&builder, extension_kinds[kind], 16);
    }
    builder_fragment(&builder, 0, false);
    builder_udp(&builder);
    builder_bytes(&builder, 9);
    builder_finish(&builder);
    assert_found(&builder, 9);
}

static void test_no_next_header_means_no_transport_and_nothing_cut(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    builder_ipv6(&builder);
    builder_extension(&builder, IPV6_DESTINATION, 8);
    builder_protocol(&builder, IPV6_NO_NEXT);
    builder_finish(&builder);
    packet = parsed(&builder);
    assert_no_transport(&packet);
    assert_int_equal(packet.flags & NFQE_PACKET_HEADERS_CUT, 0);
}

static void test_protocol_without_an_accessor_has_its_number_and_place(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;
    uint32_t len;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        if (version == 4) {
            builder_ipv4(&builder, 0, 0);
        } else {
            builder_ipv6(&builder);
        }
        builder_protocol(&builder, IPV6_ENCRYPTED);
        builder.transport = builder.len;
        builder_bytes(&builder, 32);
        builder_finish(&builder);
        packet = parsed(&builder);
        assert_int_equal(packet.protocol, IPV6_ENCRYPTED);
        assert_int_equal(packet.transport, builder.transport);
        assert_int_equal(packet.payload, NFQE_NONE);
        assert_int_equal(packet.flags & NFQE_PACKET_HEADERS_CUT, 0);
        assert_ptr_equal(nfqe_transport(&packet, IPV6_ENCRYPTED, 32), builder.bytes + builder.transport);
        assert_null(nfqe_transport(&packet, IPV6_ENCRYPTED, 33));
        assert_null(nfqe_tcp(&packet));
        assert_null(nfqe_payload(&packet, &len));
    }
}

static void test_first_fragment_has_a_transport_header(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    builder_ipv4(&builder, 8, 0x2000);
    builder_udp(&builder);
    builder_bytes(&builder, 16);
    builder_finish(&builder);
    assert_found(&builder, 16);
    packet = parsed(&builder);
    assert_true(packet.flags & NFQE_PACKET_FRAGMENT);

    builder_ipv6(&builder);
    builder_extension(&builder, IPV6_HOP_BY_HOP, 8);
    builder_fragment(&builder, 0, true);
    builder_extension(&builder, IPV6_DESTINATION, 16);
    builder_tcp(&builder, 12);
    builder_bytes(&builder, 16);
    builder_finish(&builder);
    assert_found(&builder, 16);
    packet = parsed(&builder);
    assert_true(packet.flags & NFQE_PACKET_FRAGMENT);
}

/* A sender can leave the ports to a later fragment. Then they are unknown, and no plugin may take it for "no ports". */
static void test_first_fragment_without_its_ports_says_so(void **state)
{
    static struct builder builder;

    (void)state;
    for (unsigned ah = 0; ah < 2; ah++) {
        for (size_t size = 0; size <= 20; size++) {
            struct nfqe_packet packet;

            builder_ipv4(&builder, 0, 0x2000);
            if (ah != 0) {
                builder_extension(&builder, IPV6_AUTHENTICATION, 24);
            }
            builder_tcp(&builder, 0);
            builder.len = builder.transport + size;
            builder_finish(&builder);
            packet = parsed(&builder);
            assert_int_equal(packet.protocol, NFQE_PROTOCOL_TCP);
            assert_int_equal(packet.flags & (NFQE_PACKET_FRAGMENT | NFQE_PACKET_HEADERS_CUT),
                             NFQE_PACKET_FRAGMENT | (size < 20 ? NFQE_PACKET_HEADERS_CUT : 0));
            if (size < 20) {
                assert_no_transport(&packet);
                assert_null(nfqe_tcp(&packet));
            }
        }
    }
}

static void test_later_fragment_has_no_transport_header(void **state)
{
    static const uint16_t offsets[] = {1, 2, 185, 0x1fff};
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        for (unsigned more = 0; more < 2; more++) {
            builder_ipv4(&builder, 0, (uint16_t)(offsets[i] | more << 13));
            builder_tcp(&builder, 0); /* payload that looks like a header */
            builder_finish(&builder);
            packet = parsed(&builder);
            assert_no_transport(&packet);
            assert_int_equal(packet.protocol, NFQE_PROTOCOL_TCP);
            assert_int_equal(packet.flags & (NFQE_PACKET_FRAGMENT | NFQE_PACKET_HEADERS_CUT), NFQE_PACKET_FRAGMENT);

            builder_ipv6(&builder);
            builder_fragment(&builder, offsets[i], more != 0);
            builder_tcp(&builder, 0);
            builder_finish(&builder);
            packet = parsed(&builder);
            assert_no_transport(&packet);
            assert_int_equal(packet.protocol, NFQE_PROTOCOL_TCP);
            assert_int_equal(packet.flags & (NFQE_PACKET_FRAGMENT | NFQE_PACKET_HEADERS_CUT), NFQE_PACKET_FRAGMENT);
        }
    }
}

/* nfqe_packet.protocol is that of the transport header, never that of an extension header; 0 if unknown. */
static void test_later_fragment_with_more_extension_headers_has_an_unknown_protocol(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    builder_ipv6(&builder);
    builder_fragment(&builder, 100, false);
    builder_extension(&builder, IPV6_DESTINATION, 8);
    builder_tcp(&builder, 0);
    builder_finish(&builder);
    packet = parsed(&builder);
    assert_no_transport(&packet);
    assert_int_equal(packet.protocol, 0);
}

static void test_dont_fragment_alone_makes_no_fragment(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    builder_ipv4(&builder, 0, 0x4000);
    builder_tcp(&builder, 0);
    builder_finish(&builder);
    assert_found(&builder, 0);
    packet = parsed(&builder);
    assert_int_equal(packet.flags & NFQE_PACKET_FRAGMENT, 0);
}

static void test_version_nibble_decides_where_the_kernel_names_no_protocol(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    builder_ipv4(&builder, 0, 0);
    builder_udp(&builder);
    builder_finish(&builder);
    packet = builder_packet(&builder, builder.bytes, builder.len);
    packet.hw_protocol = 0;
    packet_parse(&packet);
    assert_non_null(nfqe_udp(&packet));

    builder_ipv6(&builder);
    builder_udp(&builder);
    builder_finish(&builder);
    packet = builder_packet(&builder, builder.bytes, builder.len);
    packet.hw_protocol = 0;
    packet_parse(&packet);
    assert_non_null(nfqe_udp(&packet));
}

/* The destination address is then not the final one. Types: of RFC 2460, 6275, 6554 (RPL), 8754 (SRv6), and unknown. */
static void test_segments_left_are_told(void **state)
{
    static const uint8_t types[] = {0, 2, 3, 4, 200, 253};
    static struct builder builder;

    (void)state;
    for (size_t i = 0; i < sizeof(types); i++) {
        for (unsigned left = 0; left < 3; left++) {
            struct nfqe_packet packet;

            builder_ipv6(&builder);
            builder_extension(&builder, IPV6_DESTINATION, 8);
            builder_extension(&builder, IPV6_ROUTING, 40);
            builder.bytes[40 + 8 + 2] = types[i];
            builder.bytes[40 + 8 + 3] = (uint8_t)left;
            builder_tcp(&builder, 0);
            builder_finish(&builder);
            packet = parsed(&builder);
            assert_int_equal((packet.flags & NFQE_PACKET_SOURCE_ROUTE) != 0, left > 0);
            assert_non_null(nfqe_tcp(&packet));
        }
    }
}

static void test_ipv4_source_route_is_told_until_it_is_used_up(void **state)
{
    static const uint8_t kinds[] = {131, 137, 7}; /* loose, strict, and a record of the route, which routes nothing */
    static struct builder builder;

    (void)state;
    for (size_t i = 0; i < sizeof(kinds); i++) {
        for (uint8_t pointer = 4; pointer <= 12; pointer += 4) {
            struct nfqe_packet packet;

            builder_ipv4(&builder, 12, 0);
            builder.bytes[21] = kinds[i];
            builder.bytes[22] = 11;
            builder.bytes[23] = pointer;
            builder_tcp(&builder, 0);
            builder_finish(&builder);
            packet = parsed(&builder);
            assert_int_equal((packet.flags & NFQE_PACKET_SOURCE_ROUTE) != 0, kinds[i] != 7 && pointer < 12);
        }
    }
}

/* One that has no bytes beside its kind and its length, too. */
static void test_ipv4_source_route_is_told_after_options_of_any_length(void **state)
{
    static struct builder builder;

    (void)state;
    for (uint8_t len = 2; len <= 40 - 7; len++) {
        uint8_t *options = builder.bytes + 20;
        struct nfqe_packet packet;

        builder_ipv4(&builder, 40, 0);
        options[0] = 94; /* for experiments */
        options[1] = len;
        options[len] = 131;
        options[len + 1] = 7;
        options[len + 2] = 4;
        builder_tcp(&builder, 0);
        builder_finish(&builder);
        packet = parsed(&builder);
        assert_true((packet.flags & NFQE_PACKET_SOURCE_ROUTE) != 0);
    }
}

static void test_packet_that_is_not_ip_has_no_headers(void **state)
{
    static const uint8_t arp[28] = {0, 1, 8, 0, 6, 4, 0, 1};
    struct nfqe_packet packet = {.data = arp, .len = sizeof(arp), .hw_protocol = 0x0806};

    (void)state;
    packet_parse(&packet);
    assert_no_transport(&packet);
    assert_int_equal(packet.network, NFQE_NONE);
    assert_null(nfqe_ipv4(&packet));
    assert_null(nfqe_ipv6(&packet));
}

static void test_fields_of_a_header_are_read_in_host_byte_order(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    builder_ipv4(&builder, 0, 0);
    builder_tcp(&builder, 0);
    memcpy(builder.bytes + builder.transport + 4, "\x01\x02\x03\xfe", 4);
    builder_finish(&builder);
    packet = parsed(&builder);
    assert_int_equal(nfqe_be16(nfqe_tcp(&packet)->source), BUILDER_SOURCE_PORT);
    assert_int_equal(nfqe_be16(nfqe_tcp(&packet)->dest), BUILDER_DEST_PORT);
    assert_int_equal(nfqe_be32(nfqe_tcp(&packet)->seq), 0x010203fe);
    assert_int_equal(nfqe_be16(nfqe_ipv4(&packet)->total_len), builder.len);
    assert_int_equal(nfqe_ipv4(&packet)->dest[0], 198);
}

static void test_parsing_again_forgets_what_was_found_before(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    builder_ipv4(&builder, 0, 0x2000);
    builder_udp(&builder);
    builder_finish(&builder);
    packet = builder_packet(&builder, builder.bytes, builder.len);
    packet.flags = NFQE_PACKET_GSO;
    packet_parse(&packet);
    packet.hw_protocol = 0x0806;
    packet_parse(&packet);
    assert_no_transport(&packet);
    assert_int_equal(packet.protocol, 0);
    assert_int_equal(packet.flags, NFQE_PACKET_GSO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4_transport_is_found_after_every_option_length),
        cmocka_unit_test(test_ipv6_transport_is_found_after_the_fixed_header),
        cmocka_unit_test(test_ipv6_transport_is_found_after_each_extension_header_of_each_size),
        cmocka_unit_test(test_ipv6_transport_is_found_after_each_pair_of_extension_headers),
        cmocka_unit_test(test_ipv6_transport_is_found_after_a_chain_of_all_extension_headers),
        cmocka_unit_test(test_no_next_header_means_no_transport_and_nothing_cut),
        cmocka_unit_test(test_protocol_without_an_accessor_has_its_number_and_place),
        cmocka_unit_test(test_first_fragment_has_a_transport_header),
        cmocka_unit_test(test_first_fragment_without_its_ports_says_so),
        cmocka_unit_test(test_later_fragment_has_no_transport_header),
        cmocka_unit_test(test_later_fragment_with_more_extension_headers_has_an_unknown_protocol),
        cmocka_unit_test(test_dont_fragment_alone_makes_no_fragment),
        cmocka_unit_test(test_version_nibble_decides_where_the_kernel_names_no_protocol),
        cmocka_unit_test(test_segments_left_are_told),
        cmocka_unit_test(test_ipv4_source_route_is_told_until_it_is_used_up),
        cmocka_unit_test(test_ipv4_source_route_is_told_after_options_of_any_length),
        cmocka_unit_test(test_packet_that_is_not_ip_has_no_headers),
        cmocka_unit_test(test_fields_of_a_header_are_read_in_host_byte_order),
        cmocka_unit_test(test_parsing_again_forgets_what_was_found_before),
    };

    return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
