/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nfqueue_encode(): the bytes of each message, read back with libmnl, and which packets share a batch message.
 *
 * The encoder's buffer ends at a page that cannot be touched: a message that does not fit and is written
 * nevertheless ends the test. Whether every packet gets exactly its verdict is in test_nfqueue_encode_replay.c.
 */
/* Longer than 500 lines: all promises of one module, over one reader of messages */
#include "unit.h"

#include "guarded.h"
#include "queue/nfqueue_encode.h"
#include "queue/nfqueue_sequence.h"

#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

#define QUEUE 4711
#define SEQUENCE UINT32_C(0x40020304)
#define PAYLOAD_MAX 65531
#define MESSAGES_MAX 4096

static struct guarded memory;
static struct nfqueue_encoder *verdicts;
static const struct outstanding no_ids;

/* A message as libmnl reads it. */
struct read_message {
    bool batch;
    unsigned packets; /* by its sequence number */
    uint32_t id;
    uint32_t verdict;
    bool has_mark;
    uint32_t mark;
    const struct nlattr *payload; /* NULL: none */
};

static struct read_message messages[MESSAGES_MAX];

static int read_attribute(const struct nlattr *attribute, void *data)
{
    const struct nlattr **attributes = data;

    assert_in_range(mnl_attr_get_type(attribute), 1, NFQA_MAX);
    assert_null(attributes[mnl_attr_get_type(attribute)]);
    attributes[mnl_attr_get_type(attribute)] = attribute;
    return MNL_CB_OK;
}

/* Reads the whole buffer; checks what every message must have. Returns the number of messages. */
static unsigned read_messages(void)
{
    const struct nlmsghdr *header = (const void *)verdicts->buffer;
    int left = (int)verdicts->len;
    unsigned count = 0;

    assert_true(verdicts->len <= sizeof(verdicts->buffer));
    for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
        const struct nfgenmsg *family = mnl_nlmsg_get_payload(header);
        const struct nlattr *attributes[NFQA_MAX + 1] = {NULL};
        const struct nfqnl_msg_verdict_hdr *verdict;
        struct read_message *message = &messages[count++];

        assert_true(count <= MESSAGES_MAX);
        assert_int_equal(header->nlmsg_type >> 8, NFNL_SUBSYS_QUEUE);
        assert_int_equal(header->nlmsg_seq & ~NFQUEUE_SEQUENCE_PACKETS, SEQUENCE);
        assert_int_equal(header->nlmsg_flags & (NLM_F_REQUEST | NLM_F_ACK), NLM_F_REQUEST);
        assert_int_equal(family->version, NFNETLINK_V0);
        assert_int_equal(ntohs(family->res_id), QUEUE);
        assert_int_equal(mnl_attr_parse(header, sizeof(*family), read_attribute, attributes), MNL_CB_OK);
        assert_non_null(attributes[NFQA_VERDICT_HDR]);
        assert_int_equal(mnl_attr_get_payload_len(attributes[NFQA_VERDICT_HDR]), sizeof(*verdict));
        verdict = mnl_attr_get_payload(attributes[NFQA_VERDICT_HDR]);
        *message = (struct read_message){
            .batch = (header->nlmsg_type & 0xff) == NFQNL_MSG_VERDICT_BATCH,
            .packets = (header->nlmsg_seq & NFQUEUE_SEQUENCE_PACKETS) / NFQUEUE_SEQUENCE_ONE_PACKET + 1,
            .id = ntohl(verdict->id),
            .verdict = ntohl(verdict->verdict),
            .has_mark = attributes[NFQA_MARK] != NULL,
            .mark = attributes[NFQA_MARK] != NULL ? ntohl(mnl_attr_get_u32(attributes[NFQA_MARK])) : 0,
            .payload = attributes[NFQA_PAYLOAD],
        };
        assert_int_equal(message->packets > 1, message->batch);
        assert_true(message->batch || (header->nlmsg_type & 0xff) == NFQNL_MSG_VERDICT);
    }
    assert_int_equal(left, 0);
    return count;
}

