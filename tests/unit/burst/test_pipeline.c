/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plugin chain and decisions together: which plugin is called for which packet, in which order, and what becomes of each
 * answer.
 *
 * All plugins of these tests share one pair of functions: each member has a table of answers (struct member), and notes
 * each call.
 */
#include "unit.h"

#include "burst/burst.h"
#include "burst_fixture.h"
#include "pipeline.h"

#include <string.h>

#define COUNT 6
#define FIRST_ID 1000
#define CALLS_MAX 1024
#define MEMBERS_MAX 4

struct call {
    unsigned member;
    bool batch;
    uint32_t packet_id;
};

struct member {
    unsigned number;
    nfqe_verdict answers[BURST_MAX]; /* by the packet's place in the burst */
};

static struct call calls[CALLS_MAX];
static unsigned call_count;
static struct member members[MEMBERS_MAX];
static struct burst *burst;
static struct pipeline pipeline;
static struct decide_invalid invalid;
static struct queue_stats stats;

static void note_call(const struct member *member, bool batch, const struct nfqe_packet *packet)
{
    assert_true(call_count < CALLS_MAX);
    calls[call_count++] = (struct call){.member = member->number, .batch = batch, .packet_id = packet->id};
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct member *member = self;

    note_call(member, false, packet);
    return member->answers[packet->id - FIRST_ID];
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    const struct member *member = self;

    for (size_t i = 0; i < n; i++) {
        note_call(member, true, packets[i]);
        assert_int_equal(out[i], NFQE_CONTINUE); /* what it starts as */
        out[i] = member->answers[packets[i]->id - FIRST_ID];
    }
}

/* batches: bit i: member i has handle_batch. All members answer CONTINUE until the test says otherwise. */
static void build_pipeline(unsigned count, unsigned batches)
{
    pipeline = (struct pipeline){.policy = {.default_verdict = NFQE_ACCEPT, .on_crash = NFQE_DROP}};
    memset(members, 0, sizeof(members));
    call_count = 0;
    for (unsigned i = 0; i < count; i++) {
        members[i].number = i;
        plugin_chain_add(&pipeline.chain,
                         &(struct plugin_chain_member){.handle = handle,
                                                       .handle_batch = (batches & 1u << i) != 0 ? handle_batch : NULL,
                                                       .self = &members[i]});
    }
}

static void run(struct burst_fixture *fixture)
{
    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    pipeline_run(&pipeline, fixture->burst, fixture->packets, COUNT, 0, &stats, &invalid);
}

static void assert_verdict(unsigned packet, uint32_t verdict)
{
    assert_true(burst_is_decided(burst, packet));
    assert_int_equal(burst->entries[packet].verdict, verdict);
    assert_int_equal(burst->entries[packet].id, FIRST_ID + packet);
}

static void assert_call(unsigned index, unsigned member, bool batch, unsigned packet)
{
    assert_true(index < call_count);
    assert_int_equal(calls[index].member, member);
    assert_int_equal(calls[index].batch, batch);
    assert_int_equal(calls[index].packet_id, FIRST_ID + packet);
}

static void test_packets_that_no_plugin_decides_get_the_default_verdict(void **state)
{
    (void)state;
    for (unsigned batches = 0; batches < 4; batches++) {
        build_pipeline(2, batches);
        run(*state);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_verdict(i, NFQE_ACCEPT);
        }
        pipeline.policy.default_verdict = NFQE_DROP;
        run(*state);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_verdict(i, NFQE_DROP);
        }
        assert_int_equal(invalid.count, 0);
        assert_int_equal(call_count, 2 * 2 * COUNT);
    }
}

static void test_chain_without_a_plugin_gives_the_default_verdict(void **state)
{
    build_pipeline(0, 0);
    run(*state);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_verdict(i, NFQE_ACCEPT);
    }
}

static void test_without_batches_each_packet_passes_all_plugins_before_the_next(void **state)
{
    build_pipeline(3, 0);
    run(*state);
    assert_int_equal(call_count, 3 * COUNT);
    for (unsigned i = 0; i < call_count; i++) {
        assert_call(i, i % 3, false, i / 3);
    }
}

static void test_with_a_batch_each_plugin_takes_the_whole_burst_before_the_next(void **state)
{
    for (unsigned batches = 1; batches < 8; batches++) {
        build_pipeline(3, batches);
        run(*state);
        assert_int_equal(call_count, 3 * COUNT);
        for (unsigned i = 0; i < call_count; i++) {
            assert_call(i, i / COUNT, (batches >> i / COUNT & 1) != 0, i % COUNT);
        }
    }
}

