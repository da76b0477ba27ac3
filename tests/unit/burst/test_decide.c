/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decide_by_answer(): what each answer becomes, by what the plugin that gave it has declared.
 *
 * The answers are those of the ABI and their neighbours: other flags, other arguments, other actions. What a flow
 * verdict does to the flow table is in test_pipeline_flow.c.
 */
#include "unit.h"

#include "base/arith.h"
#include "burst/decide.h"

#include <nfqe/plugin.h>

#define QUEUE 7
#define PACKET 3
#define ID 4711
#define MARK UINT32_C(0x50)
#define BYPASS_MARK UINT32_C(0x10)
#define BYPASS_MASK UINT32_C(0x30)
#define REPEAT_MASK UINT32_C(0x7000)
#define REPEAT_ONE UINT32_C(0x1000)
#define BYPASS NFQE_QUEUE_BYPASS
#define FLOW NFQE_NEED_FLOW
#define REQUEUE NFQE_NEED_REQUEUE
#define INJECT NFQE_NEED_INJECT
#define INVALID UINT32_MAX /* in place of a verdict */

static struct burst burst;
static struct decide_policy policy;
static struct decide_invalid invalid;

/* Each of the packets that come after the first is decided in the same memory. */
static const struct burst_entry *answer(nfqe_verdict verdict, const struct plugin_rights *rights, uint32_t flags)
{
    const struct decide decide = {.policy = &policy, .burst = &burst};

    invalid = (struct decide_invalid){0};
    burst.entries[PACKET] = (struct burst_entry){.id = ID, .mark = MARK, .flags = flags};
    decide_by_answer(&decide, PACKET, (struct plugin_answer){.verdict = verdict, .plugin = 2}, rights, &invalid);
    assert_true(burst_is_decided(&burst, PACKET));
    assert_true(burst_knows_verdict(burst.entries[PACKET].verdict));
    return &burst.entries[PACKET];
}

static void build(void)
{
    policy = (struct decide_policy){.default_verdict = NFQE_DROP,
                                    .on_crash = NFQE_DROP,
                                    .bypass_mark = BYPASS_MARK,
                                    .bypass_mask = BYPASS_MASK,
                                    .repeat_mask = REPEAT_MASK,
                                    .queue = QUEUE};
}

