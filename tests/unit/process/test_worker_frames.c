/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker's way from a frame to its answers: what plugins see, what is answered and when it can be seen, what the
 * worker says of its position, and that one verdict too many ends it before one of the frame is believed.
 */
#include "unit.h"

#include "conntrack_messages.h"
#include "process/worker_frames.h"
#include "ring_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <signal.h>
#include <string.h>

static const struct nfqueue_conntrack no_conntrack;

#define COUNT 5

static struct ring_fixture fixture;
static struct worker_frames frames;
static unsigned handled; /* calls of handle() */
static unsigned batches; /* of handle_batch() */
static unsigned seen;    /* answers that the queue process could see in the last call */

static void look(void)
{
    struct ring_answered answered;

    while (ring_take(&fixture.queue, &answered) == 1) {
        assert_int_equal(answered.answer, answered.origin.entry % 2 != 0 ? NFQE_DROP : NFQE_ACCEPT);
        seen++;
    }
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    assert_true(ring_is_test_packet(packet, packet->id));
    look();
    assert_int_equal(seen, handled);
    assert_true(ring_packet_with_plugin(&fixture.queue));
    assert_int_equal(ring_plugin(&fixture.queue), frames.chain.count - 1);
    packet->mark = 0; /* it is the worker's own copy */
    handled++;
    return packet->id % 2 != 0 ? NFQE_DROP : NFQE_ACCEPT;
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    (void)self;
    for (size_t i = 0; i < n; i++) {
        assert_true(ring_is_test_packet(packets[i], packets[i]->id));
        out[i] = packets[i]->id % 2 != 0 ? NFQE_DROP : NFQE_ACCEPT;
    }
    look();
    assert_int_equal(seen, 0);
    assert_false(ring_packet_with_plugin(&fixture.queue));
    assert_int_equal(ring_plugin(&fixture.queue), frames.chain.count - 1);
    batches++;
}

static void handle_one_too_many(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    handle_batch(self, packets, n, out);
    out[n] = NFQE_ACCEPT;
}

static nfqe_verdict pass(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

/* Packets with even ids, which get two marks; the second one is refused. */
static nfqe_verdict mark(void *self, struct nfqe_packet *packet)
{
    (void)self;
    if (packet->id % 2 == 0) {
        assert_int_equal(nfqe_set_mark(packet, packet->id, 0xff), 0);
        assert_int_equal(nfqe_set_mark(packet, 0x100, 0x100), -EINVAL);
        assert_int_equal(packet->mark & 0xff, packet->id);
    }
    return NFQE_ACCEPT;
}

static void mark_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = n; i-- > 0;) { /* in any order */
        out[i] = mark(self, packets[i]);
    }
}

static void test_marks_that_plugins_set_go_with_the_answers(void **state)
{
    struct ring_answered answered;

    (void)state;
    for (unsigned batch = 0; batch < 2; batch++) {
        frames.chain = (struct plugin_chain){0};
        plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = pass});
        plugin_chain_add(&frames.chain,
                         &(struct plugin_chain_member){.handle = mark, .handle_batch = batch ? mark_batch : NULL});
        worker_frames_begin(&frames, NFQE_ACCEPT, NFQE_DROP, 0x100);
        for (unsigned round = 0; round < 2; round++) { /* the second frame has none of the first one's */
            ring_submit_test_frame(&fixture.queue, round, COUNT);
            assert_true(worker_frames_handle(&frames));
            for (unsigned i = round; i < round + COUNT; i++) {
                assert_int_equal(ring_take(&fixture.queue, &answered), 1);
                assert_int_equal(answered.changes.mark_mask, i % 2 == 0 ? 0xff : 0);
                assert_int_equal(answered.changes.mark_bits, i % 2 == 0 ? i : 0);
            }
            assert_int_equal(nfqe_set_mark(&frames.set.packets[0], 0, 1), -EINVAL); /* no plugin has it */
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    handled = 0;
    batches = 0;
    seen = 0;
    ring_fixture_init(&fixture);
    return worker_frames_init(&frames, &fixture.worker);
}

static int tear_down(void **state)
{
    (void)state;
    worker_frames_done(&frames);
    ring_fixture_done(&fixture);
    return 0;
}