static struct burst_entry entry(uint32_t id, uint32_t verdict)
{
    return (struct burst_entry){.id = id, .verdict = verdict, .flags = BURST_DECIDED};
}

static struct burst_entry marked(uint32_t id, uint32_t verdict, uint32_t mark)
{
    return (struct burst_entry){.id = id, .verdict = verdict, .mark = mark, .flags = BURST_DECIDED | BURST_SETS_MARK};
}

static void assert_message(unsigned index, bool batch, uint32_t id, uint32_t verdict)
{
    assert_int_equal(messages[index].batch, batch);
    assert_true(messages[index].id == id);
    assert_int_equal(messages[index].verdict, verdict);
}

static void test_single_packet_is_a_message_of_its_own(void **state)
{
    const struct burst_entry accepted = entry(0x01020304, NFQE_ACCEPT);
    const struct burst_entry dropped = entry(0xfffffffe, NFQE_DROP);

    (void)state;
    assert_int_equal(nfqueue_encode(verdicts, &accepted, NULL, 1, 0, &no_ids), 1);
    assert_int_equal(read_messages(), 1);
    assert_message(0, false, 0x01020304, NF_ACCEPT);
    assert_false(messages[0].has_mark);
    assert_null(messages[0].payload);

    assert_int_equal(nfqueue_encode(verdicts, &dropped, NULL, 1, 0, &no_ids), 1);
    assert_int_equal(read_messages(), 1);
    assert_message(0, false, 0xfffffffe, NF_DROP);
}

static void test_no_packet_makes_no_message(void **state)
{
    const struct burst_entry unused = entry(1, NFQE_ACCEPT);

    (void)state;
    verdicts->len = 77;
    assert_int_equal(nfqueue_encode(verdicts, &unused, NULL, 0, 0, &no_ids), 0);
    assert_int_equal(verdicts->len, 0);
    assert_int_equal(nfqueue_encode(verdicts, &unused, NULL, 1, 1, &no_ids), 1);
    assert_int_equal(verdicts->len, 0);
}

static void test_run_of_one_verdict_is_one_batch_message_up_to_its_last_id(void **state)
{
    struct burst_entry entries[BURST_MAX];

    (void)state;
    for (unsigned count = 2; count <= BURST_MAX; count++) {
        for (unsigned i = 0; i < count; i++) {
            entries[i] = entry(100 + i, NFQE_DROP);
        }
        assert_int_equal(nfqueue_encode(verdicts, entries, NULL, count, 0, &no_ids), count);
        assert_int_equal(read_messages(), 1);
        assert_message(0, true, 100 + count - 1, NF_DROP);
        assert_int_equal(messages[0].packets, count);
    }
}

static void test_alternating_verdicts_are_single_messages_in_order(void **state)
{
    struct burst_entry entries[BURST_MAX];

    (void)state;
    for (unsigned i = 0; i < BURST_MAX; i++) {
        entries[i] = entry(UINT32_MAX - 20 + i, i % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP);
    }
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, BURST_MAX, 0, &no_ids), BURST_MAX);
    assert_int_equal(read_messages(), BURST_MAX);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        assert_message(i, false, UINT32_MAX - 20 + i, i % 2 == 0 ? NF_ACCEPT : NF_DROP);
    }
}

static void test_runs_between_other_verdicts_are_batches_of_their_own(void **state)
{
    const struct burst_entry entries[] = {
        entry(1, NFQE_ACCEPT), entry(2, NFQE_ACCEPT), entry(3, NFQE_DROP), entry(4, NFQE_ACCEPT),
        entry(5, NFQE_ACCEPT), entry(6, NFQE_ACCEPT), entry(7, NFQE_DROP), entry(8, NFQE_DROP),
    };

    (void)state;
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 8, 0, &no_ids), 8);
    assert_int_equal(read_messages(), 4);
    assert_message(0, true, 2, NF_ACCEPT);
    assert_message(1, false, 3, NF_DROP);
    assert_message(2, true, 6, NF_ACCEPT);
    assert_message(3, true, 8, NF_DROP);
}

