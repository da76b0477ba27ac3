/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pipeline with plugins that decide for flows: which plugins are still called, which verdict the rest of a flow
 * gets, in the same burst and later, what a new connection changes, and which packets are marked.
 *
 * Each test runs in all ways that a burst can go through the plugin chain.
 */
#include "flow_pipeline.h"

#include "unit.h"

#include <errno.h>
#include <string.h>

static struct flow_pipeline_member *const members = flow_pipeline.members;

/* ---- which packets reach a plugin --------------------------------------------------------------------------- */

static void test_rest_of_a_decided_flow_reaches_no_plugin(void **state)
{
    static const struct what first[] = {{1, 'd'}, {2, 'd'}, {1, 'd'}, {1, 'a'}, {NO_FLOW, 'd'}, {2, 'a'}};
    static const struct what second[] = {{1, 'a'}, {2, 'd'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (nfqe_verdict verdict = NFQE_ACCEPT; verdict <= NFQE_DROP; verdict++) {
            bool batch = flow_pipeline_in_bursts(way); /* it was asked before the answer was known */
            nfqe_verdict other = verdict == NFQE_ACCEPT ? NFQE_DROP : NFQE_ACCEPT;

            flow_pipeline_build(way, 2);
            members[1].answers[0] = verdict | NFQE_FLOW;
            members[1].answers[2] = other;
            members[1].answers[3] = batch ? NFQE_HELD : NFQE_CONTINUE; /* neither counted nor logged */
            flow_pipeline_run(way, first, 6);
            assert_int_equal(flow_pipeline.invalid.count, 0);
            flow_pipeline_assert(0, verdict, BURST_FOR_FLOW);
            flow_pipeline_assert(1, NFQE_DROP, 0);
            flow_pipeline_assert(2, verdict, BURST_BY_FLOW);
            flow_pipeline_assert(3, verdict, BURST_BY_FLOW);
            flow_pipeline_assert(4, NFQE_DROP, 0);
            flow_pipeline_assert(5, NFQE_DROP, 0);
            assert_int_equal(members[0].asked[0] + members[1].asked[0], 2);
            assert_int_equal(members[0].asked[2] + members[1].asked[2], batch ? 2 : 0);
            assert_int_equal(members[0].asked[1] + members[1].asked[1], 2);
            assert_int_equal(members[0].asked[5] + members[1].asked[5], 2);
            flow_pipeline_run(way, second, 3);
            flow_pipeline_assert(0, verdict, BURST_BY_FLOW);
            flow_pipeline_assert(1, NFQE_DROP, 0);
            flow_pipeline_assert(2, verdict, BURST_BY_FLOW);
            assert_int_equal(members[0].asked[0] + members[1].asked[0], 0);
            assert_int_equal(members[0].asked[1] + members[1].asked[1], 2);
            assert_int_equal(members[0].asked[2] + members[1].asked[2], 0);
        }
    }
}

/* In a batch, the earlier plugin has answered for the later packet already. */
static void test_verdict_for_a_flow_overrides_what_other_plugins_answer_for_its_later_packets(void **state)
{
    static const nfqe_verdict given[] = {NFQE_ACCEPT, NFQE_DROP, ACCEPT_FLOW, DROP_FLOW, NFQE_CONTINUE};
    static const struct what what[] = {{1, 'd'}, {1, 'd'}, {2, 'd'}, {1, 'a'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
            for (nfqe_verdict verdict = NFQE_ACCEPT; verdict <= NFQE_DROP; verdict++) {
                bool accepted = verdict == NFQE_ACCEPT;
                uint32_t mark = accepted ? (FLOW_PIPELINE_MARK & ~0xffU) | 1 : FLOW_PIPELINE_MARK;

                flow_pipeline_build(way, 3);
                flow_pipeline.pipeline.chain.members[0].rights.needs = NFQE_NEED_FLOW;
                flow_pipeline.pipeline.policy.bypass_mark = 1;
                flow_pipeline.pipeline.policy.bypass_mask = 0xff;
                members[2].answers[0] = verdict | NFQE_FLOW;
                members[0].answers[1] = given[i];
                members[1].answers[3] = accepted ? NFQE_DROP : NFQE_ACCEPT;
                flow_pipeline_run(way, what, 4);
                flow_pipeline_assert(0, verdict, BURST_FOR_FLOW | (accepted ? BURST_SETS_MARK : 0));
                flow_pipeline_assert(1, verdict, BURST_BY_FLOW | (accepted ? BURST_SETS_MARK : 0));
                flow_pipeline_assert(2, NFQE_DROP, 0);
                flow_pipeline_assert(3, verdict, BURST_BY_FLOW | (accepted ? BURST_SETS_MARK : 0));
                flow_pipeline_assert_mark(0, mark);
                flow_pipeline_assert_mark(1, mark);
                flow_pipeline_assert_mark(3, mark);
                assert_int_equal(flow_image_entry(&flow_pipeline.image, 1)->verdict, verdict);
            }
        }
    }
}

static void test_without_the_flag_no_flow_is_made(void **state)
{
    static const struct what what[] = {{1, 'd'}, {2, 'd'}, {3, 'd'}, {1, 's'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = NFQE_ACCEPT;
        members[0].answers[1] = NFQE_DROP;
        for (unsigned i = 0; i < 2; i++) { /* the third one gets the default verdict */
            flow_pipeline.pipeline.policy.default_verdict = i == 0 ? NFQE_ACCEPT : NFQE_DROP;
            flow_pipeline_run(way, what, 4);
            flow_pipeline_assert(0, NFQE_ACCEPT, 0);
            flow_pipeline_assert(1, NFQE_DROP, 0);
            flow_pipeline_assert(2, flow_pipeline.pipeline.policy.default_verdict, 0);
        }
        assert_int_equal(flow_pipeline.image.header->totals.added, 0);
    }
}

static void test_flow_verdict_of_a_plugin_that_did_not_declare_it_is_invalid(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 'd'}, {2, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (nfqe_verdict on_crash = NFQE_ACCEPT; on_crash <= NFQE_DROP; on_crash++) {
            flow_pipeline_build(way, 2);
            flow_pipeline.pipeline.policy.on_crash = on_crash;
            members[0].answers[0] = ACCEPT_FLOW;
            members[0].answers[1] = DROP_FLOW;
            members[1].answers[2] = ACCEPT_FLOW; /* this one may */
            flow_pipeline_run(way, what, 3);
            assert_int_equal(flow_pipeline.invalid.count, 2);
            assert_int_equal(flow_pipeline.invalid.plugin, 0);
            assert_int_equal(flow_pipeline.invalid.answer, ACCEPT_FLOW);
            assert_int_equal(flow_pipeline.invalid.packet_id, FLOW_PIPELINE_FIRST_ID);
            flow_pipeline_assert(0, on_crash, 0);
            flow_pipeline_assert(1, on_crash, 0);
            flow_pipeline_assert(2, NFQE_ACCEPT, BURST_FOR_FLOW);
            assert_int_equal(flow_pipeline.image.header->totals.added, 1);
        }
    }
}

static void test_flag_beside_anything_but_accept_and_drop_is_invalid(void **state)
{
    static const nfqe_verdict invalid[] = {NFQE_FLOW,
                                           NFQE_REPEAT | NFQE_FLOW,
                                           NFQE_HELD | NFQE_FLOW,
                                           ACCEPT_FLOW | NFQE_REJECT,
                                           NFQE_TO_QUEUE(1) | NFQE_FLOW,
                                           UINT32_MAX};
    static const struct what what[] = {{1, 'd'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
            flow_pipeline_build(way, 1);
            members[0].answers[0] = invalid[i];
            members[0].answers[1] = NFQE_ACCEPT;
            flow_pipeline_run(way, what, 2);
            assert_int_equal(flow_pipeline.invalid.count, 1);
            flow_pipeline_assert(0, NFQE_DROP, 0);
            flow_pipeline_assert(1, NFQE_ACCEPT, 0);
            assert_int_equal(flow_pipeline.image.header->totals.added, 0);
        }
    }
}

static void test_packet_without_a_flow_gets_the_verdict_alone(void **state)
{
    static const struct what what[] = {{NO_FLOW, 'd'}, {NO_FLOW, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        members[0].answers[1] = NFQE_DROP;
        flow_pipeline_run(way, what, 2);
        assert_int_equal(flow_pipeline.invalid.count, 0);
        flow_pipeline_assert(0, NFQE_ACCEPT, BURST_FLOW_NOT_STORED);
        flow_pipeline_assert(1, NFQE_DROP, 0);
        assert_int_equal(members[0].asked[1], 1);
    }
}

static void test_verdicts_given_already_are_kept_whatever_their_flow_has(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 'd'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        flow_pipeline_run(way, what, 1);
        flow_pipeline_begin(way, what, 3);
        burst_force_verdict(flow_pipeline.fixture->burst, 1, NFQE_DROP); /* the guilty one of a crash */
        flow_pipeline_finish(3);
        flow_pipeline_assert(0, NFQE_ACCEPT, BURST_BY_FLOW);
        flow_pipeline_assert(1, NFQE_DROP, 0);
        flow_pipeline_assert(2, NFQE_ACCEPT, BURST_BY_FLOW);
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
            flow_pipeline_build(way, 2);
            members[1].answers[0] = ACCEPT_FLOW;
            flow_pipeline_run(way, flow, 1);
            members[1].answers[0] = NFQE_DROP;
            members[1].answers[1] = verdict;
            members[1].answers[2] = NFQE_DROP;
            flow_pipeline_run(way, what, 3);
            flow_pipeline_assert(0, NFQE_ACCEPT, BURST_BY_FLOW);
            flow_pipeline_assert(1, verdict, 0);
            flow_pipeline_assert(2, NFQE_DROP, 0);
            assert_int_equal(members[0].asked[1] + members[1].asked[1], 2);
            flow_pipeline_run(way, flow, 1); /* a SYN that was dropped has ended nothing */
            flow_pipeline_assert(0, verdict == NFQE_ACCEPT ? NFQE_DROP : NFQE_ACCEPT,
                                 verdict == NFQE_ACCEPT ? 0 : BURST_BY_FLOW);
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
            flow_pipeline_build(way, 1);
            flow_pipeline.pipeline.policy.default_verdict = flow_pipeline.pipeline.policy.on_crash = NFQE_ACCEPT;
            members[0].answers[0] = ACCEPT_FLOW;
            flow_pipeline_run(way, flow, 1);
            members[0].answers[0] = invalid != 0 ? NFQE_HELD : NFQE_CONTINUE;
            flow_pipeline_run(way, syn, 1);
            members[0].answers[0] = NFQE_DROP;
            flow_pipeline_run(way, flow, 1);
            flow_pipeline_assert(0, NFQE_DROP, 0);
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
        flow_pipeline_build(way, 1);
        flow_pipeline.pipeline.policy.default_verdict = NFQE_ACCEPT;
        members[0].answers[1] = ACCEPT_FLOW;
        flow_pipeline_run(way, what, 2);
        flow_pipeline_run(way, flow, 1);
        flow_pipeline_assert(0, NFQE_ACCEPT, BURST_BY_FLOW);
    }
}

static void test_syn_ends_what_earlier_data_of_its_burst_has_decided(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 's'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        members[0].answers[1] = NFQE_ACCEPT;
        flow_pipeline_run(way, what, 2);
        flow_pipeline_assert(1, NFQE_ACCEPT, 0);
        assert_null(flow_image_entry(&flow_pipeline.image, 1));
    }
}

