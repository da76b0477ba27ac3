/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chain with plugins that decide for flows: who is still asked, which verdict the rest of a flow gets, in the same
 * burst and later, and which packets are marked.
 *
 * Each test runs with handle() and with handle_batch(), and once more one by one, as after a crash. What a plugin answers
 * is a table; whoever is asked is written down.
 */
#include "unit.h"

#include "burst.h"
#include "chain.h"
#include "flow_image.h"

#include <nfqe/plugin.h>

#include <string.h>

#define FIRST_ID 500
#define MEMBERS_MAX 3
#define CAPACITY 8
#define FLOWLESS 99 /* in place of a flow's number */
#define ACCEPT_FLOW (NFQE_ACCEPT | NFQE_FLOW)
#define DROP_FLOW (NFQE_DROP | NFQE_FLOW)
#define NOW UINT64_C(5000) /* ns */
#define ROUNDS 40000

enum way { ONE_PLUGIN_AT_A_TIME, BATCH, ONE_BY_ONE, WAYS };

struct member {
    nfqe_verdict answers[ARENA_BURST];
    unsigned asked[ARENA_BURST];
};

/* A packet of flow `flow`: 'd' data, 'a' data of the other end, 's' a SYN. */
struct what {
    uint32_t flow;
    char kind;
};

static struct flow_image image;
static struct flow_packet bytes[ARENA_BURST];
static struct member members[MEMBERS_MAX];
static struct burst *burst;
static struct chain chain;
static struct chain_report report;

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    struct member *member = self;

    member->asked[packet->id - FIRST_ID]++;
    return member->answers[packet->id - FIRST_ID];
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

/* All members answer CONTINUE until the test says otherwise; the last one may decide for flows. */
static void build(enum way way, unsigned count)
{
    chain = (struct chain){.default_verdict = NFQE_DROP, .on_crash = NFQE_DROP, .flows = &image.flows};
    memset(members, 0, sizeof(members));
    for (unsigned i = 0; i < count; i++) {
        chain_add(&chain, &(struct chain_member){.handle = handle,
                                                 .handle_batch = way == ONE_PLUGIN_AT_A_TIME ? NULL : handle_batch,
                                                 .self = &members[i],
                                                 .gives_flows = i == count - 1});
    }
    memset(image.table, 0, image.size);
    flow_image_attach(&image, FLOW_IMAGE_IDLE_MS);
}

static void run(enum way way, const struct what *what, unsigned count)
{
    burst_fill(burst, count, FIRST_ID, ARENA_HANDLING);
    burst->arena->one_by_one = way == ONE_BY_ONE;
    for (unsigned i = 0; i < count; i++) {
        flow_packet_make(&bytes[i], what[i].flow, what[i].kind == 'a', what[i].kind == 's' ? NFQE_TCP_SYN : 0);
        bytes[i].packet.id = FIRST_ID + i;
        burst->arena->verdicts[i].mark = 0xaabbccdd;
        if (what[i].flow == FLOWLESS) {
            bytes[i].packet.flags = NFQE_PACKET_FRAGMENT;
        }
        burst->packets[i] = bytes[i].packet;
        for (unsigned member = 0; member < MEMBERS_MAX; member++) {
            members[member].asked[i] = 0;
        }
    }
    flows_begin_burst(&image.flows, burst->packets, count, NOW);
    chain_run(&chain, burst->arena, burst->packets, count, &report);
    assert_string_equal(flow_image_fault(&image), "");
}

static void assert_verdict(unsigned packet, nfqe_verdict verdict, uint32_t flags)
{
    const struct arena_verdict *entry = &burst->arena->verdicts[packet];

    assert_int_equal(entry->verdict, verdict);
    assert_int_equal(entry->flags, ARENA_DECIDED | flags);
    assert_int_equal(entry->id, FIRST_ID + packet);
}

/* ---- whose packets are asked for ---------------------------------------------------------------------------- */

