/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flows of packets whose ports are not in the usual place, or not all of them: IPv6 with extension headers, packets
 * that a routing header takes elsewhere first, and fragments.
 */
#include "unit.h"

#include "flow_ends.h"
#include "flow_image.h"
#include "packet/parse.h"

#include <nfqe/plugin.h>

#include <string.h>

#define MORE_FRAGMENTS 0x2000
#define SEGMENTS_LEFT 3 /* offset in a routing header; the type is before it, the addresses begin at 8 */
#define ADDRESSES 8

static const uint8_t kinds[] = {IPV6_HOP_BY_HOP, IPV6_ROUTING, IPV6_DESTINATION, IPV6_AUTHENTICATION};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct flow_image image;

/* What the packet is to a flow, if `len` bytes of it are captured; no byte after those may be read. */
static struct flow_lookup look_up(const struct builder *builder, size_t len)
{
    struct guarded bytes;
    struct nfqe_packet packet;
    struct flow_lookup lookup;

    guarded_init(&bytes, BUILDER_SIZE);
    packet = builder_packet(builder, guarded_put(&bytes, builder->bytes, len, 1), len);
    packet_parse(&packet);
    flow_table_begin_burst(&image.flows, &image.burst, &packet, 1, 0);
    lookup = image.burst.lookups[0];
    guarded_done(&bytes);
    return lookup;
}

/* Whether it is a whole packet of the same flow as that of two ends. */
static bool is_whole_packet_of(const struct builder *builder, const struct flow_ends *ends)
{
    struct builder plain;
    struct flow_lookup lookup = look_up(builder, builder->len);
    struct flow_lookup expected;

    flow_build(&plain, ends);
    expected = look_up(&plain, plain.len);
    assert_true(expected.has_flow && !expected.traits.alone);
    return flow_lookup_same(&lookup, &expected) && !lookup.traits.alone &&
           lookup.traits.begins == expected.traits.begins;
}

/* What the table makes of it. *verdict: the flow's, if the flow of the two ends has `decided`. */
static bool add(const struct builder *builder, const struct flow_ends *ends, nfqe_verdict decided,
                nfqe_verdict *verdict)
{
    struct nfqe_packet packets[2];
    struct builder plain;
    bool added;

    flow_build(&plain, ends);
    plain.bytes[plain.transport + 13] = NFQE_TCP_ACK;
    packets[0] = builder_packet(&plain, plain.bytes, plain.len);
    packets[1] = builder_packet(builder, builder->bytes, builder->len);
    for (unsigned i = 0; i < 2; i++) {
        packets[i].flags = NFQE_PACKET_CHECKSUM_PENDING;
        packet_parse(&packets[i]);
    }
    memset(image.header, 0, image.size);
    flow_table_begin_burst(&image.flows, &image.burst, packets, 2, 0);
    added = flow_table_add(&image.flows, &image.burst, 1, decided);
    assert_int_equal(image.header->totals.added, added);
    assert_true(flow_table_add(&image.flows, &image.burst, 0, decided));
    *verdict = flow_table_find(&image.flows, &image.burst, 1);
    return added;
}

/* A packet that belongs to the flow, without being one that decides it. */
static void assert_alone(const struct builder *builder, const struct flow_ends *ends)
{
    struct builder plain;
    struct flow_lookup lookup = look_up(builder, builder->len);
    struct flow_lookup expected;
    nfqe_verdict verdict;

    flow_build(&plain, ends);
    expected = look_up(&plain, plain.len);
    assert_true(flow_lookup_same(&lookup, &expected) && lookup.traits.alone);
    assert_false(add(builder, ends, NFQE_ACCEPT, &verdict));
    assert_int_equal(verdict, NFQE_CONTINUE);
    assert_false(add(builder, ends, NFQE_DROP, &verdict));
    assert_int_equal(verdict, NFQE_DROP);
}

/* ---- extension headers ------------------------------------------------------------------------------------------ */

static void put_extension(struct builder *builder, uint8_t kind, size_t size)
{
    size_t at = builder->len;

    builder_extension(builder, kind, size);
    if (kind == IPV6_ROUTING) {
        builder->bytes[at + SEGMENTS_LEFT] = 0;
    }
}