static void test_run_over_the_wrap_of_ids_ends_at_its_last_id(void **state)
{
    const struct burst_entry entries[] = {
        entry(UINT32_MAX - 1, NFQE_ACCEPT),
        entry(UINT32_MAX, NFQE_ACCEPT),
        entry(0, NFQE_ACCEPT),
        entry(1, NFQE_ACCEPT),
    };

    (void)state;
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 4, 0, &no_ids), 4);
    assert_int_equal(read_messages(), 1);
    assert_message(0, true, 1, NF_ACCEPT);
}

static void test_packets_with_different_marks_share_no_message(void **state)
{
    const struct burst_entry entries[] = {
        entry(1, NFQE_ACCEPT),        entry(2, NFQE_ACCEPT),        marked(3, NFQE_ACCEPT, 0),
        marked(4, NFQE_ACCEPT, 0),    marked(5, NFQE_ACCEPT, 0xab), marked(6, NFQE_DROP, 0xab),
        marked(7, NFQE_ACCEPT, 0xab), entry(8, NFQE_ACCEPT),
    };
    static const struct {
        bool batch;
        uint32_t id;
        bool has_mark;
        uint32_t mark;
    } expected[] = {
        {true, 2, false, 0},    {true, 4, true, 0},     {false, 5, true, 0xab},
        {false, 6, true, 0xab}, {false, 7, true, 0xab}, {false, 8, false, 0},
    };

    (void)state;
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 8, 0, &no_ids), 8);
    assert_int_equal(read_messages(), 6);
    for (unsigned i = 0; i < 6; i++) {
        assert_message(i, expected[i].batch, expected[i].id, expected[i].id == 6 ? NF_DROP : NF_ACCEPT);
        assert_int_equal(messages[i].has_mark, expected[i].has_mark);
        assert_int_equal(messages[i].mark, expected[i].mark);
    }
}

static void test_stale_mark_of_a_packet_that_sets_none_is_ignored(void **state)
{
    struct burst_entry entries[] = {entry(1, NFQE_ACCEPT), entry(2, NFQE_ACCEPT)};

    (void)state;
    entries[0].mark = 5;
    entries[1].mark = 6;
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 2, 0, &no_ids), 2);
    assert_int_equal(read_messages(), 1);
    assert_false(messages[0].has_mark);
}

static void test_other_verdicts_are_those_of_the_kernel_with_the_queue_number(void **state)
{
    static const struct {
        nfqe_verdict verdict;
        uint32_t kernel;
    } queues[] = {
        {NFQE_REPEAT, NF_REPEAT},
        {NFQE_TO_QUEUE(0), 0x3},
        {NFQE_TO_QUEUE(1), 0x10003},
        {NFQE_TO_QUEUE(65535), 0xffff0003},
        {NFQE_TO_QUEUE(0) | NFQE_QUEUE_BYPASS, 0x8003},
        {NFQE_TO_QUEUE(65535) | NFQE_QUEUE_BYPASS, 0xffff8003},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
        const struct burst_entry single = entry(9, queues[i].verdict);

        assert_int_equal(nfqueue_encode(verdicts, &single, NULL, 1, 0, &no_ids), 1);
        assert_int_equal(read_messages(), 1);
        assert_message(0, false, 9, queues[i].kernel);
    }
}

static void test_packets_for_different_queues_share_no_message(void **state)
{
    const struct burst_entry entries[] = {
        entry(1, NFQE_TO_QUEUE(7)), entry(2, NFQE_TO_QUEUE(7)),
        entry(3, NFQE_TO_QUEUE(8)), entry(4, NFQE_TO_QUEUE(8) | NFQE_QUEUE_BYPASS),
        entry(5, NFQE_ACCEPT),
    };

    (void)state;
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 5, 0, &no_ids), 5);
    assert_int_equal(read_messages(), 4);
    assert_message(0, true, 2, 0x70003);
    assert_message(1, false, 3, 0x80003);
    assert_message(2, false, 4, 0x88003);
    assert_message(3, false, 5, NF_ACCEPT);
}