static void test_syn_of_a_dropped_flow_is_dropped_and_reaches_no_plugin(void **state)
{
    static const struct what flow[] = {{1, 'd'}};
    static const struct what what[] = {{1, 's'}, {1, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = DROP_FLOW;
        flow_pipeline_run(way, flow, 1);
        members[0].answers[0] = members[0].answers[1] = NFQE_ACCEPT;
        flow_pipeline_run(way, what, 2);
        flow_pipeline_assert(0, NFQE_DROP, BURST_BY_FLOW);
        flow_pipeline_assert(1, NFQE_DROP, BURST_BY_FLOW);
        assert_int_equal(members[0].asked[0] + members[0].asked[1], 0);
    }
}

/* As many connections as a burst can begin, and one more whose flow is accepted in the same burst. */
static void test_burst_full_of_new_connections_is_decided_by_the_chain(void **state)
{
    static const struct what flow[] = {{2, 'd'}};
    struct what what[BURST_MAX];

    (void)state;
    for (unsigned i = 0; i < BURST_MAX - 2; i++) {
        what[i] = (struct what){2, 's'};
    }
    what[BURST_MAX - 2] = (struct what){4, 'd'};
    what[BURST_MAX - 1] = (struct what){4, 's'};
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        members[0].answers[0] = ACCEPT_FLOW;
        flow_pipeline_run(way, flow, 1);
        for (unsigned i = 0; i < BURST_MAX; i++) {
            members[0].answers[i] = NFQE_DROP;
        }
        members[0].answers[BURST_MAX - 2] = ACCEPT_FLOW;
        flow_pipeline_run(way, what, BURST_MAX);
        for (unsigned i = 0; i < BURST_MAX; i++) {
            bool accepted = i == BURST_MAX - 2;

            flow_pipeline_assert(i, accepted ? NFQE_ACCEPT : NFQE_DROP, accepted ? BURST_FOR_FLOW : 0);
        }
    }
}

