/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue process's loop in normal use, with one worker and with several, on the world of loop_world.h: each packet
 * gets exactly the verdict that the plugin gave it, in the order of its flow, whatever the order of the steps is.
 */
#include "loop_world.h"

#include <errno.h>

#define FLOW_AT 10 /* packet of the flow for which the plugin decides for all */

static uint64_t random_state;

static uint32_t draw(uint32_t limit)
{
    return unit_random_below(&random_state, limit);
}

/* ---- packets --------------------------------------------------------------------------------------------------- */

static uint32_t draw_answer(bool flows, bool begins)
{
    static const uint32_t plain[] = {NFQE_ACCEPT, NFQE_DROP, NFQE_CONTINUE, NFQE_ACCEPT, NFQE_DROP};
    static const uint32_t odd[] = {0x7, NFQE_HELD, UINT32_MAX};

    if (begins) {
        /* If it were dropped alone, what becomes of the flow's next packets would depend on where bursts end. */
        return flows && draw(3) == 0 ? ACCEPT_FLOW : NFQE_ACCEPT;
    }
    if (draw(40) == 0) {
        return odd[draw(3)];
    }
    if (flows && draw(12) == 0) {
        return draw(4) == 0 ? DROP_FLOW : ACCEPT_FLOW;
    }
    return plain[draw(5)];
}

/* equal: one in so many packets has another answer than the one before it, so that batches are long. */
static void draw_packets(uint32_t count, bool flows, unsigned equal)
{
    world.count = count;
    for (uint32_t i = 1; i <= count; i++) {
        struct world_packet *packet = &world.packets[i];

        packet->flow = draw(WORLD_FLOWS);
        packet->begins = packet->flow != 0 && draw(12) == 0;
        packet->fragment = packet->flow != 0 && draw(12) == 0;
        packet->marked = draw(4) == 0;
        packet->answer = i > 1 && draw(equal) != 0 && !packet->begins ? world.packets[i - 1].answer
                                                                      : draw_answer(flows, packet->begins);
        packet->cut = packet->flow == 0 && draw(30) == 0;
    }
}

static void assert_shown(void)
{
    for (uint32_t i = 1; i <= world.count; i++) {
        const struct world_packet *packet = &world.packets[i];

        if (packet->by_flow && !world.batch) {
            assert_int_equal(packet->shown, 0);
        } else if (!packet->by_flow) {
            assert_int_equal(packet->shown, packet->cut ? 0 : 1);
        }
    }
}

static void assert_counters(void)
{
    const struct queue_stats *stats = &journal_totals(world.engine.queues[0].shm.journal)->stats;
    struct queue_stats expected = {0};

    for (uint32_t i = 1; i <= world.count; i++) {
        const struct world_packet *packet = &world.packets[i];

        expected.accepted += packet->verdict == NFQE_ACCEPT;
        expected.dropped += packet->verdict == NFQE_DROP;
        expected.truncated += packet->cut;
        expected.flow_packets += packet->by_flow;
        expected.invalid += !packet->by_flow && !packet->cut &&
                            (packet->answer == 0x7 || packet->answer == NFQE_HELD || packet->answer == UINT32_MAX);
    }
    assert_int_equal(stats->accepted, expected.accepted);
    assert_int_equal(stats->dropped, expected.dropped);
    assert_int_equal(stats->truncated, expected.truncated);
    assert_int_equal(stats->flow_packets, expected.flow_packets);
    assert_int_equal(stats->invalid, expected.invalid);
    assert_int_equal(stats->recovered_ids + stats->stale_verdicts + stats->verdicts_resent + stats->malformed, 0);
    assert_int_equal(world.late, 0);
}

/* ---- random order of steps ------------------------------------------------------------------------------------- */

static void one_step(unsigned workers)
{
    switch (draw(4)) {
    case 0:
        world.queued += draw(4) == 0 ? draw(100) : draw(6);
        world.queued = world.queued < world.count ? world.queued : world.count;
        world_receive();
        break;
    case 1:
        world_run_worker(draw(workers));
        break;
    case 2:
        world_take(draw(workers));
        break;
    default:
        world_send();
        break;
    }
}

