/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers that die at each of their steps: exactly the packet that the plugin had gets the --on-crash verdict, and none
 * if the plugin had none or had several; all others get their own verdict, in the order of their flows, from the worker
 * that takes the place. The world of loop_world.h says who is guilty, and checks all of it.
 */
#include "loop_world.h"

#include <errno.h>

#define COUNT 24
#define BURST 6

static uint64_t random_state;

static uint32_t draw(uint32_t limit)
{
    return unit_random_below(&random_state, limit);
}

/* flows: four of them, with verdicts for flows and connections that begin. */
static void make_packets(uint32_t count, bool flows)
{
    world.count = count;
    world.queued = count;
    for (uint32_t i = 1; i <= count; i++) {
        struct world_packet *packet = &world.packets[i];

        packet->flow = draw(WORLD_FLOWS / 2);
        packet->answer = draw(3) == 0 ? NFQE_DROP : NFQE_ACCEPT;
        packet->marked = draw(2) == 0;
        packet->changes = world_changes && i % 3 != 0;
        if (flows && draw(6) == 0) {
            packet->answer = draw(4) == 0 ? DROP_FLOW : ACCEPT_FLOW;
        }
        /* Were it dropped alone, what becomes of the flow's next packets would depend on where bursts end. */
        if (flows && packet->flow != 0 && draw(6) == 0) {
            packet->begins = true;
            packet->answer = draw(2) == 0 ? ACCEPT_FLOW : NFQE_ACCEPT;
        }
    }
}

static unsigned guilty_packets(void)
{
    unsigned count = 0;

    for (uint32_t i = 1; i <= world.count; i++) {
        count += world.packets[i].guilty;
    }
    return count;
}

static void begin(unsigned places, unsigned spares, bool flows, bool batch)
{
    world_changes = flows != batch;
    world_init(places, flows, batch);
    world.group.on_crash = NFQE_ACCEPT;
    world.receive_max = BURST;
    make_packets(COUNT, flows);
    world_start_queue();
    for (unsigned i = 0; i < places + spares; i++) {
        world_add_worker();
    }
}

/* The worker dies at its step `step` of all; then others do `again` steps later. Returns whether it came so far. */
static bool die_at(unsigned places, unsigned spares, bool flows, bool batch, uint32_t step)
{
    bool died;

    random_state = 2463534242 + step % 7;
    begin(places, spares, flows, batch);
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        world_receive();
    }
    world.worker_dies_at = step;
    world_settle();
    world_assert_settled();
    died = world.worker_dies_at == WORLD_NEVER;
    assert_in_range(guilty_packets(), 0, died);
    for (uint32_t i = 1; i <= world.count; i++) {
        assert_in_range(world.packets[i].shown, 0, 2 + (unsigned)batch);
    }
    world_done();
    return died;
}

static void die_at_each_step(bool flows, bool batch)
{
    for (unsigned places = 1; places <= 4; places += 3) {
        for (unsigned spares = 0; spares <= 1; spares++) {
            uint32_t step = 0;

            while (die_at(places, spares, flows, batch, step)) {
                step++;
            }
            assert_true(step > COUNT);
        }
    }
}

static void test_death_at_each_step_costs_the_packet_that_the_plugin_had(void **state)
{
    (void)state;
    die_at_each_step(false, false);
    die_at_each_step(true, false);
}

static void test_death_at_each_step_in_a_batch_costs_none(void **state)
{
    (void)state;
    die_at_each_step(false, true);
    die_at_each_step(true, true);
}

/* ---- a packet of death --------------------------------------------------------------------------------------------- */

static uint32_t deadly; /* packet */
static unsigned deaths;

static void die_of_it(void)
{
    if (world.packets[deadly].shown > 0 && world.packets[deadly].verdict == 0 && !world.packets[deadly].guilty &&
        world.shown_last == deadly) {
        deaths++;
        longjmp(world.worker_death, 1);
    }
}

