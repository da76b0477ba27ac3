/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process with a plugin that decides for flows: what is marked and counted, what is sent again, and a flow table
 * that a dead process has left half changed.
 *
 * The worker runs on the model of the kernel, with a plugin that is a part of this program. The flow of a packet is its
 * id modulo FLOWS; what the plugin does with a packet is the test's choice, by the packet's id.
 */
#include "kernel_model.h"

#include "flow_image.h"

#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

#define FLOWS 10
#define CAPACITY 16
#define MARK UINT32_C(0xaabb0000) /* what of a packet's mark is not the engine's */
#define BYPASS_BITS UINT32_C(0x0400)
#define BYPASS_MASK UINT32_C(0x0f00)
#define BYPASSED (MARK | BYPASS_BITS)

static uint32_t answers[64]; /* by id */
static uint32_t mark_before; /* of every packet */
static uint32_t first_output, last_output; /* the ids of packets from the output hook */
static uint64_t flows_size;

/* ---- the plugin and its queue -------------------------------------------------------------------------------- */

static struct flow_memory_header *table(void)
{
    return fixture.engine.queues[0].shm.flows;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    uint32_t id = packet->id - model_id_base;

    (void)self;
    kernel->fates[id].shown++;
    return answers[id];
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

static void describe(struct message *message, uint32_t id)
{
    const uint32_t mark = htonl(mark_before);
    const struct nfqnl_msg_packet_hdr output = {
        .packet_id = htonl(model_id_base + id), .hw_protocol = htons(0x0800), .hook = NF_INET_LOCAL_OUT};
    struct flow_packet packet;

    if (first_output <= id && id <= last_output) {
        message_put(message, NFQA_PACKET_HDR, &output, sizeof(output)); /* in place of the one before it */
    }
    flow_packet_make(&packet, id % FLOWS, id / FLOWS % 2 != 0, NFQE_TCP_ACK);
    if (id % FLOWS == 0) {
        packet.bytes[9] = 47; /* no flow: GRE */
    }
    message_put(message, NFQA_MARK, &mark, sizeof(mark));
    message_put(message, NFQA_PAYLOAD, packet.bytes, sizeof(packet.bytes));
}

/* With a flow table, and with a mark for packets of accepted flows. */
static int set_up(void **state)
{
    int code = model_set_up(state);

    memset(answers, 0, sizeof(answers));
    mark_before = MARK;
    first_output = last_output = 0;
    flows_size = flow_memory_size(CAPACITY);
    fixture.generation.plan.flows = CAPACITY;
    model_make_memory(flows_size);
    assert_int_equal(flow_seed_make(&fixture.engine.flow_seed), 0);
    fixture.generation.plan.flow_timeout_ms = 60 * 1000;
    fixture.group.bypass_mark = (struct mark_setting){BYPASS_BITS, BYPASS_MASK};
    fixture.generation.plugins[0] =
        (struct plugin){.id = "last-word", .version = "1.0.0", .needs = NFQE_NEED_FLOW, .table.handle = handle};
    fixture.generation.plugin_count = 1;
    model_describe = describe;
    return code;
}

/* marked: it has the mark of an accepted flow; otherwise its own stays. */
static void assert_fate(uint32_t id, uint32_t verdict, bool marked, uint32_t shown)
{
    assert_int_equal(kernel->fates[id].verdict, verdict);
    assert_int_equal(kernel->fates[id].marked, marked);
    assert_int_equal(kernel->fates[id].mark, marked ? BYPASSED : 0);
    assert_int_equal(kernel->fates[id].shown, shown);
}

/* ---- flows ------------------------------------------------------------------------------------------------------ */

static void test_flows_are_decided_once_and_counted(void **state)
{
    (void)state;
    for (unsigned batch = 0; batch < 2; batch++) {
        uint32_t first = 1 + 30 * batch;
        bool other = batch != 0;

        memset(table(), 0, flows_size);
        fixture.generation.plugins[0].table.handle_batch = batch != 0 ? handle_batch : NULL;
        for (uint32_t id = first; id < first + 9; id++) {
            answers[id] = id % 3 == 0 ? NFQE_DROP | NFQE_FLOW : NFQE_ACCEPT | NFQE_FLOW;
        }
        answers[first + 9] = NFQE_ACCEPT | NFQE_FLOW; /* it has no flow */
        model_will_receive(first, 10);
        model_will_receive(first + 10, 10);
        model_run();
        model_assert_left_in_order();
        for (uint32_t id = first; id < first + 9; id++) {
            assert_fate(id, id % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT, id % 3 != 0, 1);
            assert_fate(id + 10, id % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT, id % 3 != 0, 0);
        }
        assert_fate(first + 9, NFQE_ACCEPT, false, 1);
        assert_fate(first + 19, NFQE_ACCEPT, false, 1);
        assert_int_equal(model_counters()->flow_packets, other ? 18 : 9);
        assert_int_equal(model_counters()->flow_not_stored, other ? 2 : 1);
        assert_int_equal(model_counters()->packets, other ? 40 : 20);
        assert_int_equal(model_counters()->accepted, other ? 28 : 14);
        assert_int_equal(model_counters()->invalid, 0);
        assert_int_equal(table()->totals.added, 9);
    }
}

/* Its mark would change its route. */
static void test_local_output_decides_its_flow_without_a_mark(void **state)
{
    (void)state;
    first_output = 1;
    last_output = 19;
    for (uint32_t id = 1; id <= 9; id++) {
        answers[id] = NFQE_ACCEPT | NFQE_FLOW;
    }
    model_will_receive(1, 9);
    model_will_receive(10, 10);
    model_will_receive(20, 10);
    model_run();
    model_assert_left_in_order();
    for (uint32_t id = 1; id <= 9; id++) {
        assert_fate(id, NFQE_ACCEPT, false, 1);
        assert_fate(id + 10, NFQE_ACCEPT, false, 0);
        assert_fate(id + 20, NFQE_ACCEPT, true, 0);
    }
    assert_int_equal(model_counters()->flow_packets, 18);
    assert_int_equal(table()->totals.added, 9);
}

static void test_without_bypass_nothing_is_marked(void **state)
{
    (void)state;
    fixture.group.bypass_mark = (struct mark_setting){0, 0};
    answers[1] = NFQE_ACCEPT | NFQE_FLOW;
    model_will_receive(1, 20);
    model_run();
    model_assert_left_in_order();
    for (uint32_t id = 1; id <= 20; id++) {
        assert_fate(id, NFQE_ACCEPT, false, id == 11 ? 0 : 1);
    }
}

static void test_queue_without_a_flow_table_takes_no_flow_verdict(void **state)
{
    (void)state;
    fixture.generation.plan.flows = 0;
    fixture.generation.plugins[0].needs = 0;
    answers[1] = answers[2] = NFQE_ACCEPT | NFQE_FLOW;
    model_will_receive(1, 20);
    model_run();
    model_assert_left_in_order();
    for (uint32_t id = 1; id <= 20; id++) {
        assert_fate(id, id <= 2 ? NFQE_DROP : NFQE_ACCEPT, false, 1);
    }
    assert_int_equal(model_counters()->invalid, 2);
    assert_int_equal(model_counters()->flow_packets + model_counters()->flow_not_stored, 0);
    assert_int_equal(table()->totals.added, 0);
}

static nfqe_verdict pass_on(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

/* There is none after the last one, which a worker names if none has decided. */
static void test_last_plugin_of_the_longest_chain_decides_for_flows(void **state)
{
    const struct plugin last = fixture.generation.plugins[0];

    (void)state;
    for (unsigned i = 0; i < PLUGINS_MAX - 1; i++) {
        fixture.generation.plugins[i] = (struct plugin){.id = "passes", .version = "1.0.0", .table.handle = pass_on};
    }
    fixture.generation.plugins[PLUGINS_MAX - 1] = last;
    fixture.generation.plugin_count = PLUGINS_MAX;
    answers[1] = NFQE_ACCEPT | NFQE_FLOW;
    model_will_receive(1, 9);
    model_run();
    model_will_receive(10, 10);
    model_run();
    model_assert_left_in_order();
    for (uint32_t id = 1; id < 20; id++) {
        bool by_flow = id == 11;

        assert_fate(id, NFQE_ACCEPT, id == 1 || by_flow, by_flow ? 0 : 1);
    }
    assert_int_equal(model_counters()->invalid, 0);
    assert_int_equal(table()->totals.added, 1);
}

static void test_idle_time_out_is_that_of_the_queue(void **state)
{
    struct flow_entry *entries;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t first = 1 + 20 * i;

        memset(table(), 0, flows_size);
        answers[first] = NFQE_ACCEPT | NFQE_FLOW;
        model_will_receive(first, 1);
        model_run();
        entries = (struct flow_entry *)(void *)((uint8_t *)table() + flows_size) - CAPACITY;
        assert_int_equal(entries[0].verdict, NFQE_ACCEPT);
        entries[0].seen -= i == 0 ? 60 * 8 - 80 : 60 * 8 + 1; /* with 10 s to spare for a slow machine */
        model_will_receive(first + 10, 1);
        model_run();
        assert_fate(first + 10, NFQE_ACCEPT, i == 0, i);
        assert_int_equal(table()->totals.expired, i);
    }
}

/* ---- deaths ------------------------------------------------------------------------------------------------------ */

/* It dies when all is decided. */
static void test_verdicts_of_a_burst_that_was_being_sent_are_sent_again_with_their_marks_and_counted_once(void **state)
{
    (void)state;
    answers[1] = NFQE_ACCEPT | NFQE_FLOW;
    answers[2] = NFQE_DROP | NFQE_FLOW;
    answers[10] = NFQE_ACCEPT | NFQE_FLOW; /* it has no flow */
    kernel->sends_until_death = kernel->sends;
    model_will_receive(1, 13);
    model_run();
    assert_true(fixture.died);
    assert_true(journal_is_sending(fixture.journal));
    assert_int_equal(kernel->messages, 0);
    kernel->sends_until_death = FOR_EVER;
    model_supervise(13);
    model_run();
    model_assert_left_in_order();
    assert_fate(1, NFQE_ACCEPT, true, 1);
    assert_fate(2, NFQE_DROP, false, 1);
    assert_fate(3, NFQE_ACCEPT, false, 1);
    assert_fate(10, NFQE_ACCEPT, false, 1);
    assert_fate(11, NFQE_ACCEPT, true, 0);
    assert_fate(12, NFQE_DROP, false, 0);
    assert_fate(13, NFQE_ACCEPT, false, 1);
    assert_int_equal(model_counters()->flow_packets, 2);
    assert_int_equal(model_counters()->flow_not_stored, 1);
    assert_int_equal(model_counters()->packets, 13);
    assert_int_equal(model_counters()->accepted, 11);
    assert_int_equal(table()->totals.added, 2);
    assert_int_equal(table()->totals.replaced + table()->totals.expired, 0);
}

/* It died between two stores: in a chain that is not whole, and with entries that no list holds. */
static void test_table_that_is_half_changed_is_repaired_before_the_first_answer(void **state)
{
    uint8_t *buckets = (uint8_t *)(table() + 1);
    size_t buckets_size = flows_size - sizeof(struct flow_memory_header) - CAPACITY * sizeof(struct flow_entry);
    const char *at = model_log;

    (void)state;
    for (uint32_t id = 1; id < 10; id++) {
        answers[id] = id % 2 == 0 ? NFQE_DROP | NFQE_FLOW : NFQE_ACCEPT | NFQE_FLOW;
    }
    model_will_receive(1, 9);
    model_run();
    model_assert_left_in_order();
    memset(buckets, 0, buckets_size);
    memset(table()->orders, 77, sizeof(table()->orders));
    table()->changing = 1;
    model_die_with_burst(10, 10, BURST_RECEIVING); /* a burst that the dead one left is answered by flows too */
    model_supervise(19);
    model_will_receive(20, 10);
    model_run_with_log();
    model_assert_log_lines(&at, 1, "the flow table was left half changed; 9 flows in it are whole and kept");
    assert_string_equal(at, "");
    model_assert_left_in_order();
    assert_int_equal(table()->changing, 0);
    for (uint32_t id = 11; id < 30; id++) {
        if (id % FLOWS != 0) {
            bool dropped = id % FLOWS % 2 == 0;

            assert_fate(id, dropped ? NFQE_DROP : NFQE_ACCEPT, !dropped, 0);
        }
    }
    assert_int_equal(model_counters()->flow_packets, 18);
}

int main(void)
{
#define WITH_PLUGIN(test) cmocka_unit_test_setup_teardown(test, set_up, model_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PLUGIN(test_flows_are_decided_once_and_counted),
        WITH_PLUGIN(test_local_output_decides_its_flow_without_a_mark),
        WITH_PLUGIN(test_without_bypass_nothing_is_marked),
        WITH_PLUGIN(test_queue_without_a_flow_table_takes_no_flow_verdict),
        WITH_PLUGIN(test_last_plugin_of_the_longest_chain_decides_for_flows),
        WITH_PLUGIN(test_idle_time_out_is_that_of_the_queue),
        WITH_PLUGIN(test_verdicts_of_a_burst_that_was_being_sent_are_sent_again_with_their_marks_and_counted_once),
        WITH_PLUGIN(test_table_that_is_half_changed_is_repaired_before_the_first_answer),
    };

    return model_run_tests("queue_flow", tests, sizeof(tests) / sizeof(tests[0]));
}