static void begin(void (*batch)(void *, struct nfqe_packet *const *, size_t, nfqe_verdict *))
{
    if (batch == NULL) {
        plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = pass});
    }
    plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = handle, .handle_batch = batch});
    worker_frames_begin(&frames, NFQE_ACCEPT, NFQE_DROP, 0);
}

static void assert_all_answered(unsigned count)
{
    look();
    assert_int_equal(seen, count);
    assert_null(ring_oldest(&fixture.queue));
    assert_false(ring_packet_with_plugin(&fixture.queue));
    assert_int_equal(ring_plugin(&fixture.queue), PLUGINS_MAX);
    assert_false(worker_frames_handle(&frames));
}

/* Answer by answer, but for the frame's last one. */
static void test_packet_by_packet_each_answer_is_seen_before_the_next_packet_is_handled(void **state)
{
    (void)state;
    begin(NULL);
    assert_false(worker_frames_handle(&frames));
    ring_submit_test_frame(&fixture.queue, 0, COUNT);
    assert_true(worker_frames_handle(&frames));
    assert_int_equal(handled, COUNT);
    assert_all_answered(COUNT);
}

static void test_batch_is_answered_at_once(void **state)
{
    (void)state;
    begin(handle_batch);
    ring_submit_test_frame(&fixture.queue, 0, COUNT);
    assert_true(worker_frames_handle(&frames));
    assert_int_equal(batches, 1);
    assert_int_equal(handled, 0);
    assert_all_answered(COUNT);
}

static void test_frame_that_goes_one_by_one_is_given_to_handle(void **state)
{
    (void)state;
    begin(handle_batch);
    ring_begin(&fixture.queue, RING_ONE_BY_ONE);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(ring_add(&fixture.queue, ring_test_packet(i), &no_conntrack,
                                  (struct ring_origin){0, (uint16_t)i}, &(struct ring_flow){.number = RING_NO_FLOW}),
                         0);
    }
    ring_submit(&fixture.queue);
    assert_true(worker_frames_handle(&frames));
    assert_int_equal(batches, 0);
    assert_int_equal(handled, COUNT);
    assert_all_answered(COUNT);
}

static void test_chain_that_does_not_decide_says_so(void **state)
{
    struct ring_answered answered;

    (void)state;
    plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = pass});
    worker_frames_begin(&frames, NFQE_ACCEPT, NFQE_DROP, 0);
    ring_submit_test_frame(&fixture.queue, 0, 1);
    assert_true(worker_frames_handle(&frames));
    assert_int_equal(ring_take(&fixture.queue, &answered), 1);
    assert_int_equal(answered.answer, NFQE_CONTINUE);
    assert_int_equal(answered.plugin, 1); /* the chain's length */
}

static nfqe_verdict drop(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    handled++;
    return NFQE_DROP;
}

static void add_of_flow(uint32_t id, uint32_t begins)
{
    const struct ring_flow flow = {.number = 0, .epoch = 1, .begins = begins, .accepted = 1};

    assert_int_equal(
        ring_add(&fixture.queue, ring_test_packet(id), &no_conntrack, (struct ring_origin){0, (uint16_t)id}, &flow), 0);
}

/* Unless it begins another connection with the same addresses and ports. */
static void test_packet_of_an_accepted_flow_is_not_shown_to_the_plugin(void **state)
{
    struct ring_answered answered;

    (void)state;
    plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = drop, .rights.needs = NFQE_NEED_FLOW});
    worker_frames_begin(&frames, NFQE_ACCEPT, NFQE_DROP, 0);
    ring_begin(&fixture.queue, 0);
    add_of_flow(0, 0);
    add_of_flow(1, 1);
    ring_submit(&fixture.queue);
    assert_true(worker_frames_handle(&frames));
    assert_int_equal(handled, 1);
    assert_int_equal(ring_take(&fixture.queue, &answered), 1);
    assert_int_equal(answered.answer, NFQE_ACCEPT | NFQE_FLOW);
    assert_int_equal(answered.plugin, 0);
    assert_int_equal(ring_take(&fixture.queue, &answered), 1);
    assert_int_equal(answered.answer, NFQE_DROP);
}

static const struct nfqe_conntrack_entry *asked[2];

static nfqe_verdict ask(void *self, struct nfqe_packet *packet)
{
    (void)self;
    errno = 0;
    asked[packet->id % 2] = nfqe_conntrack(packet);
    assert_int_equal(errno, asked[packet->id % 2] != NULL ? 0 : ENOENT);
    assert_ptr_equal(nfqe_conntrack(packet), asked[packet->id % 2]);
    return NFQE_CONTINUE;
}

