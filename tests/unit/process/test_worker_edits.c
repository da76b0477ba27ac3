/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that plugins change, from a frame to the queue process's copy: what goes with which answer, for how long it
 * stays there, what is refused, and that a plugin without the need, or without the packet, changes nothing.
 */
#include "unit.h"

#include "flow_image.h"
#include "packet/change_rules.h"
#include "packet/parse.h"
#include "process/worker_frames.h"
#include "ring_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define SIZE 40 /* of a received packet: IPv4, TCP */
#define ADDED(id) (1 + (id) % 9)

static struct ring_fixture fixture;
static struct worker_frames frames;
static void (*play)(struct nfqe_packet *packet); /* what the plugin does */
static nfqe_verdict answer;

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    play(packet);
    return answer;
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = n; i-- > 0;) { /* in any order */
        out[i] = handle(self, packets[i]);
    }
}

static nfqe_verdict second(void *self, struct nfqe_packet *packet)
{
    unsigned *calls = self;

    (*calls)++;
    assert_int_equal(packet->flags & NFQE_PACKET_MODIFIED, packet->len == SIZE ? 0 : NFQE_PACKET_MODIFIED);
    assert_int_equal(packet->wire_len, packet->len);
    assert_int_equal(packet->data[3], packet->len);
    assert_int_equal(packet->payload_len, packet->len - SIZE);
    assert_int_equal(nfqe_splice(packet, 0, 0, NULL, 0), -EPERM);
    assert_int_equal(nfqe_replace(packet, packet->data, packet->len), -EPERM);
    assert_int_equal(nfqe_check_change(packet), -EPERM);
    errno = 0;
    assert_null(nfqe_writable(packet, 0, 1));
    assert_int_equal(errno, EPERM);
    return NFQE_ACCEPT;
}

static unsigned second_calls;

static void begin(bool batch)
{
    frames.chain = (struct plugin_chain){0};
    plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = handle,
                                                                  .handle_batch = batch ? handle_batch : NULL,
                                                                  .rights.needs = NFQE_NEED_MODIFY | NFQE_NEED_FLOW});
    plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = second, .self = &second_calls});
    worker_frames_begin(&frames, NFQE_ACCEPT, NFQE_DROP, 0);
}

static int set_up(void **state)
{
    (void)state;
    second_calls = 0;
    answer = NFQE_CONTINUE;
    ring_fixture_init_changing(&fixture);
    return worker_frames_init(&frames, &fixture.worker);
}

static int tear_down(void **state)
{
    (void)state;
    worker_frames_done(&frames);
    ring_fixture_done(&fixture);
    return 0;
}

static struct flow_packet make_packet(uint32_t id)
{
    struct flow_packet made;

    flow_packet_make(&made, id, false, NFQE_TCP_ACK);
    made.packet.id = id;
    made.packet.wire_len = made.packet.len;
    made.packet.family = AF_INET;
    made.packet.hw_protocol = 0x0800;
    packet_parse(&made.packet);
    return made;
}

static void submit(uint32_t first, uint32_t count)
{
    static const struct nfqueue_conntrack no_conntrack;

    assert_true(ring_has_room(&fixture.queue));
    ring_begin(&fixture.queue, 0);
    for (uint32_t i = first; i < first + count; i++) {
        struct flow_packet made = make_packet(i);

        made.packet.data = made.bytes;
        assert_int_equal(ring_add(&fixture.queue, &made.packet, &no_conntrack, (struct ring_origin){0, (uint16_t)i},
                                  &(struct ring_flow){.number = RING_NO_FLOW}),
                         0);
    }
    ring_submit(&fixture.queue);
}

static void handle_frame(uint32_t first, uint32_t count)
{
    submit(first, count);
    assert_true(worker_frames_handle(&frames));
}

static struct ring_answered take(void)
{
    struct ring_answered answered;

    assert_int_equal(ring_take(&fixture.queue, &answered), 1);
    return answered;
}

/* The answer has the bytes of packet `id` with what append() put at its end. */
static void assert_appended(const struct ring_answered *answered, uint32_t id)
{
    const struct flow_packet made = make_packet(id);
    uint8_t copy[SIZE + 16];

    assert_int_equal(answered->made.len, SIZE + ADDED(id));
    assert_int_equal(ring_copy_made(&fixture.queue, answered, copy), 0);
    assert_int_equal(copy[3], SIZE + ADDED(id));
    assert_memory_equal(copy + 12, made.bytes + 12, 20); /* addresses, ports, numbers */
    for (unsigned i = 0; i < ADDED(id); i++) {
        assert_int_equal(copy[SIZE + i], id & 0xff);
    }
}

/* ---- plays --------------------------------------------------------------------------------------------------------- */

/* To packets whose id is no multiple of 4. */
static void append(struct nfqe_packet *packet)
{
    uint8_t bytes[16];

    memset(bytes, (int)(packet->id & 0xff), sizeof(bytes));
    if (packet->id % 4 != 0) {
        assert_int_equal(nfqe_splice(packet, packet->len, 0, bytes, ADDED(packet->id)), 0);
    }
}

static void write_version(struct nfqe_packet *packet)
{
    uint8_t *byte = nfqe_writable(packet, 0, 1);

    assert_non_null(byte);
    *byte = 0x65;
}

static void be_refused(struct nfqe_packet *packet)
{
    uint8_t *byte = nfqe_writable(packet, 6, 1);

    *byte = 0x20; /* more fragments */
    assert_int_equal(nfqe_check_change(packet), -EOPNOTSUPP);
    byte = nfqe_writable(packet, 6, 1);
    *byte = 0;
    assert_int_equal(nfqe_check_change(packet), 0);
}

