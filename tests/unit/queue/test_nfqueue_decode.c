/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nfqueue_decode() on what the kernel sends: each attribute present, absent, too short or unknown; answers to verdicts
 * and to configuration; the wrong queue and type.
 *
 * Messages that lie about lengths or are cut are in test_nfqueue_decode_damage.c.
 */
#include "unit.h"

#include "kernel_messages.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_sequence.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <string.h>

static struct message message;
static struct nfqueue_conntrack conntrack;

static enum nfqueue_kind decode(struct nfqe_packet *packet)
{
    struct nfqueue_answer answer;

    memset(packet, 0xee, sizeof(*packet)); /* what an earlier message left */
    memset(&conntrack, 0xee, sizeof(conntrack));
    return nfqueue_decode(message.bytes, message.len, false, MESSAGES_QUEUE, packet, &conntrack, &answer);
}

static void test_message_with_every_attribute_is_decoded_completely(void **state)
{
    struct nfqe_packet expected;
    struct nfqe_packet packet;
    size_t payload;

    (void)state;
    message_all(&message, 0);
    message_expected(&expected, 0);
    assert_int_equal(decode(&packet), NFQUEUE_PACKET);
    message_assert_packet(&packet, &expected);
    payload = message_attribute_offset(&message, NFQA_PAYLOAD) + NLA_HDRLEN;
    assert_ptr_equal(packet.data, message.bytes + payload);
}

/* The bytes of the connection are only found; conntrack_entry_decode() reads them. */
static void test_what_is_said_of_the_connection_is_found(void **state)
{
    static const uint16_t absent[] = {0, NFQA_CT, NFQA_CT_INFO};
    struct nfqe_packet packet;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        bool there = absent[i] != NFQA_CT;

        message_all(&message, absent[i]);
        assert_int_equal(decode(&packet), NFQUEUE_PACKET);
        assert_ptr_equal(conntrack.bytes,
                         there ? message.bytes + message_attribute_offset(&message, NFQA_CT) + NLA_HDRLEN : NULL);
        assert_int_equal(conntrack.len, there ? 16 : 0);
        assert_int_equal(conntrack.info, absent[i] != NFQA_CT_INFO ? 2 : 0);
    }
}

static void test_absent_attribute_leaves_its_field_zero_and_the_others_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_attribute_count; i++) {
        uint16_t type = message_attributes[i].type;
        struct nfqe_packet expected;
        struct nfqe_packet packet;

        if (type == NFQA_PACKET_HDR || type == NFQA_PAYLOAD) {
            continue; /* tests of their own */
        }
        message_all(&message, type);
        message_expected(&expected, type);
        assert_int_equal(decode(&packet), NFQUEUE_PACKET);
        message_assert_packet(&packet, &expected);
    }
}

static void test_too_short_attribute_counts_as_absent(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_attribute_count; i++) {
        const struct message_attribute *attribute = &message_attributes[i];

        if (attribute->type == NFQA_PACKET_HDR || attribute->type == NFQA_PAYLOAD || attribute->type == NFQA_SECCTX ||
            attribute->type == NFQA_L2HDR) {
            continue; /* the last three may have any length */
        }
        for (size_t len = 0; len < attribute->len; len++) {
            struct nfqe_packet expected;
            struct nfqe_packet packet;

            message_all(&message, attribute->type);
            message_put(&message, attribute->type, attribute->value, len);
            memset(message.bytes + message.len - (NLA_ALIGN(len) - len), 0xff, NLA_ALIGN(len) - len); /* its padding */
            message_expected(&expected, attribute->type);
            assert_int_equal(decode(&packet), NFQUEUE_PACKET);
            message_assert_packet(&packet, &expected);
        }
    }
}