/* ---- marks ------------------------------------------------------------------------------------------------------ */

static const struct {
    uint32_t mark, mask;
    uint32_t of_flows; /* what becomes of FLOW_PIPELINE_MARK when the flow is accepted, */
    uint32_t alone;    /* and when the packet alone is */
} marks[] = {
    {0x10, 0x10, 0xaabbccdd, 0xaabbcccd},
    {0x0f00, 0xff00, 0xaabb0fdd, 0xaabb00dd},
    {0, 0xff, 0xaabbcc00, 0xaabbcc00},
    {0x12345678, UINT32_MAX, 0x12345678, 0},
    {0x02, 0x22, 0xaabbccdf, FLOW_PIPELINE_MARK}, /* it had none of these bits */
    {0, 0, FLOW_PIPELINE_MARK, FLOW_PIPELINE_MARK},  /* nothing is marked */
};

#define MARKS (sizeof(marks) / sizeof(marks[0]))

static void build_with_mark(enum way way, size_t i)
{
    flow_pipeline_build(way, 1);
    flow_pipeline.pipeline.policy.bypass_mark = marks[i].mark;
    flow_pipeline.pipeline.policy.bypass_mask = marks[i].mask;
    flow_pipeline.pipeline.policy.default_verdict = flow_pipeline.pipeline.policy.on_crash = NFQE_ACCEPT;
}