static void test_extension_headers_are_no_part_of_a_flow(void **state)
{
    (void)state;
    for (size_t first = 0; first < KINDS; first++) {
        for (size_t second = 0; second <= KINDS; second++) {
            for (size_t j = 0; j <= sizeof(flow_port_protocols); j++) {
                struct flow_ends ends = flow_ends_of(6, j == 0 ? NFQE_PROTOCOL_ICMPV6 : flow_port_protocols[j - 1]);
                struct builder builder;
                nfqe_verdict verdict;

                flow_build_network(&builder, &ends, 0);
                put_extension(&builder, kinds[first], 24);
                if (second < KINDS) {
                    put_extension(&builder, kinds[second], 8 * (1 + second));
                }
                flow_build_transport(&builder, &ends);
                builder_finish(&builder);
                assert_true(is_whole_packet_of(&builder, &ends));
                assert_false(look_up(&builder, builder.transport + 7).has_flow);
                builder.bytes[builder.transport + 13] = NFQE_TCP_ACK;
                assert_true(add(&builder, &ends, NFQE_DROP, &verdict));
            }
        }
    }
}

/* The kernel's own, for packets of more than 64 KiB that segmentation offload makes: the length is in an option. */
static void test_packet_of_more_than_64_kib_is_of_its_flow(void **state)
{
    struct flow_ends ends = flow_ends_of(6, NFQE_PROTOCOL_TCP);
    struct builder builder;

    (void)state;
    flow_build_network(&builder, &ends, 0);
    put_extension(&builder, IPV6_HOP_BY_HOP, 8);
    memcpy(builder.bytes + 42, "\xc2\x04\x00\x03\x0d\x40", 6); /* jumbo payload of 200,000 bytes */
    flow_build_transport(&builder, &ends);
    memset(builder.bytes + 4, 0, 2);
    assert_true(is_whole_packet_of(&builder, &ends));
}

static void test_syn_after_extension_headers_begins_a_connection(void **state)
{
    struct flow_ends ends = flow_ends_of(6, NFQE_PROTOCOL_TCP);

    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        struct builder builder;
        struct flow_lookup lookup;

        flow_build_network(&builder, &ends, 0);
        put_extension(&builder, IPV6_DESTINATION, 8);
        flow_build_transport(&builder, &ends);
        builder.bytes[builder.transport + 13] = (uint8_t)flags;
        builder_finish(&builder);
        lookup = look_up(&builder, builder.len);
        assert_int_equal(lookup.traits.begins, (flags & (NFQE_TCP_SYN | NFQE_TCP_ACK)) == NFQE_TCP_SYN);
        assert_int_equal(lookup.traits.resets, (flags & NFQE_TCP_RST) != 0);
    }
}

/* ---- routing headers --------------------------------------------------------------------------------------------- */

/* To a station first. */
static void begin_routed(struct builder *builder, const struct flow_ends *ends)
{
    flow_build_network(builder, ends, 0);
    memset(builder->bytes + 24, 0x77, 16);
}

/* To a station first, then by a routing header of `addresses` addresses to the end, which is address `last`. */
static void build_routed(struct builder *builder, const struct flow_ends *ends, uint8_t type, size_t addresses,
                         size_t last)
{
    size_t at;

    begin_routed(builder, ends);
    put_extension(builder, IPV6_DESTINATION, 8);
    put_extension(builder, IPV6_AUTHENTICATION, 24);
    at = builder->len;
    builder_extension(builder, IPV6_ROUTING, 8 + 16 * addresses);
    builder->bytes[at + 2] = type;
    builder->bytes[at + SEGMENTS_LEFT] = 1;
    memcpy(builder->bytes + at + ADDRESSES + 16 * last, ends->dest, 16);
    put_extension(builder, IPV6_DESTINATION, 16);
    flow_build_transport(builder, ends);
    builder_finish(builder);
}

static void test_routed_packet_is_of_the_flow_with_its_last_destination_and_decides_nothing(void **state)
{
    static const struct {
        uint8_t type;
        size_t addresses;
        size_t last;
    } cases[] = {{4, 1, 0}, {4, 3, 0}, {2, 1, 0}, {0, 1, 0}, {0, 3, 2}};
    struct flow_ends ends = flow_ends_of(6, NFQE_PROTOCOL_TCP);
    struct builder builder;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        build_routed(&builder, &ends, cases[i].type, cases[i].addresses, cases[i].last);
        assert_true(look_up(&builder, builder.len).traits.begins);
        assert_alone(&builder, &ends);
        builder.bytes[builder.transport + 13] = NFQE_TCP_ACK;
        assert_alone(&builder, &ends);
    }
}