/* While a worker has a packet, the queue process goes on. */
static void meanwhile(void)
{
    switch (draw(12)) {
    case 0:
        world_receive();
        break;
    case 1:
        world_take(draw(4));
        break;
    case 2:
        world_send();
        break;
    default:
        break;
    }
}

static void play(unsigned places, bool flows, bool batch)
{
    for (unsigned round = 0; round < 12; round++) {
        random_state = 88172645463325252 + round;
        world_changes = (round & 1) != 0;
        world_init(places, flows, batch);
        world.group.on_crash = round % 2 != 0 ? NFQE_ACCEPT : NFQE_DROP;
        world.group.default_verdict = round % 3 != 0 ? NFQE_ACCEPT : NFQE_DROP;
        draw_packets(1500, flows, 1 + round);
        world_start_queue();
        for (unsigned i = 0; i < places; i++) {
            world_add_worker();
        }
        world.in_plugin = meanwhile;
        while (world.queued < world.count) {
            world.receive_max = 1 + draw(BURST_MAX);
            one_step(places);
        }
        world.in_plugin = NULL;
        world_settle();
        world_assert_settled();
        assert_shown();
        assert_counters();
        assert_true(places > 1 || world.batches > 0);
        world_done();
    }
}

static void test_each_packet_gets_its_verdict(void **state)
{
    (void)state;
    play(1, false, false);
    play(4, false, false);
}

static void test_each_packet_gets_its_verdict_in_batches(void **state)
{
    (void)state;
    play(1, false, true);
    play(4, false, true);
}

static void test_each_packet_gets_its_verdict_with_flows(void **state)
{
    (void)state;
    play(1, true, false);
    play(4, true, false);
}

static void test_each_packet_gets_its_verdict_with_flows_in_batches(void **state)
{
    (void)state;
    play(1, true, true);
    play(4, true, true);
}

/* ---- bursts in flight -------------------------------------------------------------------------------------------- */

static void begin(unsigned places, bool flows, bool batch, uint32_t count)
{
    world_init(places, flows, batch);
    world.count = count;
    world.queued = count;
    for (uint32_t i = 1; i <= count; i++) {
        world.packets[i] = (struct world_packet){.flow = 1, .answer = NFQE_ACCEPT};
    }
    world_start_queue();
    for (unsigned i = 0; i < places; i++) {
        world_add_worker();
    }
}

static void receive_all_there_is_room_for(void)
{
    while (queue_loop_has_room(&world.loop) && world.next <= world.queued) {
        world_receive();
    }
}

static void test_verdict_for_a_flow_counts_at_once_in_all_bursts_in_flight(void **state)
{
    (void)state;
    for (unsigned places = 1; places <= 4; places += 3) {
        unsigned calls = 0;

        begin(places, true, false, BURSTS_IN_FLIGHT * BURST_MAX + 20);
        world.packets[FLOW_AT].answer = ACCEPT_FLOW;
        receive_all_there_is_room_for();
        assert_int_equal(world.next, BURSTS_IN_FLIGHT * BURST_MAX + 1);
        world_settle();
        world_assert_settled();
        for (uint32_t i = 1; i <= world.count; i++) {
            calls += world.packets[i].shown;
        }
        assert_int_equal(calls, FLOW_AT);
        world_done();
    }
}

/* The same, if the SYN of a new connection comes among them. */
static void test_syn_in_flight_goes_to_the_plugin_and_ends_the_flow(void **state)
{
    (void)state;
    begin(1, true, false, 4 * BURST_MAX);
    world.packets[FLOW_AT].answer = ACCEPT_FLOW;
    world.packets[100].begins = true;
    world.packets[101].answer = NFQE_DROP;
    world.packets[150].answer = DROP_FLOW;
    receive_all_there_is_room_for();
    world_settle();
    world_assert_settled();
    for (uint32_t i = 1; i <= world.count; i++) {
        assert_int_equal(world.packets[i].shown, i <= FLOW_AT || (i >= 100 && i <= 150));
    }
    world_done();
}