static void make_mistakes(struct nfqe_packet *packet)
{
    struct nfqe_packet other = *packet;

    assert_int_equal(nfqe_splice(packet, SIZE + 1, 0, "x", 1), -EINVAL);
    assert_int_equal(nfqe_splice(packet, 1, SIZE, NULL, 0), -EINVAL);
    assert_int_equal(nfqe_splice(packet, 0, 0, NULL, 1), -EINVAL);
    assert_int_equal(nfqe_splice(&other, 0, 0, NULL, 0), -EINVAL);
    assert_int_equal(nfqe_replace(&other, packet->data, packet->len), -EINVAL);
    assert_int_equal(nfqe_check_change(&other), -EINVAL);
    errno = 0;
    assert_null(nfqe_writable(packet, 0, SIZE + 1));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(nfqe_writable(&other, 0, 1));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(packet->flags & NFQE_PACKET_MODIFIED, 0);
    assert_int_equal(nfqe_check_change(packet), 0);
}

/* ---- tests --------------------------------------------------------------------------------------------------------- */

/* While as many frames as there can be are in flight; the next ones use their places again. */
static void test_each_packet_has_its_own_bytes_until_its_answer_is_taken(void **state)
{
    (void)state;
    play = append;
    for (unsigned batch = 0; batch < 2; batch++) {
        begin(batch != 0);
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t frame = 0; frame < RING_FRAMES; frame++) {
                handle_frame(round + frame * BURST_MAX, BURST_MAX);
            }
            for (uint32_t id = round; id < round + RING_FRAMES * BURST_MAX; id++) {
                struct ring_answered answered = take();

                assert_int_equal(answered.answer, NFQE_ACCEPT);
                assert_int_equal(answered.plugin, 1);
                assert_int_equal(answered.made.refused, 0);
                if (id % 4 != 0) {
                    assert_appended(&answered, id);
                } else {
                    assert_int_equal(answered.made.len, 0);
                }
            }
        }
    }
}

static void test_dropped_packet_has_no_bytes_whatever_was_written(void **state)
{
    (void)state;
    for (unsigned batch = 0; batch < 2; batch++) {
        begin(batch != 0);
        answer = NFQE_DROP;
        play = append;
        handle_frame(1, 1);
        assert_int_equal(take().made.len, 0);
        play = write_version;
        handle_frame(1, 1);
        assert_int_equal(take().answer, NFQE_DROP);
    }
}

/* Later plugins do not see it, no flow gets the verdict, and the next packets are as they should be. */
static void test_forbidden_change_is_an_invalid_answer(void **state)
{
    static const nfqe_verdict answers[] = {NFQE_CONTINUE, NFQE_ACCEPT, NFQE_ACCEPT | NFQE_FLOW};

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct ring_answered answered;

        begin(i % 2 != 0);
        answer = answers[i / 2];
        play = write_version;
        handle_frame(1, 1);
        answered = take();
        assert_int_equal(answered.answer, VERDICT_FORBIDDEN_CHANGE);
        assert_int_equal(answered.plugin, 0);
        assert_int_equal(answered.made.len, 0);
        assert_int_equal(answered.made.refused, CHANGE_RULE_IP + 1);
        assert_int_equal(second_calls, 0);
    }
    answer = NFQE_CONTINUE;
    play = append;
    handle_frame(5, 1);
    assert_appended(&(struct ring_answered[]){take()}[0], 5);
}

static void test_refused_change_is_told_and_the_packet_goes_on(void **state)
{
    struct ring_answered answered;

    (void)state;
    begin(false);
    answer = NFQE_ACCEPT;
    play = be_refused;
    handle_frame(1, 1);
    answered = take();
    assert_int_equal(answered.answer, NFQE_ACCEPT);
    assert_int_equal(answered.made.refused, CHANGE_RULE_IPV4_FRAGMENT + 1);
    assert_int_equal(answered.made.len, SIZE);
    play = append;
    handle_frame(4, 1);
    assert_int_equal(take().made.refused, 0);
    assert_int_equal(second_calls, 0);
}

static void test_mistakes_change_nothing_and_are_not_told(void **state)
{
    struct ring_answered answered;

    (void)state;
    begin(false);
    play = make_mistakes;
    handle_frame(1, 1);
    answered = take();
    assert_int_equal(answered.answer, NFQE_ACCEPT);
    assert_int_equal(answered.made.len | answered.made.refused, 0);
    assert_int_equal(nfqe_splice(&frames.set.packets[0], 0, 0, NULL, 0), -EINVAL); /* no plugin has it */
}

/* Without memory for them, as if no plugin had the need. */
static void test_worker_without_memory_for_changes_makes_none(void **state)
{
    tear_down(state);
    ring_fixture_init(&fixture);
    assert_int_equal(worker_frames_init(&frames, &fixture.worker), 0);
    begin(false);
    frames.chain.members[0].handle = second;
    frames.chain.members[0].self = &second_calls;
    handle_frame(1, 2);
    assert_int_equal(take().made.len, 0);
    assert_int_equal(second_calls, 2);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_each_packet_has_its_own_bytes_until_its_answer_is_taken),
        TEST(test_dropped_packet_has_no_bytes_whatever_was_written),
        TEST(test_forbidden_change_is_an_invalid_answer),
        TEST(test_refused_change_is_told_and_the_packet_goes_on),
        TEST(test_mistakes_change_nothing_and_are_not_told),
        TEST(test_worker_without_memory_for_changes_makes_none),
    };

    return cmocka_run_group_tests_name("worker_edits", tests, NULL, NULL);
}
