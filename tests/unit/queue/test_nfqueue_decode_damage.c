/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nfqueue_decode() on messages that are cut at every byte, that have every length too small or too large, or that are
 * damaged at random.
 *
 * Always: the message ends at a page that cannot be accessed, so a read beyond it ends the test, and the data of a
 * packet lies in the message. Damage after the id never makes a message malformed: without a verdict, the packet would
 * wait in the kernel for ever.
 */
#include "unit.h"

#include "guarded.h"
#include "kernel_messages.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_sequence.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <string.h>

static struct guarded memory;
static struct message message;
static struct nfqueue_conntrack conntrack;

/* Decodes the first `len` bytes of the message and checks what holds for any message. */
static enum nfqueue_kind decode(size_t len, bool cut, struct nfqe_packet *packet, struct nfqueue_answer *answer)
{
    const uint8_t *data = guarded_put(&memory, message.bytes, len, NLMSG_ALIGNTO);
    enum nfqueue_kind kind = nfqueue_decode(data, len, cut, MESSAGES_QUEUE, packet, &conntrack, answer);

    if (kind == NFQUEUE_PACKET && packet->data != NULL) {
        assert_true(packet->len > 0 && packet->len <= COPY_RANGE_MAX);
        assert_true(packet->data >= data && packet->data + packet->len <= data + len);
        assert_true(packet->wire_len >= packet->len);
    }
    if (kind == NFQUEUE_PACKET) {
        assert_true(packet->data != NULL || packet->len == 0);
        assert_true(packet->hw_address_len <= sizeof(packet->hw_address));
        assert_int_equal(packet->link_header != NULL, packet->link_header_len > 0);
        assert_true(packet->link_header == NULL ||
                    (packet->link_header >= data && packet->link_header + packet->link_header_len <= data + len));
        assert_int_equal(packet->queue, MESSAGES_QUEUE);
        assert_int_equal(packet->size, sizeof(*packet));
    }
    return kind;
}

static struct nlmsghdr *header(void)
{
    return (void *)message.bytes;
}

static struct nlattr *attribute(uint16_t type)
{
    return (void *)(message.bytes + message_attribute_offset(&message, type));
}

/* How many bytes of the message it takes to know the id. */
static size_t id_end(void)
{
    return message_attribute_offset(&message, NFQA_PACKET_HDR) + NLA_HDRLEN + sizeof(struct nfqnl_msg_packet_hdr);
}

static void test_message_shorter_than_it_says_is_malformed(void **state)
{
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    message_all(&message, 0);
    for (size_t len = 0; len < message.len; len++) {
        assert_int_equal(decode(len, false, &packet, &answer), NFQUEUE_MALFORMED);
    }
    assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_PACKET);
}

static void test_message_cut_at_every_byte_keeps_its_id_as_soon_as_that_is_there(void **state)
{
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    message_all(&message, 0);
    for (size_t len = 0; len < message.len; len++) {
        enum nfqueue_kind kind = decode(len, true, &packet, &answer);

        assert_int_equal(kind, len < id_end() ? NFQUEUE_MALFORMED : NFQUEUE_TRUNCATED);
        if (kind == NFQUEUE_TRUNCATED) {
            assert_int_equal(packet.id, MESSAGES_ID);
        }
    }
}

/* The message's own length ends it in the middle of an attribute, or between two. */
static void test_message_length_below_its_attributes_never_loses_the_id(void **state)
{
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    message_all(&message, 0);
    for (size_t len = 0; len < message.len; len++) {
        header()->nlmsg_len = (uint32_t)len;
        for (unsigned rest = 0; rest < 2; rest++) { /* followed by the rest, and not */
            enum nfqueue_kind kind = decode(rest != 0 ? message.len : len, false, &packet, &answer);

            if (len < id_end()) {
                assert_int_equal(kind, NFQUEUE_MALFORMED);
            } else {
                assert_true(kind == NFQUEUE_PACKET || kind == NFQUEUE_TRUNCATED);
                assert_int_equal(packet.id, MESSAGES_ID);
            }
        }
    }
}

