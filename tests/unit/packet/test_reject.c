/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the sender of a refused packet is told, and which packets are never answered.
 *
 * Each answer's lengths and checksums are computed a second time (checksums.h), and no answer is answered itself. What a
 * packet says is written byte by byte from the RFCs; the live test compares with the kernel's own REJECT.
 *
 * Longer than 500 lines: one builder and one check for all packets.
 */
#include "unit.h"

#include "builder.h"
#include "checksums.h"
#include "guarded.h"
#include "packet/parse.h"
#include "packet/reject.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define SEQ UINT32_C(0xfffffff0)
#define ACK UINT32_C(0x12345678)
#define PADDING 16

static uint8_t answer[REJECT_ANSWER_MAX];

static unsigned get_16(const uint8_t *from)
{
    return from[0] * 256U + from[1];
}

static uint32_t get_32(const uint8_t *from)
{
    return (uint32_t)get_16(from) << 16 | get_16(from + 2);
}

static void put_32(uint8_t *to, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static void begin(struct builder *builder, unsigned version)
{
    if (version == 4) {
        builder_ipv4(builder, 4, 0);
    } else {
        builder_ipv6(builder);
        builder->bytes[39] = 9; /* not its own address */
    }
}

static void append(struct builder *builder, uint8_t protocol, size_t payload)
{
    builder_transport(builder, protocol, payload);
    builder_bytes(builder, payload);
    builder_finish(builder);
    checksums_put(builder);
}

static void build(struct builder *builder, unsigned version, uint8_t protocol, size_t payload)
{
    begin(builder, version);
    append(builder, protocol, payload);
}

/* The answer to the first `len` bytes, of which no byte after them may be read; it is well-formed. */
static int refuse_part(const struct builder *builder, size_t len, enum reject_kind kind)
{
    struct guarded bytes;
    struct nfqe_packet packet;
    int got;

    guarded_init(&bytes, BUILDER_SIZE);
    packet = builder_packet(builder, guarded_put(&bytes, builder->bytes, len, 1), len);
    packet_parse(&packet);
    got = reject_answer(&packet, NULL, NULL, kind, answer);
    guarded_done(&bytes);
    if (got < 0) {
        assert_int_equal(got, -EOPNOTSUPP);
        return got;
    }
    assert_true((size_t)got <= (builder->version == 4 ? 576 : 1280));
    assert_true(checksums_are_right(answer, (size_t)got));
    assert_int_equal(answer[0] / 16, builder->version);
    return got;
}

static int refuse(const struct builder *builder, enum reject_kind kind)
{
    return refuse_part(builder, builder->len, kind);
}

static size_t header_of(unsigned version)
{
    return version == 4 ? 20 : 40;
}

/* From where the packet was sent to, to where it came from. */
static void assert_way_back(const struct builder *builder)
{
    size_t size = builder->version == 4 ? 4 : 16;
    size_t at = builder->version == 4 ? 12 : 8;

    assert_memory_equal(answer + at, builder->bytes + at + size, size);
    assert_memory_equal(answer + at + size, builder->bytes + at, size);
    assert_int_equal(answer[builder->version == 4 ? 8 : 7], 64);
}

/* ---- resets ------------------------------------------------------------------------------------------------ */

static void test_a_reset_has_the_numbers_that_its_receiver_expects(void **state)
{
    const struct {
        uint8_t flags;
        size_t payload;
        uint32_t seq;
        uint32_t ack;
        uint8_t answer;
    } cases[] = {
        {NFQE_TCP_SYN, 0, 0, SEQ + 1, NFQE_TCP_RST | NFQE_TCP_ACK},
        {NFQE_TCP_SYN, 100, 0, SEQ + 101, NFQE_TCP_RST | NFQE_TCP_ACK},
        {NFQE_TCP_FIN, 0, 0, SEQ + 1, NFQE_TCP_RST | NFQE_TCP_ACK},
        {NFQE_TCP_FIN | NFQE_TCP_SYN, 3, 0, SEQ + 5, NFQE_TCP_RST | NFQE_TCP_ACK},
        {NFQE_TCP_PSH, 1400, 0, SEQ + 1400, NFQE_TCP_RST | NFQE_TCP_ACK},
        {0, 0, 0, SEQ, NFQE_TCP_RST | NFQE_TCP_ACK},
        {NFQE_TCP_ACK, 1400, ACK, 0, NFQE_TCP_RST},
        {NFQE_TCP_SYN | NFQE_TCP_ACK, 0, ACK, 0, NFQE_TCP_RST},
        {NFQE_TCP_FIN | NFQE_TCP_ACK, 10, ACK, 0, NFQE_TCP_RST},
    };
    struct builder builder;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned version = i % 2 == 0 ? 4 : 6;
        const uint8_t *reset = answer + header_of(version);
        uint8_t *tcp;

        build(&builder, version, NFQE_PROTOCOL_TCP, cases[i / 2].payload);
        tcp = builder.bytes + builder.transport;
        put_32(tcp + 4, SEQ);
        put_32(tcp + 8, ACK);
        tcp[13] = cases[i / 2].flags;
        checksums_put(&builder);
        for (enum reject_kind kind = REJECT_AUTO; kind <= REJECT_TCP_RESET; kind++) {
            assert_int_equal(refuse(&builder, kind), header_of(version) + 20);
            assert_way_back(&builder);
            assert_int_equal(answer[version == 4 ? 9 : 6], NFQE_PROTOCOL_TCP);
            assert_int_equal(get_16(reset), BUILDER_DEST_PORT);
            assert_int_equal(get_16(reset + 2), BUILDER_SOURCE_PORT);
            assert_int_equal(get_32(reset + 4), cases[i / 2].seq);
            assert_int_equal(get_32(reset + 8), cases[i / 2].ack);
            assert_int_equal(reset[12], 5 * 16);
            assert_int_equal(reset[13], cases[i / 2].answer);
            assert_int_equal(get_16(reset + 14), 0);
            assert_int_equal(get_16(reset + 18), 0);
        }
        assert_int_equal(refuse_part(&builder, builder.headers_end, REJECT_AUTO), header_of(version) + 20);
        assert_int_equal(get_32(reset + 8),
                         cases[i / 2].ack); /* by the length of the packet, not of what was captured */
    }
}

