/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet_parse() and the accessors of nfqe/packet.h on packets that are truncated at every byte, malformed, padded or
 * random.
 *
 * Always: the data ends at a page that cannot be accessed, so a read beyond it ends the test. What an accessor
 * returns is also read to its last byte. For a header that was not captured completely, the accessor returns NULL and
 * the packet has NFQE_PACKET_HEADERS_CUT: "not TCP" and "cannot know" are different.
 */
#include "unit.h"

#include "builder.h"
#include "guarded.h"
#include "packet/parse.h"

#include <string.h>

static struct guarded memory;

static void assert_inside(const struct nfqe_packet *packet, const void *header, size_t size)
{
    const volatile uint8_t *bytes = header;

    if (header == NULL) {
        return;
    }
    assert_true((const uint8_t *)header >= packet->data);
    assert_true((size_t)((const uint8_t *)header - packet->data) + size <= packet->len);
    for (size_t i = 0; i < size; i++) {
        (void)bytes[i];
    }
}

/* What holds for every packet. */
static void assert_harmless(const struct nfqe_packet *packet)
{
    uint32_t len = 1;
    const uint8_t *payload = nfqe_payload(packet, &len);

    assert_inside(packet, nfqe_ipv4(packet), sizeof(struct nfqe_ipv4_header));
    assert_inside(packet, nfqe_ipv6(packet), sizeof(struct nfqe_ipv6_header));
    assert_inside(packet, nfqe_tcp(packet), sizeof(struct nfqe_tcp_header));
    assert_inside(packet, nfqe_udp(packet), sizeof(struct nfqe_udp_header));
    assert_inside(packet, nfqe_icmp(packet), sizeof(struct nfqe_icmp_header));
    assert_inside(packet, nfqe_icmpv6(packet), sizeof(struct nfqe_icmpv6_header));
    assert_inside(packet, payload, len);
    assert_int_equal(payload != NULL, len > 0);
    assert_true(packet->network == NFQE_NONE || packet->network < packet->len);
    assert_true(packet->transport == NFQE_NONE || packet->transport < packet->len);
    assert_true(packet->payload == NFQE_NONE || packet->payload <= packet->len);
}

static struct nfqe_packet parsed_at_guard(const struct builder *builder, size_t len)
{
    struct nfqe_packet packet = builder_packet(builder, guarded_put(&memory, builder->bytes, len, 1), len);

    packet_parse(&packet);
    assert_harmless(&packet);
    return packet;
}

static size_t fixed_size(uint8_t protocol)
{
    return protocol == NFQE_PROTOCOL_TCP ? 20 : 8;
}

/* Truncates a packet with a transport header at every byte. */
static void cut_everywhere(const struct builder *builder)
{
    for (size_t len = 1; len <= builder->len; len++) {
        struct nfqe_packet packet = parsed_at_guard(builder, len);
        const void *transport = nfqe_transport(&packet, builder->protocol, (uint32_t)fixed_size(builder->protocol));
        size_t ip_size = builder->version == 4 ? 20 : 40;

        assert_int_equal((builder->version == 4 ? (const void *)nfqe_ipv4(&packet) : nfqe_ipv6(&packet)) != NULL,
                         len >= ip_size);
        assert_int_equal(transport != NULL, len >= builder->transport + fixed_size(builder->protocol));
        assert_int_equal(packet.payload != NFQE_NONE, len >= builder->headers_end);
        assert_int_equal((packet.flags & NFQE_PACKET_HEADERS_CUT) != 0, len < builder->headers_end);
    }
}

typedef void put_transport(struct builder *builder);

static void put_tcp(struct builder *builder)
{
    builder_tcp(builder, 12);
}

static put_transport *const transports[] = {put_tcp, builder_udp, builder_icmp, builder_icmpv6};

#define TRANSPORT_COUNT (sizeof(transports) / sizeof(transports[0]))

static void test_ipv4_cut_at_every_byte_gives_whole_headers_or_none(void **state)
{
    static struct builder builder;

    (void)state;
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        for (size_t options = 0; options <= 40; options += 20) {
            builder_ipv4(&builder, options, 0);
            transports[i](&builder);
            builder_bytes(&builder, 5);
            builder_finish(&builder);
            cut_everywhere(&builder);
        }
    }
}

