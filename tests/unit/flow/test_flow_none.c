/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which packets have no flow, and which packets begin a connection. Fragments are in test_flow_headers.c.
 */
#include "unit.h"

#include "flow_ends.h"
#include "flow_image.h"
#include "packet/parse.h"

#include <nfqe/plugin.h>

#include <string.h>

#define GRE 47
#define ESP 50
#define DCCP_SHORTEST 12 /* a shorter header is none, though it has the bytes that are looked at */
#define PADDING 64

static struct flow_image image;

/* Whether the packet has a flow if `len` bytes of it are captured; no byte after those may be read. */
static bool has_flow(const struct builder *builder, size_t len)
{
    struct guarded bytes;
    struct nfqe_packet packets[2];
    bool added;

    guarded_init(&bytes, BUILDER_SIZE);
    packets[0] = builder_packet(builder, guarded_put(&bytes, builder->bytes, len, 1), len);
    packets[0].flags = NFQE_PACKET_CHECKSUM_PENDING; /* or the receiver would ignore it */
    packet_parse(&packets[0]);
    packets[1] = packets[0];
    flow_image_init(&image, 3, NULL);
    flow_table_begin_burst(&image.flows, &image.burst, packets, 2, 0);
    assert_int_equal(flow_table_find(&image.flows, &image.burst, 0), NFQE_CONTINUE);
    added = flow_table_add(&image.flows, &image.burst, 0, NFQE_DROP);
    flow_table_accepted(&image.flows, &image.burst, 0); /* no flow ends: it is dropped, or there is none */
    assert_int_equal(flow_table_find(&image.flows, &image.burst, 0), added ? NFQE_DROP : NFQE_CONTINUE);
    assert_int_equal(flow_table_find(&image.flows, &image.burst, 1), added ? NFQE_DROP : NFQE_CONTINUE);
    assert_true(added || !flow_burst_same(&image.burst, 0, 1));
    assert_int_equal(image.header->totals.added, added);
    for (size_t i = 0; !added && i < image.size; i++) {
        assert_int_equal(((const uint8_t *)image.header)[i], 0);
    }
    flow_image_done(&image);
    guarded_done(&bytes);
    return added;
}

/* ---- no flow ------------------------------------------------------------------------------------------------- */

static void test_icmp_that_is_no_echo_has_no_flow(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct flow_ends ends = flow_ends_of(version, version == 4 ? NFQE_PROTOCOL_ICMP : NFQE_PROTOCOL_ICMPV6);

        for (unsigned type = 0; type < 256; type++) {
            struct builder builder;

            ends.icmp_type = (uint8_t)type;
            flow_build(&builder, &ends);
            assert_int_equal(has_flow(&builder, builder.len), version == 4
                                                                  ? type == FLOW_ECHO || type == FLOW_ECHO_REPLY
                                                                  : type == FLOW_ECHO_V6 || type == FLOW_ECHO_REPLY_V6);
        }
    }
}

static void test_protocols_without_ports_have_no_flow(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (unsigned protocol = 0; protocol < 256; protocol++) {
            bool known = memchr(flow_port_protocols, (int)protocol, sizeof(flow_port_protocols)) != NULL;
            struct flow_ends ends = flow_ends_of(version, (uint8_t)protocol);
            struct builder builder;

            flow_build(&builder, &ends);
            if (protocol == NFQE_PROTOCOL_ICMP || protocol == NFQE_PROTOCOL_ICMPV6) {
                continue;
            }
            assert_int_equal(has_flow(&builder, builder.len), known);
        }
    }
}

static const struct {
    uint8_t protocol;
    size_t needed; /* bytes of the transport header, up to where it says whether it begins a connection */
} headers[] = {
    {NFQE_PROTOCOL_TCP, 20}, {NFQE_PROTOCOL_UDP, 8},  {FLOW_UDP_LITE, 8},
    {FLOW_SCTP, 13},         {NFQE_PROTOCOL_ICMP, 8}, {NFQE_PROTOCOL_ICMPV6, 8},
    {FLOW_DCCP, 9},          {GRE, SIZE_MAX / 2},     {ESP, SIZE_MAX / 2},
};

static void test_headers_that_are_cut_have_no_flow(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
            struct flow_ends ends = flow_ends_of(version, headers[i].protocol);
            struct builder builder;

            ends.icmp_type = headers[i].protocol == NFQE_PROTOCOL_ICMP ? FLOW_ECHO : FLOW_ECHO_V6;
            flow_build(&builder, &ends);
            for (size_t len = 0; len <= builder.len; len++) {
                assert_int_equal(has_flow(&builder, len), len >= builder.transport + headers[i].needed);
            }
        }
    }
}

/* Link-layer padding follows the end of the IP packet. If the IP header has no length, all bytes are the packet. */
static void test_bytes_after_the_ip_packet_are_no_header(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
            struct flow_ends ends = flow_ends_of(version, headers[i].protocol);
            struct builder builder;

            ends.icmp_type = headers[i].protocol == NFQE_PROTOCOL_ICMP ? FLOW_ECHO : FLOW_ECHO_V6;
            flow_build(&builder, &ends);
            builder_bytes(&builder, PADDING);
            for (size_t size = 0; size <= 20; size++) {
                size_t ip_len = builder.transport + size;
                uint8_t *field = builder.bytes + (version == 4 ? 2 : 4);
                size_t value = version == 4 ? ip_len : ip_len - 40;
                size_t needed = headers[i].protocol == FLOW_DCCP ? DCCP_SHORTEST : headers[i].needed;
                bool whole = size >= needed || (value == 0 && needed < PADDING);

                field[0] = (uint8_t)(value >> 8);
                field[1] = (uint8_t)value;
                assert_int_equal(has_flow(&builder, builder.len), whole);
            }
        }
    }
}

