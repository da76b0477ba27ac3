/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which changed packets are sent to the kernel, and by which rule another one is not.
 *
 * Each rule is broken alone. Each bit of the IP headers is changed, and a list that is written down here says which of
 * them may. And since the queue process applies the rules to bytes that a worker wrote, any bytes of any length must get
 * an answer, by any set of rules; the packets end where the memory does.
 */
#include "unit.h"

#include "builder.h"
#include "change_model.h"
#include "guarded.h"
#include "packet/change_rules.h"
#include "packet/parse.h"

#include <errno.h>
#include <sys/socket.h>

#define PAYLOAD 30
#define CASES 200000
#define CASES_QUICK 20000

static struct builder received;
static struct builder changed;
static uint16_t flags;

static struct nfqe_packet parse(const struct builder *builder, const uint8_t *bytes, size_t len)
{
    struct nfqe_packet packet = builder_packet(builder, bytes, len);

    packet.wire_len = (uint32_t)len;
    packet.flags = flags;
    packet_parse(&packet);
    return packet;
}

/* By a set of rules. */
static enum change_rule check_by(uint32_t rules)
{
    const struct nfqe_packet packet = parse(&received, received.bytes, received.len);

    return change_rules_check(&packet, changed.bytes, (uint32_t)changed.len, rules);
}

/* Another rule would not notice. */
static void assert_breaks_only(enum change_rule rule)
{
    assert_int_equal(check_by(CHANGE_RULES_ALL), rule);
    assert_int_equal(check_by(CHANGE_RULES_ALL & ~(UINT32_C(1) << rule)), CHANGE_RULES);
}

static void assert_allowed(void)
{
    assert_int_equal(check_by(CHANGE_RULES_ALL), CHANGE_RULES);
}

static void build(unsigned version, uint16_t fragment, uint8_t protocol)
{
    flags = 0;
    if (version == 4) {
        builder_ipv4(&received, 8, fragment);
    } else {
        builder_ipv6(&received);
        builder_extension(&received, IPV6_DESTINATION, 16);
        if (fragment != 0) {
            builder_fragment(&received, fragment >> 1, fragment & 1);
        }
    }
    if (protocol == NFQE_PROTOCOL_UDP) {
        builder_udp(&received);
        received.bytes[received.transport + 5] = 8 + PAYLOAD;
    } else {
        builder_protocol(&received, protocol);
    }
    builder_bytes(&received, PAYLOAD);
    builder_finish(&received);
    changed = received;
}

static void resize(int by)
{
    changed.len += (size_t)by; /* also of what is below 0 */
    builder_finish(&changed);
}

static void test_unchanged_packet_is_allowed_in_any_length(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        build(version, 0, NFQE_PROTOCOL_UDP);
        assert_allowed();
        builder_bytes(&received, 7); /* padding is no part of it */
        assert_allowed();
        for (int by = -(int)(changed.len - changed.transport); by < 100; by++) {
            build(version, 0, NFQE_PROTOCOL_UDP);
            resize(by);
            assert_allowed();
        }
    }
}

static void test_each_rule_is_broken_alone(void **state)
{
    (void)state;
    build(4, 0, NFQE_PROTOCOL_UDP);
    flags = NFQE_PACKET_TRUNCATED;
    assert_breaks_only(CHANGE_RULE_WHOLE);
    build(4, 0, NFQE_PROTOCOL_UDP);
    changed.bytes[3]++;
    assert_breaks_only(CHANGE_RULE_IP_LENGTH);
    build(6, 0, NFQE_PROTOCOL_UDP);
    changed.bytes[5]--;
    assert_breaks_only(CHANGE_RULE_IP_LENGTH);
    build(4, 0, NFQE_PROTOCOL_UDP);
    changed.bytes[25] ^= 1;
    assert_breaks_only(CHANGE_RULE_IPV4_HEADER);
    build(4, 0, NFQE_PROTOCOL_UDP);
    changed.bytes[0] = 0x45;
    assert_breaks_only(CHANGE_RULE_IPV4_HEADER);
    build(4, 0, 200);
    changed.bytes[6] ^= 0x20;
    assert_breaks_only(CHANGE_RULE_IPV4_FRAGMENT);
    build(6, 0, NFQE_PROTOCOL_UDP);
    changed.bytes[44] ^= 1;
    assert_breaks_only(CHANGE_RULE_IPV6_HEADERS);
    build(4, 0, NFQE_PROTOCOL_UDP);
    flags = NFQE_PACKET_GSO;
    resize(1);
    assert_breaks_only(CHANGE_RULE_GSO);
    build(4, 0x2000, 200);
    resize(8);
    assert_breaks_only(CHANGE_RULE_FRAGMENT);
    build(6, 0x0001, NFQE_PROTOCOL_UDP);
    resize(-1);
    assert_breaks_only(CHANGE_RULE_FRAGMENT);
    build(4, 0x0010, NFQE_PROTOCOL_ICMP);
    changed.bytes[changed.len - 1] ^= 1;
    assert_breaks_only(CHANGE_RULE_CHECKSUM);
}

