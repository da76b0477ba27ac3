/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A NAT between the sender and the queue changes no byte of the answer.
 *
 * A packet is built twice, as its sender wrote it and as a NAT would have made it, each with right checksums. The answer
 * to the second, with the tuple of the first, must be the answer to the first, also in the checksums inside of the quote.
 */
#include "unit.h"

#include "builder.h"
#include "checksums.h"
#include "packet/parse.h"
#include "packet/reject.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define CASES 20000
#define QUICK_CASES 1000

static const uint8_t protocols[] = {NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP, NFQE_PROTOCOL_ICMP, NFQE_PROTOCOL_ICMPV6};

/* What the sender wrote; the first fields are at the same places in the packet as NAT would change it. */
struct ends {
    uint8_t addresses[32];
    uint8_t ports[4];
};

static void build(struct builder *builder, const struct ends *ends, unsigned version, uint8_t protocol, size_t payload,
                  bool udp_checksum)
{
    size_t size = version == 4 ? 4 : 16;
    uint8_t *transport;

    if (version == 4) {
        builder_ipv4(builder, payload % 3 * 4, 0);
    } else {
        builder_ipv6(builder);
        if (payload % 3 == 1) {
            builder_extension(builder, IPV6_DESTINATION, 16);
        }
    }
    memcpy(builder->bytes + (version == 4 ? 12 : 8), ends->addresses, 2 * size);
    builder_transport(builder, protocol, payload);
    transport = builder->bytes + builder->transport;
    if (protocol == NFQE_PROTOCOL_TCP || protocol == NFQE_PROTOCOL_UDP) {
        memcpy(transport, ends->ports, 4);
    } else {
        memcpy(transport + 4, ends->ports, 2); /* the identifier */
    }
    builder_bytes(builder, payload);
    builder_finish(builder);
    checksums_put(builder);
    if (protocol == NFQE_PROTOCOL_UDP && !udp_checksum) {
        memset(transport + 6, 0, 2);
    } else if (protocol == NFQE_PROTOCOL_UDP && transport[6] == 0 && transport[7] == 0) {
        memset(transport + 6, 0xff, 2);
    }
}

static int refuse(const struct builder *builder, size_t len, const struct nfqe_tuple *sent, enum reject_kind kind,
                  uint8_t *answer)
{
    struct nfqe_packet packet = builder_packet(builder, builder->bytes, len);

    memset(answer, 0, REJECT_ANSWER_MAX);
    packet_parse(&packet);
    return reject_answer(&packet, sent, NULL, kind, answer);
}

static void make_ends(struct ends *ends, unsigned version, uint64_t *random)
{
    for (size_t i = 0; i < sizeof(*ends); i++) {
        ((uint8_t *)ends)[i] = (uint8_t)unit_random_below(random, 256);
    }
    ends->addresses[0] = version == 4 ? 10 : 0x20;
    ends->addresses[version == 4 ? 4 : 16] = version == 4 ? 203 : 0x20;
}

static struct nfqe_tuple tuple_of(const struct ends *ends, unsigned version, uint8_t protocol)
{
    struct nfqe_tuple tuple = {.family = version == 4 ? AF_INET : AF_INET6, .protocol = protocol};
    size_t size = version == 4 ? 4 : 16;

    memcpy(tuple.source, ends->addresses, size);
    memcpy(tuple.dest, ends->addresses + size, size);
    tuple.source_port = (uint16_t)(ends->ports[0] * 256 + ends->ports[1]);
    tuple.dest_port = (uint16_t)(ends->ports[2] * 256 + ends->ports[3]);
    return tuple;
}

static void test_a_nat_changes_no_answer(void **state)
{
    unsigned cases = unit_cases(CASES, QUICK_CASES);
    uint64_t random = 0x5eed;
    uint8_t expected[REJECT_ANSWER_MAX];
    uint8_t answer[REJECT_ANSWER_MAX];
    struct builder written;
    struct builder translated;

    (void)state;
    for (unsigned i = 0; i < cases; i++) {
        uint8_t protocol = protocols[unit_random_below(&random, sizeof(protocols))];
        unsigned version = protocol == NFQE_PROTOCOL_ICMP                        ? 4
                           : protocol == NFQE_PROTOCOL_ICMPV6 || random % 2 == 0 ? 6
                                                                                 : 4;
        enum reject_kind kind = unit_random_below(&random, REJECT_KINDS);
        size_t payload = unit_random_below(&random, 1500);
        bool udp_checksum = unit_random_below(&random, 3) != 0;
        struct nfqe_tuple tuple;
        struct ends ends;
        struct ends changed;
        size_t len;
        int code;

        make_ends(&ends, version, &random);
        make_ends(&changed, version, &random);
        if (i % 3 == 0) {
            changed = ends;
            changed.addresses[version == 4 ? 7 : 31] ^= 0x55; /* the receiver's alone */
        }
        build(&written, &ends, version, protocol, payload, udp_checksum);
        build(&translated, &changed, version, protocol, payload, udp_checksum);
        len = written.headers_end + unit_random_below(&random, (uint32_t)(written.len - written.headers_end + 1));
        tuple = tuple_of(&ends, version, protocol);
        code = refuse(&written, len, NULL, kind, expected);
        assert_int_equal(refuse(&translated, len, &tuple, kind, answer), code);
        assert_memory_equal(answer, expected, sizeof(answer));
        assert_int_equal(refuse(&written, len, &tuple, kind, answer), code); /* no NAT */
        assert_memory_equal(answer, expected, sizeof(answer));
        assert_true(code == -EOPNOTSUPP || checksums_are_right(expected, (size_t)code));
        assert_int_equal(code < 0, kind == REJECT_TCP_RESET && protocol != NFQE_PROTOCOL_TCP);
    }
}