static void test_ipv6_cut_at_every_byte_gives_whole_headers_or_none(void **state)
{
    static const uint8_t kinds[] = {
        IPV6_HOP_BY_HOP,    IPV6_ROUTING, IPV6_DESTINATION,    IPV6_MOBILITY,
        IPV6_HOST_IDENTITY, IPV6_SHIM6,   IPV6_AUTHENTICATION,
    };
    static struct builder builder;

    (void)state;
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        builder_ipv6(&builder);
        transports[i](&builder);
        builder_finish(&builder);
        cut_everywhere(&builder);
        for (size_t kind = 0; kind < sizeof(kinds); kind++) {
            builder_ipv6(&builder);
            builder_extension(&builder, kinds[kind], 32);
            builder_fragment(&builder, 0, true);
            builder_extension(&builder, kinds[kind], 8);
            transports[i](&builder);
            builder_bytes(&builder, 5);
            builder_finish(&builder);
            cut_everywhere(&builder);
        }
    }
}

static void test_later_fragment_cut_at_every_byte_never_has_a_transport_header(void **state)
{
    static struct builder builder;

    (void)state;
    builder_ipv6(&builder);
    builder_extension(&builder, IPV6_ROUTING, 16);
    builder_fragment(&builder, 7, false);
    builder_tcp(&builder, 0);
    builder_finish(&builder);
    for (size_t len = 1; len <= builder.len; len++) {
        struct nfqe_packet packet = parsed_at_guard(&builder, len);

        assert_int_equal(packet.transport, NFQE_NONE);
        assert_null(nfqe_tcp(&packet));
        assert_int_equal((packet.flags & NFQE_PACKET_HEADERS_CUT) != 0, len < builder.transport);
    }
}

/* If no byte of a packet was captured, its headers are unknown, not absent. */
static void test_packet_of_which_nothing_was_captured_has_unknown_headers(void **state)
{
    struct nfqe_packet packet = {.wire_len = 60, .hw_protocol = 0x0800};

    (void)state;
    packet_parse(&packet);
    assert_harmless(&packet);
    assert_null(nfqe_ipv4(&packet));
    assert_null(nfqe_tcp(&packet));
    assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);
}

static void test_header_length_below_the_fixed_header_is_malformed(void **state)
{
    static struct builder builder;

    (void)state;
    for (unsigned words = 0; words < 5; words++) {
        struct nfqe_packet packet;

        builder_ipv4(&builder, 0, 0);
        builder_tcp(&builder, 0);
        builder_finish(&builder);
        builder.bytes[0] = (uint8_t)(0x40 | words);
        packet = parsed_at_guard(&builder, builder.len);
        assert_null(nfqe_tcp(&packet));
        assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);

        builder.bytes[0] = 0x45;
        builder.bytes[builder.transport + 12] = (uint8_t)(words << 4);
        packet = parsed_at_guard(&builder, builder.len);
        assert_int_equal(packet.payload, NFQE_NONE);
        assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);
    }
}

static void test_header_length_beyond_the_captured_bytes_is_cut(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    builder_ipv4(&builder, 0, 0);
    builder_tcp(&builder, 0);
    builder_finish(&builder);
    builder.bytes[builder.transport + 12] = 0xf0;
    packet = parsed_at_guard(&builder, builder.len);
    assert_int_equal(packet.payload, NFQE_NONE);
    assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);
    builder.bytes[0] = 0x4f;
    packet = parsed_at_guard(&builder, builder.len);
    assert_null(nfqe_tcp(&packet));
    assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);

    builder_ipv6(&builder);
    builder_extension(&builder, IPV6_ROUTING, 8);
    builder_udp(&builder);
    builder_finish(&builder);
    builder.bytes[41] = 0xff;
    packet = parsed_at_guard(&builder, builder.len);
    assert_null(nfqe_udp(&packet));
    assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);
}

static void test_version_that_contradicts_the_protocol_is_malformed(void **state)
{
    static struct builder builder;

    (void)state;
    for (unsigned version = 0; version < 16; version++) {
        struct nfqe_packet packet;

        builder_ipv4(&builder, 20, 0);
        builder_udp(&builder);
        builder_finish(&builder);
        builder.bytes[0] = (uint8_t)(version << 4 | 10);
        packet = parsed_at_guard(&builder, builder.len);
        assert_int_equal(nfqe_ipv4(&packet) != NULL, version == 4);
        assert_int_equal(nfqe_udp(&packet) != NULL, version == 4);
        assert_null(nfqe_ipv6(&packet));
        assert_int_equal((packet.flags & NFQE_PACKET_HEADERS_CUT) != 0, version != 4);
    }
}

