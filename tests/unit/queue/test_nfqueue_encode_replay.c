/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel does with the encoder's messages: a model of a kernel queue takes the messages of many random
 * bursts, and every packet must get exactly its verdict, mark and payload.
 *
 * The model follows net/netfilter/nfnetlink_queue.c: a verdict answers the one queued packet with its id, a
 * batch verdict every queued packet from the front on whose id is not after the given one, where ids are
 * ordered by their signed difference. Packets of later bursts are queued already: a batch must not reach them.
 */
#include "unit.h"

#include "base/arith.h"
#include "queue/nfqueue_encode.h"

#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

#define QUEUED_MAX (4 * BURST_MAX)

struct kernel_packet {
    uint32_t id;
    unsigned answers;
    uint32_t verdict;
    bool has_mark;
    uint32_t mark;
    const void *payload; /* into the message that brought it */
    uint32_t payload_len;
};

/* Packets in the order of arrival; answered ones stay in the table and count their answers. */
static struct kernel_packet queue[QUEUED_MAX];
static const struct outstanding no_ids;
static unsigned queue_len;
static unsigned not_found; /* verdicts that the kernel would have answered with ENOENT */

static void answer(struct kernel_packet *packet, uint32_t verdict, const struct nlattr *const *attributes)
{
    packet->answers++;
    packet->verdict = verdict;
    packet->has_mark = attributes[NFQA_MARK] != NULL;
    packet->mark = packet->has_mark ? ntohl(mnl_attr_get_u32(attributes[NFQA_MARK])) : 0;
    packet->payload = attributes[NFQA_PAYLOAD] != NULL ? mnl_attr_get_payload(attributes[NFQA_PAYLOAD]) : NULL;
    packet->payload_len = attributes[NFQA_PAYLOAD] != NULL ? mnl_attr_get_payload_len(attributes[NFQA_PAYLOAD]) : 0;
}

static int take_attribute(const struct nlattr *attribute, void *data)
{
    ((const struct nlattr **)data)[mnl_attr_get_type(attribute)] = attribute;
    return MNL_CB_OK;
}

static void kernel_take(const struct nlmsghdr *message)
{
    const struct nlattr *attributes[NFQA_MAX + 1] = {NULL};
    const struct nfqnl_msg_verdict_hdr *verdict;
    uint32_t id;
    bool batch = (message->nlmsg_type & 0xff) == NFQNL_MSG_VERDICT_BATCH;
    bool found = false;

    mnl_attr_parse(message, sizeof(struct nfgenmsg), take_attribute, attributes);
    assert_non_null(attributes[NFQA_VERDICT_HDR]);
    verdict = mnl_attr_get_payload(attributes[NFQA_VERDICT_HDR]);
    id = ntohl(verdict->id);
    assert_true(!batch || attributes[NFQA_PAYLOAD] == NULL); /* the kernel ignores it in a batch */
    for (unsigned i = 0; i < queue_len; i++) {
        if (queue[i].answers > 0) {
            continue; /* no longer queued */
        }
        if (batch && (int32_t)(queue[i].id - id) > 0) {
            break;
        }
        if (batch || queue[i].id == id) {
            answer(&queue[i], ntohl(verdict->verdict), attributes);
            found = true;
        }
    }
    not_found += !found;
}

static void kernel_take_all(const struct nfqueue_encoder *verdicts)
{
    const struct nlmsghdr *message = (const void *)verdicts->buffer;
    int left = (int)verdicts->len;

    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        kernel_take(message);
    }
    assert_int_equal(left, 0);
}

struct drawn_burst {
    struct burst_entry entries[BURST_MAX];
    struct verdict_payload payloads[BURST_MAX];
    unsigned count;
    bool has_payloads;
};

static uint8_t payload_bytes[65531];

/* The last one is none that the engine gives: the packet must not pass by it. */
static const uint32_t drawn_from[] = {NFQE_ACCEPT, NFQE_DROP, NFQE_ACCEPT, NFQE_DROP, 0};

/* Fills the kernel's queue and a burst of its first packets, which is what a receive gives. */
static void draw(struct drawn_burst *burst, uint64_t *random)
{
    uint32_t id =
        unit_random_below(random, 4) == 0 ? UINT32_MAX - unit_random_below(random, 100) : (uint32_t)unit_random(random);
    unsigned changes = unit_random_below(random, 8) + 1; /* one in so many packets differs from the one before */
    uint32_t verdict = NFQE_ACCEPT;
    uint32_t mark = 0;
    uint32_t sets_mark = 0;

    burst->count = unit_random_below(random, BURST_MAX) + 1;
    burst->has_payloads = unit_random_below(random, 2) == 0;
    queue_len = burst->count + unit_random_below(random, QUEUED_MAX - BURST_MAX);
    not_found = 0;
    for (unsigned i = 0; i < queue_len; i++) {
        queue[i] = (struct kernel_packet){.id = id};
        id += unit_random_below(random, 10) == 0 ? 1 + unit_random_below(random, 50) : 1;
    }
    for (unsigned i = 0; i < burst->count; i++) {
        bool changed = burst->has_payloads && unit_random_below(random, 6) == 0;
        bool large = unit_random_below(random, 12) == 0;

        if (unit_random_below(random, changes) == 0) {
            verdict = drawn_from[unit_random_below(random, ARRAY_SIZE(drawn_from))];
            sets_mark = unit_random_below(random, 3) == 0 ? BURST_SETS_MARK : 0;
            mark = unit_random_below(random, 3);
        }
        burst->entries[i] = (struct burst_entry){
            .id = queue[i].id, .verdict = verdict, .mark = mark, .flags = BURST_DECIDED | sets_mark};
        burst->payloads[i] = (struct verdict_payload){0};
        if (changed) {
            burst->payloads[i].data = payload_bytes;
            burst->payloads[i].len = 20 + unit_random_below(random, large ? sizeof(payload_bytes) - 19 : 1500);
        }
    }
}