/* Segmentation offload can make IP packets that are longer than their length field. */
static void test_a_segment_of_more_than_64_kib_is_acknowledged(void **state)
{
    struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        build(&builder, version, NFQE_PROTOCOL_TCP, 0);
        put_32(builder.bytes + builder.transport + 4, SEQ);
        memset(builder.bytes + (version == 4 ? 2 : 4), 0, 2);
        packet = builder_packet(&builder, builder.bytes, builder.len);
        packet.wire_len = 100000;
        packet.flags = NFQE_PACKET_GSO;
        packet_parse(&packet);
        assert_int_equal(reject_answer(&packet, NULL, NULL, REJECT_AUTO, answer), header_of(version) + 20);
        assert_int_equal(get_32(answer + header_of(version) + 8), SEQ + 1 + 100000 - builder.headers_end);
    }
}

static void test_a_reset_is_not_answered(void **state)
{
    struct builder builder;

    (void)state;
    for (unsigned flags = 0; flags < 64; flags++) {
        build(&builder, flags % 2 == 0 ? 4 : 6, NFQE_PROTOCOL_TCP, 4);
        builder.bytes[builder.transport + 13] = (uint8_t)flags;
        checksums_put(&builder);
        assert_int_equal(refuse(&builder, REJECT_AUTO) < 0, (flags & NFQE_TCP_RST) != 0);
        assert_int_equal(refuse(&builder, REJECT_PROHIBITED) < 0, (flags & NFQE_TCP_RST) != 0);
    }
}

static void test_only_tcp_is_reset(void **state)
{
    const uint8_t others[] = {NFQE_PROTOCOL_UDP, NFQE_PROTOCOL_ICMP};
    struct builder builder;

    (void)state;
    for (size_t i = 0; i < sizeof(others); i++) {
        build(&builder, 4, others[i], 4);
        assert_int_equal(refuse(&builder, REJECT_TCP_RESET), -EOPNOTSUPP);
        assert_true(refuse(&builder, REJECT_AUTO) > 0);
    }
}

/* ---- ICMP -------------------------------------------------------------------------------------------------- */