static void test_first_verdict_decides_and_later_plugins_do_not_see_the_packet(void **state)
{
    for (unsigned batches = 0; batches < 8; batches++) {
        build_pipeline(3, batches);
        members[0].answers[1] = NFQE_DROP;
        members[0].answers[4] = NFQE_ACCEPT;
        members[1].answers[1] = NFQE_ACCEPT; /* too late */
        members[1].answers[2] = NFQE_ACCEPT;
        members[2].answers[2] = NFQE_DROP; /* too late */
        members[2].answers[4] = NFQE_DROP; /* too late */
        members[2].answers[5] = NFQE_DROP;
        pipeline.policy.default_verdict = NFQE_DROP;
        run(*state);
        assert_verdict(0, NFQE_DROP);
        assert_verdict(1, NFQE_DROP);
        assert_verdict(2, NFQE_ACCEPT);
        assert_verdict(3, NFQE_DROP);
        assert_verdict(4, NFQE_ACCEPT);
        assert_verdict(5, NFQE_DROP);
        assert_int_equal(call_count, COUNT + (COUNT - 2) + (COUNT - 3));
        for (unsigned i = 0; i < call_count; i++) {
            unsigned packet = calls[i].packet_id - FIRST_ID;

            assert_false(calls[i].member > 0 && (packet == 1 || packet == 4));
            assert_false(calls[i].member > 1 && packet == 2);
        }
    }
}

static void test_plugin_is_not_called_when_nothing_is_left_for_it(void **state)
{
    for (unsigned batches = 0; batches < 4; batches++) {
        build_pipeline(2, batches);
        for (unsigned i = 0; i < COUNT; i++) {
            members[0].answers[i] = i % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP;
        }
        run(*state);
        assert_int_equal(call_count, COUNT);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_verdict(i, i % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP);
        }
    }
}

static void test_answer_that_the_abi_does_not_offer_gets_on_crash_and_is_reported(void **state)
{
    static const nfqe_verdict answers[] = {
        NFQE_REPEAT,
        NFQE_HELD,
        NFQE_TO_QUEUE(0),
        NFQE_TO_QUEUE(7),
        NFQE_ACCEPT | NFQE_FLOW,
        NFQE_DROP | NFQE_FLOW,
        NFQE_CONTINUE | NFQE_FLOW,
        NFQE_ACCEPT | UINT32_C(0x10000),
        6,
        0xff,
        0x80000000,
        UINT32_MAX,
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        for (unsigned batches = 0; batches < 4; batches++) {
            for (uint32_t on_crash = NFQE_ACCEPT; on_crash <= NFQE_DROP; on_crash++) {
                build_pipeline(2, batches);
                pipeline.policy.on_crash = on_crash;
                pipeline.policy.default_verdict = on_crash == NFQE_ACCEPT ? NFQE_DROP : NFQE_ACCEPT;
                members[1].answers[3] = answers[i];
                run(*state);
                for (unsigned packet = 0; packet < COUNT; packet++) {
                    assert_verdict(packet, packet == 3 ? on_crash : pipeline.policy.default_verdict);
                }
                assert_int_equal(invalid.count, 1);
                assert_int_equal(invalid.plugin, 1);
                assert_true(invalid.answer == answers[i]);
                assert_int_equal(invalid.packet_id, FIRST_ID + 3);
            }
        }
    }
}

static void test_report_counts_all_invalid_answers_and_names_the_first(void **state)
{
    for (unsigned batches = 0; batches < 4; batches++) {
        build_pipeline(2, batches);
        members[0].answers[1] = 77;
        members[0].answers[2] = 88;
        members[1].answers[1] = 66; /* not called: an invalid answer decides, too */
        run(*state);
        assert_int_equal(invalid.count, 2);
        assert_int_equal(invalid.plugin, 0);
        assert_int_equal(invalid.answer, 77);
        assert_int_equal(invalid.packet_id, FIRST_ID + 1);
        build_pipeline(1, batches);
        run(*state);
        assert_int_equal(invalid.count, 0); /* a report is of one run */
    }
}