static void test_rest_of_a_decided_flow_reaches_no_plugin(void **state)
{
    static const struct what first[] = {{1, 'd'}, {2, 'd'}, {1, 'd'}, {1, 'a'}, {FLOWLESS, 'd'}, {2, 'a'}};
    static const struct what second[] = {{1, 'a'}, {2, 'd'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (nfqe_verdict verdict = NFQE_ACCEPT; verdict <= NFQE_DROP; verdict++) {
            bool batch = way == BATCH; /* it was asked before the answer was known */
            nfqe_verdict other = verdict == NFQE_ACCEPT ? NFQE_DROP : NFQE_ACCEPT;

            build(way, 2);
            members[1].answers[0] = verdict | NFQE_FLOW;
            members[1].answers[2] = other;
            members[1].answers[3] = batch ? NFQE_HELD : NFQE_CONTINUE; /* nobody hears of it */
            run(way, first, 6);
            assert_int_equal(report.invalid, 0);
            assert_verdict(0, verdict, 0);
            assert_verdict(1, NFQE_DROP, 0);
            assert_verdict(2, verdict, ARENA_BY_FLOW);
            assert_verdict(3, verdict, ARENA_BY_FLOW);
            assert_verdict(4, NFQE_DROP, 0);
            assert_verdict(5, NFQE_DROP, 0);
            assert_int_equal(members[0].asked[0] + members[1].asked[0], 2);
            assert_int_equal(members[0].asked[2] + members[1].asked[2], way == ONE_BY_ONE || !batch ? 0 : 2);
            assert_int_equal(members[0].asked[1] + members[1].asked[1], 2);
            assert_int_equal(members[0].asked[5] + members[1].asked[5], 2);
            run(way, second, 3);
            assert_verdict(0, verdict, ARENA_BY_FLOW);
            assert_verdict(1, NFQE_DROP, 0);
            assert_verdict(2, verdict, ARENA_BY_FLOW);
            assert_int_equal(members[0].asked[0] + members[1].asked[0], 0);
            assert_int_equal(members[0].asked[1] + members[1].asked[1], 2);
            assert_int_equal(members[0].asked[2] + members[1].asked[2], 0);
        }
    }
}

static void test_without_the_flag_no_flow_is_made(void **state)
{
    static const struct what what[] = {{1, 'd'}, {2, 'd'}, {3, 'd'}, {1, 's'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        build(way, 1);
        members[0].answers[0] = NFQE_ACCEPT;
        members[0].answers[1] = NFQE_DROP;
        for (unsigned i = 0; i < 2; i++) { /* the third one gets the default verdict */
            chain.default_verdict = i == 0 ? NFQE_ACCEPT : NFQE_DROP;
            run(way, what, 4);
            assert_verdict(0, NFQE_ACCEPT, 0);
            assert_verdict(1, NFQE_DROP, 0);
            assert_verdict(2, chain.default_verdict, 0);
        }
        assert_int_equal(image.table->totals.added, 0);
    }
}

static void test_flow_verdict_of_a_plugin_that_did_not_declare_it_is_invalid(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 'd'}, {2, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (nfqe_verdict on_crash = NFQE_ACCEPT; on_crash <= NFQE_DROP; on_crash++) {
            build(way, 2);
            chain.on_crash = on_crash;
            members[0].answers[0] = ACCEPT_FLOW;
            members[0].answers[1] = DROP_FLOW;
            members[1].answers[2] = ACCEPT_FLOW; /* this one may */
            run(way, what, 3);
            assert_int_equal(report.invalid, 2);
            assert_int_equal(report.plugin, 0);
            assert_int_equal(report.verdict, ACCEPT_FLOW);
            assert_int_equal(report.packet_id, FIRST_ID);
            assert_verdict(0, on_crash, 0);
            assert_verdict(1, on_crash, 0);
            assert_verdict(2, NFQE_ACCEPT, 0);
            assert_int_equal(image.table->totals.added, 1);
        }
    }
}

static void test_flag_beside_anything_but_accept_and_drop_is_invalid(void **state)
{
    static const nfqe_verdict invalid[] = {NFQE_FLOW,           NFQE_REPEAT | NFQE_FLOW,      NFQE_HELD | NFQE_FLOW,
                                           ACCEPT_FLOW | 0x200, NFQE_TO_QUEUE(1) | NFQE_FLOW, UINT32_MAX};
    static const struct what what[] = {{1, 'd'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
            build(way, 1);
            members[0].answers[0] = invalid[i];
            members[0].answers[1] = NFQE_ACCEPT;
            run(way, what, 2);
            assert_int_equal(report.invalid, 1);
            assert_verdict(0, NFQE_DROP, 0);
            assert_verdict(1, NFQE_ACCEPT, 0);
            assert_int_equal(image.table->totals.added, 0);
        }
    }
}

static void test_packet_without_a_flow_gets_the_verdict_alone(void **state)
{
    static const struct what what[] = {{FLOWLESS, 'd'}, {FLOWLESS, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        members[0].answers[1] = NFQE_DROP;
        run(way, what, 2);
        assert_int_equal(report.invalid, 0);
        assert_verdict(0, NFQE_ACCEPT, ARENA_FLOWLESS);
        assert_verdict(1, NFQE_DROP, 0);
        assert_int_equal(members[0].asked[1], 1);
    }
}

static void test_verdicts_that_stand_already_are_kept_beside_their_flow(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 'd'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        run(way, what, 1);
        burst_fill(burst, 3, FIRST_ID, ARENA_HANDLING);
        burst->arena->one_by_one = way == ONE_BY_ONE;
        for (unsigned i = 0; i < 3; i++) {
            burst->packets[i] = bytes[0].packet;
        }
        arena_decide(burst->arena, 1, NFQE_DROP); /* the guilty one of a crash */
        flows_begin_burst(&image.flows, burst->packets, 3, NOW);
        chain_run(&chain, burst->arena, burst->packets, 3, &report);
        assert_verdict(0, NFQE_ACCEPT, ARENA_BY_FLOW);
        assert_verdict(1, NFQE_DROP, 0);
        assert_verdict(2, NFQE_ACCEPT, ARENA_BY_FLOW);
    }
}

/* ---- new connections ------------------------------------------------------------------------------------------- */

static void test_syn_of_an_accepted_flow_is_decided_by_the_chain_and_so_is_what_follows(void **state)
{
    static const struct what flow[] = {{1, 'd'}};
    static const struct what what[] = {{1, 'd'}, {1, 's'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (nfqe_verdict verdict = NFQE_ACCEPT; verdict <= NFQE_DROP; verdict++) {
            build(way, 2);
            members[1].answers[0] = ACCEPT_FLOW;
            run(way, flow, 1);
            members[1].answers[0] = NFQE_DROP;
            members[1].answers[1] = verdict;
            members[1].answers[2] = NFQE_DROP;
            run(way, what, 3);
            assert_verdict(0, NFQE_ACCEPT, ARENA_BY_FLOW);
            assert_verdict(1, verdict, 0);
            assert_verdict(2, NFQE_DROP, 0);
            assert_int_equal(members[0].asked[1] + members[1].asked[1], 2);
            run(way, flow, 1); /* a SYN that was dropped has ended nothing */
            assert_verdict(0, verdict == NFQE_ACCEPT ? NFQE_DROP : NFQE_ACCEPT,
                           verdict == NFQE_ACCEPT ? 0 : ARENA_BY_FLOW);
        }
    }
}

static void test_syn_that_the_default_or_the_crash_verdict_accepts_ends_the_flow(void **state)
{
    static const struct what flow[] = {{1, 'd'}};
    static const struct what syn[] = {{1, 's'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (unsigned invalid = 0; invalid < 2; invalid++) {
            build(way, 1);
            chain.default_verdict = chain.on_crash = NFQE_ACCEPT;
            members[0].answers[0] = ACCEPT_FLOW;
            run(way, flow, 1);
            members[0].answers[0] = invalid != 0 ? NFQE_HELD : NFQE_CONTINUE;
            run(way, syn, 1);
            members[0].answers[0] = NFQE_DROP;
            run(way, flow, 1);
            assert_verdict(0, NFQE_DROP, 0);
        }
    }
}

/* In a batch, the default verdict comes after all answers; but the SYN came before the data that decided its flow. */
static void test_syn_that_is_decided_late_does_not_end_what_later_data_has_decided(void **state)
{
    static const struct what what[] = {{1, 's'}, {1, 'd'}};
    static const struct what flow[] = {{1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        build(way, 1);
        chain.default_verdict = NFQE_ACCEPT;
        members[0].answers[1] = ACCEPT_FLOW;
        run(way, what, 2);
        run(way, flow, 1);
        assert_verdict(0, NFQE_ACCEPT, ARENA_BY_FLOW);
    }
}

static void test_syn_ends_what_earlier_data_of_its_burst_has_decided(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 's'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        members[0].answers[1] = NFQE_ACCEPT;
        run(way, what, 2);
        assert_verdict(1, NFQE_ACCEPT, 0);
        assert_null(flow_image_entry(&image, 1));
    }
}

static void test_syn_of_a_dropped_flow_is_dropped_and_reaches_no_plugin(void **state)
{
    static const struct what flow[] = {{1, 'd'}};
    static const struct what what[] = {{1, 's'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        build(way, 1);
        members[0].answers[0] = DROP_FLOW;
        run(way, flow, 1);
        members[0].answers[0] = members[0].answers[1] = NFQE_ACCEPT;
        run(way, what, 2);
        assert_verdict(0, NFQE_DROP, ARENA_BY_FLOW);
        assert_verdict(1, NFQE_DROP, ARENA_BY_FLOW);
        assert_int_equal(members[0].asked[0] + members[0].asked[1], 0);
    }
}

/* ---- whole bursts are no different ------------------------------------------------------------------------------- */

static const nfqe_verdict answers[] = {
    NFQE_CONTINUE, NFQE_ACCEPT, NFQE_DROP, ACCEPT_FLOW, ACCEPT_FLOW, DROP_FLOW, NFQE_HELD,
};

struct outcome {
    uint32_t verdicts[ARENA_BURST];
    uint32_t flags[ARENA_BURST];
    nfqe_verdict flows[3];
};

/* Two bursts, one after the other: what the packets of each got, and the flows at the end. */
static void play(enum way way, nfqe_verdict default_verdict, struct what what[2][6], nfqe_verdict given[2][6],
                 struct outcome outcomes[2])
{
    build(way, 1);
    chain.default_verdict = default_verdict;
    for (unsigned i = 0; i < 2; i++) {
        memset(&outcomes[i], 0, sizeof(outcomes[i]));
        memcpy(members[0].answers, given[i], 6 * sizeof(nfqe_verdict));
        run(way, what[i], 6);
        for (unsigned packet = 0; packet < 6; packet++) {
            outcomes[i].verdicts[packet] = burst->arena->verdicts[packet].verdict;
            outcomes[i].flags[packet] = burst->arena->verdicts[packet].flags;
        }
        for (uint32_t flow = 0; flow < 3; flow++) {
            const struct flow_entry *entry = flow_image_entry(&image, flow);

            outcomes[i].flows[flow] = entry != NULL ? entry->verdict : NFQE_CONTINUE;
        }
    }
}

static void test_with_one_plugin_a_batch_decides_as_packet_by_packet(void **state)
{
    uint64_t random = 314159265358979;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct outcome outcomes[WAYS][2];
        nfqe_verdict given[2][6];
        struct what what[2][6];

        for (unsigned i = 0; i < 2; i++) {
            for (unsigned packet = 0; packet < 6; packet++) {
                what[i][packet].flow = unit_random_below(&random, 10) == 0 ? FLOWLESS : unit_random_below(&random, 2);
                what[i][packet].kind = "dddas"[unit_random_below(&random, 5)];
                given[i][packet] = answers[unit_random_below(&random, sizeof(answers) / sizeof(answers[0]))];
            }
        }
        for (enum way way = 0; way < WAYS; way++) {
            play(way, round % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP, what, given, outcomes[way]);
        }
        assert_memory_equal(outcomes[BATCH], outcomes[ONE_BY_ONE], sizeof(outcomes[0]));
        assert_memory_equal(outcomes[ONE_PLUGIN_AT_A_TIME], outcomes[ONE_BY_ONE], sizeof(outcomes[0]));
    }
}

/* ---- marks ------------------------------------------------------------------------------------------------------ */

static void test_packets_of_accepted_flows_and_no_other_carry_the_mark(void **state)
{
    static const struct what what[] = {{1, 'd'},        {2, 'd'},        {1, 'a'}, {2, 'a'},
                                       {FLOWLESS, 'd'}, {FLOWLESS, 'd'}, {3, 'd'}, {4, 'd'}};
    static const nfqe_verdict given[] = {ACCEPT_FLOW, DROP_FLOW, NFQE_DROP,  NFQE_ACCEPT,
                                         ACCEPT_FLOW, DROP_FLOW, NFQE_ACCEPT};
    static const struct {
        uint32_t mark, mask, result;
    } marks[] = {{0x10, 0x10, 0xaabbccdd},
                 {0x0f00, 0xff00, 0xaabb0fdd},
                 {0, 0xff, 0xaabbcc00},
                 {0x12345678, UINT32_MAX, 0x12345678}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
            build(way, 1);
            chain.bypass_mark = marks[i].mark;
            chain.bypass_mask = marks[i].mask;
            chain.default_verdict = NFQE_ACCEPT;
            memcpy(members[0].answers, given, sizeof(given));
            run(way, what, 8);
            assert_verdict(0, NFQE_ACCEPT, ARENA_SETS_MARK);
            assert_verdict(1, NFQE_DROP, 0);
            assert_verdict(2, NFQE_ACCEPT, ARENA_SETS_MARK | ARENA_BY_FLOW);
            assert_verdict(3, NFQE_DROP, ARENA_BY_FLOW);
            assert_verdict(4, NFQE_ACCEPT, ARENA_FLOWLESS);
            assert_verdict(5, NFQE_DROP, ARENA_FLOWLESS);
            assert_verdict(6, NFQE_ACCEPT, 0);
            assert_verdict(7, NFQE_ACCEPT, 0);
            assert_int_equal(burst->arena->verdicts[0].mark, marks[i].result);
            assert_int_equal(burst->arena->verdicts[2].mark, marks[i].result);
            assert_int_equal(burst->arena->verdicts[1].mark, 0xaabbccdd);
            assert_int_equal(burst->arena->verdicts[4].mark, 0xaabbccdd);
        }
    }
}

static int set_up(void **state)
{
    burst_set_up(state);
    burst = *state;
    flow_image_init(&image, CAPACITY, NULL);
    return 0;
}

static int tear_down(void **state)
{
    flow_image_done(&image);
    return burst_tear_down(state);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_rest_of_a_decided_flow_reaches_no_plugin),
        TEST(test_without_the_flag_no_flow_is_made),
        TEST(test_flow_verdict_of_a_plugin_that_did_not_declare_it_is_invalid),
        TEST(test_flag_beside_anything_but_accept_and_drop_is_invalid),
        TEST(test_packet_without_a_flow_gets_the_verdict_alone),
        TEST(test_verdicts_that_stand_already_are_kept_beside_their_flow),
        TEST(test_syn_of_an_accepted_flow_is_decided_by_the_chain_and_so_is_what_follows),
        TEST(test_syn_that_the_default_or_the_crash_verdict_accepts_ends_the_flow),
        TEST(test_syn_that_is_decided_late_does_not_end_what_later_data_has_decided),
        TEST(test_syn_ends_what_earlier_data_of_its_burst_has_decided),
        TEST(test_syn_of_a_dropped_flow_is_dropped_and_reaches_no_plugin),
        TEST(test_with_one_plugin_a_batch_decides_as_packet_by_packet),
        TEST(test_packets_of_accepted_flows_and_no_other_carry_the_mark),
    };

    return cmocka_run_group_tests_name("chain_flow", tests, NULL, NULL);
}