static void test_message_without_an_id_is_malformed(void **state)
{
    struct nfqe_packet packet;

    (void)state;
    message_begin(&message);
    assert_int_equal(decode(&packet), NFQUEUE_MALFORMED);
    message_all(&message, NFQA_PACKET_HDR);
    assert_int_equal(decode(&packet), NFQUEUE_MALFORMED);
    for (size_t len = 0; len < sizeof(struct nfqnl_msg_packet_hdr); len++) {
        message_all(&message, NFQA_PACKET_HDR);
        message_put(&message, NFQA_PACKET_HDR, message_attributes[0].value, len);
        assert_int_equal(decode(&packet), NFQUEUE_MALFORMED);
    }
}

static void test_message_of_metadata_only_has_no_data(void **state)
{
    struct nfqe_packet packet;

    (void)state;
    message_begin(&message);
    message_put_id(&message, MESSAGES_ID);
    assert_int_equal(decode(&packet), NFQUEUE_PACKET);
    assert_int_equal(packet.id, MESSAGES_ID);
    assert_int_equal(packet.present, 0);
    assert_null(packet.data);
    assert_int_equal(packet.len, 0);
    assert_int_equal(packet.wire_len, 0);
    assert_int_equal(packet.network, NFQE_NONE);
    assert_int_equal(packet.transport, NFQE_NONE);
    assert_int_equal(packet.flags & NFQE_PACKET_TRUNCATED, 0);

    message_all(&message, NFQA_PAYLOAD);
    assert_int_equal(decode(&packet), NFQUEUE_PACKET);
    assert_null(packet.data);
    assert_int_equal(packet.len, 0);
    assert_int_equal(packet.wire_len, 1500);
    assert_true(packet.flags & NFQE_PACKET_TRUNCATED);
}

static void test_original_length_below_the_captured_one_is_not_believed(void **state)
{
    static const uint8_t data[100] = {0x45};
    uint32_t cap_len = htonl(99);
    struct nfqe_packet packet;

    (void)state;
    message_begin(&message);
    message_put_id(&message, 1);
    message_put(&message, NFQA_CAP_LEN, &cap_len, sizeof(cap_len));
    message_put(&message, NFQA_PAYLOAD, data, sizeof(data));
    assert_int_equal(decode(&packet), NFQUEUE_PACKET);
    assert_int_equal(packet.wire_len, 100);
    assert_int_equal(packet.flags & NFQE_PACKET_TRUNCATED, 0);
}

static void test_link_layer_address_longer_than_its_field_counts_as_absent(void **state)
{
    struct nfqnl_msg_packet_hw address = {.hw_addr = {1, 2, 3, 4, 5, 6, 7, 8}};

    (void)state;
    for (unsigned len = 0; len <= 0xffff; len += len < 12 ? 1 : 4093) {
        struct nfqe_packet packet;

        address.hw_addrlen = htons((uint16_t)len);
        message_begin(&message);
        message_put_id(&message, 1);
        message_put(&message, NFQA_HWADDR, &address, sizeof(address));
        assert_int_equal(decode(&packet), NFQUEUE_PACKET);
        assert_int_equal((packet.present & NFQE_HAS_HW_ADDRESS) != 0, len <= sizeof(packet.hw_address));
        assert_int_equal(packet.hw_address_len, len <= sizeof(packet.hw_address) ? len : 0);
        assert_memory_equal(packet.hw_address, address.hw_addr, packet.hw_address_len);
        for (size_t i = packet.hw_address_len; i < sizeof(packet.hw_address); i++) {
            assert_int_equal(packet.hw_address[i], 0);
        }
    }
}

static void test_payload_may_have_any_length_and_an_empty_one_counts_as_absent(void **state)
{
    static const uint8_t data[3] = {0x45, 1, 2};
    struct nfqe_packet packet;

    (void)state;
    for (size_t len = 0; len <= sizeof(data); len++) {
        message_begin(&message);
        message_put_id(&message, 1);
        message_put(&message, NFQA_PAYLOAD, data, len);
        assert_int_equal(decode(&packet), NFQUEUE_PACKET);
        assert_int_equal(packet.len, len);
        assert_int_equal(packet.wire_len, len);
        assert_int_equal(packet.data != NULL, len > 0);
        if (len > 0) {
            assert_memory_equal(packet.data, data, len);
        }
    }
}

