/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal_assign_guilt(): which packet and which plugin a worker died with, and which packets get the --on-crash verdict.
 *
 * Each test leaves the journal as a worker leaves it that died in some phase, or whose plugin damaged it before. Only
 * in HANDLING is a packet guilty, at most one packet gets the verdict, and every field that the worker left is checked
 * against its bounds. What the successor does is in test_recovery.c.
 */
#include "unit.h"

#include "burst/recovery.h"
#include "burst_fixture.h"

#include <nfqe/plugin.h>

#include <string.h>

#define COUNT 8
#define FIRST_ID 100
#define PLUGINS 3

/* What the next worker does first. It goes on with the packets that have no verdict. */
static void recover(struct burst_fixture *fixture)
{
    struct outstanding ids;

    assert_int_equal(journal_recover(fixture->journal, &ids), JOURNAL_NO_BURST);
    assert_int_equal(burst_phase_of(fixture->journal), BURST_HANDLING);
}

static void test_death_outside_of_handling_makes_no_packet_guilty(void **state)
{
    struct burst_fixture *fixture = *state;
    uint32_t phases[1 + sizeof(burst_wild_phases) / sizeof(burst_wild_phases[0])] = {1}; /* it is received again */

    memcpy(&phases[1], burst_wild_phases, sizeof(burst_wild_phases));
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct burst_guilt guilt = {.in_plugin = true};

        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        fixture->burst->cursor = 2;
        fixture->burst->plugin = 1;
        fixture->journal->phase = phases[i];
        journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, &guilt);
        assert_false(guilt.in_plugin);
        assert_false(guilt.packet_known);
        assert_int_equal(guilt.forced_count, 0);
        assert_int_equal(guilt.plugin, BURST_NONE);
        assert_int_equal(fixture->journal->crash_verdicts, 0);
        burst_assert_undecided(fixture->burst, COUNT);
    }
}

static void test_packet_at_the_cursor_is_guilty_and_no_other(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (unsigned guilty = 0; guilty < COUNT; guilty++) {
        struct burst_guilt guilt;

        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        fixture->journal->crash_verdicts = 0;
        burst->cursor = guilty;
        burst->plugin = 1;
        journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, &guilt);
        assert_true(guilt.in_plugin);
        assert_true(guilt.packet_known);
        assert_int_equal(guilt.forced_count, 0);
        assert_int_equal(guilt.packet_id, FIRST_ID + guilty);
        assert_int_equal(guilt.plugin, 1);
        assert_int_equal(fixture->journal->crash_verdicts, 1);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(burst_is_decided(burst, i), i == guilty);
        }
        assert_int_equal(burst->entries[guilty].verdict, NFQE_DROP);
        assert_int_not_equal(burst->one_by_one, 0);
        assert_int_equal(burst->cursor,
                         BURST_NONE); /* a successor that dies before its first call is not guilty again */
        assert_int_equal(burst->plugin, BURST_NONE);
        recover(fixture);
        assert_true(burst_is_decided(burst, guilty)); /* the successor finds it */
        assert_int_not_equal(burst->one_by_one, 0);
    }
}

static void test_guilty_packet_gets_the_verdict_that_was_asked_for(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst_guilt guilt;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    fixture->burst->cursor = 3;
    fixture->burst->plugin = 0;
    journal_assign_guilt(fixture->journal, PLUGINS, NFQE_ACCEPT, &guilt);
    assert_int_equal(fixture->burst->entries[3].verdict, NFQE_ACCEPT);
}

static void test_death_between_two_packets_makes_none_guilty(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst_guilt guilt;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    burst_force_verdict(fixture->burst, 3, NFQE_ACCEPT);
    fixture->burst->cursor = 3;
    fixture->burst->plugin = 2;
    journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, &guilt);
    assert_false(guilt.in_plugin);
    assert_false(guilt.packet_known);
    assert_int_equal(fixture->journal->crash_verdicts, 0);
    assert_int_equal(fixture->burst->entries[3].verdict, NFQE_ACCEPT);
}

static void test_death_in_a_batch_names_the_plugin_and_no_packet(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst_guilt guilt;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    fixture->burst->plugin = 2;
    journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, &guilt);
    assert_true(guilt.in_plugin);
    assert_false(guilt.packet_known);
    assert_int_equal(guilt.forced_count, 0);
    assert_int_equal(guilt.plugin, 2);
    assert_int_equal(fixture->journal->crash_verdicts, 0);
    burst_assert_undecided(fixture->burst, COUNT);
    assert_int_not_equal(fixture->burst->one_by_one, 0);
}

static void test_cursor_outside_of_the_burst_makes_no_packet_guilty(void **state)
{
    static const uint32_t cursors[] = {COUNT, BURST_MAX - 1, BURST_MAX, BURST_MAX + 1, 0x7fffffff, UINT32_MAX - 1};
    struct burst_fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        struct burst_guilt guilt;

        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        fixture->burst->cursor = cursors[i];
        fixture->burst->plugin = 0;
        journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, &guilt);
        assert_false(guilt.packet_known);
        assert_int_equal(fixture->journal->crash_verdicts, 0);
        burst_assert_undecided(fixture->burst, COUNT);
    }
}

static void test_plugin_outside_of_the_chain_is_not_named_and_the_packet_gets_the_verdict(void **state)
{
    static const uint32_t plugins[] = {PLUGINS, PLUGINS + 1, 0x80000000, UINT32_MAX};
    struct burst_fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
        struct burst_guilt guilt;

        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        fixture->burst->cursor = 1;
        fixture->burst->plugin = plugins[i];
        journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, &guilt);
        assert_int_equal(guilt.plugin, BURST_NONE);
        assert_true(guilt.packet_known);
        assert_true(burst_is_decided(fixture->burst, 1));
    }
}