static void test_bytes_after_the_message_are_ignored(void **state)
{
    struct nfqe_packet expected;
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    message_all(&message, 0);
    message_expected(&expected, 0);
    memset(message.bytes + message.len, 0xff, 100);
    for (size_t extra = 1; extra <= 100; extra++) {
        assert_int_equal(decode(message.len + extra, false, &packet, &answer), NFQUEUE_PACKET);
        message_assert_packet(&packet, &expected);
    }
}

static void test_message_length_beyond_its_end_is_malformed(void **state)
{
    static const uint32_t added[] = {1, 4, 100, 0x7fffffff};
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
        message_all(&message, 0);
        header()->nlmsg_len += added[i];
        assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_MALFORMED);
    }
    header()->nlmsg_len = UINT32_MAX;
    assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_MALFORMED);
}

static void test_attribute_length_below_its_header_keeps_the_id_before_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_attribute_count; i++) {
        for (unsigned len = 0; len < NLA_HDRLEN; len++) {
            struct nfqueue_answer answer;
            struct nfqe_packet packet;

            message_all(&message, 0);
            attribute(message_attributes[i].type)->nla_len = (uint16_t)len;
            if (message_attributes[i].type == NFQA_PACKET_HDR) {
                assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_MALFORMED);
            } else {
                assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_TRUNCATED);
                assert_int_equal(packet.id, MESSAGES_ID);
            }
        }
    }
}

static void test_attribute_length_beyond_the_message_keeps_the_id_before_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_attribute_count; i++) {
        uint16_t type = message_attributes[i].type;

        message_all(&message, 0);
        for (size_t len = message.len - message_attribute_offset(&message, type) + 1; len <= 0xffff; len += 997) {
            struct nfqueue_answer answer;
            struct nfqe_packet packet;

            attribute(type)->nla_len = (uint16_t)len;
            if (type == NFQA_PACKET_HDR) {
                assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_MALFORMED);
            } else {
                assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_TRUNCATED);
                assert_int_equal(packet.id, MESSAGES_ID);
            }
        }
    }
}

static void test_every_attribute_length_within_the_message_stays_inside(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_attribute_count; i++) {
        uint16_t type = message_attributes[i].type;
        size_t rest;

        message_all(&message, 0);
        rest = message.len - message_attribute_offset(&message, type);
        for (size_t len = NLA_HDRLEN; len <= rest; len++) {
            struct nfqueue_answer answer;
            struct nfqe_packet packet;
            enum nfqueue_kind kind;

            attribute(type)->nla_len = (uint16_t)len;
            kind = decode(message.len, false, &packet, &answer);
            assert_true(kind != NFQUEUE_ANSWER);
            if (type != NFQA_PACKET_HDR) {
                assert_true(kind != NFQUEUE_MALFORMED);
            }
        }
    }
}

static void test_message_without_room_for_its_queue_number_is_malformed(void **state)
{
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    message_begin(&message);
    for (size_t len = 0; len < message.len; len++) {
        header()->nlmsg_len = (uint32_t)len;
        assert_int_equal(decode(len, false, &packet, &answer), NFQUEUE_MALFORMED);
        header()->nlmsg_len = (uint32_t)message.len;
        assert_int_equal(decode(len, true, &packet, &answer), NFQUEUE_MALFORMED);
    }
}

static void test_answer_cut_at_every_byte_is_malformed(void **state)
{
    struct nfqueue_answer answer;
    struct nfqe_packet packet;

    (void)state;
    message_answer(&message, -ENOENT, 7);
    assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_ANSWER);
    for (size_t len = 0; len < message.len; len++) {
        header()->nlmsg_len = (uint32_t)message.len;
        assert_int_equal(decode(len, false, &packet, &answer), NFQUEUE_MALFORMED);
        assert_int_equal(decode(len, true, &packet, &answer), NFQUEUE_MALFORMED);
        header()->nlmsg_len = (uint32_t)len;
        assert_int_equal(decode(len, false, &packet, &answer), NFQUEUE_MALFORMED);
    }
}