static void test_original_length_that_is_too_short_counts_as_unknown(void **state)
{
    struct nfqe_packet packet;

    (void)state;
    for (size_t len = 0; len < sizeof(uint32_t); len++) {
        message_begin(&message);
        message_put_id(&message, 1);
        message_put(&message, NFQA_CAP_LEN, "\x01\x01\x01", len);
        assert_int_equal(decode(&packet), NFQUEUE_PACKET);
        assert_int_equal(packet.wire_len, 0);
        assert_int_equal(packet.flags & NFQE_PACKET_TRUNCATED, 0);
    }
}

static void test_each_bit_of_the_packet_info_is_a_flag_of_its_own(void **state)
{
    struct nfqe_packet packet;

    (void)state;
    for (uint32_t info = 0; info < 16; info++) {
        const uint32_t value = htonl(info);
        unsigned expected = NFQE_PACKET_HEADERS_CUT; /* there is no payload */

        expected |= (info & NFQA_SKB_CSUMNOTREADY) != 0 ? NFQE_PACKET_CHECKSUM_PENDING : 0;
        expected |= (info & NFQA_SKB_GSO) != 0 ? NFQE_PACKET_GSO : 0;
        expected |= (info & NFQA_SKB_CSUM_NOTVERIFIED) != 0 ? NFQE_PACKET_CHECKSUM_UNVERIFIED : 0;
        message_begin(&message);
        message_put_id(&message, 1);
        message_put(&message, NFQA_SKB_INFO, &value, sizeof(value));
        assert_int_equal(decode(&packet), NFQUEUE_PACKET);
        assert_int_equal(packet.flags, expected);
    }
}

/* What conntrack says before the mark of the connection does not hide it, whatever its length. */
static void test_mark_of_the_connection_is_found_after_any_attribute_and_needs_four_bytes(void **state)
{
    (void)state;
    for (size_t other_len = 0; other_len < 9; other_len++) {
        for (size_t len = 0; len <= sizeof(uint32_t); len++) {
            struct nfqe_packet packet;
            struct nlattr *connection;

            message_begin(&message);
            message_put_id(&message, 1);
            connection = (void *)(message.bytes + message.len);
            message_put(&message, NFQA_CT, NULL, 0);
            message_put(&message, CTA_STATUS, "status...", other_len);
            message_put(&message, CTA_MARK, "\x01\x02\x03\x04", len);
            message_put(&message, CTA_ZONE, NULL, 0);
            connection->nla_len = (uint16_t)(message.bytes + message.len - (uint8_t *)connection);
            assert_int_equal(decode(&packet), NFQUEUE_PACKET);
            assert_int_equal((packet.present & NFQE_HAS_CONNTRACK_MARK) != 0, len == sizeof(uint32_t));
            assert_int_equal(packet.conntrack_mark, len == sizeof(uint32_t) ? 0x01020304 : 0);
        }
    }
}

/* In either order, with any other attribute before, between or after them; one of the two alone is no tag. */
static void test_vlan_tag_has_a_protocol_and_a_number(void **state)
{
    static const uint16_t orders[][3] = {{NFQA_VLAN_TCI, NFQA_VLAN_PROTO, 9},
                                         {NFQA_VLAN_PROTO, 9, NFQA_VLAN_TCI},
                                         {9, NFQA_VLAN_TCI, NFQA_VLAN_PROTO},
                                         {NFQA_VLAN_TCI, 9, 8},
                                         {9, NFQA_VLAN_PROTO, 8}};

    (void)state;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        bool is_tag = i < 3;
        struct nfqe_packet packet;
        struct nlattr *tag;

        message_begin(&message);
        message_put_id(&message, 1);
        tag = (void *)(message.bytes + message.len);
        message_put(&message, NFQA_VLAN, NULL, 0);
        for (size_t k = 0; k < 3; k++) {
            message_put(&message, orders[i][k], orders[i][k] == NFQA_VLAN_PROTO ? "\x88\xa8" : "\xf1\x23", 2);
        }
        tag->nla_len = (uint16_t)(message.bytes + message.len - (uint8_t *)tag);
        assert_int_equal(decode(&packet), NFQUEUE_PACKET);
        assert_int_equal((packet.present & NFQE_HAS_VLAN) != 0, is_tag);
        assert_int_equal(packet.vlan_protocol, is_tag ? 0x88a8 : 0);
        assert_int_equal(packet.vlan_tci, is_tag ? 0xf123 : 0);
    }
}