static void test_payload_excludes_padding_after_the_ip_packet(void **state)
{
    static struct builder builder;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (uint32_t payload_len = 0; payload_len < 4; payload_len++) {
            struct nfqe_packet packet;
            uint32_t len;

            if (version == 4) {
                builder_ipv4(&builder, 0, 0);
            } else {
                builder_ipv6(&builder);
            }
            builder_udp(&builder);
            builder_bytes(&builder, payload_len);
            builder_finish(&builder);
            builder_bytes(&builder, 18);
            packet = parsed_at_guard(&builder, builder.len);
            assert_non_null(nfqe_udp(&packet));
            nfqe_payload(&packet, &len);
            assert_int_equal(len, payload_len);
        }
    }
}

/* The receiver's program gets the datagram; a filter that looked at the rest would look at something else. */
static void test_payload_ends_where_the_udp_datagram_does(void **state)
{
    static struct builder builder;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (unsigned udp_len = 0; udp_len < 100; udp_len++) {
            uint32_t expected = udp_len == 0 || udp_len > 8 + 60 ? 60 : udp_len < 8 ? 0 : udp_len - 8;
            struct nfqe_packet packet;
            uint32_t len;

            if (version == 4) {
                builder_ipv4(&builder, 4, 0);
            } else {
                builder_ipv6(&builder);
            }
            builder_udp(&builder);
            builder_bytes(&builder, 60);
            builder_finish(&builder);
            builder.bytes[builder.transport + 5] = (uint8_t)udp_len;
            packet = parsed_at_guard(&builder, builder.len);
            nfqe_payload(&packet, &len);
            assert_int_equal(len, expected);
            assert_int_equal((packet.flags & NFQE_PACKET_HEADERS_CUT) != 0, udp_len > 0 && udp_len < 8);
        }
    }
}

/* The bytes after the IP packet may be anything: ports and flags must not be read from them. */
static void test_transport_header_that_reaches_into_the_padding_is_malformed(void **state)
{
    static struct builder builder;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t inside = 1; inside < 20; inside++) {
            struct nfqe_packet packet;

            if (version == 4) {
                builder_ipv4(&builder, 0, 0);
            } else {
                builder_ipv6(&builder);
            }
            builder_tcp(&builder, 0);
            builder.len -= 20 - inside;
            builder_finish(&builder);
            builder.len += 20 - inside;
            packet = parsed_at_guard(&builder, builder.len);
            assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);
        }
    }
}

static void test_ip_length_beyond_the_captured_bytes_counts_only_what_is_captured(void **state)
{
    static struct builder builder;
    struct nfqe_packet packet;
    uint32_t len;

    (void)state;
    builder_ipv4(&builder, 0, 0);
    builder_udp(&builder);
    builder_bytes(&builder, 100);
    builder_finish(&builder);
    packet = parsed_at_guard(&builder, builder.headers_end + 30);
    assert_ptr_equal(nfqe_payload(&packet, &len), packet.data + builder.headers_end);
    assert_int_equal(len, 30);
}

static void test_ip_length_of_zero_takes_the_captured_length(void **state)
{
    static struct builder builder;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct nfqe_packet packet;
        uint32_t len;

        if (version == 4) {
            builder_ipv4(&builder, 0, 0);
        } else {
            builder_ipv6(&builder);
        }
        builder_udp(&builder); /* without builder_finish(), the length field is 0, as above 64 KiB */
        builder_bytes(&builder, 77);
        packet = parsed_at_guard(&builder, builder.len);
        nfqe_payload(&packet, &len);
        assert_int_equal(len, 77);
        assert_int_equal(packet.flags & NFQE_PACKET_HEADERS_CUT, 0);
    }
}

static void test_largest_packet_of_only_extension_headers_ends(void **state)
{
    enum { LARGEST = 65531 };
    struct nfqe_packet packet = {.len = LARGEST, .hw_protocol = 0x86dd};
    uint8_t *data = guarded_put(&memory, NULL, LARGEST, 1);

    (void)state;
    memset(data, 0, LARGEST); /* hop-by-hop options of 8 bytes, one after the other */
    data[0] = 0x60;
    packet.data = data;
    packet_parse(&packet);
    assert_harmless(&packet);
    assert_int_equal(packet.transport, NFQE_NONE);
    assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);
}