/* A SYN that is dropped leaves the flow as it was; the packets after it in its burst are the plugin's. */
static void test_syn_that_is_dropped_does_not_end_the_flow(void **state)
{
    (void)state;
    begin(1, true, false, 3);
    world.packets[1].answer = ACCEPT_FLOW;
    world.packets[2].begins = true;
    world.packets[2].answer = NFQE_DROP;
    world.receive_max = 1;
    receive_all_there_is_room_for();
    world_settle();
    world_assert_settled();
    assert_int_equal(world.packets[2].shown, 1);
    assert_int_equal(world.packets[3].shown, 0);
    world_done();
}

static void test_decided_packet_waits_for_earlier_ones_of_its_flow(void **state)
{
    (void)state;
    begin(1, true, false, 3);
    world.receive_max = 1;
    world.packets[1].answer = ACCEPT_FLOW;
    world_receive();
    world_receive();
    world_run_worker(0);
    world_take(0);
    world_receive(); /* the table knows the flow, but packet 2 is with the worker */
    world_send();
    assert_int_equal(world.packets[1].verdict, NFQE_ACCEPT);
    assert_int_equal(world.packets[2].verdict, 0);
    assert_int_equal(world.packets[3].verdict, 0);
    world_settle();
    world_assert_settled();
    assert_int_equal(world.packets[2].shown + world.packets[3].shown, 0);
    world_done();
}

/* What is decided of a burst is sent, and not by a batch that answers the rest. */
static void test_verdicts_of_one_worker_do_not_answer_packets_of_another(void **state)
{
    uint32_t answered = 0;

    (void)state;
    begin(4, false, false, BURST_MAX);
    for (uint32_t i = 1; i <= world.count; i++) {
        world.packets[i].flow = 1 + i % (WORLD_FLOWS - 1);
        world.packets[i].answer = i % 2 != 0 ? NFQE_DROP : NFQE_ACCEPT;
    }
    world_receive();
    for (unsigned i = 0; i < 4; i++) {
        uint32_t before = answered;

        if (!world_run_worker(i)) {
            continue;
        }
        world_take(i);
        world_send();
        answered = 0;
        for (uint32_t packet = 1; packet <= world.count; packet++) {
            answered += world.packets[packet].verdict != 0;
            assert_int_equal(world.packets[packet].verdict != 0, world.packets[packet].shown != 0);
        }
        assert_true(answered > before);
    }
    assert_int_equal(answered, world.count);
    world_assert_settled();
    world_done();
}

/* With one worker and equal verdicts, a burst is one message. */
static void test_burst_of_equal_verdicts_is_one_message(void **state)
{
    (void)state;
    begin(1, false, false, 3 * BURST_MAX);
    receive_all_there_is_room_for();
    while (world_run_worker(0)) {
    }
    world_take(0);
    world_send();
    world_assert_settled();
    assert_int_equal(world.messages, 3);
    assert_int_equal(world.batches, 3);
    world_done();
}

/* Further packets do not give it more time for the one that it has. */
static void test_time_of_a_worker_begins_with_the_first_packet_that_it_has(void **state)
{
    const struct queue_worker *worker;

    (void)state;
    begin(1, false, false, 4);
    world.queued = 3;
    world.receive_max = 1;
    worker = world.loop.workers.places[0];
    for (world.now_ns = 1000; world.now_ns <= 3000; world.now_ns += 1000) {
        world_receive();
        assert_int_equal(worker->since_ns, 1000);
    }
    world_run_worker(0);
    world.now_ns = 5000;
    world_take(0);
    assert_int_equal(worker->since_ns, 5000); /* the next one's */
    world_settle();
    world.queued = 4;
    world.now_ns = 9000;
    world_receive();
    assert_int_equal(worker->since_ns, 9000); /* it had none */
    world_settle();
    world_assert_settled();
    world_done();
}

static void test_receive_says_whether_the_socket_may_hold_more(void **state)
{
    struct error error;

    (void)state;
    begin(1, false, false, BURST_MAX + 3);
    assert_int_equal(queue_loop_receive(&world.loop, world.now_ns, &error), 1);
    assert_int_equal(queue_loop_receive(&world.loop, world.now_ns, &error), 0);
    assert_int_equal(queue_loop_receive(&world.loop, world.now_ns, &error), 0);
    world_settle();
    world_assert_settled();
    world_done();
}

/* ---- messages that are no packets, and those that are cut ----------------------------------------------------------- */