static void test_last_attribute_may_have_no_value(void **state)
{
    struct nfqe_packet packet;

    (void)state;
    message_begin(&message);
    message_put_id(&message, 1);
    message_put(&message, NFQA_SECCTX, NULL, 0);
    assert_int_equal(decode(&packet), NFQUEUE_PACKET);
    assert_true(packet.present & NFQE_HAS_SECCTX);
    assert_int_equal(packet.secctx_len, 0);
    message_begin(&message);
    message_put_id(&message, 1);
    message_put(&message, NFQA_MARK, "\0\0\0\1", 4); /* ends where the next one begins */
    message_put(&message, NFQA_SECCTX, NULL, 0);
    assert_int_equal(decode(&packet), NFQUEUE_PACKET);
    assert_true(packet.present & NFQE_HAS_SECCTX);
}

static void test_unknown_attributes_are_skipped(void **state)
{
    static const uint8_t value[301] = {0xff};
    static const uint16_t unknown[] = {0, NFQA_VERDICT_HDR, 23, 24, 1000, 0x3fff};

    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        for (size_t len = 0; len <= sizeof(value); len += 43) {
            struct nfqe_packet expected;
            struct nfqe_packet packet;

            message_begin(&message);
            message_put(&message, unknown[i], value, len);
            for (size_t known = 0; known < message_attribute_count; known++) {
                message_put(&message, message_attributes[known].type, message_attributes[known].value,
                            message_attributes[known].len);
            }
            message_put(&message, unknown[i], value, len);
            message_expected(&expected, 0);
            assert_int_equal(decode(&packet), NFQUEUE_PACKET);
            message_assert_packet(&packet, &expected);
        }
    }
}

static void test_flag_bits_in_an_attribute_type_are_no_part_of_it(void **state)
{
    struct nfqe_packet packet;
    uint32_t mark = htonl(77);

    (void)state;
    message_begin(&message);
    message_put_id(&message, 1);
    message_put(&message, NFQA_MARK | NLA_F_NET_BYTEORDER, &mark, sizeof(mark));
    assert_int_equal(decode(&packet), NFQUEUE_PACKET);
    assert_int_equal(packet.mark, 77);
    assert_true(packet.present & NFQE_HAS_MARK);
}

static void test_every_id_is_read_as_it_is(void **state)
{
    static const uint32_t ids[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x01020304};
    struct nfqe_packet packet;

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        message_begin(&message);
        message_put_id(&message, ids[i]);
        assert_int_equal(decode(&packet), NFQUEUE_PACKET);
        assert_true(packet.id == ids[i]);
    }
}

static void test_message_cut_by_its_slot_still_has_its_id(void **state)
{
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    message_all(&message, 0);
    assert_int_equal(nfqueue_decode(message.bytes, message.len - 8, true, MESSAGES_QUEUE, &packet, &conntrack, &answer),
                     NFQUEUE_TRUNCATED);
    assert_int_equal(packet.id, MESSAGES_ID);
}

static void test_message_of_another_queue_is_malformed(void **state)
{
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    message_all(&message, 0);
    for (unsigned queue = 0; queue <= 0xffff; queue++) {
        assert_int_equal(nfqueue_decode(message.bytes, message.len, false, (uint16_t)queue, &packet, &conntrack,
                                        &answer) == NFQUEUE_PACKET,
                         queue == MESSAGES_QUEUE);
    }
}