/* A checksum of UDP that comes to 0 is written as 0xffff, since 0 says that there is none. */
static void test_a_checksum_of_udp_is_never_0(void **state)
{
    uint8_t expected[REJECT_ANSWER_MAX];
    uint8_t answer[REJECT_ANSWER_MAX];
    uint64_t random = 0x5eed;
    struct nfqe_tuple tuple;
    struct builder builder;
    struct ends ends;
    struct ends changed;
    unsigned found = 0;

    (void)state;
    make_ends(&ends, 4, &random);
    make_ends(&changed, 4, &random);
    for (unsigned port = 0; port < 65536; port++) {
        ends.ports[0] = (uint8_t)(port / 256);
        ends.ports[1] = (uint8_t)port;
        build(&builder, &ends, 4, NFQE_PROTOCOL_UDP, 20, true);
        if (builder.bytes[builder.transport + 6] == 0xff && builder.bytes[builder.transport + 7] == 0xff) {
            int len = refuse(&builder, builder.len, NULL, REJECT_AUTO, expected);

            found++;
            tuple = tuple_of(&ends, 4, NFQE_PROTOCOL_UDP);
            build(&builder, &changed, 4, NFQE_PROTOCOL_UDP, 20, true);
            assert_int_equal(refuse(&builder, builder.len, &tuple, REJECT_AUTO, answer), len);
            assert_memory_equal(answer, expected, sizeof(answer));
        }
    }
    assert_true(found > 0);
}

/* The conntrack entry of a related packet can be that of another protocol. */
static void test_the_tuple_of_something_else_does_not_count(void **state)
{
    uint8_t expected[REJECT_ANSWER_MAX];
    uint8_t answer[REJECT_ANSWER_MAX];
    uint64_t random = 0x5eed;
    struct nfqe_tuple tuple;
    struct builder builder;
    struct ends ends;
    struct ends other;
    int len;

    (void)state;
    make_ends(&ends, 4, &random);
    make_ends(&other, 4, &random);
    build(&builder, &ends, 4, NFQE_PROTOCOL_UDP, 20, true);
    len = refuse(&builder, builder.len, NULL, REJECT_AUTO, expected);
    tuple = tuple_of(&other, 4, NFQE_PROTOCOL_TCP);
    assert_int_equal(refuse(&builder, builder.len, &tuple, REJECT_AUTO, answer), len);
    assert_memory_equal(answer, expected, sizeof(answer));
    tuple = tuple_of(&other, 6, NFQE_PROTOCOL_UDP);
    assert_int_equal(refuse(&builder, builder.len, &tuple, REJECT_AUTO, answer), len);
    assert_memory_equal(answer, expected, sizeof(answer));
}

static void test_addresses_before_a_nat_are_looked_at(void **state)
{
    uint8_t answer[REJECT_ANSWER_MAX];
    uint64_t random = 0x5eed;
    struct nfqe_tuple tuple;
    struct builder builder;
    struct ends ends;

    (void)state;
    make_ends(&ends, 4, &random);
    build(&builder, &ends, 4, NFQE_PROTOCOL_UDP, 20, true);
    ends.addresses[4] = 224;
    tuple = tuple_of(&ends, 4, NFQE_PROTOCOL_UDP);
    assert_int_equal(refuse(&builder, builder.len, &tuple, REJECT_AUTO, answer), -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_nat_changes_no_answer),
        cmocka_unit_test(test_a_checksum_of_udp_is_never_0),
        cmocka_unit_test(test_the_tuple_of_something_else_does_not_count),
        cmocka_unit_test(test_addresses_before_a_nat_are_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