static void test_packet_decided_already_is_skipped_and_keeps_its_verdict(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned batches = 0; batches < 4; batches++) {
        for (unsigned one_by_one = 0; one_by_one < 2; one_by_one++) {
            build_pipeline(2, batches);
            pipeline.policy.default_verdict = NFQE_DROP;
            burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
            pipeline.one_by_one = one_by_one != 0;
            burst_force_verdict(burst, 0, NFQE_ACCEPT);
            burst_force_verdict(burst, 3, NFQE_ACCEPT);
            pipeline_run(&pipeline, burst, fixture->packets, COUNT, 0, &stats, &invalid);
            assert_int_equal(call_count, 2 * (COUNT - 2));
            for (unsigned i = 0; i < COUNT; i++) {
                assert_verdict(i, i == 0 || i == 3 ? NFQE_ACCEPT : NFQE_DROP);
            }
            for (unsigned i = 0; i < call_count; i++) {
                assert_true(calls[i].packet_id != FIRST_ID && calls[i].packet_id != FIRST_ID + 3);
            }
        }
    }
}

static void test_burst_decided_already_calls_no_plugin(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned batches = 0; batches < 2; batches++) {
        build_pipeline(1, batches);
        burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
        for (unsigned i = 0; i < COUNT; i++) {
            burst_force_verdict(burst, i, NFQE_DROP);
        }
        pipeline_run(&pipeline, burst, fixture->packets, COUNT, 0, &stats, &invalid);
        assert_int_equal(call_count, 0);
    }
}

static void test_one_by_one_calls_no_batch(void **state)
{
    struct burst_fixture *fixture = *state;

    build_pipeline(2, 3);
    burst_fill(fixture, COUNT, FIRST_ID, BURST_HANDLING);
    pipeline.one_by_one = true;
    pipeline_run(&pipeline, burst, fixture->packets, COUNT, 0, &stats, &invalid);
    assert_int_equal(call_count, 2 * COUNT);
    for (unsigned i = 0; i < call_count; i++) {
        assert_call(i, i % 2, false, i / 2);
    }
}

static void test_largest_burst_is_decided_completely(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned batches = 0; batches < 4; batches++) {
        build_pipeline(2, batches);
        for (unsigned i = 0; i < BURST_MAX; i++) {
            members[i % 2].answers[i] = i % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT;
        }
        burst_fill(fixture, BURST_MAX, FIRST_ID, BURST_HANDLING);
        pipeline_run(&pipeline, burst, fixture->packets, BURST_MAX, 0, &stats, &invalid);
        for (unsigned i = 0; i < BURST_MAX; i++) {
            assert_verdict(i, i % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT);
        }
    }
}

static void test_longest_chain_calls_every_plugin(void **state)
{
    static struct member many[PLUGINS_MAX];
    struct burst_fixture *fixture = *state;

    for (unsigned batch = 0; batch < 2; batch++) {
        build_pipeline(0, 0);
        for (unsigned i = 0; i < PLUGINS_MAX; i++) {
            many[i] = (struct member){.number = i};
            plugin_chain_add(&pipeline.chain,
                             &(struct plugin_chain_member){
                                 .handle = handle, .handle_batch = batch != 0 ? handle_batch : NULL, .self = &many[i]});
        }
        many[PLUGINS_MAX - 1].answers[0] = NFQE_DROP;
        burst_fill(fixture, 2, FIRST_ID, BURST_HANDLING);
        pipeline_run(&pipeline, burst, fixture->packets, 2, 0, &stats, &invalid);
        assert_int_equal(call_count, 2 * PLUGINS_MAX);
        assert_verdict(0, NFQE_DROP);
        assert_verdict(1, NFQE_ACCEPT);
    }
}

static int set_up(void **state)
{
    burst_set_up(state);
    burst = ((struct burst_fixture *)*state)->burst;
    return 0;
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_packets_that_no_plugin_decides_get_the_default_verdict),
        WITH_BURST(test_chain_without_a_plugin_gives_the_default_verdict),
        WITH_BURST(test_without_batches_each_packet_passes_all_plugins_before_the_next),
        WITH_BURST(test_with_a_batch_each_plugin_takes_the_whole_burst_before_the_next),
        WITH_BURST(test_first_verdict_decides_and_later_plugins_do_not_see_the_packet),
        WITH_BURST(test_plugin_is_not_called_when_nothing_is_left_for_it),
        WITH_BURST(test_answer_that_the_abi_does_not_offer_gets_on_crash_and_is_reported),
        WITH_BURST(test_report_counts_all_invalid_answers_and_names_the_first),
        WITH_BURST(test_packet_decided_already_is_skipped_and_keeps_its_verdict),
        WITH_BURST(test_burst_decided_already_calls_no_plugin),
        WITH_BURST(test_one_by_one_calls_no_batch),
        WITH_BURST(test_largest_burst_is_decided_completely),
        WITH_BURST(test_longest_chain_calls_every_plugin),
    };

    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
