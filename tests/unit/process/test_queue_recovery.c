/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process that dies at each of its steps, and its successor, which may die, too: each packet gets exactly the
 * verdict that it would have got, with the bytes that the plugin gave it, but for a message that was lost inside a
 * receive, which gets the --on-crash verdict. Nothing is counted twice or not at all. The world of loop_world.h checks each verdict.
 */
#include "loop_world.h"

#define COUNT 20
#define BURST 5
#define DEATH_AFTER 2000 /* steps, at most: a recovery of all bursts takes more than 1,000 */

static uint64_t random_state;
static unsigned places;
static bool flows;
static bool batch;

static uint32_t draw(uint32_t limit)
{
    return unit_random_below(&random_state, limit);
}

static void make_packets(uint32_t count)
{
    world.count = count;
    world.queued = count;
    for (uint32_t i = 1; i <= count; i++) {
        struct world_packet *packet = &world.packets[i];

        packet->flow = draw(WORLD_FLOWS / 2);
        packet->answer = draw(3) == 0 ? NFQE_DROP : NFQE_ACCEPT;
        packet->marked = draw(2) == 0;
        packet->cut = packet->flow == 0 && draw(4) == 0;
        packet->changes = world_changes && i % 3 != 0;
        if (flows && draw(5) == 0) {
            packet->answer = draw(4) == 0 ? DROP_FLOW : ACCEPT_FLOW;
        }
        if (flows && packet->flow != 0 && draw(6) == 0) {
            packet->begins = true;
            packet->answer = draw(2) == 0 ? ACCEPT_FLOW : NFQE_ACCEPT;
        }
    }
}

/* From begin to end: a process recovers what there is, gets workers, and answers everything. */
static void serve(void)
{
    world_start_queue();
    for (unsigned i = 0; i < places; i++) {
        world_add_worker();
    }
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        world_receive();
    }
    world_run_worker(0);
    world_take(0);
    world_send();
    world_receive();
    world_settle();
}

/* The first process dies at `first`, its successor at `second` of its own. Returns whether they did. */
static unsigned die_at(uint32_t first, uint32_t second)
{
    unsigned deaths = 0;

    random_state = 2463534242 + first % 5;
    world_init(places, flows, batch);
    world.receive_max = BURST;
    make_packets(COUNT);
    world.queue_dies_at = first;
    while (!world_survives(serve)) {
        deaths++;
        world.queue_dies_at = deaths == 1 && second != WORLD_NEVER ? world.queue_steps + second : WORLD_NEVER;
    }
    world_assert_settled();
    world_done();
    return deaths;
}

static void die_at_each_step(void)
{
    uint32_t step = 0;

    while (die_at(step, WORLD_NEVER) == 1) {
        step++;
    }
    assert_true(step > 4 * COUNT);
}

static void test_death_at_each_step_loses_nothing(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 8; way++) {
        places = (way & 1) != 0 ? 4 : 1;
        flows = (way & 2) != 0;
        world_changes = __builtin_parity(way) != 0;
        batch = (way & 4) != 0;
        die_at_each_step();
    }
}

/* Each step of a successor, for some of the first one's. */
static void test_death_of_the_successor_at_each_step_loses_nothing(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        places = (way & 1) != 0 ? 4 : 1;
        flows = (way & 2) != 0;
        world_changes = __builtin_parity(way) != 0;
        batch = false;
        for (uint32_t first = way; die_at(first, WORLD_NEVER) == 1; first += unit_cases(29, 290)) {
            uint32_t second = 0;

            while (die_at(first, second) == 2) {
                second++;
            }
            assert_true(second > 0);
        }
    }
}

/* ---- many deaths, of queue processes and of workers ----------------------------------------------------------------- */

static void serve_at_random(void)
{
    world_start_queue();
    for (unsigned i = 0; i <= places; i++) {
        world_add_worker();
    }
    while (world.queued < world.count || world.next <= world.count) {
        unsigned worker = draw(places + 1);

        world.receive_max = 1 + draw(BURST_MAX);
        switch (draw(4)) {
        case 0:
            world.queued += draw(10);
            world.queued = world.queued < world.count ? world.queued : world.count;
            world_receive();
            break;
        case 1:
            if (world.worker_dies_at == WORLD_NEVER && draw(20) == 0) {
                world.worker_dies_at = world.worker_steps + draw(40);
            }
            world_run_worker(worker);
            break;
        case 2:
            world_take(worker);
            break;
        default:
            world_send();
            break;
        }
        if (world.workers[worker].killed) {
            world_lose_worker(worker);
            world_add_worker();
        }
    }
    world_settle();
}

static void play(void)
{
    unsigned rounds = unit_cases(30, 3);
    unsigned deaths = 0;

    for (unsigned round = 0; round < rounds; round++) {
        random_state = 88172645463325252 + round;
        world_init(places, flows, batch);
        world.group.on_crash = NFQE_ACCEPT;
        make_packets(700);
        world.queued = 0;
        world.queue_dies_at = draw(DEATH_AFTER);
        while (!world_survives(serve_at_random)) {
            deaths++;
            world.worker_dies_at = WORLD_NEVER;
            world.queue_dies_at = world.queue_steps + draw(DEATH_AFTER);
        }
        world_assert_settled();
        world_done();
    }
    assert_true(deaths > rounds);
}

static void test_deaths_in_any_order(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 8; way++) {
        places = (way & 1) != 0 ? 4 : 1;
        flows = (way & 2) != 0;
        world_changes = __builtin_parity(way) != 0;
        batch = (way & 4) != 0;
        play();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_death_at_each_step_loses_nothing),
        cmocka_unit_test(test_death_of_the_successor_at_each_step_loses_nothing),
        cmocka_unit_test(test_deaths_in_any_order),
    };

    return world_run_tests("queue_recovery", tests, sizeof(tests) / sizeof(tests[0]));
}