static void test_message_of_another_type_is_malformed(void **state)
{
    struct nlmsghdr *header = (void *)message.bytes;
    struct nfqe_packet packet;
    unsigned accepted = 0;

    (void)state;
    message_all(&message, 0);
    for (unsigned type = 0; type <= 0xffff; type++) {
        if (type != NLMSG_ERROR) {
            header->nlmsg_type = (uint16_t)type;
            accepted += decode(&packet) != NFQUEUE_MALFORMED;
        }
    }
    assert_int_equal(accepted, 1);
    header->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET;
    assert_int_equal(decode(&packet), NFQUEUE_PACKET);
}

static void test_answer_says_what_it_answers_and_how(void **state)
{
    static const int errors[] = {0, -ENOENT, -EPERM, -EINVAL, -ENODEV};
    static const struct {
        uint32_t number;
        unsigned packets; /* that a verdict with it answers */
    } numbers[] = {{0, 1},
                   {1, 1},
                   {NFQUEUE_SEQUENCE_ONE_PACKET - 1, 1},
                   {NFQUEUE_SEQUENCE_ONE_PACKET, 2},
                   {NFQUEUE_SEQUENCE_RESENT - 1, BURST_MAX}};
    static const struct {
        uint32_t bits;
        bool verdict;
        bool resent;
    } kinds[] = {
        {0, true, false},
        {NFQUEUE_SEQUENCE_RESENT, true, true},
        {NFQUEUE_SEQUENCE_CONFIGURATION, false, false},
        {NFQUEUE_SEQUENCE_CONFIGURATION | NFQUEUE_SEQUENCE_RESENT, false, false}, /* the bit is not its own there */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        for (size_t j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++) {
            for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
                uint32_t sequence = numbers[j].number | kinds[kind].bits;
                struct nfqueue_answer answer;
                struct nfqe_packet packet;

                memset(&answer, 1, sizeof(answer));
                message_answer(&message, errors[i], sequence);
                assert_int_equal(
                    nfqueue_decode(message.bytes, message.len, false, MESSAGES_QUEUE, &packet, &conntrack, &answer),
                    NFQUEUE_ANSWER);
                assert_int_equal(answer.error, errors[i]);
                assert_int_equal(answer.sequence, sequence);
                assert_int_equal(answer.verdict, kinds[kind].verdict);
                assert_int_equal(answer.resent, kinds[kind].resent);
                assert_int_equal(answer.packets, kinds[kind].verdict ? numbers[j].packets : 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_with_every_attribute_is_decoded_completely),
        cmocka_unit_test(test_what_is_said_of_the_connection_is_found),
        cmocka_unit_test(test_absent_attribute_leaves_its_field_zero_and_the_others_alone),
        cmocka_unit_test(test_too_short_attribute_counts_as_absent),
        cmocka_unit_test(test_message_without_an_id_is_malformed),
        cmocka_unit_test(test_message_of_metadata_only_has_no_data),
        cmocka_unit_test(test_original_length_below_the_captured_one_is_not_believed),
        cmocka_unit_test(test_link_layer_address_longer_than_its_field_counts_as_absent),
        cmocka_unit_test(test_payload_may_have_any_length_and_an_empty_one_counts_as_absent),
        cmocka_unit_test(test_original_length_that_is_too_short_counts_as_unknown),
        cmocka_unit_test(test_each_bit_of_the_packet_info_is_a_flag_of_its_own),
        cmocka_unit_test(test_mark_of_the_connection_is_found_after_any_attribute_and_needs_four_bytes),
        cmocka_unit_test(test_vlan_tag_has_a_protocol_and_a_number),
        cmocka_unit_test(test_last_attribute_may_have_no_value),
        cmocka_unit_test(test_unknown_attributes_are_skipped),
        cmocka_unit_test(test_flag_bits_in_an_attribute_type_are_no_part_of_it),
        cmocka_unit_test(test_every_id_is_read_as_it_is),
        cmocka_unit_test(test_message_cut_by_its_slot_still_has_its_id),
        cmocka_unit_test(test_message_of_another_queue_is_malformed),
        cmocka_unit_test(test_message_of_another_type_is_malformed),
        cmocka_unit_test(test_answer_says_what_it_answers_and_how),
    };

    return cmocka_run_group_tests_name("nfqueue_decode", tests, NULL, NULL);
}