static void test_a_message_says_why(void **state)
{
    const struct {
        enum reject_kind kind;
        uint8_t icmp, icmpv6;
    } cases[] = {{REJECT_AUTO, 3, 4},
                 {REJECT_PORT_UNREACHABLE, 3, 4},
                 {REJECT_HOST_UNREACHABLE, 1, 3},
                 {REJECT_PROHIBITED, 13, 1}};
    struct builder builder;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned version = i % 2 == 0 ? 4 : 6;
        const uint8_t *message = answer + header_of(version);

        build(&builder, version, NFQE_PROTOCOL_UDP, 11);
        assert_int_equal(refuse(&builder, cases[i / 2].kind), header_of(version) + 8 + builder.len);
        assert_way_back(&builder);
        assert_int_equal(answer[version == 4 ? 9 : 6], version == 4 ? 1 : 58);
        assert_int_equal(answer[1], version == 4 ? 0xc0 : 0);
        assert_int_equal(message[0], version == 4 ? 3 : 1);
        assert_int_equal(message[1], version == 4 ? cases[i / 2].icmp : cases[i / 2].icmpv6);
        assert_int_equal(get_32(message + 4), 0);
        assert_memory_equal(message + 8, builder.bytes, builder.len);
    }
}

/* A router's message comes from the router, but a reset from the other end of the connection. */
static void test_a_message_comes_from_this_machine(void **state)
{
    const uint8_t own[16] = {192, 0, 2, 99, [15] = 7};
    struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        size_t size = version == 4 ? 4 : 16;
        size_t at = version == 4 ? 12 : 8;
        int len;

        build(&builder, version, NFQE_PROTOCOL_TCP, 4);
        packet = builder_packet(&builder, builder.bytes, builder.len);
        packet_parse(&packet);
        len = reject_answer(&packet, NULL, own, REJECT_PROHIBITED, answer);
        assert_true(len > 0 && checksums_are_right(answer, (size_t)len));
        assert_memory_equal(answer + at, own, size);
        assert_memory_equal(answer + at + size, builder.bytes + at, size);
        assert_memory_equal(answer + header_of(version) + 8, builder.bytes, builder.len);
        len = reject_answer(&packet, NULL, own, REJECT_AUTO, answer);
        assert_true(len > 0 && checksums_are_right(answer, (size_t)len));
        assert_way_back(&builder);
    }
}

/* As much as there is, and as the smallest MTU has room for; no byte that follows the IP packet. */
static void test_a_message_quotes_what_there_is(void **state)
{
    struct builder builder;

    (void)state;
    for (size_t payload = 0; payload < 1600; payload += 7) {
        unsigned version = payload % 2 == 0 ? 4 : 6;
        size_t limit = (version == 4 ? 576 : 1280) - header_of(version) - 8;
        size_t len;
        size_t captured;

        build(&builder, version, NFQE_PROTOCOL_UDP, payload);
        len = builder.len;
        captured = builder.headers_end + (len - builder.headers_end) / 2;
        assert_int_equal(refuse(&builder, REJECT_AUTO), header_of(version) + 8 + (len < limit ? len : limit));
        assert_memory_equal(answer + header_of(version) + 8, builder.bytes, len < limit ? len : limit);
        assert_int_equal(refuse_part(&builder, captured, REJECT_AUTO),
                         header_of(version) + 8 + (captured < limit ? captured : limit));
        builder_bytes(&builder, PADDING);
        assert_int_equal(refuse(&builder, REJECT_AUTO), header_of(version) + 8 + (len < limit ? len : limit));
    }
}

/* ---- what is never answered -------------------------------------------------------------------------------- */

static void test_icmp_errors_are_not_answered(void **state)
{
    const uint8_t queries[] = {0, 8, 13, 14, 15, 16, 17, 18};
    struct builder builder;

    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        build(&builder, 4, NFQE_PROTOCOL_ICMP, 40);
        builder.bytes[builder.transport] = (uint8_t)type;
        checksums_put(&builder);
        assert_int_equal(refuse(&builder, REJECT_AUTO) > 0, memchr(queries, (int)type, sizeof(queries)) != NULL);
        build(&builder, 6, NFQE_PROTOCOL_ICMPV6, 40);
        builder.bytes[builder.transport] = (uint8_t)type;
        checksums_put(&builder);
        assert_int_equal(refuse(&builder, REJECT_AUTO) > 0, type == 128 || type == 129);
    }
}