static void test_new_payload_in_the_middle_of_a_run_gets_its_own_message(void **state)
{
    const struct burst_entry entries[] = {
        entry(1, NFQE_ACCEPT), entry(2, NFQE_ACCEPT), entry(3, NFQE_ACCEPT),
        entry(4, NFQE_ACCEPT), entry(5, NFQE_ACCEPT),
    };
    const struct verdict_payload payloads[5] = {[2] = {"changed", 7}};

    (void)state;
    assert_int_equal(nfqueue_encode(verdicts, entries, payloads, 5, 0, &no_ids), 5);
    assert_int_equal(read_messages(), 3);
    assert_message(0, true, 2, NF_ACCEPT);
    assert_null(messages[0].payload);
    assert_message(1, false, 3, NF_ACCEPT);
    assert_int_equal(mnl_attr_get_payload_len(messages[1].payload), 7);
    assert_memory_equal(mnl_attr_get_payload(messages[1].payload), "changed", 7);
    assert_message(2, true, 5, NF_ACCEPT);
    assert_null(messages[2].payload);
}

static void assert_payload_survives(uint32_t len)
{
    static uint8_t bytes[PAYLOAD_MAX];
    const struct burst_entry entries[] = {entry(1, NFQE_DROP), marked(2, NFQE_ACCEPT, 3), entry(4, NFQE_DROP),
                                          entry(5, NFQE_DROP)};
    const struct verdict_payload payloads[4] = {[1] = {bytes, len}};

    for (uint32_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 7 + 1);
    }
    assert_int_equal(nfqueue_encode(verdicts, entries, payloads, 4, 0, &no_ids), 4);
    assert_int_equal(read_messages(), 3);
    assert_message(1, false, 2, NF_ACCEPT);
    assert_true(messages[1].has_mark);
    assert_non_null(messages[1].payload);
    assert_int_equal(messages[1].payload->nla_len, NLA_HDRLEN + len); /* not rounded up: padding is not payload */
    assert_memory_equal(mnl_attr_get_payload(messages[1].payload), bytes, len);
    assert_message(2, true, 5, NF_DROP); /* the next message begins after the padding */
}

static void test_attribute_length_of_a_payload_never_counts_its_padding(void **state)
{
    (void)state;
    for (uint32_t len = 0; len <= 70; len++) {
        assert_payload_survives(len);
    }
    for (uint32_t len = PAYLOAD_MAX - 4; len <= PAYLOAD_MAX; len++) {
        assert_payload_survives(len);
    }
}

static void test_buffer_that_is_full_continues_with_the_first_that_did_not_fit(void **state)
{
    static uint8_t bytes[PAYLOAD_MAX];
    struct burst_entry entries[] = {entry(1, NFQE_ACCEPT), marked(2, NFQE_DROP, 9), entry(3, NFQE_ACCEPT),
                                    entry(4, NFQE_DROP)};
    const struct verdict_payload payloads[] = {
        {bytes, PAYLOAD_MAX}, {bytes, PAYLOAD_MAX}, {bytes, PAYLOAD_MAX}, {NULL, 0}};

    (void)state;
    for (unsigned next = 0; next < 2; next++) {
        assert_int_equal(nfqueue_encode(verdicts, entries, payloads, 4, next, &no_ids), next + 1);
        assert_int_equal(read_messages(), 1);
        assert_message(0, false, entries[next].id, next == 1 ? NF_DROP : NF_ACCEPT);
        assert_int_equal(mnl_attr_get_payload_len(messages[0].payload), PAYLOAD_MAX);
    }
    assert_int_equal(nfqueue_encode(verdicts, entries, payloads, 4, 2, &no_ids), 4);
    assert_int_equal(read_messages(), 2);
    assert_message(1, false, 4, NF_DROP);
}