static void test_each_answer_counts_if_the_plugin_may_give_it(void **state)
{
    static const struct {
        nfqe_verdict answer;
        uint64_t needs;
        uint32_t verdict; /* with these needs */
    } cases[] = {
        {NFQE_ACCEPT, 0, NFQE_ACCEPT},
        {NFQE_DROP, 0, NFQE_DROP},
        {NFQE_TO_QUEUE(0), REQUEUE, NFQE_TO_QUEUE(0)},
        {NFQE_TO_QUEUE(6), REQUEUE, NFQE_TO_QUEUE(6)},
        {NFQE_TO_QUEUE(65535), REQUEUE, NFQE_TO_QUEUE(65535)},
        {NFQE_TO_QUEUE(8) | BYPASS, REQUEUE, NFQE_TO_QUEUE(8) | BYPASS},
        {NFQE_TO_QUEUE(8), 0, INVALID},
        {NFQE_TO_QUEUE(8), ~REQUEUE, INVALID},
        {NFQE_TO_QUEUE(QUEUE), REQUEUE, INVALID}, /* where it comes from, again and again */
        {NFQE_TO_QUEUE(QUEUE) | BYPASS, REQUEUE, INVALID},
        {NFQE_TO_QUEUE(8) | NFQE_FLOW, REQUEUE | FLOW, INVALID},
        {NFQE_TO_QUEUE(8) | NFQE_REJECT, UINT64_MAX, INVALID},
        {NFQE_TO_QUEUE(8) | 0x800, UINT64_MAX, INVALID},
        {NFQE_DROP | NFQE_REJECT, INJECT, NFQE_DROP},
        {NFQE_DROP | NFQE_REJECT_TCP_RESET, INJECT, NFQE_DROP},
        {NFQE_DROP | NFQE_REJECT_PROHIBITED, INJECT, NFQE_DROP},
        {NFQE_DROP | NFQE_REJECT, ~INJECT, INVALID},
        {NFQE_DROP | NFQE_REJECT_HOST_UNREACHABLE, ~INJECT, INVALID},
        {NFQE_DROP | NFQE_REJECT | NFQE_FLOW, INJECT, INVALID},
        {NFQE_DROP | 0x800, UINT64_MAX, INVALID},  /* what is told, but not that it is */
        {NFQE_DROP | 0x2a00, UINT64_MAX, INVALID}, /* nothing that can be told */
        {NFQE_DROP | 0x3a00, UINT64_MAX, INVALID},
        {NFQE_DROP | 0x4200, UINT64_MAX, INVALID},
        {NFQE_ACCEPT | NFQE_REJECT, UINT64_MAX, INVALID},
        {NFQE_CONTINUE | NFQE_REJECT, UINT64_MAX, INVALID},
        {NFQE_ACCEPT | BYPASS, UINT64_MAX, INVALID},
        {NFQE_DROP | BYPASS, UINT64_MAX, INVALID},
        {NFQE_CONTINUE | BYPASS, UINT64_MAX, INVALID},
        {NFQE_CONTINUE | NFQE_FLOW, UINT64_MAX, INVALID},
        {NFQE_ACCEPT | NFQE_FLOW, REQUEUE, INVALID},
        {NFQE_ACCEPT | NFQE_FLOW | 0x200, UINT64_MAX, INVALID},
        {NFQE_ACCEPT | NFQE_REASON(0), UINT64_MAX, INVALID},
        {NFQE_CONTINUE | 0x10000, UINT64_MAX, INVALID},
        {NFQE_HELD, UINT64_MAX, INVALID},
        {NFQE_REPEAT, UINT64_MAX, INVALID}, /* without a mark that a plugin has changed */
        {6, UINT64_MAX, INVALID},
        {0xff, UINT64_MAX, INVALID},
        {UINT32_MAX, UINT64_MAX, INVALID},
    };

    (void)state;
    build();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct plugin_rights rights = {.needs = cases[i].needs};

        for (policy.on_crash = NFQE_ACCEPT; policy.on_crash <= NFQE_DROP; policy.on_crash++) {
            const struct burst_entry *entry = answer(cases[i].answer, &rights, 0);

            if (cases[i].verdict == INVALID) {
                assert_int_equal(entry->verdict, policy.on_crash);
                assert_int_equal(entry->flags & BURST_INVALID, BURST_INVALID);
                assert_int_equal(invalid.count, 1);
                assert_int_equal(invalid.plugin, 2);
                assert_int_equal(invalid.answer, cases[i].answer);
                assert_int_equal(invalid.packet_id, ID);
            } else {
                assert_int_equal(entry->verdict, cases[i].verdict);
                assert_int_equal(entry->flags & BURST_INVALID, 0);
                assert_int_equal(invalid.count, 0);
            }
        }
    }
}

static void test_reason_counts_if_the_plugin_has_declared_it(void **state)
{
    const struct plugin_rights rights = {.reasons = 3, .first_reason = 10};
    static const struct {
        nfqe_verdict answer;
        uint32_t verdict;
        uint32_t reason; /* its cell plus 1 */
    } cases[] = {
        {NFQE_DROP | NFQE_REASON(0), NFQE_DROP, 11},       {NFQE_DROP | NFQE_REASON(2), NFQE_DROP, 13},
        {NFQE_DROP | NFQE_REASON(3), INVALID, 0},          {NFQE_DROP | NFQE_REASON(65534), INVALID, 0},
        {NFQE_ACCEPT | NFQE_REASON(1), NFQE_ACCEPT, 12},   {NFQE_CONTINUE | NFQE_REASON(1), INVALID, 0},
        {NFQE_DROP | BYPASS | NFQE_REASON(1), INVALID, 0}, {NFQE_DROP, NFQE_DROP, 0},
    };

    (void)state;
    build();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct burst_entry *entry = answer(cases[i].answer, &rights, 0);

        assert_int_equal(entry->verdict, cases[i].verdict == INVALID ? policy.on_crash : cases[i].verdict);
        assert_int_equal(invalid.count, cases[i].verdict == INVALID);
        assert_int_equal(entry->reason, cases[i].reason);
    }
}