/* Offsets have 16 bits. */
static void test_header_beyond_64_kib_is_cut(void **state)
{
    enum { LEN = 66000, TRANSPORT = 65536 };
    struct nfqe_packet packet = {.len = LEN, .wire_len = LEN, .hw_protocol = 0x86dd};
    uint8_t *data = guarded_put(&memory, NULL, LEN, 1);

    (void)state;
    memset(data, 0, LEN);
    data[0] = 0x60;
    data[TRANSPORT - 8] = NFQE_PROTOCOL_TCP;
    data[TRANSPORT + 12] = 0x50;
    packet.data = data;
    packet_parse(&packet);
    assert_harmless(&packet);
    assert_int_equal(packet.transport, NFQE_NONE);
    assert_null(nfqe_tcp(&packet));
    assert_true(packet.flags & NFQE_PACKET_HEADERS_CUT);
}

/* The kernel does not say so; but then what was captured counts. */
static void test_wire_length_below_the_captured_one_is_not_believed(void **state)
{
    static struct builder builder;

    (void)state;
    builder_ipv6(&builder);
    builder_udp(&builder); /* without builder_finish(), the length field is 0 */
    builder_bytes(&builder, 9);
    for (uint32_t wire_len = 0; wire_len < builder.len; wire_len++) {
        struct nfqe_packet packet =
            builder_packet(&builder, guarded_put(&memory, builder.bytes, builder.len, 1), builder.len);
        uint32_t len;

        packet.wire_len = wire_len;
        packet_parse(&packet);
        assert_harmless(&packet);
        assert_non_null(nfqe_udp(&packet));
        nfqe_payload(&packet, &len);
        assert_int_equal(len, 9);
    }
}

static void test_random_bytes_never_lead_outside(void **state)
{
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15);

    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        size_t len = unit_random_below(&random, 160) + 1;
        uint8_t *data = guarded_put(&memory, NULL, len, 1);
        struct nfqe_packet packet = {.data = data, .len = (uint32_t)len};

        for (size_t i = 0; i < len; i++) {
            data[i] = (uint8_t)(unit_random(&random) >> 24);
        }
        /* mostly a valid header, so that what follows it is parsed too */
        if (round % 4 != 0) {
            static const uint8_t likely[] = {0, 6, 17, 43, 44, 51, 58, 60};
            bool ipv6 = round % 2 != 0;

            data[0] = ipv6 ? 0x60 : (uint8_t)(0x45 + unit_random_below(&random, 4));
            for (size_t i = ipv6 ? 6 : 9; i < len; i += 8) {
                data[i] = likely[unit_random_below(&random, sizeof(likely))];
                if (i + 1 < len) {
                    data[i + 1] &= 3;
                }
            }
        }
        packet_parse(&packet);
        assert_harmless(&packet);
    }
}

static int set_up(void **state)
{
    (void)state;
    guarded_init(&memory, 70000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_done(&memory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4_cut_at_every_byte_gives_whole_headers_or_none),
        cmocka_unit_test(test_ipv6_cut_at_every_byte_gives_whole_headers_or_none),
        cmocka_unit_test(test_later_fragment_cut_at_every_byte_never_has_a_transport_header),
        cmocka_unit_test(test_packet_of_which_nothing_was_captured_has_unknown_headers),
        cmocka_unit_test(test_header_length_below_the_fixed_header_is_malformed),
        cmocka_unit_test(test_header_length_beyond_the_captured_bytes_is_cut),
        cmocka_unit_test(test_version_that_contradicts_the_protocol_is_malformed),
        cmocka_unit_test(test_payload_excludes_padding_after_the_ip_packet),
        cmocka_unit_test(test_payload_ends_where_the_udp_datagram_does),
        cmocka_unit_test(test_transport_header_that_reaches_into_the_padding_is_malformed),
        cmocka_unit_test(test_ip_length_beyond_the_captured_bytes_counts_only_what_is_captured),
        cmocka_unit_test(test_ip_length_of_zero_takes_the_captured_length),
        cmocka_unit_test(test_largest_packet_of_only_extension_headers_ends),
        cmocka_unit_test(test_header_beyond_64_kib_is_cut),
        cmocka_unit_test(test_wire_length_below_the_captured_one_is_not_believed),
        cmocka_unit_test(test_random_bytes_never_lead_outside),
    };

    return cmocka_run_group_tests_name("packet_damage", tests, set_up, tear_down);
}