static void test_payload_of_the_largest_size_is_whole(void **state)
{
    static uint8_t payload[COPY_RANGE_MAX] = {0x45};
    struct nlattr payload_attribute = {.nla_len = NLA_HDRLEN + COPY_RANGE_MAX, .nla_type = NFQA_PAYLOAD};
    struct nfqueue_answer answer;
    struct nfqe_packet packet;
    size_t len;
    uint8_t *data;

    (void)state;
    message_begin(&message);
    message_put_id(&message, 9);
    len = message.len + NLA_HDRLEN + sizeof(payload);
    data = guarded_put(&memory, NULL, len, NLMSG_ALIGNTO);
    header()->nlmsg_len = (uint32_t)len;
    memcpy(data, message.bytes, message.len);
    memcpy(data + message.len, &payload_attribute, sizeof(payload_attribute));
    memcpy(data + message.len + NLA_HDRLEN, payload, sizeof(payload));
    assert_int_equal(nfqueue_decode(data, len, false, MESSAGES_QUEUE, &packet, &conntrack, &answer), NFQUEUE_PACKET);
    assert_int_equal(packet.len, COPY_RANGE_MAX);
    assert_ptr_equal(packet.data, data + message.len + NLA_HDRLEN);
}

static void test_link_layer_header_may_have_any_length_and_an_empty_one_counts_as_absent(void **state)
{
    static const uint8_t header_bytes[MESSAGES_SIZE - 100] = {0x02};

    (void)state;
    for (size_t len = 0; len <= sizeof(header_bytes); len++) {
        struct nfqueue_answer answer;
        struct nfqe_packet packet;

        message_begin(&message);
        message_put_id(&message, 1);
        message_put(&message, NFQA_L2HDR, header_bytes, len);
        assert_int_equal(decode(message.len, false, &packet, &answer), NFQUEUE_PACKET);
        assert_int_equal((packet.present & NFQE_HAS_LINK_HEADER) != 0, len > 0);
        assert_int_equal(packet.link_header_len, len);
        assert_memory_equal(len > 0 ? packet.link_header : header_bytes, header_bytes, len);
    }
}

static void test_random_damage_never_leads_outside(void **state)
{
    uint64_t random = UINT64_C(0x1234567890abcdef);
    unsigned seen[NFQUEUE_MALFORMED + 1] = {0};

    (void)state;
    for (unsigned round = 0; round < 60000; round++) {
        struct nfqueue_answer answer;
        struct nfqe_packet packet;

        message_all(&message, 0);
        for (unsigned damage = unit_random_below(&random, 6); damage > 0; damage--) {
            message.bytes[unit_random_below(&random, (uint32_t)message.len)] = (uint8_t)unit_random(&random);
        }
        if (round % 3 == 0) { /* past the first check, which would refuse most of them */
            header()->nlmsg_len = (uint32_t)message.len;
            header()->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET;
        }
        seen[decode(message.len - unit_random_below(&random, 40) * (round % 2), round % 5 == 0, &packet, &answer)]++;
    }
    assert_true(seen[NFQUEUE_PACKET] > 0 && seen[NFQUEUE_TRUNCATED] > 0 && seen[NFQUEUE_MALFORMED] > 0);
}

static int set_up(void **state)
{
    (void)state;
    guarded_init(&memory, 80000);
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
        cmocka_unit_test(test_message_shorter_than_it_says_is_malformed),
        cmocka_unit_test(test_message_cut_at_every_byte_keeps_its_id_as_soon_as_that_is_there),
        cmocka_unit_test(test_message_length_below_its_attributes_never_loses_the_id),
        cmocka_unit_test(test_bytes_after_the_message_are_ignored),
        cmocka_unit_test(test_message_length_beyond_its_end_is_malformed),
        cmocka_unit_test(test_attribute_length_below_its_header_keeps_the_id_before_it),
        cmocka_unit_test(test_attribute_length_beyond_the_message_keeps_the_id_before_it),
        cmocka_unit_test(test_every_attribute_length_within_the_message_stays_inside),
        cmocka_unit_test(test_message_without_room_for_its_queue_number_is_malformed),
        cmocka_unit_test(test_answer_cut_at_every_byte_is_malformed),
        cmocka_unit_test(test_payload_of_the_largest_size_is_whole),
        cmocka_unit_test(test_link_layer_header_may_have_any_length_and_an_empty_one_counts_as_absent),
        cmocka_unit_test(test_random_damage_never_leads_outside),
    };

    return cmocka_run_group_tests_name("nfqueue_decode_damage", tests, set_up, tear_down);
}