static void assert_accepted_with_flow(unsigned packet, size_t i, uint32_t flags)
{
    flow_pipeline_assert(packet, NFQE_ACCEPT, flags | (marks[i].mask != 0 ? BURST_SETS_MARK : 0));
    flow_pipeline_assert_mark(packet, marks[i].of_flows);
}

/* What the mask covers must not be taken for the mark of an accepted flow; what has nothing there stays as it is. */
static void assert_accepted_alone(unsigned packet, size_t i, uint32_t flags)
{
    flow_pipeline_assert(packet, NFQE_ACCEPT, flags | (marks[i].alone != FLOW_PIPELINE_MARK ? BURST_SETS_MARK : 0));
    flow_pipeline_assert_mark(packet, marks[i].alone);
}

static void assert_dropped(unsigned packet, uint32_t flags)
{
    flow_pipeline_assert(packet, NFQE_DROP, flags);
    flow_pipeline_assert_mark(packet, FLOW_PIPELINE_MARK);
}

static void test_packets_of_accepted_flows_and_no_other_carry_the_mark(void **state)
{
    static const struct what what[] = {{1, 'd'},       {2, 'd'}, {1, 'a'}, {2, 'a'}, {NO_FLOW, 'd'},
                                       {NO_FLOW, 'd'}, {3, 'd'}, {4, 'd'}, {5, 'd'}, {6, 's'}};
    static const nfqe_verdict given[] = {ACCEPT_FLOW, DROP_FLOW, NFQE_DROP,   NFQE_ACCEPT, ACCEPT_FLOW,
                                         DROP_FLOW,   NFQE_DROP, NFQE_ACCEPT, NFQE_HELD,   NFQE_CONTINUE};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < MARKS; i++) {
            build_with_mark(way, i);
            memcpy(members[0].answers, given, sizeof(given));
            flow_pipeline_run(way, what, 10);
            assert_accepted_with_flow(0, i, BURST_FOR_FLOW);
            assert_dropped(1, BURST_FOR_FLOW);
            assert_accepted_with_flow(2, i, BURST_BY_FLOW);
            assert_dropped(3, BURST_BY_FLOW);
            assert_accepted_alone(4, i, BURST_FLOW_NOT_STORED);
            assert_dropped(5, BURST_FLOW_NOT_STORED);
            assert_dropped(6, 0);
            assert_accepted_alone(7, i, 0);
            assert_accepted_alone(8, i, 0);
            assert_accepted_alone(9, i, 0);
        }
    }
}

