/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arena_recover() and the sweeps: what the next worker takes up of what the dead one left.
 *
 * Each test leaves the arena in some phase, in order or with nonsense in one kind of field, or with nonsense in
 * all of them. Afterwards every field is within its bounds, and what had been received and decided in order
 * is still there. Whose fault the death was is in test_arena_death.c.
 */
#include "unit.h"

#include "burst/arena.h"
#include "burst_fixture.h"

#include <nfqe/plugin.h>

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

static void test_recovery_takes_up_the_phase_of_the_dead(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;

    for (unsigned phase = ARENA_IDLE; phase <= ARENA_SENDING; phase++) {
        burst_fill(burst, COUNT, FIRST_ID, (enum arena_phase)phase);
        assert_int_equal(arena_recover(arena), phase);
        assert_int_equal(arena_phase(arena), phase);
    }
}

static void test_recovery_of_a_phase_that_does_not_exist_keeps_the_messages_and_no_verdict(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;

    for (size_t i = 0; i < sizeof(wild_phases) / sizeof(wild_phases[0]); i++) {
        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        arena_decide(arena, 1, NFQE_ACCEPT);
        arena->phase = wild_phases[i];
        assert_int_equal(arena_recover(arena), ARENA_RECEIVING);
        assert_int_equal(arena_phase(arena), ARENA_RECEIVING);
        assert_int_equal(arena_received(arena), COUNT);
        assert_undecided(arena);
    }
}

/* Verdicts in the arena belong to the burst before until HANDLING begins. */
static void test_recovery_from_receiving_forgets_the_verdicts_of_the_burst_before(void **state)
{
    struct burst_fixture *burst = *state;

    burst_fill(burst, COUNT, FIRST_ID, ARENA_RECEIVING);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        arena_decide(burst->arena, i, NFQE_ACCEPT);
    }
    assert_int_equal(arena_recover(burst->arena), ARENA_RECEIVING);
    assert_undecided(burst->arena);
}

static void test_recovery_keeps_the_verdicts_that_stand(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;

    for (unsigned phase = ARENA_HANDLING; phase <= ARENA_SENDING; phase++) {
        burst_fill(burst, COUNT, FIRST_ID, (enum arena_phase)phase);
        arena_decide(arena, 0, NFQE_ACCEPT);
        arena_decide(arena, 4, NFQE_DROP);
        assert_int_equal(arena_recover(arena), phase);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(arena_decided(arena, i), i == 0 || i == 4);
        }
        assert_int_equal(arena->verdicts[0].verdict, NFQE_ACCEPT);
        assert_int_equal(arena->verdicts[4].verdict, NFQE_DROP);
    }
}

static void test_recovery_without_a_message_is_idle(void **state)
{
    struct burst_fixture *burst = *state;

    for (unsigned phase = ARENA_IDLE; phase <= ARENA_SENDING + 1; phase++) {
        burst_fill(burst, 0, FIRST_ID, ARENA_RECEIVING);
        burst->arena->phase = phase;
        assert_int_equal(arena_recover(burst->arena), ARENA_IDLE);
        assert_int_equal(arena_phase(burst->arena), ARENA_IDLE);
    }
}

static void test_recovery_resets_cursor_and_plugin_whatever_they_were(void **state)
{
    static const uint32_t values[] = {0, COUNT, BURST_MAX, 0x80000000, UINT32_MAX};
    struct burst_fixture *burst = *state;

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        burst->arena->cursor = values[i];
        burst->arena->plugin = values[i];
        arena_recover(burst->arena);
        assert_int_equal(burst->arena->cursor, ARENA_NOBODY);
        assert_int_equal(burst->arena->plugin, ARENA_NOBODY);
    }
}