/* The entry says what the sender is told, and its verdict is the kernel's. */
static void test_entry_has_what_the_sender_is_told(void **state)
{
    const struct plugin_rights rights = {.needs = INJECT, .reasons = 1, .first_reason = 10};
    static const uint32_t parts[] = {0,
                                     NFQE_REJECT,
                                     NFQE_REJECT_TCP_RESET,
                                     NFQE_REJECT_PORT_UNREACHABLE,
                                     NFQE_REJECT_HOST_UNREACHABLE,
                                     NFQE_REJECT_PROHIBITED};

    (void)state;
    build();
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        const struct burst_entry *entry = answer(NFQE_DROP | NFQE_REASON(0) | parts[i], &rights, BURST_LOCAL_OUTPUT);

        assert_int_equal(entry->verdict, NFQE_DROP);
        assert_int_equal(burst_reject_part(entry->flags), parts[i]);
        assert_int_equal((entry->flags & BURST_REJECT) != 0, i > 0);
        assert_int_equal(entry->flags & ~BURST_REJECT_MASK, BURST_DECIDED | BURST_LOCAL_OUTPUT);
        assert_int_equal(entry->reason, 11);
        assert_int_equal(i > 0 ? reject_part_kind(burst_reject_part(entry->flags)) : 0, i > 0 ? i - 1 : 0);
    }
    policy.on_crash = NFQE_DROP; /* an invalid answer tells no sender */
    assert_int_equal(answer(NFQE_ACCEPT | NFQE_REJECT, &rights, 0)->flags, BURST_DECIDED | BURST_INVALID);
}

/* Another program may accept it, and the firewall would save the mark for its flow. */
static void test_packet_for_another_queue_leaves_without_the_mark_of_its_flow(void **state)
{
    const struct plugin_rights rights = {.needs = REQUEUE};
    const struct burst_entry *entry;

    (void)state;
    build();
    entry = answer(NFQE_TO_QUEUE(8), &rights, 0);
    assert_int_equal(entry->flags, BURST_DECIDED | BURST_SETS_MARK);
    assert_int_equal(entry->mark, MARK & ~BYPASS_MASK);
    entry = answer(NFQE_TO_QUEUE(8), &rights, BURST_LOCAL_OUTPUT);
    assert_int_equal(entry->flags, BURST_DECIDED | BURST_LOCAL_OUTPUT);
    assert_int_equal(entry->mark, MARK);
}

static const struct burst_entry *answer_marked(nfqe_verdict verdict, struct packet_changes changes,
                                               const struct plugin_rights *rights, uint32_t mark)
{
    const struct decide decide = {.policy = &policy, .burst = &burst};

    invalid = (struct decide_invalid){0};
    burst.entries[PACKET] = (struct burst_entry){.id = ID, .mark = mark};
    decide_changed(&decide, PACKET, (struct plugin_answer){.verdict = verdict, .plugin = 2}, &changes, rights,
                   &invalid);
    assert_true(burst_is_decided(&burst, PACKET));
    return &burst.entries[PACKET];
}

static const struct burst_entry *answer_changed(nfqe_verdict verdict, struct packet_changes changes,
                                                const struct plugin_rights *rights)
{
    return answer_marked(verdict, changes, rights, MARK);
}

static void test_rules_are_run_again_with_a_changed_mark_so_many_times(void **state)
{
    const struct plugin_rights rights = {.needs = REQUEUE, .reasons = 1, .first_reason = 20};
    uint32_t mark = MARK;

    (void)state;
    build();
    for (unsigned count = 1; count <= REPEATS_MAX + 1; count++) {
        const struct packet_changes changes = {count, 0xf};
        const struct burst_entry *entry = answer_marked(NFQE_REPEAT | NFQE_REASON(0), changes, &rights, mark);

        if (count <= REPEATS_MAX) {
            mark = (MARK & ~(BYPASS_MASK | 0xf)) | count | count * REPEAT_ONE;
            assert_int_equal(entry->verdict, NFQE_REPEAT);
            assert_int_equal(entry->mark, mark);
            assert_int_equal(entry->flags, BURST_DECIDED | BURST_SETS_MARK);
            assert_int_equal(entry->reason, 21);
        } else {
            assert_int_equal(entry->verdict, NFQE_DROP);
            assert_int_equal(entry->mark, mark);
        }
        assert_int_equal(invalid.count, count > REPEATS_MAX);
    }
}