static void test_packet_whose_last_destination_is_not_known_has_no_flow(void **state)
{
    struct flow_ends ends = flow_ends_of(6, NFQE_PROTOCOL_TCP);
    struct builder builder;

    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        build_routed(&builder, &ends, (uint8_t)type, 1, 0);
        assert_int_equal(look_up(&builder, builder.len).has_flow, type == 0 || type == 2 || type == 4);
        build_routed(&builder, &ends, (uint8_t)type, 0, 0); /* a header without addresses */
        assert_false(look_up(&builder, builder.len).has_flow);
    }
}

/* ---- fragments --------------------------------------------------------------------------------------------------- */

static void test_later_fragments_have_no_flow(void **state)
{
    static const uint16_t fragments[] = {MORE_FRAGMENTS | 185, 370, 1};
    struct builder builder;

    (void)state;
    for (size_t i = 0; i < sizeof(flow_port_protocols); i++) {
        struct flow_ends ends = flow_ends_of(4, flow_port_protocols[i]);

        for (size_t j = 0; j < sizeof(fragments) / sizeof(fragments[0]); j++) {
            flow_build_network(&builder, &ends, fragments[j]);
            flow_build_transport(&builder, &ends);
            builder_finish(&builder);
            assert_false(look_up(&builder, builder.len).has_flow);
        }
        ends = flow_ends_of(6, flow_port_protocols[i]);
        for (unsigned more = 0; more < 2; more++) {
            flow_build_network(&builder, &ends, 0);
            builder_fragment(&builder, 1, more != 0);
            flow_build_transport(&builder, &ends);
            builder_finish(&builder);
            assert_false(look_up(&builder, builder.len).has_flow);
        }
    }
}

static void test_first_fragment_is_of_its_flow_and_decides_nothing(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < sizeof(flow_port_protocols); i++) {
            struct flow_ends ends = flow_ends_of(version, flow_port_protocols[i]);
            struct builder builder;

            flow_build_network(&builder, &ends, MORE_FRAGMENTS);
            if (version == 6) {
                builder_fragment(&builder, 0, true);
            }
            flow_build_transport(&builder, &ends);
            builder_bytes(&builder, 100);
            builder_finish(&builder);
            assert_alone(&builder, &ends);
        }
        for (unsigned i = 0; i < 2; i++) {
            struct flow_ends ends = flow_ends_of(version, i == 0 ? NFQE_PROTOCOL_ICMP : NFQE_PROTOCOL_ICMPV6);
            struct builder builder;

            flow_build_network(&builder, &ends, MORE_FRAGMENTS);
            if (version == 6) {
                builder_fragment(&builder, 0, true);
            }
            flow_build_transport(&builder, &ends);
            builder_finish(&builder);
            assert_false(look_up(&builder, builder.len).has_flow); /* nothing begins with it */
        }
    }
}

/* Its routing header may come before or after that of the fragment. */
static void test_first_fragment_that_is_routed_is_of_the_flow_with_its_last_destination(void **state)
{
    struct flow_ends ends = flow_ends_of(6, NFQE_PROTOCOL_TCP);
    struct builder builder;

    (void)state;
    for (unsigned after = 0; after < 2; after++) {
        size_t at;

        begin_routed(&builder, &ends);
        if (after) {
            builder_fragment(&builder, 0, true);
        }
        at = builder.len;
        builder_extension(&builder, IPV6_ROUTING, 8 + 16);
        builder.bytes[at + 2] = 4;
        builder.bytes[at + SEGMENTS_LEFT] = 1;
        memcpy(builder.bytes + at + ADDRESSES, ends.dest, 16);
        if (!after) {
            builder_fragment(&builder, 0, true);
        }
        flow_build_transport(&builder, &ends);
        builder_bytes(&builder, 100);
        builder_finish(&builder);
        assert_alone(&builder, &ends);
    }
}