static void test_message_length_beyond_its_slot_is_the_slot(void **state)
{
    static const unsigned lengths[] = {BURST_SLOT_SIZE + 1, 0x10000, 0x80000000, UINT32_MAX};
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        arena->messages[3].msg_len = lengths[i];
        arena->slot_size = UINT32_MAX; /* what the arena says of itself is not to be trusted either */
        arena_prepare(arena, BURST_QUEUE, BURST_SHAPE);
        arena_recover(arena);
        assert_int_equal(arena_received(arena), COUNT);
        assert_int_equal(arena_message_len(arena, 2), BURST_LEN);
        assert_int_equal(arena_message_len(arena, 3), BURST_SLOT_SIZE);
    }
}

static void test_burst_ends_at_the_first_gap(void **state)
{
    struct burst_fixture *burst = *state;

    for (unsigned gap = 0; gap < COUNT; gap++) {
        burst_fill(burst, COUNT, FIRST_ID, ARENA_HANDLING);
        burst->arena->messages[gap].msg_len = 0;
        assert_int_equal(arena_recover(burst->arena), gap == 0 ? ARENA_IDLE : ARENA_HANDLING);
        assert_int_equal(arena_received(burst->arena), gap);
        for (unsigned i = gap; i < BURST_MAX; i++) { /* none is left behind it, to be taken for a later burst's */
            assert_int_equal(burst->arena->messages[i].msg_len, 0);
        }
    }
}

/* "Brings every burst field that a dead worker left into its bounds": a verdict is ACCEPT or DROP. */
static void test_recovery_lets_no_verdict_stand_that_is_neither_accept_nor_drop(void **state)
{
    static const uint32_t nonsense[] = {NFQE_CONTINUE, NFQE_REPEAT, NFQE_ACCEPT | NFQE_FLOW, 0x10001, UINT32_MAX};
    struct burst_fixture *burst = *state;

    for (unsigned phase = ARENA_HANDLING; phase <= ARENA_SENDING; phase++) {
        for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
            burst_fill(burst, COUNT, FIRST_ID, (enum arena_phase)phase);
            arena_decide(burst->arena, 1, nonsense[i]);
            arena_decide(burst->arena, 2, NFQE_DROP);
            arena_recover(burst->arena);
            assert_false(arena_decided(burst->arena, 1));
            assert_true(arena_decided(burst->arena, 2));
        }
    }
}

static void test_recovery_keeps_the_counters(void **state)
{
    struct burst_fixture *burst = *state;
    const struct arena_counters delta = {.packets = 3, .accepted = 2, .dropped = 1, .bursts = 1};

    for (unsigned commits = 1; commits <= 2; commits++) {
        arena_commit(burst->arena, &delta);
        for (unsigned phase = ARENA_IDLE; phase <= ARENA_SENDING; phase++) {
            burst_fill(burst, COUNT, FIRST_ID, (enum arena_phase)phase);
            arena_recover(burst->arena);
            assert_int_equal(arena_counters(burst->arena)->packets, 3 * commits);
            assert_int_equal(arena_counters(burst->arena)->bursts, commits);
        }
    }
}

static void test_arena_full_of_random_bytes_is_brought_into_its_bounds(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;
    uint64_t random = 99;

    for (unsigned round = 0; round < 3000; round++) {
        struct arena_death blame;
        uint8_t *bytes = (uint8_t *)arena;

        for (size_t i = 0; i < sizeof(*arena); i++) {
            bytes[i] = (uint8_t)(unit_random(&random) >> 20);
        }
        if (round % 2 == 0) {
            arena->phase = ARENA_HANDLING;
            arena->cursor = unit_random_below(&random, BURST_MAX + 2);
        }
        arena_assign_crash(arena, PLUGINS, NFQE_DROP, &blame);
        assert_true(blame.plugin < PLUGINS || blame.plugin == ARENA_NOBODY);
        arena_prepare(arena, BURST_QUEUE, BURST_SHAPE);
        assert_in_range(arena_recover(arena), ARENA_IDLE, ARENA_SENDING);
        assert_in_range(arena_phase(arena), ARENA_IDLE, ARENA_SENDING);
        assert_in_range(arena_received(arena), 0, BURST_MAX);
        for (unsigned i = 0; i < arena_received(arena); i++) {
            assert_in_range(arena_message_len(arena, i), 1, BURST_SLOT_SIZE);
        }
    }
}