static void test_packet_that_ends_before_its_transport_header(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        build(version, 0, NFQE_PROTOCOL_UDP);
        changed.len = received.transport;
        builder_finish(&changed);
        assert_allowed();
        while (changed.len-- > 0) {
            enum change_rule rule = check_by(UINT32_C(1) << CHANGE_RULE_TRANSPORT);

            assert_int_equal(rule, CHANGE_RULE_TRANSPORT);
            assert_int_not_equal(check_by(CHANGE_RULES_ALL), CHANGE_RULES);
        }
    }
    builder_ipv6(&received); /* to the kernel, this header is the transport header; here it is not */
    builder_extension(&received, IPV6_MOBILITY, 8);
    builder_udp(&received);
    builder_finish(&received);
    changed = received;
    changed.len = received.transport - 1;
    builder_finish(&changed);
    assert_breaks_only(CHANGE_RULE_TRANSPORT);
}

static void test_size_limit_is_that_of_an_attribute(void **state)
{
    static uint8_t bytes[65532];
    struct nfqe_packet packet;

    (void)state;
    build(4, 0, NFQE_PROTOCOL_UDP);
    packet = parse(&received, received.bytes, received.len);
    memcpy(bytes, received.bytes, received.len);
    bytes[2] = 65531 >> 8;
    bytes[3] = 65531 & 255;
    assert_int_equal(change_rules_check(&packet, bytes, 65531, CHANGE_RULES_ALL), CHANGE_RULES);
    bytes[3]++;
    assert_int_equal(change_rules_check(&packet, bytes, 65532, CHANGE_RULES_ALL), CHANGE_RULE_SIZE);
    assert_int_equal(change_rules_check(&packet, bytes, 65532, CHANGE_RULES_ALL & ~(1U << CHANGE_RULE_SIZE)),
                     CHANGE_RULES);
}

static void test_only_ip_packets_of_ip_hooks_are_changed(void **state)
{
    struct nfqe_packet packet;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        build(version, 0, NFQE_PROTOCOL_UDP);
        packet = parse(&received, received.bytes, received.len);
        packet.family = AF_BRIDGE;
        assert_int_equal(change_rules_check(&packet, changed.bytes, (uint32_t)changed.len, CHANGE_RULES_ALL),
                         CHANGE_RULE_HOOK);
        packet.family = version == 4 ? AF_INET6 : AF_INET;
        assert_int_equal(change_rules_check(&packet, changed.bytes, (uint32_t)changed.len, CHANGE_RULES_ALL),
                         CHANGE_RULE_HOOK);
        packet.hw_protocol = 0x0806;
        packet_parse(&packet);
        assert_int_equal(change_rules_check(&packet, changed.bytes, (uint32_t)changed.len, CHANGE_RULES_ALL),
                         CHANGE_RULE_IP);
        changed.bytes[0] ^= 0x20;
        assert_int_equal(check_by(CHANGE_RULES_ALL), CHANGE_RULE_IP);
    }
}

/* Bits that may change: of IPv4, service, id, "don't fragment", lifetime, protocol, checksum, addresses. */
static uint8_t free_bits(unsigned version, size_t at)
{
    if (version == 4) {
        return at == 1 || at == 4 || at == 5 || (at >= 8 && at < 20) || at >= 28 ? 0xff : at == 6 ? 0x40 : 0;
    }
    return at == 0 ? 0x0f : (at >= 1 && at < 4) || (at >= 7 && at < 40) || at >= 56 ? 0xff : 0;
}