/* Each packet has its own; a packet of which the kernel says nothing has none, whatever was in its place before. */
static void test_plugin_gets_the_conntrack_entry_of_its_packet(void **state)
{
    const struct ring_flow flow = {.number = RING_NO_FLOW};
    static const uint32_t marks[] = {7, 0x77000000, 0x88};
    static struct conntrack_message messages[2];
    struct nfqe_conntrack_entry expected;
    struct nfqueue_conntrack conntrack;

    (void)state;
    plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = ask});
    worker_frames_begin(&frames, NFQE_ACCEPT, NFQE_DROP, 0);
    for (uint32_t round = 0; round < 3; round++) {
        ring_begin(&fixture.queue, 0);
        for (int i = 0; i < 2; i++) {
            conntrack_message_begin(&messages[i]);
            conntrack_message_put(&messages[i], CTA_MARK, &marks[(round + (uint32_t)i) % 3], 4);
            conntrack = (struct nfqueue_conntrack){.bytes = messages[i].attributes,
                                                   .len = round == 1 ? 0 : (uint32_t)messages[i].len,
                                                   .info = (uint32_t)i + 2};
            assert_int_equal(ring_add(&fixture.queue, ring_test_packet((uint32_t)i), &conntrack,
                                      (struct ring_origin){0, (uint16_t)i}, &flow),
                             0);
        }
        ring_submit(&fixture.queue);
        assert_true(worker_frames_handle(&frames));
        for (int i = 0; i < 2; i++) {
            struct ring_answered answered;

            assert_int_equal(ring_take(&fixture.queue, &answered), 1);
            if (round == 1) {
                assert_null(asked[i]);
                continue;
            }
            expected = (struct nfqe_conntrack_entry){.size = sizeof(expected),
                                                     .present = NFQE_CONNTRACK_HAS_MARK,
                                                     .state = i == 0 ? NFQE_CONNTRACK_NEW : NFQE_CONNTRACK_ESTABLISHED,
                                                     .is_reply = (uint32_t)i,
                                                     .mark = ntohl(marks[(round + (uint32_t)i) % 3])};
            assert_memory_equal(asked[i], &expected, sizeof(expected));
        }
        errno = 0;
        assert_null(nfqe_conntrack(&frames.set.packets[0])); /* no plugin has it */
        assert_int_equal(errno, EINVAL);
    }
}

static sigjmp_buf crash;
static const void *crashed_at;

static void crashed(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    crashed_at = info->si_addr;
    siglongjmp(crash, 1);
}

/* Handles the next frame. Returns false if that is a crash. */
static bool handle_frame(void)
{
    const struct sigaction action = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    volatile bool whole = false;

    crashed_at = NULL;
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    if (sigsetjmp(crash, 1) == 0) {
        worker_frames_handle(&frames);
        whole = true;
    }
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    return whole;
}

/* For frames of any size: the verdicts end where their page ends. */
static void test_one_verdict_too_many_is_a_crash_before_any_is_believed(void **state)
{
    struct ring_answered answered;

    for (uint32_t count = 1; count <= BURST_MAX; count += 21) {
        tear_down(state);
        set_up(state);
        begin(handle_one_too_many);
        ring_submit_test_frame(&fixture.queue, 0, count);
        assert_false(handle_frame());
        assert_ptr_equal(crashed_at, frames.verdicts + SHM_PAGE_SIZE / sizeof(nfqe_verdict));
        assert_int_equal(ring_take(&fixture.queue, &answered), 0);
        assert_int_equal(ring_plugin(&fixture.queue), 0);
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_packet_by_packet_each_answer_is_seen_before_the_next_packet_is_handled),
        TEST(test_marks_that_plugins_set_go_with_the_answers),
        TEST(test_batch_is_answered_at_once),
        TEST(test_frame_that_goes_one_by_one_is_given_to_handle),
        TEST(test_chain_that_does_not_decide_says_so),
        TEST(test_packet_of_an_accepted_flow_is_not_shown_to_the_plugin),
        TEST(test_plugin_gets_the_conntrack_entry_of_its_packet),
        TEST(test_one_verdict_too_many_is_a_crash_before_any_is_believed),
    };

    return cmocka_run_group_tests_name("worker_frames", tests, NULL, NULL);
}