static void test_rules_are_not_run_again_with_the_same_mark(void **state)
{
    const struct plugin_rights rights = {.needs = REQUEUE};
    const struct plugin_rights none = {.needs = ~REQUEUE};

    (void)state;
    build();
    assert_int_equal(answer_changed(NFQE_REPEAT, (struct packet_changes){MARK & 0xf, 0xf}, &rights)->verdict,
                     NFQE_DROP);
    assert_int_equal(invalid.count, 1);
    assert_int_equal(answer_changed(NFQE_REPEAT, (struct packet_changes){1, 0xf}, &none)->verdict, NFQE_DROP);
    assert_int_equal(invalid.count, 1);
    policy.repeat_mask = 0; /* no plugin of the chain has the need */
    assert_int_equal(answer_changed(NFQE_REPEAT, (struct packet_changes){1, 0xf}, &rights)->verdict, NFQE_DROP);
    assert_int_equal(invalid.count, 1);
}

/* It is the engine's own, and the packet goes on its way. Another queue may be of the same engine. */
static void test_count_is_taken_out_when_the_packet_is_accepted(void **state)
{
    const struct plugin_rights rights = {.needs = REQUEUE};
    const uint32_t counted = (MARK & ~BYPASS_MASK) | 3 * REPEAT_ONE;
    const struct packet_changes changes = {2, 0xf};
    const struct decide decide = {.policy = &policy, .burst = &burst};

    (void)state;
    build();
    assert_int_equal(answer_marked(NFQE_ACCEPT, changes, &rights, counted)->mark, (MARK & ~BYPASS_MASK & ~0xfU) | 2);
    assert_int_equal(answer_marked(NFQE_TO_QUEUE(9), changes, &rights, counted)->mark, (counted & ~0xfU) | 2);
    burst.entries[PACKET] = (struct burst_entry){.id = ID, .mark = counted};
    decide_by_answer(&decide, PACKET, (struct plugin_answer){NFQE_ACCEPT, 0}, &rights, &invalid);
    assert_int_equal(burst.entries[PACKET].mark, MARK & ~BYPASS_MASK);
    assert_int_equal(burst.entries[PACKET].flags, BURST_DECIDED | BURST_SETS_MARK);
}

static void test_mark_that_a_plugin_sets_is_that_of_a_packet_that_goes_on(void **state)
{
    const struct plugin_rights rights = {.needs = REQUEUE, .reasons = 1};
    static const struct {
        nfqe_verdict answer;
        bool passes;
    } cases[] = {
        {NFQE_CONTINUE, true},
        {NFQE_ACCEPT, true},
        {NFQE_ACCEPT | NFQE_REASON(0), true},
        {NFQE_TO_QUEUE(9), true},
        {NFQE_TO_QUEUE(QUEUE), false},
        {NFQE_DROP, false},
        {NFQE_HELD, false},
        {NFQE_ACCEPT | NFQE_REASON(1), false},
    };

    (void)state;
    build();
    policy.default_verdict = policy.on_crash = NFQE_ACCEPT;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct burst_entry *entry =
            answer_changed(cases[i].answer, (struct packet_changes){0x0a00, 0x0f00}, &rights);

        assert_int_equal(entry->mark & ~BYPASS_MASK, (MARK & ~BYPASS_MASK) | (cases[i].passes ? 0x0a00 : 0));
        assert_true(!cases[i].passes || (entry->flags & BURST_SETS_MARK) != 0);
        assert_true(entry->verdict == NFQE_DROP || (entry->mark & BYPASS_MASK) == 0);
        assert_int_equal(invalid.count, !cases[i].passes && cases[i].answer != NFQE_DROP);
    }
    assert_int_equal(answer(NFQE_ACCEPT, &rights, 0)->mark, MARK & ~BYPASS_MASK); /* nothing of it is left */
}