static void test_packet_whose_flow_finds_no_room_gets_the_verdict_alone_and_no_mark(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 'd'}, {2, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < MARKS; i++) {
            build_with_mark(way, i);
            flow_pipeline.image.flows.index.damaged = true;
            flow_pipeline.code = -EUCLEAN; /* and every packet has its verdict all the same */
            members[0].answers[0] = ACCEPT_FLOW;
            members[0].answers[1] = NFQE_CONTINUE;
            members[0].answers[2] = DROP_FLOW;
            flow_pipeline_run(way, what, 3);
            assert_accepted_alone(0, i, BURST_FLOW_NOT_STORED);
            assert_accepted_alone(1, i, 0);
            assert_dropped(2, BURST_FLOW_NOT_STORED);
        }
    }
}

static void test_chain_that_decides_for_no_flow_lets_no_mark_pass(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 's'}, {2, 'd'}};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < MARKS; i++) {
            build_with_mark(way, i);
            flow_pipeline.pipeline.flows = NULL;
            flow_pipeline.pipeline.chain.members[0].rights.needs = 0;
            members[0].answers[1] = NFQE_ACCEPT;
            members[0].answers[2] = NFQE_DROP;
            flow_pipeline_run(way, what, 3);
            assert_accepted_alone(0, i, 0);
            assert_accepted_alone(1, i, 0);
            assert_dropped(2, 0);
        }
    }
}

/* The kernel chooses the route of such a packet once more if its mark changes. The last one has its verdict already. */
static void test_local_output_leaves_with_the_mark_that_it_has(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 'a'}, {NO_FLOW, 'd'}, {2, 'd'}, {3, 'd'}, {4, 'd'}, {5, 'd'}};
    static const nfqe_verdict given[] = {ACCEPT_FLOW, NFQE_DROP, ACCEPT_FLOW, NFQE_ACCEPT, NFQE_HELD, NFQE_CONTINUE};
    static const uint32_t flags[] = {BURST_FOR_FLOW, BURST_BY_FLOW, BURST_FLOW_NOT_STORED, 0, 0, 0, 0};

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < MARKS; i++) {
            build_with_mark(way, i);
            memcpy(members[0].answers, given, sizeof(given));
            flow_pipeline_begin(way, what, 7);
            for (unsigned packet = 0; packet < 7; packet++) {
                flow_pipeline.fixture->burst->entries[packet].flags = BURST_LOCAL_OUTPUT;
            }
            burst_force_verdict(flow_pipeline.fixture->burst, 6, NFQE_ACCEPT);
            flow_pipeline_finish(7);
            for (unsigned packet = 0; packet < 7; packet++) {
                flow_pipeline_assert(packet, NFQE_ACCEPT, flags[packet] | BURST_LOCAL_OUTPUT);
                flow_pipeline_assert_mark(packet, FLOW_PIPELINE_MARK);
            }
        }
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, flow_pipeline_set_up, flow_pipeline_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_rest_of_a_decided_flow_reaches_no_plugin),
        TEST(test_verdict_for_a_flow_overrides_what_other_plugins_answer_for_its_later_packets),
        TEST(test_without_the_flag_no_flow_is_made),
        TEST(test_flow_verdict_of_a_plugin_that_did_not_declare_it_is_invalid),
        TEST(test_flag_beside_anything_but_accept_and_drop_is_invalid),
        TEST(test_packet_without_a_flow_gets_the_verdict_alone),
        TEST(test_verdicts_given_already_are_kept_whatever_their_flow_has),
        TEST(test_syn_of_an_accepted_flow_is_decided_by_the_chain_and_so_is_what_follows),
        TEST(test_syn_that_the_default_or_the_crash_verdict_accepts_ends_the_flow),
        TEST(test_syn_that_is_decided_late_does_not_end_what_later_data_has_decided),
        TEST(test_syn_ends_what_earlier_data_of_its_burst_has_decided),
        TEST(test_syn_of_a_dropped_flow_is_dropped_and_reaches_no_plugin),
        TEST(test_burst_full_of_new_connections_is_decided_by_the_chain),
        TEST(test_packets_of_accepted_flows_and_no_other_carry_the_mark),
        TEST(test_packet_whose_flow_finds_no_room_gets_the_verdict_alone_and_no_mark),
        TEST(test_chain_that_decides_for_no_flow_lets_no_mark_pass),
        TEST(test_local_output_leaves_with_the_mark_that_it_has),
    };

    return cmocka_run_group_tests_name("pipeline_flow", tests, NULL, NULL);
}