/* The last message of a buffer, with everything a message can have, at every distance from the buffer's end. */
static void test_messages_never_exceed_the_buffer(void **state)
{
    static uint8_t bytes[PAYLOAD_MAX];
    struct burst_entry entries[] = {entry(1, NFQE_ACCEPT), entry(2, NFQE_ACCEPT), entry(3, NFQE_ACCEPT)};

    (void)state;
    for (uint32_t last_len = 0; last_len <= 8; last_len++) {
        for (unsigned marks = 0; marks < 2; marks++) {
            entries[2] = marks != 0 ? marked(3, NFQE_ACCEPT, 1) : entry(3, NFQE_ACCEPT);
            for (uint32_t filler = 0; filler <= 200; filler++) {
                const struct verdict_payload payloads[] = {{bytes, PAYLOAD_MAX},
                                                           {bytes, NFQUEUE_ENCODER_SIZE - PAYLOAD_MAX - 200 + filler},
                                                           {bytes, last_len}};
                unsigned next = 0;
                unsigned seen = 0;

                while (next < 3) {
                    unsigned before = next;

                    next = nfqueue_encode(verdicts, entries, payloads, 3, next, &no_ids);
                    assert_true(next > before);
                    assert_int_equal(read_messages(), next - before);
                    seen += next - before;
                }
                assert_int_equal(seen, 3);
            }
        }
    }
}

/* The last message is put if as many bytes are left as a message can take: 32, and 8 for a mark. */
static void test_last_message_fills_the_buffer_exactly(void **state)
{
    static uint8_t bytes[PAYLOAD_MAX];
    const struct burst_entry entries[] = {entry(1, NFQE_ACCEPT), entry(2, NFQE_DROP), marked(3, NFQE_ACCEPT, 1)};
    const struct verdict_payload payloads[3] = {{bytes, 60000}, {bytes, NFQUEUE_ENCODER_SIZE - 60000 - 2 * 36 - 40}};

    (void)state;
    assert_int_equal(nfqueue_encode(verdicts, entries, payloads, 3, 0, &no_ids), 3);
    assert_int_equal(read_messages(), 3);
    assert_int_equal(verdicts->len, NFQUEUE_ENCODER_SIZE);
}

static void test_burst_without_payload_fits_one_send(void **state)
{
    struct burst_entry entries[BURST_MAX];

    (void)state;
    for (unsigned i = 0; i < BURST_MAX; i++) {
        entries[i] = marked(i, i % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP, i);
    }
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, BURST_MAX, 0, &no_ids), BURST_MAX);
    assert_int_equal(read_messages(), BURST_MAX);
}

/* The set of these two ids, which are not of the burst. */
static struct outstanding ids_of(uint32_t first, uint32_t second)
{
    struct outstanding ids = {.last_id = second};

    assert_int_equal(outstanding_add(&ids, (struct outstanding_range){first, first}), 0);
    assert_int_equal(outstanding_add(&ids, (struct outstanding_range){second, second}), 0);
    return ids;
}

static void test_batch_stops_before_an_outstanding_id(void **state)
{
    struct burst_entry entries[8];
    struct outstanding ids;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        entries[i] = marked(10 + 2 * i, NFQE_ACCEPT, 0);
    }
    ids = ids_of(15, 17); /* between the third and the fifth one */
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 8, 0, &ids), 8);
    assert_int_equal(read_messages(), 6);
    assert_message(0, true, 14, NF_ACCEPT);
    for (unsigned i = 1; i < 6; i++) {
        assert_message(i, false, 14 + 2 * i, NF_ACCEPT); /* also after 17: a batch would answer both */
    }
    ids = ids_of(5, 7); /* before the burst */
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 8, 0, &ids), 8);
    assert_int_equal(read_messages(), 8);
    ids = ids_of(25, 27); /* after it */
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 8, 0, &ids), 8);
    assert_int_equal(read_messages(), 1);
    assert_message(0, true, 24, NF_ACCEPT);
}

static void test_while_the_outstanding_ids_are_unknown_every_packet_has_a_message_of_its_own(void **state)
{
    struct burst_entry entries[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        entries[i] = marked(1 + i, NFQE_DROP, 0);
    }
    assert_int_equal(nfqueue_encode(verdicts, entries, NULL, 3, 0, NULL), 3);
    assert_int_equal(read_messages(), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_message(i, false, 1 + i, NF_DROP);
    }
}

