/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which packets belong to the same flow and which to different ones. Packets without flow are in test_flow_none.c.
 *
 * Each case is a burst of two packets: the flow of the first one is accepted, and the second one is looked up.
 */
#include "unit.h"

#include "flow_ends.h"
#include "flow_image.h"
#include "packet/parse.h"

#include <nfqe/plugin.h>

#include <string.h>

/* ---- the two packets of a case ----------------------------------------------------------------------------- */

static struct flow_image image;

static bool packets_share_flow(struct nfqe_packet packets[2])
{
    nfqe_verdict verdict;

    flow_image_init(&image, 3, NULL);
    memset(&image.burst.lookups[1], 0xff, sizeof(image.burst.lookups[1])); /* there was another packet in its place */
    flow_table_begin_burst(&image.flows, &image.burst, packets, 2, 0);
    assert_int_equal(flow_table_find(&image.flows, &image.burst, 1), NFQE_CONTINUE);
    assert_true(flow_table_add(&image.flows, &image.burst, 0, NFQE_ACCEPT));
    assert_int_equal(flow_table_find(&image.flows, &image.burst, 0), NFQE_ACCEPT);
    verdict = flow_table_find(&image.flows, &image.burst, 1);
    assert_true(verdict == NFQE_ACCEPT || verdict == NFQE_CONTINUE);
    assert_int_equal(flow_burst_same(&image.burst, 0, 1), verdict == NFQE_ACCEPT);
    assert_int_equal(flow_burst_same(&image.burst, 1, 0), verdict == NFQE_ACCEPT);
    assert_string_equal(flow_image_fault(&image), "");
    flow_image_done(&image);
    return verdict == NFQE_ACCEPT;
}

static bool share_flow(const struct flow_ends *a, const struct flow_ends *b)
{
    struct builder builders[2];
    struct nfqe_packet packets[2];

    flow_build(&builders[0], a);
    flow_build(&builders[1], b);
    for (unsigned i = 0; i < 2; i++) {
        builders[i].bytes[builders[i].transport + 13] = NFQE_TCP_ACK; /* a SYN would end the flow */
        packets[i] = builder_packet(&builders[i], builders[i].bytes, builders[i].len);
        packets[i].flags = NFQE_PACKET_CHECKSUM_PENDING; /* or the receiver would ignore it */
        packet_parse(&packets[i]);
    }
    return packets_share_flow(packets);
}

/* ---- one flow ------------------------------------------------------------------------------------------------ */

static void test_both_directions_of_protocols_with_ports_are_one_flow(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < sizeof(flow_port_protocols); i++) {
            struct flow_ends ends = flow_ends_of(version, flow_port_protocols[i]);
            struct flow_ends other = flow_ends_reversed(&ends);

            assert_true(share_flow(&ends, &ends));
            assert_true(share_flow(&ends, &other));
            assert_true(share_flow(&other, &ends));
        }
    }
}

/* A host that talks to itself: only the ports tell the ends apart. */
static void test_both_directions_between_ports_of_one_address_are_one_flow(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct flow_ends ends = flow_ends_of(version, NFQE_PROTOCOL_UDP);
        struct flow_ends other;

        memcpy(ends.dest, ends.source, sizeof(ends.dest));
        other = flow_ends_reversed(&ends);
        assert_true(share_flow(&ends, &other));
        memcpy(ends.dest_port, ends.source_port, sizeof(ends.dest_port));
        assert_true(share_flow(&ends, &ends));
        assert_false(share_flow(&ends, &other));
    }
}

/* The flow is of the side that asks: the other side may ask with the same identifier. */
static void test_echo_request_and_its_reply_are_one_flow_whatever_their_sequence_number(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct flow_ends request = flow_ends_of(version, version == 4 ? NFQE_PROTOCOL_ICMP : NFQE_PROTOCOL_ICMPV6);
        struct flow_ends reply = flow_ends_reversed(&request);
        struct flow_ends other_request;

        reply.icmp_type = version == 4 ? FLOW_ECHO_REPLY : FLOW_ECHO_REPLY_V6;
        memcpy(reply.source_port, request.source_port, sizeof(reply.source_port));
        reply.dest_port[0] = 0x77; /* the sequence number */
        assert_true(share_flow(&request, &reply));
        assert_true(share_flow(&reply, &request));
        other_request = reply;
        other_request.icmp_type = request.icmp_type;
        assert_false(share_flow(&request, &other_request));
        assert_false(share_flow(&other_request, &reply));
    }
}

