/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet that ends each queue process that decodes it: the process that comes after the third gives the --on-crash
 * verdict to what was in flight, unread, and the queue goes on. All other packets get their own verdict; the world of
 * loop_world.h checks each.
 */
#include "loop_world.h"

#include "process/queue_recovery.h"

#include <stdio.h>

#define COUNT 40
#define BURST 5

static unsigned bursts_before; /* in flight when the deadly one is received */

static void begin(unsigned before)
{
    bursts_before = before;
    world_init(1, false, false);
    world.count_deaths = true;
    world.receive_max = BURST;
    world.count = COUNT;
    world.queued = COUNT;
    for (uint32_t i = 1; i <= COUNT; i++) {
        world.packets[i].answer = NFQE_ACCEPT; /* --on-crash is drop */
    }
    world.poison = 2 * BURST + before * BURST + 3;
}

/* Two bursts are answered first, if no process has died; then so many are left with a worker. */
static void serve(void)
{
    world_start_queue();
    world_add_worker();
    while (world.next <= 2 * BURST) {
        world_receive();
        world_run_worker(0);
        world_take(0);
        world_send();
    }
    for (unsigned i = 0; i <= bursts_before; i++) {
        world_receive();
    }
    world_settle();
}

static unsigned serve_until_settled(void)
{
    unsigned deaths = 0;

    while (!world_survives(serve)) {
        deaths++;
        assert_true(deaths < 10);
    }
    return deaths;
}

static const struct journal *journal(void)
{
    return world.engine.queues[0].shm.journal;
}

/* Those before were answered; those in flight were with a worker or in the deadly burst. */
static void assert_verdicts(void)
{
    uint32_t last = (3 + bursts_before) * BURST;

    world_assert_settled();
    for (uint32_t i = 1; i <= COUNT; i++) {
        bool given_up = i > 2 * BURST && i <= last;

        assert_int_equal(world.packets[i].verdict, given_up ? NFQE_DROP : NFQE_ACCEPT);
        assert_int_equal(world.packets[i].lost, i > last - BURST && i <= last);
        assert_false(given_up && world.packets[i].by_batch);
    }
    assert_int_equal(journal_totals(journal())->stats.crash_verdicts, bursts_before * BURST);
    assert_int_equal(journal_totals(journal())->stats.recovered_ids, BURST);
    assert_int_equal(journal()->deaths, 0);
}

static void test_third_death_over_a_packet_is_the_last(void **state)
{
    (void)state;
    for (unsigned before = 0; before < BURSTS_IN_FLIGHT; before++) {
        char expected[256];

        begin(before);
        assert_int_equal(serve_until_settled(), QUEUE_DEATHS_MAX);
        assert_verdicts();
        snprintf(expected, sizeof(expected),
                 "queue %u: 3 queue processes in a row ended without having answered a packet; the %u packets that "
                 "they had get verdict drop unread",
                 world.engine.queues[0].kernel.number, (before + 1) * BURST);
        assert_string_equal(world.log, expected);
        world_done();
    }
}

/* The one that gives up dies, too, at each of its steps: its successor does it again. */
static void test_death_while_giving_up_changes_nothing(void **state)
{
    uint32_t step = 0;
    bool died = true;

    (void)state;
    for (; died; step++) {
        unsigned deaths = 0;

        begin(2);
        while (deaths < QUEUE_DEATHS_MAX) {
            assert_false(world_survives(serve));
            deaths++;
        }
        world.queue_dies_at = world.queue_steps + step;
        died = !world_survives(world_start_queue);
        world.queue_dies_at = WORLD_NEVER;
        assert_int_equal(serve_until_settled(), 0);
        assert_verdicts();
        world_done();
    }
    assert_true(step > 2 * BURST); /* each verdict is one */
}

/* Packets that were decided, and perhaps sent, when the process died are answered once all the same. */
static void decide_and_die(void)
{
    world_start_queue();
    world_add_worker();
    world_receive();
    world_run_worker(0);
    world_take(0);
    world_send();
}

/* Returns whether the first process died at its step `step`. */
static bool die_of_verdicts(uint32_t step)
{
    bool died;

    begin(0);
    world.poison = 0;
    world.queue_dies_at = step;
    died = !world_survives(decide_and_die);
    world.queue_dies_at = WORLD_NEVER;
    if (died) {
        world.poison = 2;
        serve_until_settled();
        world_assert_settled();
    }
    return died;
}

static void test_verdicts_that_may_have_been_sent_are_counted_once(void **state)
{
    uint32_t late = 0;
    uint32_t step = 0;

    (void)state;
    for (; die_of_verdicts(step); step++) {
        late += world.late;
        world_done();
    }
    world_done();
    assert_true(step > 2 * BURST);
    assert_true(late > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_third_death_over_a_packet_is_the_last),
        cmocka_unit_test(test_death_while_giving_up_changes_nothing),
        cmocka_unit_test(test_verdicts_that_may_have_been_sent_are_counted_once),
    };

    return world_run_tests("queue_poison", tests, sizeof(tests) / sizeof(tests[0]));
}