static void test_each_bit_of_the_headers(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        build(version, 0, NFQE_PROTOCOL_UDP);
        for (size_t at = 0; at < received.len; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                bool allowed = (free_bits(version, at) >> bit & 1) != 0;

                changed.bytes[at] ^= (uint8_t)(1u << bit);
                assert_int_equal(check_by(CHANGE_RULES_ALL) == CHANGE_RULES, allowed);
                changed.bytes[at] ^= (uint8_t)(1u << bit);
            }
        }
    }
}

/* The kernel reads twelve, and then gives up. */
static void test_extension_headers_are_counted_as_the_kernel_counts_them(void **state)
{
    (void)state;
    for (unsigned count = 11; count < 14; count++) {
        builder_ipv6(&received);
        for (unsigned i = 0; i < count; i++) {
            static const uint8_t kinds[] = {IPV6_HOP_BY_HOP, IPV6_ROUTING, IPV6_AUTHENTICATION, IPV6_DESTINATION};

            builder_extension(&received, kinds[i % 4], i % 4 == 2 ? 12 : 8);
            received.bytes[received.len - 1] = 0;
        }
        builder_udp(&received);
        builder_finish(&received);
        changed = received;
        assert_int_equal(check_by(CHANGE_RULES_ALL), count <= 12 ? CHANGE_RULES : CHANGE_RULE_IPV6_HEADERS);
    }
    builder_ipv6(&received); /* it goes on in what a later fragment has after its header */
    builder_fragment(&received, 5, true);
    builder_extension(&received, IPV6_DESTINATION, 8);
    builder_protocol(&received, 47);
    builder_bytes(&received, 8);
    builder_finish(&received);
    changed = received;
    changed.bytes[52] ^= 1;
    assert_int_equal(check_by(1U << CHANGE_RULE_IPV6_HEADERS), CHANGE_RULE_IPV6_HEADERS);
    changed.bytes[52] ^= 1;
    changed.bytes[56] ^= 1;
    assert_int_equal(check_by(1U << CHANGE_RULE_IPV6_HEADERS), CHANGE_RULES);
    builder_ipv6(&received); /* not all there: nothing can be said of the rest */
    builder_extension(&received, IPV6_DESTINATION, 16);
    received.bytes[41] = 2;
    builder_finish(&received);
    changed = received;
    assert_int_equal(check_by(CHANGE_RULES_ALL), CHANGE_RULE_IPV6_HEADERS);
}

/* Which fragments can follow a change, by protocol: 0 a later fragment's, 1 a first one's. */
static void test_fragments_whose_checksum_is_elsewhere(void **state)
{
    static const struct {
        uint8_t protocol;
        bool later, first;
    } cases[] = {{1, false, true},   {6, false, true},    {17, false, true}, {58, false, true}, {33, false, true},
                 {136, false, true}, {132, false, false}, {47, true, true},  {50, true, true},  {200, true, true}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned version = 4; version <= 6; version += 2) {
            for (unsigned first = 0; first < 2; first++) {
                bool allowed = first == 1 ? cases[i].first : cases[i].later;

                build(version, version == 4 ? (first == 1 ? 0x2000 : 0x2010) : (first == 1 ? 1 : 33),
                      cases[i].protocol);
                changed.bytes[version == 4 ? 8 : 7]--;
                assert_allowed();
                changed.bytes[changed.len - 1] ^= 1;
                assert_int_equal(check_by(CHANGE_RULES_ALL), allowed ? CHANGE_RULES : CHANGE_RULE_CHECKSUM);
            }
        }
    }
    build(4, 0x2000, NFQE_PROTOCOL_TCP); /* so short that the checksum is in the next one */
    received.len = changed.len = received.headers_end + 16;
    builder_finish(&received);
    changed = received;
    changed.bytes[changed.len - 1] ^= 1;
    assert_int_equal(check_by(CHANGE_RULES_ALL), CHANGE_RULE_CHECKSUM);
}

