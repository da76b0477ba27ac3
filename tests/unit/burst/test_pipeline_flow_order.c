/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pipeline with plugins that decide for flows: the result of a burst does not depend on how it goes through the
 * chain, nor on whether a worker died in its middle.
 *
 * Bursts are drawn at random: packets of two flows and of none, and what each plugin answers to each. The reference is
 * the burst that goes packet by packet.
 */
#include "flow_pipeline.h"

#include "unit.h"

#include <string.h>

#define ROUNDS 40000
#define ROUNDS_QUICK 5000
#define PACKETS 6
#define BURSTS 2
#define BYPASS_MARK UINT32_C(0x11)
#define BYPASS_MASK UINT32_C(0xff)

static struct flow_pipeline_member *const members = flow_pipeline.members;

/* Bursts, one after the other, on one table. */
struct play {
    unsigned members;
    nfqe_verdict default_verdict;
    nfqe_verdict on_crash;
    unsigned forced[BURSTS]; /* not 0: this packet, counted from 1, has the --on-crash verdict before any plugin runs */
    struct what what[BURSTS][PACKETS];
    nfqe_verdict given[BURSTS][FLOW_PIPELINE_MEMBERS_MAX][PACKETS];
};

struct outcome {
    uint32_t verdicts[PACKETS];
    uint32_t marks[PACKETS];
    uint32_t flags[PACKETS];
    nfqe_verdict flows[2];
};

/* Most packets get their first answer from a late plugin as often as from an early one. */
static nfqe_verdict draw_answer(uint64_t *random, bool last)
{
    static const nfqe_verdict answers[] = {
        NFQE_ACCEPT, NFQE_DROP, ACCEPT_FLOW, ACCEPT_FLOW, DROP_FLOW, NFQE_HELD, NFQE_CONTINUE,
    };

    if (!last && unit_random_below(random, 2) == 0) {
        return NFQE_CONTINUE;
    }
    return answers[unit_random_below(random, sizeof(answers) / sizeof(answers[0]))];
}

static void draw(uint64_t *random, struct play *play)
{
    play->default_verdict = unit_random_below(random, 2) == 0 ? NFQE_ACCEPT : NFQE_DROP;
    play->on_crash = unit_random_below(random, 2) == 0 ? NFQE_ACCEPT : NFQE_DROP;
    for (unsigned i = 0; i < BURSTS; i++) {
        for (unsigned packet = 0; packet < PACKETS; packet++) {
            play->what[i][packet].flow = unit_random_below(random, 10) == 0 ? NO_FLOW : unit_random_below(random, 2);
            play->what[i][packet].kind = "dddasfgwv"[unit_random_below(random, 9)];
            for (unsigned member = 0; member < play->members; member++) {
                play->given[i][member][packet] = draw_answer(random, member + 1 == play->members);
            }
        }
    }
}

static void build(enum way way, const struct play *play)
{
    flow_pipeline_build(way, play->members);
    flow_pipeline.pipeline.policy.default_verdict = play->default_verdict;
    flow_pipeline.pipeline.policy.on_crash = play->on_crash;
    flow_pipeline.pipeline.policy.bypass_mark = BYPASS_MARK;
    flow_pipeline.pipeline.policy.bypass_mask = BYPASS_MASK;
    for (unsigned member = 0; member < play->members; member++) {
        flow_pipeline.pipeline.chain.members[member].rights.needs = NFQE_NEED_FLOW;
    }
}

static void give(const struct play *play, unsigned i)
{
    for (unsigned member = 0; member < play->members; member++) {
        memcpy(members[member].answers, play->given[i][member], sizeof(play->given[i][member]));
    }
}

static void read_outcome(struct outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    for (unsigned packet = 0; packet < PACKETS; packet++) {
        outcome->verdicts[packet] = flow_pipeline.fixture->burst->entries[packet].verdict;
        outcome->marks[packet] = flow_pipeline.fixture->burst->entries[packet].mark;
        outcome->flags[packet] = flow_pipeline.fixture->burst->entries[packet].flags & ~BURST_INVALID;
    }
    for (uint32_t flow = 0; flow < 2; flow++) {
        const struct flow_entry *entry = flow_image_entry(&flow_pipeline.image, flow);

        outcome->flows[flow] = entry != NULL ? entry->verdict : NFQE_CONTINUE;
    }
}