static void die_without_a_packet(struct burst_fixture *fixture, struct burst_guilt *guilt)
{
    struct burst *burst = fixture->burst;

    burst->cursor = BURST_NONE;
    burst->plugin = 1;
    journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, guilt);
}

static void test_burst_over_which_too_many_workers_died_is_abandoned(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;
    struct burst_guilt guilt;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    burst_force_verdict(burst, 2, NFQE_ACCEPT);
    for (unsigned attempt = 1; attempt < BURST_ATTEMPTS_MAX; attempt++) {
        die_without_a_packet(fixture, &guilt);
        assert_int_equal(guilt.forced_count, 0);
        assert_false(burst_is_decided(burst, 0));
        recover(fixture);
    }
    die_without_a_packet(fixture, &guilt);
    assert_int_equal(guilt.forced_count, COUNT - 1);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(burst_is_decided(burst, i));
        assert_int_equal(burst->entries[i].verdict, i == 2 ? NFQE_ACCEPT : NFQE_DROP);
        assert_int_equal(burst->entries[i].id, FIRST_ID + i);
    }
}

static void test_packets_of_an_abandoned_burst_are_counted_as_crash_verdicts(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst_guilt guilt;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    burst_force_verdict(fixture->burst, 2, NFQE_ACCEPT);
    burst_force_verdict(fixture->burst, 5, NFQE_ACCEPT);
    for (unsigned attempt = 1; attempt <= BURST_ATTEMPTS_MAX; attempt++) {
        die_without_a_packet(fixture, &guilt);
    }
    assert_int_equal(guilt.forced_count, COUNT - 2);
    assert_int_equal(fixture->journal->crash_verdicts, COUNT - 2);
}

/* A worker that is killed while no plugin runs is no sign of a bad burst, however often that happens. */
static void test_death_outside_every_plugin_is_no_attempt(void **state)
{
    struct burst_fixture *fixture = *state;

    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    for (unsigned death = 0; death < 2 * BURST_ATTEMPTS_MAX; death++) {
        struct burst_guilt guilt;

        journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, &guilt);
        assert_false(guilt.in_plugin);
        assert_int_equal(guilt.forced_count, 0);
        burst_assert_undecided(fixture->burst, COUNT);
    }
}

/* Not every message is a packet: the kernel's answers arrive among them. */
static void test_only_places_of_packets_are_guilty_or_abandoned(void **state)
{
    static const uint32_t packets[] = {0, 1, COUNT - 1, COUNT, COUNT + 1, UINT32_MAX};
    struct burst_fixture *fixture = *state;
    struct burst *burst = fixture->burst;

    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        uint32_t bound = packets[i] < COUNT ? packets[i] : COUNT; /* there cannot be more packets than messages */
        struct burst_guilt guilt;

        for (uint32_t cursor = 0; cursor <= COUNT; cursor++) {
            burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
            burst->packets = packets[i];
            burst->cursor = cursor;
            burst->plugin = 0;
            journal_assign_guilt(fixture->journal, PLUGINS, NFQE_DROP, &guilt);
            assert_int_equal(guilt.packet_known, cursor < bound);
        }
        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        burst->packets = packets[i];
        fixture->journal->crash_verdicts = 0;
        for (unsigned attempt = 1; attempt <= BURST_ATTEMPTS_MAX; attempt++) {
            die_without_a_packet(fixture, &guilt);
        }
        assert_int_equal(guilt.forced_count, bound);
        assert_int_equal(fixture->journal->crash_verdicts, bound);
        for (unsigned place = 0; place < BURST_MAX; place++) {
            assert_int_equal(burst_is_decided(burst, place), place < bound);
        }
    }
}

static void test_attempts_are_counted_from_0_in_the_next_burst(void **state)
{
    struct burst_fixture *fixture = *state;
    struct burst_guilt guilt;

    for (unsigned bursts = 0; bursts < 2 * BURST_ATTEMPTS_MAX; bursts++) {
        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        die_without_a_packet(fixture, &guilt);
        assert_int_equal(guilt.forced_count, 0);
    }
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_death_outside_of_handling_makes_no_packet_guilty),
        WITH_BURST(test_packet_at_the_cursor_is_guilty_and_no_other),
        WITH_BURST(test_guilty_packet_gets_the_verdict_that_was_asked_for),
        WITH_BURST(test_death_between_two_packets_makes_none_guilty),
        WITH_BURST(test_death_in_a_batch_names_the_plugin_and_no_packet),
        WITH_BURST(test_cursor_outside_of_the_burst_makes_no_packet_guilty),
        WITH_BURST(test_plugin_outside_of_the_chain_is_not_named_and_the_packet_gets_the_verdict),
        WITH_BURST(test_burst_over_which_too_many_workers_died_is_abandoned),
        WITH_BURST(test_packets_of_an_abandoned_burst_are_counted_as_crash_verdicts),
        WITH_BURST(test_death_outside_every_plugin_is_no_attempt),
        WITH_BURST(test_only_places_of_packets_are_guilty_or_abandoned),
        WITH_BURST(test_attempts_are_counted_from_0_in_the_next_burst),
    };

    return cmocka_run_group_tests_name("recovery_guilt", tests, NULL, NULL);
}