static void test_hook_interfaces_queue_and_what_else_is_no_part_of_the_flow_do_not_matter(void **state)
{
    struct flow_ends ends = flow_ends_of(4, NFQE_PROTOCOL_TCP);
    struct builder builders[2];
    struct nfqe_packet packets[2];

    (void)state;
    flow_build(&builders[0], &ends);
    flow_build_network(&builders[1], &ends, 0x4000); /* it must not be fragmented */
    builders[1].bytes[1] = 0xfc;
    builders[1].bytes[8] = 1;
    flow_build_transport(&builders[1], &ends);
    builder_bytes(&builders[1], 100);
    builder_finish(&builders[1]);
    for (unsigned i = 0; i < 2; i++) {
        builders[i].bytes[builders[i].transport + 13] = i == 0 ? NFQE_TCP_ACK : NFQE_TCP_ACK | NFQE_TCP_FIN;
        packets[i] = builder_packet(&builders[i], builders[i].bytes, builders[i].len);
        packets[i].flags = NFQE_PACKET_CHECKSUM_PENDING; /* or the receiver would ignore it */
        packet_parse(&packets[i]);
    }
    packets[1].hook = 4;
    packets[1].in_ifindex = packets[1].out_ifindex = packets[1].phys_in_ifindex = 5;
    packets[1].queue = packets[1].id = packets[1].mark = packets[1].conntrack_mark = 6;
    packets[1].present = UINT32_MAX;
    packets[1].hw_address[0] = 7;
    assert_true(packets_share_flow(packets));
}

/* ---- two flows ----------------------------------------------------------------------------------------------- */

static void test_every_part_of_the_two_ends_and_the_protocol_distinguish(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < sizeof(flow_port_protocols); i++) {
            struct flow_ends ends = flow_ends_of(version, flow_port_protocols[i]);
            struct flow_ends other;

            for (unsigned byte = 0; byte < (version == 4 ? 4 : 16); byte++) {
                other = ends;
                other.source[byte] ^= 0x01;
                assert_false(share_flow(&ends, &other));
                other = ends;
                other.dest[byte] ^= 0x80;
                assert_false(share_flow(&ends, &other));
            }
            for (unsigned byte = 0; byte < 2; byte++) {
                other = ends;
                other.source_port[byte] ^= 0x80;
                assert_false(share_flow(&ends, &other));
                other = ends;
                other.dest_port[byte] ^= 0x01;
                assert_false(share_flow(&ends, &other));
            }
            for (size_t j = 0; j < sizeof(flow_port_protocols); j++) {
                other = ends;
                other.protocol = flow_port_protocols[j];
                assert_int_equal(share_flow(&ends, &other), i == j);
            }
        }
    }
}

/* Port 1 here and 2 there is not port 2 here and 1 there. */
static void test_ports_belong_to_their_addresses(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct flow_ends ends = flow_ends_of(version, NFQE_PROTOCOL_TCP);
        struct flow_ends other = flow_ends_reversed(&ends);
        struct flow_ends crossed = ends;

        memcpy(crossed.source_port, ends.dest_port, sizeof(crossed.source_port));
        memcpy(crossed.dest_port, ends.source_port, sizeof(crossed.dest_port));
        assert_false(share_flow(&ends, &crossed));
        assert_false(share_flow(&other, &crossed));
        assert_false(share_flow(&crossed, &other));
    }
}

static void test_echo_identifiers_and_addresses_distinguish(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        struct flow_ends ends = flow_ends_of(version, version == 4 ? NFQE_PROTOCOL_ICMP : NFQE_PROTOCOL_ICMPV6);
        struct flow_ends other = ends;

        other.source_port[0] ^= 1;
        assert_false(share_flow(&ends, &other));
        other = ends;
        other.source_port[1] ^= 1;
        assert_false(share_flow(&ends, &other));
        other = ends;
        other.dest[1] ^= 1;
        assert_false(share_flow(&ends, &other));
    }
}

/* An IPv6 address that starts with the bytes of an IPv4 address, and is zero after them. */
static void test_ip_version_distinguishes(void **state)
{
    struct flow_ends ends = flow_ends_of(4, NFQE_PROTOCOL_UDP);
    struct flow_ends other = ends;

    (void)state;
    memset(other.source + 4, 0, 12);
    memset(other.dest + 4, 0, 12);
    other.version = 6;
    assert_false(share_flow(&ends, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_directions_of_protocols_with_ports_are_one_flow),
        cmocka_unit_test(test_both_directions_between_ports_of_one_address_are_one_flow),
        cmocka_unit_test(test_echo_request_and_its_reply_are_one_flow_whatever_their_sequence_number),
        cmocka_unit_test(test_hook_interfaces_queue_and_what_else_is_no_part_of_the_flow_do_not_matter),
        cmocka_unit_test(test_every_part_of_the_two_ends_and_the_protocol_distinguish),
        cmocka_unit_test(test_ports_belong_to_their_addresses),
        cmocka_unit_test(test_echo_identifiers_and_addresses_distinguish),
        cmocka_unit_test(test_ip_version_distinguishes),
    };

    return cmocka_run_group_tests_name("flow_key", tests, NULL, NULL);
}