/* So two engines, or an engine and a REJECT rule, never answer each other. */
static void test_no_answer_is_answered(void **state)
{
    const uint8_t protocols[] = {NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP};
    struct builder builder;
    struct builder back;

    (void)state;
    for (unsigned i = 0; i < 4 * REJECT_KINDS; i++) {
        enum reject_kind kind = i / 4;
        int len;

        build(&builder, i % 2 == 0 ? 4 : 6, protocols[i / 2 % 2], 20);
        len = refuse(&builder, kind);
        if (len < 0) {
            assert_int_equal(kind, REJECT_TCP_RESET);
            continue;
        }
        back = (struct builder){.len = (size_t)len, .version = builder.version};
        memcpy(back.bytes, answer, (size_t)len);
        for (enum reject_kind second = 0; second < REJECT_KINDS; second++) {
            assert_int_equal(refuse(&back, second), -EOPNOTSUPP);
        }
    }
}

static void test_addresses_of_no_host_are_not_answered(void **state)
{
    const struct {
        uint8_t address[16];
        unsigned version;
    } others[] = {
        {{224, 0, 0, 1}, 4},
        {{239, 255, 255, 250}, 4},
        {{240, 0, 0, 1}, 4},
        {{255, 255, 255, 255}, 4},
        {{0, 0, 0, 0}, 4},
        {{0, 1, 2, 3}, 4},
        {{127, 0, 0, 1}, 4}, /* and the other one is not */
        {{0}, 6},
        {{[15] = 1}, 6},
        {{0xff, 2, [15] = 1}, 6},
        {{0xff, 0x0e, [15] = 9}, 6},
    };
    struct builder builder;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(others) / sizeof(others[0]); i++) {
        size_t size = others[i / 2].version == 4 ? 4 : 16;
        size_t at = others[i / 2].version == 4 ? 12 : 8;

        for (unsigned tcp = 0; tcp < 2; tcp++) {
            build(&builder, others[i / 2].version, tcp ? NFQE_PROTOCOL_TCP : NFQE_PROTOCOL_UDP, 4);
            assert_true(refuse(&builder, REJECT_AUTO) > 0);
            memcpy(builder.bytes + at + i % 2 * size, others[i / 2].address, size);
            checksums_put(&builder);
            assert_int_equal(refuse(&builder, REJECT_AUTO), -EOPNOTSUPP);
        }
    }
}

static void test_loopback_is_answered_on_loopback(void **state)
{
    struct builder builder;

    (void)state;
    build(&builder, 4, NFQE_PROTOCOL_TCP, 0);
    memcpy(builder.bytes + 12, "\x7f\x00\x00\x01\x7f\x00\x00\x02", 8); /* NOLINT(bugprone-not-null-terminated-result) */
    checksums_put(&builder);
    assert_int_equal(refuse(&builder, REJECT_AUTO), 40);
    build(&builder, 6, NFQE_PROTOCOL_TCP, 0);
    memset(builder.bytes + 8, 0, 32);
    builder.bytes[23] = builder.bytes[39] = 1;
    checksums_put(&builder);
    assert_int_equal(refuse(&builder, REJECT_AUTO), 60);
}

static void test_fragments_are_not_answered_after_the_first(void **state)
{
    struct builder builder;

    (void)state;
    for (unsigned offset = 0; offset < 3; offset++) {
        for (unsigned tcp = 0; tcp < 2; tcp++) {
            uint8_t protocol = tcp ? NFQE_PROTOCOL_TCP : NFQE_PROTOCOL_UDP;

            builder_ipv4(&builder, 0, (uint16_t)(0x2000 | offset)); /* more follow */
            append(&builder, protocol, 16);
            /* The length of a TCP segment is not known from its first fragment. */
            assert_int_equal(refuse(&builder, REJECT_AUTO) > 0, offset == 0 && !tcp);
            assert_int_equal(refuse(&builder, REJECT_PROHIBITED) > 0, offset == 0);
            begin(&builder, 6);
            builder_fragment(&builder, (uint16_t)offset, true);
            append(&builder, protocol, 16);
            assert_int_equal(refuse(&builder, REJECT_AUTO) > 0, offset == 0 && !tcp);
        }
    }
}