static void test_messages_without_a_packet_take_no_room(void **state)
{
    (void)state;
    begin(1, false, false, 3);
    world.noise = 2 * BURSTS_IN_FLIGHT;
    for (unsigned i = 0; i < 2 * BURSTS_IN_FLIGHT; i++) {
        assert_true(queue_loop_has_room(&world.loop));
        world_receive();
    }
    assert_int_equal(world.noise, 0);
    world_settle();
    world_assert_settled();
    world_done();
}

static void test_packet_that_is_cut_waits_for_those_before_it(void **state)
{
    (void)state;
    begin(1, false, false, 4);
    for (uint32_t i = 1; i <= world.count; i++) {
        world.packets[i].flow = 0;
    }
    world.group.on_crash = NFQE_ACCEPT;
    world.loop.policy.on_crash = NFQE_ACCEPT;
    world.packets[3].cut = true;
    world.receive_max = 2;
    receive_all_there_is_room_for();
    world_send();
    assert_int_equal(world.messages, 0);
    world_settle();
    world_assert_settled();
    world_done();
}

/* ---- outage -------------------------------------------------------------------------------------------------------- */

static void test_outage_answers_all_that_waits_and_all_that_comes(void **state)
{
    (void)state;
    for (unsigned accept = 0; accept < 2; accept++) {
        begin(1, true, false, 200);
        world.on_outage = accept != 0 ? NFQE_ACCEPT : NFQE_DROP;
        world.loop.on_outage = accept != 0 ? NFQE_ACCEPT : NFQE_DROP;
        world.receive_max = 30;
        world.packets[1].answer = ACCEPT_FLOW; /* decides up to 59: in an outage, too */
        world.packets[60].begins = true; /* the last one of its burst */
        for (uint32_t i = 1; i <= world.count; i++) {
            world.packets[i].marked = true;
            world.packets[i].flow = 1 + i / 100;
        }
        world_receive();
        world_run_worker(0);
        world_lose_worker(0);
        world_send();
        assert_int_equal(world.packets[30].verdict, NFQE_ACCEPT);
        receive_all_there_is_room_for();
        world_send();
        assert_int_equal(world.packets[59].verdict, NFQE_ACCEPT);
        assert_int_equal(world.packets[60].verdict, 0);
        for (uint32_t i = 60; i <= 160; i++) {
            world.packets[i].outage = true;
        }
        world.loop.outage = true;
        queue_loop_submit(&world.loop, 0);
        world_send();
        while (world.next <= 160) {
            world.receive_max = 161 - world.next < 30 ? 161 - world.next : 30;
            world_receive();
            world_send();
        }
        assert_int_equal(world.packets[160].verdict, world.loop.on_outage);
        world_add_worker();
        assert_false(world.loop.outage);
        world_settle();
        world_assert_settled();
        assert_int_equal(world.packets[161].shown, 1);
        world_done();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_packet_gets_its_verdict),
        cmocka_unit_test(test_each_packet_gets_its_verdict_in_batches),
        cmocka_unit_test(test_each_packet_gets_its_verdict_with_flows),
        cmocka_unit_test(test_each_packet_gets_its_verdict_with_flows_in_batches),
        cmocka_unit_test(test_verdict_for_a_flow_counts_at_once_in_all_bursts_in_flight),
        cmocka_unit_test(test_syn_in_flight_goes_to_the_plugin_and_ends_the_flow),
        cmocka_unit_test(test_syn_that_is_dropped_does_not_end_the_flow),
        cmocka_unit_test(test_decided_packet_waits_for_earlier_ones_of_its_flow),
        cmocka_unit_test(test_verdicts_of_one_worker_do_not_answer_packets_of_another),
        cmocka_unit_test(test_burst_of_equal_verdicts_is_one_message),
        cmocka_unit_test(test_time_of_a_worker_begins_with_the_first_packet_that_it_has),
        cmocka_unit_test(test_receive_says_whether_the_socket_may_hold_more),
        cmocka_unit_test(test_messages_without_a_packet_take_no_room),
        cmocka_unit_test(test_packet_that_is_cut_waits_for_those_before_it),
        cmocka_unit_test(test_outage_answers_all_that_waits_and_all_that_comes),
    };

    return world_run_tests("queue_loop", tests, sizeof(tests) / sizeof(tests[0]));
}