/*
 * ---- ways through the plugin chain
 * ---------------------------------------------------------------------------------------
 */

static void play_bursts(enum way way, const struct play *play, struct outcome outcomes[BURSTS])
{
    build(way, play);
    for (unsigned i = 0; i < BURSTS; i++) {
        give(play, i);
        flow_pipeline_begin(way, play->what[i], PACKETS);
        if (play->forced[i] > 0) {
            burst_force_verdict(flow_pipeline.fixture->burst, play->forced[i] - 1, play->on_crash);
        }
        flow_pipeline_finish(PACKETS);
        read_outcome(&outcomes[i]);
    }
}

static void assert_all_ways_are_alike(unsigned count)
{
    const unsigned rounds = unit_cases(ROUNDS, ROUNDS_QUICK);
    uint64_t random = 314159265358979;

    for (unsigned round = 0; round < rounds; round++) {
        struct outcome outcomes[WAYS][BURSTS];
        struct play play = {.members = count};

        draw(&random, &play);
        for (unsigned i = 0; i < BURSTS; i++) {
            play.forced[i] = unit_random_below(&random, 3) == 0 ? 1 + unit_random_below(&random, PACKETS) : 0;
        }
        for (enum way way = 0; way < WAYS; way++) {
            play_bursts(way, &play, outcomes[way]);
            assert_memory_equal(outcomes[way], outcomes[WITHOUT_BATCH], sizeof(outcomes[way]));
        }
    }
}

static void test_one_plugin_decides_alike_in_all_ways(void **state)
{
    (void)state;
    assert_all_ways_are_alike(1);
}

static void test_two_plugins_decide_alike_in_all_ways(void **state)
{
    (void)state;
    assert_all_ways_are_alike(2);
}

static void test_three_plugins_decide_alike_in_all_ways(void **state)
{
    (void)state;
    assert_all_ways_are_alike(3);
}

/*
 * ---- deaths -------------------------------------------------------------------------------------------------------
 */

/*
 * Runs the last burst up to `dead`, where the worker dies: between two packets, or (crashed_on) in a plugin. Another
 * one finishes it.
 */
static void die_and_finish(const struct play *play, const struct what *what, unsigned dead, bool crashed_on)
{
    struct burst_entry before[PACKETS];
    struct burst_entry *verdicts = flow_pipeline.fixture->burst->entries;

    flow_pipeline_run(ONE_BY_ONE, what, dead);
    memcpy(before, verdicts, sizeof(before));
    flow_image_attach(&flow_pipeline.image, FLOW_IMAGE_IDLE_MS);
    flow_pipeline_begin(ONE_BY_ONE, what, PACKETS);
    memcpy(verdicts, before, dead * sizeof(before[0]));
    if (crashed_on) {
        burst_force_verdict(flow_pipeline.fixture->burst, dead, play->on_crash);
    }
    flow_pipeline_finish(PACKETS);
}

static void test_burst_is_decided_alike_when_a_worker_dies_between_two_packets(void **state)
{
    const unsigned rounds = unit_cases(ROUNDS, ROUNDS_QUICK);
    uint64_t random = 271828182845904;

    (void)state;
    for (unsigned round = 0; round < rounds; round++) {
        struct outcome outcomes[BURSTS];
        struct outcome outcome;
        struct play play = {.members = 1 + round % 3};
        unsigned dead = unit_random_below(&random, PACKETS + 1);

        draw(&random, &play);
        play_bursts(ONE_BY_ONE, &play, outcomes);
        build(ONE_BY_ONE, &play);
        give(&play, 0);
        flow_pipeline_run(ONE_BY_ONE, play.what[0], PACKETS);
        give(&play, 1);
        die_and_finish(&play, play.what[1], dead, false);
        read_outcome(&outcome);
        assert_memory_equal(&outcome, &outcomes[1], sizeof(outcome));
    }
}