static void assert_answered(const struct drawn_burst *burst, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        const struct burst_entry *entry = &burst->entries[i];
        bool changed = burst->has_payloads && burst->payloads[i].data != NULL;

        assert_int_equal(queue[i].answers, 1);
        assert_int_equal(queue[i].verdict, entry->verdict == NFQE_ACCEPT ? NF_ACCEPT : NF_DROP);
        assert_int_equal(queue[i].has_mark, (entry->flags & BURST_SETS_MARK) != 0);
        assert_int_equal(queue[i].mark, queue[i].has_mark ? entry->mark : 0);
        assert_int_equal(queue[i].payload != NULL, changed);
        assert_int_equal(queue[i].payload_len, changed ? burst->payloads[i].len : 0);
        if (changed) {
            assert_memory_equal(queue[i].payload, payload_bytes, queue[i].payload_len);
        }
    }
}

static void test_every_packet_of_a_random_burst_gets_exactly_its_verdict(void **state)
{
    static struct nfqueue_encoder verdicts = {.queue = 1, .sequence = 1};
    static struct drawn_burst burst;
    uint64_t random = UINT64_C(0x0123456789abcdef);
    unsigned continued = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(payload_bytes); i++) {
        payload_bytes[i] = (uint8_t)(i % 251);
    }
    for (unsigned round = 0; round < 20000; round++) {
        unsigned next = 0;

        draw(&burst, &random);
        while (next < burst.count) {
            unsigned before = next;

            next = nfqueue_encode(&verdicts, burst.entries, burst.has_payloads ? burst.payloads : NULL, burst.count,
                                  before, &no_ids);
            assert_true(next > before && next <= burst.count);
            continued += before > 0;
            kernel_take_all(&verdicts);
            assert_answered(&burst, before, next);
        }
        assert_int_equal(not_found, 0);
        for (unsigned i = burst.count; i < queue_len; i++) {
            assert_int_equal(queue[i].answers, 0);
        }
    }
    assert_true(continued > 100); /* full buffers were among the cases */
}

/* What a successor does, since it is unknown whether the kernel got the verdicts. */
static void test_sending_a_burst_again_answers_no_other_packet(void **state)
{
    static struct nfqueue_encoder verdicts = {.queue = 1, .sequence = 1};
    static struct drawn_burst burst;
    uint64_t random = UINT64_C(0xfeedfacecafebeef);

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        draw(&burst, &random);
        burst.has_payloads = false;
        for (unsigned times = 0; times < 2; times++) {
            assert_int_equal(nfqueue_encode(&verdicts, burst.entries, NULL, burst.count, 0, &no_ids), burst.count);
            kernel_take_all(&verdicts);
        }
        assert_answered(&burst, 0, burst.count);
        for (unsigned i = burst.count; i < queue_len; i++) {
            assert_int_equal(queue[i].answers, 0);
        }
    }
}

/* After a crash some packets may be queued that no message was seen of. */
static void test_while_the_outstanding_ids_are_unknown_no_packet_is_answered_that_the_burst_does_not_have(void **state)
{
    static struct nfqueue_encoder verdicts = {.queue = 1, .sequence = 1};
    static struct drawn_burst burst;
    uint64_t random = UINT64_C(0x5555aaaa12345678);

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        struct burst_entry known[BURST_MAX];
        bool seen[QUEUED_MAX] = {false};
        unsigned count = 0;

        draw(&burst, &random);
        for (unsigned i = 0; i < burst.count; i++) {
            seen[i] = unit_random_below(&random, 5) != 0;
            if (seen[i]) {
                known[count++] = burst.entries[i];
            }
        }
        assert_int_equal(nfqueue_encode(&verdicts, known, NULL, count, 0, NULL), count);
        kernel_take_all(&verdicts);
        for (unsigned i = 0; i < queue_len; i++) {
            assert_int_equal(queue[i].answers, seen[i]);
            if (seen[i]) {
                assert_int_equal(queue[i].verdict, burst.entries[i].verdict == NFQE_ACCEPT ? NF_ACCEPT : NF_DROP);
            }
        }
    }
}

static void test_range_of_ids_answers_no_packet_outside_it(void **state)
{
    static struct nfqueue_encoder verdicts = {.queue = 1, .sequence = 1};
    static struct drawn_burst burst;
    uint64_t random = UINT64_C(0xabcdef0123456789);

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        unsigned first;
        unsigned last;
        uint32_t next;

        draw(&burst, &random);
        first = unit_random_below(&random, queue_len);
        last = first + unit_random_below(&random, queue_len - first);
        next = queue[first].id;
        while (next != queue[last].id + 1) {
            nfqueue_encode_ids(&verdicts, &next, queue[last].id, NFQE_DROP);
            kernel_take_all(&verdicts);
        }
        for (unsigned i = 0; i < queue_len; i++) {
            assert_int_equal(queue[i].answers, i >= first && i <= last);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_packet_of_a_random_burst_gets_exactly_its_verdict),
        cmocka_unit_test(test_sending_a_burst_again_answers_no_other_packet),
        cmocka_unit_test(test_while_the_outstanding_ids_are_unknown_no_packet_is_answered_that_the_burst_does_not_have),
        cmocka_unit_test(test_range_of_ids_answers_no_packet_outside_it),
    };

    return cmocka_run_group_tests_name("nfqueue_encode_replay", tests, NULL, NULL);
}