static void test_each_rule_has_an_error_and_a_text(void **state)
{
    (void)state;
    for (unsigned rule = 0; rule < CHANGE_RULES; rule++) {
        bool size = rule == CHANGE_RULE_WHOLE || rule == CHANGE_RULE_SIZE;

        assert_int_equal(change_rule_error((enum change_rule)rule), size ? -EMSGSIZE : -EOPNOTSUPP);
        assert_true(strlen(change_rule_text((enum change_rule)rule)) > 8);
    }
    assert_int_equal(change_rule_error(CHANGE_RULES), 0);
    assert_string_equal(change_rule_text(CHANGE_RULES), "");
}

/* ---- any bytes --------------------------------------------------------------------------------------------------- */

static uint64_t random_state = UINT64_C(0x123456789abcdef1);

static uint32_t below(uint32_t limit)
{
    return unit_random_below(&random_state, limit);
}

static size_t damage(uint8_t *bytes, size_t len)
{
    static const uint8_t kinds[] = {0, 43, 44, 51, 60, 17, 59, 4, 6, 0x45, 0x60, 0xff};

    for (unsigned i = below(4); i > 0 && len > 0; i--) {
        bytes[below(below(2) == 0 ? 60 : (uint32_t)len) % len] =
            below(2) == 0 ? kinds[below(sizeof(kinds))] : (uint8_t)below(256);
    }
    return below(2) == 0 ? below((uint32_t)len + 1) : len;
}

static void test_any_bytes_get_an_answer_and_it_is_that_of_the_model(void **state)
{
    static struct change_model model;
    struct guarded memory[2];

    (void)state;
    guarded_init(&memory[0], BUILDER_SIZE);
    guarded_init(&memory[1], BUILDER_SIZE);
    for (unsigned i = unit_cases(CASES, CASES_QUICK); i > 0; i--) {
        struct nfqe_packet packet;
        enum change_rule rule;
        const uint8_t *bytes;

        build(below(2) == 0 ? 4 : 6, below(4) == 0 ? (uint16_t)below(0x10000) : 0, below(2) == 0 ? 17 : 47);
        received.len = damage(received.bytes, received.len);
        changed = received;
        if (below(2) == 0) {
            changed.len = damage(changed.bytes, changed.len);
            if (below(2) == 0 && changed.len > 40) {
                builder_finish(&changed);
            }
        }
        received.version = received.len > 0 && received.bytes[0] >> 4 == 4 ? 4 : 6;
        flags = below(10) == 0 ? NFQE_PACKET_GSO : 0;
        packet = parse(&received, guarded_put(&memory[0], received.bytes, received.len, 1), received.len);
        bytes = guarded_put(&memory[1], changed.bytes, changed.len, 1);
        rule = change_rules_check(&packet, bytes, (uint32_t)changed.len, CHANGE_RULES_ALL);
        change_model_init(&model, received.bytes, received.len);
        model.gso = flags != 0;
        model.ip_hook = true;
        assert_int_equal(change_rule_error(rule), change_model_allows(&model, bytes, changed.len));
        assert_int_equal(change_rules_check(&packet, bytes, (uint32_t)changed.len, UINT32_MAX), rule);
        change_rules_check(&packet, bytes, (uint32_t)changed.len, below(CHANGE_RULES_ALL + 1));
        packet.flags ^= (uint16_t)below(0x80); /* flags that the bytes do not have */
        change_rules_check(&packet, bytes, (uint32_t)changed.len, below(CHANGE_RULES_ALL + 1));
    }
    guarded_done(&memory[0]);
    guarded_done(&memory[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unchanged_packet_is_allowed_in_any_length),
        cmocka_unit_test(test_each_rule_is_broken_alone),
        cmocka_unit_test(test_packet_that_ends_before_its_transport_header),
        cmocka_unit_test(test_size_limit_is_that_of_an_attribute),
        cmocka_unit_test(test_only_ip_packets_of_ip_hooks_are_changed),
        cmocka_unit_test(test_each_bit_of_the_headers),
        cmocka_unit_test(test_extension_headers_are_counted_as_the_kernel_counts_them),
        cmocka_unit_test(test_fragments_whose_checksum_is_elsewhere),
        cmocka_unit_test(test_each_rule_has_an_error_and_a_text),
        cmocka_unit_test(test_any_bytes_get_an_answer_and_it_is_that_of_the_model),
    };

    return cmocka_run_group_tests_name("change_rules", tests, NULL, NULL);
}