static void test_packet_of_death_is_the_only_one_that_is_lost(void **state)
{
    (void)state;
    for (unsigned batch = 0; batch < 2; batch++) {
        for (deadly = 1; deadly <= COUNT; deadly++) {
            random_state = 1 + deadly;
            deaths = 0;
            begin(1, 1, false, batch != 0);
            world.in_plugin = die_of_it;
            world_settle();
            world_assert_settled();
            assert_int_equal(deaths, 1 + batch);
            assert_int_equal(guilty_packets(), 1);
            assert_true(world.packets[deadly].guilty);
            world_done();
        }
    }
}

/* ---- between two packets ---------------------------------------------------------------------------------------------- */

/* The worker in the only place dies before it has begun, and another one comes. */
static void lose_one_that_sleeps(void)
{
    unsigned worker = 0;

    while (!world.workers[worker].alive || world.workers[worker].theirs->place == QUEUE_NO_PLACE) {
        worker++;
    }
    world_lose_worker(worker);
    world_add_worker();
}

/* Where the plugin has no packet, as the worker says, a first death costs none. A second one over the same packet may. */
static void test_second_death_over_a_packet_costs_it(void **state)
{
    (void)state;
    begin(1, 1, false, false);
    world_receive();
    for (unsigned death = 0; death < 2; death++) {
        lose_one_that_sleeps();
        assert_int_equal(guilty_packets(), death);
    }
    assert_true(world.packets[1].guilty);
    world_settle();
    world_assert_settled();
    world_done();
}

/* Who kills all processes of a queue at once kills its spares, too. */
static void test_as_many_deaths_as_a_queue_has_workers_and_spares_cost_no_packet(void **state)
{
    (void)state;
    begin(1, 1, false, false);
    world.group.spares = 2;
    world_receive();
    for (unsigned death = 0; death < 4; death++) {
        lose_one_that_sleeps();
        assert_int_equal(guilty_packets(), death == 3);
    }
    world_settle();
    world_assert_settled();
    world_done();
}

/* The next burst has the places of the one before in the journal. */
static void test_what_is_known_of_a_packet_is_not_that_of_the_next_one_in_its_place(void **state)
{
    (void)state;
    for (unsigned batch = 0; batch < 2; batch++) {
        begin(1, 1, false, batch != 0);
        world.group.spares = 1;
        world.queued = BURST;
        world_receive();
        lose_one_that_sleeps();
        world_settle();
        world.queued = COUNT;
        world_receive();
        assert_false(ring_oldest(&world.loop.workers.places[0]->ring)->one_by_one);
        lose_one_that_sleeps();
        lose_one_that_sleeps();
        assert_int_equal(guilty_packets(), 0);
        world_settle();
        world_assert_settled();
        world_done();
    }
}

/* They count, although nothing was taken from its ring before it died. */
static void test_last_answers_of_a_dead_worker_count(void **state)
{
    struct queue_guilt guilt;

    (void)state;
    begin(1, 1, true, false);
    world_receive();
    world_run_worker(0);
    queue_loop_lose_worker(&world.loop, world.workers[0].theirs, 0, &guilt);
    assert_false(guilt.in_plugin);
    assert_false(guilt.packet_known);
    assert_int_equal(world.loop.flights[world.loop.order[0]].undecided, 0);
    ring_answer_done(&world.workers[0].ring);
    worker_frames_done(&world.workers[0].frames);
    world.workers[0].alive = false;
    world_settle();
    world_assert_settled();
    for (uint32_t i = 1; i <= COUNT; i++) {
        assert_in_range(world.packets[i].shown, 0, 1);
    }
    world_done();
}

/* ---- many deaths in any order ------------------------------------------------------------------------------------------ */