/* ---- sweeps -------------------------------------------------------------------------------------- */

static void test_without_a_request_nothing_is_swept(void **state)
{
    struct burst_fixture *burst = *state;
    uint32_t first;
    uint32_t last;

    burst->arena->last_id = 10;
    assert_false(arena_sweep_range(burst->arena, true, 20, &first, &last));
    assert_false(arena_sweep_range(burst->arena, false, 0, &first, &last));
}

static void test_sweep_covers_what_lies_between_the_last_answer_and_the_next_message(void **state)
{
    static const struct {
        uint32_t last_id, next_id;
        uint32_t count; /* ids in between */
    } cases[] = {
        {0, 1, 0},
        {0, 2, 1},
        {10, 11, 0},
        {10, 12, 1},
        {10, 100, 89},
        {UINT32_MAX - 1, UINT32_MAX, 0},
        {UINT32_MAX - 1, 0, 1},
        {UINT32_MAX, 0, 0},
        {UINT32_MAX, 1, 1},
        {UINT32_MAX - 9, 10, 19},
        {0x7fffffff, 0x80000001, 1},
    };
    struct burst_fixture *burst = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned has_next = 0; has_next < 2; has_next++) {
            uint32_t first;
            uint32_t last;
            bool any;

            burst->arena->last_id = cases[i].last_id;
            arena_request_sweep(burst->arena, has_next != 0 ? cases[i].next_id + 5 : cases[i].next_id - 1);
            any = arena_sweep_range(burst->arena, has_next != 0, cases[i].next_id, &first, &last);
            assert_int_equal(any, cases[i].count > 0);
            if (any) {
                assert_true(first == cases[i].last_id + 1);
                assert_int_equal(last - first + 1, cases[i].count);
            }
        }
    }
}

/* A worker that dies between sending the sweep and ending it leaves it to its successor. */
static void test_sweep_stands_until_it_is_ended(void **state)
{
    struct burst_fixture *burst = *state;
    uint32_t first = 0;
    uint32_t last = 0;

    burst->arena->last_id = 7;
    arena_request_sweep(burst->arena, 8);
    for (unsigned times = 0; times < 3; times++) {
        assert_true(arena_sweep_range(burst->arena, true, 9, &first, &last));
        assert_int_equal(first, 8);
        assert_int_equal(last, 8);
        burst_fill(burst, 3, 9, ARENA_SENDING);
        assert_int_equal(arena_recover(burst->arena), ARENA_SENDING);
    }
    arena_end_sweep(burst->arena);
    assert_false(arena_sweep_range(burst->arena, true, 9, &first, &last));
    assert_false(arena_sweep_range(burst->arena, false, 0, &first, &last));
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_recovery_takes_up_the_phase_of_the_dead),
        WITH_BURST(test_recovery_of_a_phase_that_does_not_exist_keeps_the_messages_and_no_verdict),
        WITH_BURST(test_recovery_from_receiving_forgets_the_verdicts_of_the_burst_before),
        WITH_BURST(test_recovery_keeps_the_verdicts_that_stand),
        WITH_BURST(test_recovery_without_a_message_is_idle),
        WITH_BURST(test_recovery_resets_cursor_and_plugin_whatever_they_were),
        WITH_BURST(test_message_length_beyond_its_slot_is_the_slot),
        WITH_BURST(test_burst_ends_at_the_first_gap),
        WITH_BURST(test_recovery_lets_no_verdict_stand_that_is_neither_accept_nor_drop),
        WITH_BURST(test_recovery_keeps_the_counters),
        WITH_BURST(test_arena_full_of_random_bytes_is_brought_into_its_bounds),
        WITH_BURST(test_without_a_request_nothing_is_swept),
        WITH_BURST(test_sweep_covers_what_lies_between_the_last_answer_and_the_next_message),
        WITH_BURST(test_sweep_stands_until_it_is_ended),
    };

    return cmocka_run_group_tests_name("arena_recovery", tests, NULL, NULL);
}