/* What cannot be read could be an ICMP error. */
static void test_cut_headers_are_not_answered(void **state)
{
    const uint8_t protocols[] = {NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP, NFQE_PROTOCOL_ICMP};
    struct builder builder;

    (void)state;
    for (size_t i = 0; i < sizeof(protocols); i++) {
        build(&builder, 4, protocols[i], 20);
        for (size_t len = 0; len < builder.len; len++) {
            assert_int_equal(refuse_part(&builder, len, REJECT_AUTO) > 0, len >= builder.headers_end);
        }
    }
    build(&builder, 6, NFQE_PROTOCOL_TCP, 20);
    for (size_t len = 0; len < builder.len; len++) {
        assert_int_equal(refuse_part(&builder, len, REJECT_AUTO) > 0, len >= builder.headers_end);
    }
}

static void test_what_its_receiver_ignores_is_not_answered(void **state)
{
    struct builder builder;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        build(&builder, version, NFQE_PROTOCOL_TCP, 20);
        builder.bytes[builder.len - 1] ^= 1;
        assert_int_equal(refuse(&builder, REJECT_AUTO), -EOPNOTSUPP);
        assert_int_equal(refuse(&builder, REJECT_PROHIBITED), -EOPNOTSUPP);
    }
}

static void test_a_routing_header_is_not_answered(void **state)
{
    struct builder builder;

    (void)state;
    for (unsigned left = 0; left < 2; left++) {
        begin(&builder, 6);
        builder_extension(&builder, IPV6_ROUTING, 24);
        builder.bytes[40 + 3] = (uint8_t)left; /* segments left */
        append(&builder, NFQE_PROTOCOL_TCP, 0);
        assert_int_equal(refuse(&builder, REJECT_AUTO) > 0, left == 0);
    }
}

static void test_bridges_and_groups_of_the_link_are_not_answered(void **state)
{
    uint8_t link[14] = {0x02, 0, 0, 0, 0, 1};
    struct builder builder;
    struct nfqe_packet packet;

    (void)state;
    build(&builder, 4, NFQE_PROTOCOL_UDP, 4);
    packet = builder_packet(&builder, builder.bytes, builder.len);
    packet_parse(&packet);
    packet.link_header = link;
    packet.link_header_len = sizeof(link);
    assert_true(reject_answer(&packet, NULL, NULL, REJECT_AUTO, answer) > 0);
    link[0] = 0xff;
    assert_int_equal(reject_answer(&packet, NULL, NULL, REJECT_AUTO, answer), -EOPNOTSUPP);
    link[0] = 0x02;
    packet.family = AF_BRIDGE;
    assert_int_equal(reject_answer(&packet, NULL, NULL, REJECT_AUTO, answer), -EOPNOTSUPP);
}

static void test_an_unknown_kind_is_not_answered(void **state)
{
    struct builder builder;

    (void)state;
    build(&builder, 4, NFQE_PROTOCOL_TCP, 4);
    assert_int_equal(refuse(&builder, REJECT_KINDS), -EOPNOTSUPP);
    assert_int_equal(refuse(&builder, REJECT_KINDS + 2), -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reset_has_the_numbers_that_its_receiver_expects),
        cmocka_unit_test(test_a_segment_of_more_than_64_kib_is_acknowledged),
        cmocka_unit_test(test_a_reset_is_not_answered),
        cmocka_unit_test(test_only_tcp_is_reset),
        cmocka_unit_test(test_a_message_says_why),
        cmocka_unit_test(test_a_message_comes_from_this_machine),
        cmocka_unit_test(test_a_message_quotes_what_there_is),
        cmocka_unit_test(test_icmp_errors_are_not_answered),
        cmocka_unit_test(test_no_answer_is_answered),
        cmocka_unit_test(test_addresses_of_no_host_are_not_answered),
        cmocka_unit_test(test_loopback_is_answered_on_loopback),
        cmocka_unit_test(test_fragments_are_not_answered_after_the_first),
        cmocka_unit_test(test_cut_headers_are_not_answered),
        cmocka_unit_test(test_what_its_receiver_ignores_is_not_answered),
        cmocka_unit_test(test_a_routing_header_is_not_answered),
        cmocka_unit_test(test_bridges_and_groups_of_the_link_are_not_answered),
        cmocka_unit_test(test_an_unknown_kind_is_not_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