static void one_step(void)
{
    unsigned worker = draw(WORLD_WORKERS);

    switch (draw(5)) {
    case 0:
        world.receive_max = 1 + draw(BURST_MAX);
        world.queued += draw(20);
        world.queued = world.queued < world.count ? world.queued : world.count;
        world_receive();
        break;
    case 1:
    case 2:
        if (world.worker_dies_at == WORLD_NEVER && draw(3) == 0) {
            world.worker_dies_at = world.worker_steps + draw(40);
        }
        world_run_worker(worker);
        break;
    case 3:
        world_take(worker);
        break;
    default:
        world_send();
        break;
    }
    if (world.workers[worker].alive && (world.workers[worker].killed || draw(200) == 0)) {
        if (!world.workers[worker].killed) {
            world.with_plugin = 0;
        }
        world_lose_worker(worker);
    }
}

static unsigned alive(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < WORLD_WORKERS; i++) {
        count += world.workers[i].alive;
    }
    return count;
}

static void play(unsigned places, unsigned spares, bool flows, bool batch)
{
    for (unsigned round = 0; round < 40; round++) {
        random_state = 88172645463325252 + round;
        world_changes = flows != batch;
        world_init(places, flows, batch);
        world.group.on_crash = NFQE_ACCEPT;
        make_packets(1000, flows);
        world.queued = 0;
        world_start_queue();
        while (world.queued < world.count) {
            if (alive() < places + spares && draw(8) == 0) {
                world_add_worker();
            }
            one_step();
        }
        while (alive() < places) {
            world_add_worker();
        }
        world_settle();
        world_assert_settled();
        world_done();
    }
}

static void test_deaths_in_any_order(void **state)
{
    (void)state;
    play(1, 1, false, false);
    play(4, 2, false, false);
    play(1, 1, true, false);
    play(4, 2, true, false);
}

static void test_deaths_in_any_order_with_batches(void **state)
{
    (void)state;
    play(1, 1, false, true);
    play(4, 2, false, true);
    play(1, 1, true, true);
    play(4, 2, true, true);
}

/* ---- workers that break the protocol ---------------------------------------------------------------------------------- */

static void test_worker_that_leaves_a_packet_out_loses_none(void **state)
{
    const struct ring_frame *frame;
    struct queue_guilt guilt;

    (void)state;
    begin(1, 1, false, false);
    world_receive();
    frame = ring_next_frame(&world.workers[0].ring);
    ring_put(&world.workers[0].ring, frame, 1, NFQE_ACCEPT, 0);
    ring_publish(&world.workers[0].ring);
    assert_int_equal(queue_loop_take_answers(&world.loop, world.workers[0].theirs, 0), -EBADMSG);
    queue_loop_lose_worker(&world.loop, world.workers[0].theirs, 0, &guilt);
    assert_false(guilt.packet_known);
    ring_answer_done(&world.workers[0].ring);
    worker_frames_done(&world.workers[0].frames);
    world.workers[0].alive = false;
    world_settle();
    world_assert_settled();
    world_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_death_at_each_step_costs_the_packet_that_the_plugin_had),
        cmocka_unit_test(test_death_at_each_step_in_a_batch_costs_none),
        cmocka_unit_test(test_packet_of_death_is_the_only_one_that_is_lost),
        cmocka_unit_test(test_second_death_over_a_packet_costs_it),
        cmocka_unit_test(test_as_many_deaths_as_a_queue_has_workers_and_spares_cost_no_packet),
        cmocka_unit_test(test_what_is_known_of_a_packet_is_not_that_of_the_next_one_in_its_place),
        cmocka_unit_test(test_last_answers_of_a_dead_worker_count),
        cmocka_unit_test(test_deaths_in_any_order),
        cmocka_unit_test(test_deaths_in_any_order_with_batches),
        cmocka_unit_test(test_worker_that_leaves_a_packet_out_loses_none),
    };

    return world_run_tests("queue_loop_deaths", tests, sizeof(tests) / sizeof(tests[0]));
}
