/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arena_assign_crash(): who is to blame for a worker's death, and what that costs.
 *
 * Each test leaves the arena as a worker would that died in some phase, or that wrote nonsense into it before.
 * Nothing but HANDLING makes anybody guilty, exactly one packet pays, and no field of the dead is believed
 * beyond its bounds. What the successor makes of the arena is in test_arena_recovery.c.
 */
#include "unit.h"

#include "burst/arena.h"
#include "burst_fixture.h"

#include <nfqe/plugin.h>

#include <string.h>

#define COUNT 8
#define FIRST_ID 100
#define PLUGINS 3

/* Phase words that no worker writes in order. */
static const uint32_t wild_phases[] = {ARENA_SENDING + 1, 77, 0xff};

static void assert_undecided(const struct arena *arena)
{
    for (unsigned i = 0; i < COUNT; i++) {
        assert_false(arena_decided(arena, i));
    }
}

static void test_death_outside_handling_is_nobodys_fault(void **state)
{
    struct burst_fixture *burst = *state;
    uint32_t phases[3 + sizeof(wild_phases) / sizeof(wild_phases[0])] = {ARENA_IDLE, ARENA_RECEIVING, ARENA_SENDING};

    memcpy(&phases[3], wild_phases, sizeof(wild_phases));
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct arena_death blame = {.handling = true};

        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        burst->arena->cursor = 2;
        burst->arena->plugin = 1;
        burst->arena->phase = phases[i];
        arena_assign_crash(burst->arena, PLUGINS, NFQE_DROP, &blame);
        assert_false(blame.handling);
        assert_false(blame.packet_known);
        assert_int_equal(blame.abandoned, 0);
        assert_int_equal(blame.plugin, ARENA_NOBODY);
        assert_int_equal(burst->arena->crash_verdicts, 0);
        assert_undecided(burst->arena);
    }
}

static void test_packet_at_the_cursor_is_blamed_and_no_other(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;

    for (unsigned guilty = 0; guilty < COUNT; guilty++) {
        struct arena_death blame;

        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        arena->crash_verdicts = 0;
        arena->cursor = guilty;
        arena->plugin = 1;
        arena_assign_crash(arena, PLUGINS, NFQE_DROP, &blame);
        assert_true(blame.handling);
        assert_true(blame.packet_known);
        assert_int_equal(blame.abandoned, 0);
        assert_int_equal(blame.packet_id, FIRST_ID + guilty);
        assert_int_equal(blame.plugin, 1);
        assert_int_equal(arena->crash_verdicts, 1);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(arena_decided(arena, i), i == guilty);
        }
        assert_int_equal(arena->verdicts[guilty].verdict, NFQE_DROP);
        assert_int_not_equal(arena->one_by_one, 0);
        assert_int_equal(arena_recover(arena), ARENA_HANDLING);
        assert_true(arena_decided(arena, guilty)); /* the successor finds it */
        assert_int_not_equal(arena->one_by_one, 0);
    }
}

static void test_guilty_packet_gets_the_verdict_that_was_asked_for(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena_death blame;

    burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
    burst->arena->cursor = 3;
    burst->arena->plugin = 0;
    arena_assign_crash(burst->arena, PLUGINS, NFQE_ACCEPT, &blame);
    assert_int_equal(burst->arena->verdicts[3].verdict, NFQE_ACCEPT);
}

static void test_death_between_two_packets_blames_none(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena_death blame;

    burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
    arena_decide(burst->arena, 3, NFQE_ACCEPT);
    burst->arena->cursor = 3;
    burst->arena->plugin = 2;
    arena_assign_crash(burst->arena, PLUGINS, NFQE_DROP, &blame);
    assert_false(blame.handling);
    assert_false(blame.packet_known);
    assert_int_equal(burst->arena->crash_verdicts, 0);
    assert_int_equal(burst->arena->verdicts[3].verdict, NFQE_ACCEPT);
}

static void test_death_in_a_batch_names_the_plugin_and_blames_no_packet(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena_death blame;

    burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
    burst->arena->plugin = 2;
    arena_assign_crash(burst->arena, PLUGINS, NFQE_DROP, &blame);
    assert_true(blame.handling);
    assert_false(blame.packet_known);
    assert_int_equal(blame.abandoned, 0);
    assert_int_equal(blame.plugin, 2);
    assert_int_equal(burst->arena->crash_verdicts, 0);
    assert_undecided(burst->arena);
    assert_int_not_equal(burst->arena->one_by_one, 0);
}

static void test_cursor_outside_the_burst_blames_no_packet(void **state)
{
    static const uint32_t cursors[] = {COUNT, BURST_MAX - 1, BURST_MAX, BURST_MAX + 1, 0x7fffffff, UINT32_MAX - 1};
    struct burst_fixture *burst = *state;

    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        struct arena_death blame;

        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        burst->arena->cursor = cursors[i];
        burst->arena->plugin = 0;
        arena_assign_crash(burst->arena, PLUGINS, NFQE_DROP, &blame);
        assert_false(blame.packet_known);
        assert_int_equal(burst->arena->crash_verdicts, 0);
        assert_undecided(burst->arena);
    }
}