/* Whether a first fragment with `size` bytes of the transport header, and this one at the place that says so, begins. */
static bool fragment_begins(uint8_t protocol, size_t size, size_t place, uint8_t byte)
{
    struct flow_ends ends = flow_ends_of(4, protocol);
    struct flow_lookup lookup;
    struct builder builder;

    flow_build_network(&builder, &ends, MORE_FRAGMENTS);
    flow_build_transport(&builder, &ends);
    builder.bytes[builder.transport + place] = byte;
    builder.len = builder.transport + size;
    builder_finish(&builder);
    lookup = look_up(&builder, builder.len);
    assert_int_equal(lookup.has_flow, size >= 8);
    return lookup.traits.begins;
}

/* AH is read over, as it is where the whole TCP header is there: no byte of it is taken for a port or a flag. */
static void test_first_fragment_after_ah_is_of_the_flow_of_its_ports(void **state)
{
    struct flow_ends ends = flow_ends_of(4, NFQE_PROTOCOL_TCP);

    (void)state;
    for (unsigned headers = 1; headers <= 2; headers++) {
        for (size_t size = 0; size <= 20; size++) {
            struct builder builder;
            struct flow_lookup lookup;
            uint32_t number;

            flow_build_network(&builder, &ends, MORE_FRAGMENTS);
            for (unsigned i = 0; i < headers; i++) {
                builder_extension(&builder, IPV6_AUTHENTICATION, 24);
            }
            flow_build_transport(&builder, &ends);
            number = (uint32_t)builder.transport;
            builder.bytes[number + 13] = NFQE_TCP_ACK;
            builder.len = number + size;
            builder_finish(&builder);
            lookup = look_up(&builder, builder.len);
            assert_int_equal(lookup.has_flow, size >= 8);
            if (size >= 8) {
                assert_alone(&builder, &ends);
                assert_int_equal(lookup.traits.begins, size <= 13);
            }
            for (size_t len = number - 24 * headers; len < number; len++) { /* nor where AH is cut */
                builder.len = len;
                builder_finish(&builder);
                assert_false(look_up(&builder, len).has_flow);
            }
        }
    }
}

/* The rest of the header comes in the next fragment, and may say that a connection begins. */
static void test_first_fragment_begins_a_connection_unless_it_says_that_it_does_not(void **state)
{
    static const struct {
        uint8_t protocol;
        uint8_t place;
        uint8_t begins;
        uint8_t other;
    } cases[] = {
        {NFQE_PROTOCOL_TCP, 13, NFQE_TCP_SYN, NFQE_TCP_ACK},
        {FLOW_SCTP, 12, 1, 0},
        {FLOW_DCCP, 8, 0, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t size = 0; size < 16; size++) {
            bool known = size > cases[i].place;

            assert_int_equal(fragment_begins(cases[i].protocol, size, cases[i].place, cases[i].begins), size >= 8);
            assert_int_equal(fragment_begins(cases[i].protocol, size, cases[i].place, cases[i].other),
                             size >= 8 && !known);
        }
    }
    assert_false(fragment_begins(NFQE_PROTOCOL_UDP, 8, 0, 0));
    assert_false(fragment_begins(FLOW_UDP_LITE, 8, 0, 0));
}

static int set_up(void **state)
{
    (void)state;
    flow_image_init(&image, 3, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    flow_image_done(&image);
    return 0;
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_extension_headers_are_no_part_of_a_flow),
        TEST(test_packet_of_more_than_64_kib_is_of_its_flow),
        TEST(test_syn_after_extension_headers_begins_a_connection),
        TEST(test_routed_packet_is_of_the_flow_with_its_last_destination_and_decides_nothing),
        TEST(test_packet_whose_last_destination_is_not_known_has_no_flow),
        TEST(test_later_fragments_have_no_flow),
        TEST(test_first_fragment_is_of_its_flow_and_decides_nothing),
        TEST(test_first_fragment_after_ah_is_of_the_flow_of_its_ports),
        TEST(test_first_fragment_that_is_routed_is_of_the_flow_with_its_last_destination),
        TEST(test_first_fragment_begins_a_connection_unless_it_says_that_it_does_not),
    };

    return cmocka_run_group_tests_name("flow_headers", tests, NULL, NULL);
}