/* The guilty packet has the same effect on its flow as an answer that the ABI does not know: both get --on-crash. */
static void test_burst_is_decided_alike_when_a_plugin_crashes_on_a_packet(void **state)
{
    const unsigned rounds = unit_cases(ROUNDS, ROUNDS_QUICK);
    uint64_t random = 161803398874989;
    unsigned deaths = 0;

    (void)state;
    for (unsigned round = 0; round < rounds; round++) {
        struct outcome outcomes[BURSTS];
        struct outcome outcome;
        struct play play = {.members = 1 + round % 3};
        unsigned dead = unit_random_below(&random, PACKETS);

        draw(&random, &play);
        play.given[1][0][dead] = NFQE_HELD;
        play_bursts(ONE_BY_ONE, &play, outcomes);
        if (members[0].asked[dead] == 0) {
            continue;
        }
        deaths++;
        build(ONE_BY_ONE, &play);
        give(&play, 0);
        flow_pipeline_run(ONE_BY_ONE, play.what[0], PACKETS);
        give(&play, 1);
        die_and_finish(&play, play.what[1], dead, true);
        read_outcome(&outcome);
        assert_memory_equal(&outcome, &outcomes[1], sizeof(outcome));
    }
    assert_in_range(deaths, rounds / 4, rounds);
}

static void test_syn_that_is_accepted_since_a_plugin_crashed_on_it_ends_the_flow(void **state)
{
    static const struct what flow[] = {{1, 'd'}};
    static const struct what what[] = {{1, 's'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        flow_pipeline_run(way, flow, 1);
        flow_pipeline_begin(way, what, 2);
        burst_force_verdict(flow_pipeline.fixture->burst, 0, NFQE_ACCEPT);
        members[0].answers[1] = NFQE_DROP;
        flow_pipeline_finish(2);
        flow_pipeline_assert(0, NFQE_ACCEPT, 0);
        flow_pipeline_assert(1, NFQE_DROP, 0);
        assert_int_equal(members[0].asked[1], 1);
        assert_null(flow_image_entry(&flow_pipeline.image, 1));
    }
}

/* The worker that finishes the burst finds the SYN, and the flow that a later packet decided. */
static void test_syn_that_a_predecessor_accepted_does_not_end_what_later_data_has_decided(void **state)
{
    static const struct what what[] = {{1, 's'}, {1, 'd'}, {1, 'a'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = NFQE_ACCEPT;
        members[0].answers[1] = ACCEPT_FLOW;
        flow_pipeline_run(way, what, 3);
        flow_pipeline.fixture->burst->entries[2].flags = 0; /* it died before this one */
        members[0].answers[2] = NFQE_DROP;
        flow_pipeline_finish(3);
        flow_pipeline_assert(0, NFQE_ACCEPT, 0);
        flow_pipeline_assert(1, NFQE_ACCEPT, BURST_FOR_FLOW);
        flow_pipeline_assert(2, NFQE_ACCEPT, BURST_BY_FLOW);
        assert_int_equal(members[0].asked[0] + members[0].asked[1] + members[0].asked[2], 0);
        assert_int_equal(flow_image_entry(&flow_pipeline.image, 1)->verdict, NFQE_ACCEPT);
    }
}

/* The SYN got the verdict of its flow, or one for its flow: it ends nothing. */
static void test_syn_that_was_decided_with_its_flow_ends_nothing_when_the_burst_is_finished(void **state)
{
    static const struct what what[] = {{1, 's'}, {1, 'a'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        flow_pipeline_run(way, what, 2);
        flow_pipeline.fixture->burst->entries[1].flags = 0;
        flow_pipeline_finish(2);
        flow_pipeline_assert(0, NFQE_ACCEPT, BURST_FOR_FLOW);
        flow_pipeline_assert(1, NFQE_ACCEPT, BURST_BY_FLOW);
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, flow_pipeline_set_up, flow_pipeline_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_one_plugin_decides_alike_in_all_ways),
        TEST(test_two_plugins_decide_alike_in_all_ways),
        TEST(test_three_plugins_decide_alike_in_all_ways),
        TEST(test_burst_is_decided_alike_when_a_worker_dies_between_two_packets),
        TEST(test_burst_is_decided_alike_when_a_plugin_crashes_on_a_packet),
        TEST(test_syn_that_is_accepted_since_a_plugin_crashed_on_it_ends_the_flow),
        TEST(test_syn_that_a_predecessor_accepted_does_not_end_what_later_data_has_decided),
        TEST(test_syn_that_was_decided_with_its_flow_ends_nothing_when_the_burst_is_finished),
    };

    return cmocka_run_group_tests_name("pipeline_flow_order", tests, NULL, NULL);
}