/* Encodes the ids from first to last and returns how many sends it took; checks that each is there once. */
static unsigned encode_range(uint32_t first, uint32_t last, uint32_t verdict, uint32_t kernel_verdict)
{
    uint32_t next = first;
    unsigned sends = 0;

    for (uint32_t id = first; id != last + 1; sends++) {
        unsigned count;

        nfqueue_encode_ids(verdicts, &next, last, verdict);
        count = read_messages();
        assert_true(count > 0);
        for (unsigned i = 0; i < count; i++, id++) {
            assert_message(i, false, id, kernel_verdict);
        }
        assert_true(next == id);
    }
    return sends;
}

static void test_range_of_ids_is_one_message_each_in_order(void **state)
{
    (void)state;
    assert_int_equal(encode_range(7, 7, NFQE_DROP, NF_DROP), 1);
    assert_int_equal(encode_range(1, 1000, NFQE_ACCEPT, NF_ACCEPT), 1);
}

static void test_range_of_ids_goes_over_the_wrap(void **state)
{
    (void)state;
    assert_int_equal(encode_range(UINT32_MAX, 0, NFQE_DROP, NF_DROP), 1);
    assert_int_equal(encode_range(UINT32_MAX, UINT32_MAX, NFQE_DROP, NF_DROP), 1);
    assert_int_equal(encode_range(0, 0, NFQE_DROP, NF_DROP), 1);
    assert_int_equal(encode_range(UINT32_MAX - 500, 500, NFQE_ACCEPT, NF_ACCEPT), 1);
}

static void test_range_of_ids_larger_than_the_buffer_takes_several_sends(void **state)
{
    (void)state;
    assert_true(encode_range(UINT32_MAX - 5000, 5000, NFQE_DROP, NF_DROP) > 1);
}

static int set_up(void **state)
{
    (void)state;
    guarded_init(&memory, sizeof(struct nfqueue_encoder));
    verdicts = guarded_put(&memory, NULL, sizeof(struct nfqueue_encoder), _Alignof(struct nfqueue_encoder));
    verdicts->queue = QUEUE;
    verdicts->sequence = SEQUENCE;
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
        cmocka_unit_test(test_single_packet_is_a_message_of_its_own),
        cmocka_unit_test(test_no_packet_makes_no_message),
        cmocka_unit_test(test_run_of_one_verdict_is_one_batch_message_up_to_its_last_id),
        cmocka_unit_test(test_alternating_verdicts_are_single_messages_in_order),
        cmocka_unit_test(test_runs_between_other_verdicts_are_batches_of_their_own),
        cmocka_unit_test(test_run_over_the_wrap_of_ids_ends_at_its_last_id),
        cmocka_unit_test(test_packets_with_different_marks_share_no_message),
        cmocka_unit_test(test_stale_mark_of_a_packet_that_sets_none_is_ignored),
        cmocka_unit_test(test_other_verdicts_are_those_of_the_kernel_with_the_queue_number),
        cmocka_unit_test(test_packets_for_different_queues_share_no_message),
        cmocka_unit_test(test_new_payload_in_the_middle_of_a_run_gets_its_own_message),
        cmocka_unit_test(test_attribute_length_of_a_payload_never_counts_its_padding),
        cmocka_unit_test(test_buffer_that_is_full_continues_with_the_first_that_did_not_fit),
        cmocka_unit_test(test_messages_never_exceed_the_buffer),
        cmocka_unit_test(test_last_message_fills_the_buffer_exactly),
        cmocka_unit_test(test_burst_without_payload_fits_one_send),
        cmocka_unit_test(test_batch_stops_before_an_outstanding_id),
        cmocka_unit_test(test_while_the_outstanding_ids_are_unknown_every_packet_has_a_message_of_its_own),
        cmocka_unit_test(test_range_of_ids_is_one_message_each_in_order),
        cmocka_unit_test(test_range_of_ids_goes_over_the_wrap),
        cmocka_unit_test(test_range_of_ids_larger_than_the_buffer_takes_several_sends),
    };

    return cmocka_run_group_tests_name("nfqueue_encode", tests, set_up, tear_down);
}