static void test_plugin_outside_the_chain_is_not_named_and_the_packet_pays(void **state)
{
    static const uint32_t plugins[] = {PLUGINS, PLUGINS + 1, 0x80000000, UINT32_MAX};
    struct burst_fixture *burst = *state;

    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
        struct arena_death blame;

        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        burst->arena->cursor = 1;
        burst->arena->plugin = plugins[i];
        arena_assign_crash(burst->arena, PLUGINS, NFQE_DROP, &blame);
        assert_int_equal(blame.plugin, ARENA_NOBODY);
        assert_true(blame.packet_known);
        assert_true(arena_decided(burst->arena, 1));
    }
}

static void die_without_a_packet(struct burst_fixture *burst, struct arena_death *blame)
{
    burst->arena->cursor = ARENA_NOBODY;
    burst->arena->plugin = 1;
    arena_assign_crash(burst->arena, PLUGINS, NFQE_DROP, blame);
}

static void test_burst_over_which_too_many_workers_died_is_abandoned(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;
    struct arena_death blame;

    burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
    arena_decide(arena, 2, NFQE_ACCEPT);
    for (unsigned attempt = 1; attempt < ARENA_ATTEMPTS; attempt++) {
        die_without_a_packet(burst, &blame);
        assert_int_equal(blame.abandoned, 0);
        assert_false(arena_decided(arena, 0));
        assert_int_equal(arena_recover(arena), ARENA_HANDLING);
    }
    die_without_a_packet(burst, &blame);
    assert_int_equal(blame.abandoned, COUNT - 1);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(arena_decided(arena, i));
        assert_int_equal(arena->verdicts[i].verdict, i == 2 ? NFQE_ACCEPT : NFQE_DROP);
        assert_int_equal(arena->verdicts[i].id, FIRST_ID + i);
    }
}

/* crashed_on: "packets that got the --on-crash verdict since a worker died handling them" */
static void test_packets_of_an_abandoned_burst_are_counted_as_blamed(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena_death blame;

    burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
    arena_decide(burst->arena, 2, NFQE_ACCEPT);
    arena_decide(burst->arena, 5, NFQE_ACCEPT);
    for (unsigned attempt = 1; attempt <= ARENA_ATTEMPTS; attempt++) {
        die_without_a_packet(burst, &blame);
    }
    assert_int_equal(blame.abandoned, COUNT - 2);
    assert_int_equal(burst->arena->crash_verdicts, COUNT - 2);
}

/* A worker that is killed while no plugin runs says nothing against the burst, however often that happens. */
static void test_death_outside_every_plugin_is_no_attempt(void **state)
{
    struct burst_fixture *burst = *state;

    burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
    for (unsigned death = 0; death < 2 * ARENA_ATTEMPTS; death++) {
        struct arena_death blame;

        arena_assign_crash(burst->arena, PLUGINS, NFQE_DROP, &blame);
        assert_false(blame.handling);
        assert_int_equal(blame.abandoned, 0);
        assert_undecided(burst->arena);
    }
}

/* Not every message is a packet: the kernel's answers arrive among them. */
static void test_only_places_of_packets_are_blamed_or_abandoned(void **state)
{
    static const uint32_t packets[] = {0, 1, COUNT - 1, COUNT, COUNT + 1, UINT32_MAX};
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;

    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        uint32_t bound = packets[i] < COUNT ? packets[i] : COUNT; /* more than the messages is not believed */
        struct arena_death blame;

        for (uint32_t cursor = 0; cursor <= COUNT; cursor++) {
            burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
            arena->packets = packets[i];
            arena->cursor = cursor;
            arena->plugin = 0;
            arena_assign_crash(arena, PLUGINS, NFQE_DROP, &blame);
            assert_int_equal(blame.packet_known, cursor < bound);
        }
        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        arena->packets = packets[i];
        arena->crash_verdicts = 0;
        for (unsigned attempt = 1; attempt <= ARENA_ATTEMPTS; attempt++) {
            die_without_a_packet(burst, &blame);
        }
        assert_int_equal(blame.abandoned, bound);
        assert_int_equal(arena->crash_verdicts, bound);
        for (unsigned place = 0; place < BURST_MAX; place++) {
            assert_int_equal(arena_decided(arena, place), place < bound);
        }
    }
}

static void test_attempts_begin_anew_with_the_next_burst(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena_death blame;

    for (unsigned bursts = 0; bursts < 2 * ARENA_ATTEMPTS; bursts++) {
        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        die_without_a_packet(burst, &blame);
        assert_int_equal(blame.abandoned, 0);
    }
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_death_outside_handling_is_nobodys_fault),
        WITH_BURST(test_packet_at_the_cursor_is_blamed_and_no_other),
        WITH_BURST(test_guilty_packet_gets_the_verdict_that_was_asked_for),
        WITH_BURST(test_death_between_two_packets_blames_none),
        WITH_BURST(test_death_in_a_batch_names_the_plugin_and_blames_no_packet),
        WITH_BURST(test_cursor_outside_the_burst_blames_no_packet),
        WITH_BURST(test_plugin_outside_the_chain_is_not_named_and_the_packet_pays),
        WITH_BURST(test_burst_over_which_too_many_workers_died_is_abandoned),
        WITH_BURST(test_packets_of_an_abandoned_burst_are_counted_as_blamed),
        WITH_BURST(test_death_outside_every_plugin_is_no_attempt),
        WITH_BURST(test_only_places_of_packets_are_blamed_or_abandoned),
        WITH_BURST(test_attempts_begin_anew_with_the_next_burst),
    };

    return cmocka_run_group_tests_name("arena_death", tests, NULL, NULL);
}