/* A TCP header that is shorter than its fixed part, or longer than the packet; an echo with a code. */
static void test_headers_that_contradict_themselves_have_no_flow(void **state)
{
    struct builder builder;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct flow_ends ends = flow_ends_of(version, NFQE_PROTOCOL_TCP);

        for (size_t payload = 0; payload < 60; payload++) {
            flow_build_network(&builder, &ends, 0);
            flow_build_transport(&builder, &ends);
            builder_bytes(&builder, payload);
            builder_finish(&builder);
            builder_bytes(&builder, PADDING);
            for (unsigned words = 0; words < 16; words++) {
                builder.bytes[builder.transport + 12] = (uint8_t)(words << 4);
                assert_int_equal(has_flow(&builder, builder.len), words >= 5 && words * 4 <= 20 + payload);
            }
        }
        ends = flow_ends_of(version, version == 4 ? NFQE_PROTOCOL_ICMP : NFQE_PROTOCOL_ICMPV6);
        flow_build(&builder, &ends);
        assert_true(has_flow(&builder, builder.len));
        builder.bytes[builder.transport + 1] = 1;
        assert_false(has_flow(&builder, builder.len));
    }
}

/* UDP says how long it is: as a receiver checks it. IPv6 has 0 for what is longer than the field can say. */
static void test_udp_with_a_length_that_its_receiver_refuses_has_no_flow(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct flow_ends ends = flow_ends_of(version, NFQE_PROTOCOL_UDP);
        struct builder builder;

        flow_build_network(&builder, &ends, 0);
        flow_build_transport(&builder, &ends);
        builder_bytes(&builder, 300);
        builder_finish(&builder);
        for (unsigned len = 0; len <= 400; len++) {
            builder.bytes[builder.transport + 4] = (uint8_t)(len >> 8);
            builder.bytes[builder.transport + 5] = (uint8_t)len;
            assert_int_equal(has_flow(&builder, builder.len), (len >= 8 && len <= 308) || (len == 0 && version == 6));
        }
    }
}

/* ---- new connections ------------------------------------------------------------------------------------------- */

/* Whether the plugins are asked about the packet although its flow is accepted. */
static bool begins(struct builder *builder)
{
    struct nfqe_packet packet = builder_packet(builder, builder->bytes, builder->len);
    nfqe_verdict verdict;

    packet.flags = NFQE_PACKET_CHECKSUM_PENDING;
    packet_parse(&packet);
    flow_image_init(&image, 3, NULL);
    flow_table_begin_burst(&image.flows, &image.burst, &packet, 1, 0);
    assert_true(flow_table_add(&image.flows, &image.burst, 0, NFQE_ACCEPT));
    verdict = flow_table_find(&image.flows, &image.burst, 0);
    flow_image_done(&image);
    assert_true(verdict == NFQE_ACCEPT || verdict == NFQE_CONTINUE);
    return verdict == NFQE_CONTINUE;
}

static void test_tcp_syn_sctp_init_and_dccp_request_begin_a_connection_and_nothing_else_does(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < sizeof(flow_port_protocols); i++) {
            uint8_t protocol = flow_port_protocols[i];
            struct flow_ends ends = flow_ends_of(version, protocol);
            struct builder builder;

            flow_build(&builder, &ends);
            /* not in UDP's length */
            for (unsigned byte = protocol == NFQE_PROTOCOL_UDP ? 6 : 4; byte < 20 && protocol != NFQE_PROTOCOL_TCP;
                 byte++) {
                for (unsigned value = 0; value < 256; value++) {
                    uint8_t *at = builder.bytes + builder.transport + byte;
                    uint8_t before = *at;
                    bool first = (protocol == FLOW_SCTP && byte == 12 && value == 1) ||
                                 (protocol == FLOW_DCCP && byte == 8 && (value >> 1 & 0xf) == 0);

                    *at = (uint8_t)value;
                    assert_int_equal(begins(&builder), first);
                    *at = before;
                }
            }
            for (unsigned flags = 0; flags < 256 && protocol == NFQE_PROTOCOL_TCP; flags++) {
                builder.bytes[builder.transport + 13] = (uint8_t)flags;
                assert_int_equal(begins(&builder), (flags & NFQE_TCP_SYN) != 0 && (flags & NFQE_TCP_ACK) == 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_icmp_that_is_no_echo_has_no_flow),
        cmocka_unit_test(test_protocols_without_ports_have_no_flow),
        cmocka_unit_test(test_headers_that_are_cut_have_no_flow),
        cmocka_unit_test(test_headers_that_contradict_themselves_have_no_flow),
        cmocka_unit_test(test_udp_with_a_length_that_its_receiver_refuses_has_no_flow),
        cmocka_unit_test(test_bytes_after_the_ip_packet_are_no_header),
        cmocka_unit_test(test_tcp_syn_sctp_init_and_dccp_request_begin_a_connection_and_nothing_else_does),
    };

    return cmocka_run_group_tests_name("flow_none", tests, NULL, NULL);
}