/* The operations refuse them, so the worker is not what it should be. */
static void test_changes_that_no_plugin_can_make_are_invalid(void **state)
{
    static const struct packet_changes wrong[] = {
        {2, 1},          {0, BYPASS_MASK}, {0, REPEAT_ONE}, {REPEAT_MASK, REPEAT_MASK}, {BYPASS_MARK, BYPASS_MARK},
        {0, UINT32_MAX}, {UINT32_MAX, 1}};
    const struct plugin_rights rights = {0};

    (void)state;
    build();
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        const struct burst_entry *entry = answer_changed(NFQE_ACCEPT, wrong[i], &rights);

        assert_int_equal(entry->verdict, NFQE_DROP);
        assert_int_equal(entry->mark, MARK);
        assert_int_equal(entry->flags, BURST_DECIDED | BURST_INVALID);
        assert_int_equal(invalid.count, 1);
    }
}

static void test_each_verdict_has_a_counter(void **state)
{
    const struct plugin_rights rights = {.needs = REQUEUE};
    struct queue_stats stats = {0};

    (void)state;
    build();
    burst_count_verdict(answer(NFQE_ACCEPT, &rights, 0), &stats);
    for (unsigned i = 0; i < 2; i++) {
        burst_count_verdict(answer(NFQE_DROP, &rights, 0), &stats);
    }
    for (unsigned i = 0; i < 3; i++) {
        burst_count_verdict(answer(NFQE_TO_QUEUE(i), &rights, 0), &stats);
    }
    for (unsigned i = 1; i <= 4; i++) {
        burst_count_verdict(answer_changed(NFQE_REPEAT, (struct packet_changes){i, 0xf}, &rights), &stats);
    }
    assert_int_equal(stats.accepted, 1);
    assert_int_equal(stats.dropped, 2);
    assert_int_equal(stats.requeued, 3);
    assert_int_equal(stats.repeated, 4);
}

/* Also by a successor that finds it half done; it is counted as the drop that it is. */
static void test_packet_that_is_left_to_a_rule_is_a_dropped_one(void **state)
{
    const struct decide decide = {.policy = &policy, .burst = &burst};
    const struct plugin_rights rights = {.needs = INJECT};
    struct queue_stats stats = {0};
    struct burst_entry before;

    (void)state;
    build();
    answer(NFQE_DROP | NFQE_REJECT, &rights, 0);
    burst_leave_to_rule(&burst, PACKET, BYPASS_MARK | 0x800);
    before = burst.entries[PACKET];
    assert_int_equal(before.verdict, NFQE_REPEAT);
    assert_int_equal(before.mark, BYPASS_MARK | 0x800);
    assert_int_equal(before.flags, BURST_DECIDED | BURST_SETS_MARK | BURST_REJECT);
    burst_count_verdict(&before, &stats);
    assert_int_equal(stats.dropped, 1);
    assert_int_equal(stats.repeated, 0);
    decide_again(&decide, PACKET);
    assert_memory_equal(&burst.entries[PACKET], &before, sizeof(before));
}

/* Of a process that died: what the other queue's program accepts keeps its mark, and is sent as it was. */
static void test_packet_for_another_queue_is_decided_the_same_again(void **state)
{
    const struct decide decide = {.policy = &policy, .burst = &burst};
    const struct plugin_rights rights = {.needs = REQUEUE};
    struct burst_entry before;

    (void)state;
    build();
    before = *answer(NFQE_TO_QUEUE(8) | BYPASS, &rights, 0);
    decide_again(&decide, PACKET);
    assert_memory_equal(&burst.entries[PACKET], &before, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_answer_counts_if_the_plugin_may_give_it),
        cmocka_unit_test(test_reason_counts_if_the_plugin_has_declared_it),
        cmocka_unit_test(test_entry_has_what_the_sender_is_told),
        cmocka_unit_test(test_packet_for_another_queue_leaves_without_the_mark_of_its_flow),
        cmocka_unit_test(test_rules_are_run_again_with_a_changed_mark_so_many_times),
        cmocka_unit_test(test_rules_are_not_run_again_with_the_same_mark),
        cmocka_unit_test(test_count_is_taken_out_when_the_packet_is_accepted),
        cmocka_unit_test(test_mark_that_a_plugin_sets_is_that_of_a_packet_that_goes_on),
        cmocka_unit_test(test_changes_that_no_plugin_can_make_are_invalid),
        cmocka_unit_test(test_each_verdict_has_a_counter),
        cmocka_unit_test(test_packet_that_is_left_to_a_rule_is_a_dropped_one),
        cmocka_unit_test(test_packet_for_another_queue_is_decided_the_same_again),
    };

    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
