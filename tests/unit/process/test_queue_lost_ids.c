/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process after a death: what a successor answers when messages were lost or damaged with the process before, and
 * what it says to the kernel of what it answers. test_queue_failures.c has the processes that give up.
 *
 * The workers run without plugins, on the model of the kernel: what they see is accepted.
 */
#include "kernel_model.h"

#include "queue/nfqueue_sequence.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <string.h>

#define RECOVERED_IDS 7000 /* so many that they do not fit two sends */
#define IDS_MAX 65536      /* that are recovered after one death */

/* ---- deaths and successors ---------------------------------------------------------------------------- */

static void damage(unsigned index)
{
    memset(queue_shm_slot(fixture.engine.queues[0].shm.slots, index, SLOT_SIZE), 0xff, SLOT_SIZE);
}

static void assert_killed(void)
{
    assert_true(fixture.died);
}

static const struct outstanding *committed(void)
{
    return &journal_totals(fixture.journal)->outstanding;
}

/* The first id that was not received yet. */
static uint32_t next_id(void)
{
    return committed()->last_id + 1 - model_id_base;
}

/* ---- a message that was lost ---------------------------------------------------------------------------- */

static void test_message_lost_behind_the_received_ones_is_answered_before_the_next_burst(void **state)
{
    (void)state;
    model_die_with_burst(1, 5, BURST_RECEIVING);
    model_supervise(10);
    model_will_receive(7, 4);
    model_run();
    model_assert_left_in_order();
    model_assert_fates(1, 5, NFQE_ACCEPT);
    model_assert_recovered(6, 6);
    model_assert_fates(7, 10, NFQE_ACCEPT);
    assert_true(kernel->fates[5].order < kernel->fates[6].order);
    assert_true(kernel->fates[6].order < kernel->fates[7].order);
    assert_int_equal(model_counters()->recovered_ids, 1);
}

static void test_message_lost_behind_the_received_ones_is_answered_when_the_queue_is_idle(void **state)
{
    (void)state;
    model_die_with_burst(1, 5, BURST_RECEIVING);
    model_supervise(6);
    model_will_fail(-EAGAIN);
    model_run();
    model_assert_left_in_order();
    model_assert_fates(1, 5, NFQE_ACCEPT);
    model_assert_recovered(6, 6);
    assert_int_equal(model_counters()->recovered_ids, 1);
}

/* A death takes one message with it; a larger gap is damage, and the limit is what it may cost. */
static void test_not_more_ids_than_the_limit_are_recovered(void **state)
{
    uint32_t recovered = 0;

    (void)state;
    for (uint32_t lost = IDS_MAX - 1; lost <= IDS_MAX + 2; lost++) {
        kernel->messages = 0;
        model_set_last_id(0);
        model_die_with_burst(1, 0, BURST_RECEIVING);
        model_supervise(lost);
        model_will_fail(-EAGAIN);
        model_run();
        model_assert_left_in_order();
        model_assert_recovered(1, IDS - 1);
        assert_int_equal(kernel->messages, lost < IDS_MAX ? lost : IDS_MAX);
        recovered += kernel->messages;
        assert_int_equal(model_counters()->recovered_ids, recovered);
    }
}

static void test_message_lost_before_any_was_received_is_answered(void **state)
{
    (void)state;
    model_die_with_burst(1, 0, BURST_RECEIVING);
    model_supervise(3);
    model_will_receive(2, 2);
    model_run();
    model_assert_left_in_order();
    model_assert_recovered(1, 1);
    model_assert_fates(2, 3, NFQE_ACCEPT);
    assert_int_equal(model_counters()->recovered_ids, 1);
}

static void test_ids_that_did_not_turn_up_before_the_burst_are_recovered(void **state)
{
    (void)state;
    model_die_with_burst(4, 3, BURST_RECEIVING);
    model_supervise(8);
    model_will_receive(7, 2);
    model_run();
    model_assert_left_in_order();
    model_assert_recovered(1, 3);
    model_assert_fates(4, 8, NFQE_ACCEPT);
}

/* The last two steps of a burst: its last id is remembered, and it is committed. */
static void test_death_between_last_id_and_commit_answers_no_later_packet(void **state)
{
    (void)state;
    model_die_with_burst(1, 5, BURST_SENDING);
    model_set_last_id(5);
    model_supervise(9);
    model_will_receive(6, 4);
    model_run();
    model_assert_left_in_order();
    model_assert_fates(1, 9, NFQE_ACCEPT);
    assert_int_equal(model_counters()->recovered_ids, 0);
}

static void test_verdicts_that_stand_are_kept(void **state)
{
    (void)state;
    for (unsigned phase = BURST_HANDLING; phase <= BURST_SENDING; phase++) {
        uint32_t first = next_id();

        model_die_with_burst(first, 5, (enum burst_phase)phase);
        burst_force_verdict(fixture.burst, 1, NFQE_DROP);
        model_supervise(first + 4);
        model_run();
        model_assert_left_in_order();
        model_assert_fates(first, first, NFQE_ACCEPT);
        model_assert_fates(first + 1, first + 1, NFQE_DROP);
        model_assert_fates(first + 2, first + 4, NFQE_ACCEPT);
        assert_int_equal(model_counters()->recovered_ids, 0);
    }
}

/* The kernel may have the verdict for a recovered id already: its answer must not count as a verdict that was late. */
static void test_messages_have_the_number_of_their_burst_and_say_that_an_id_was_recovered(void **state)
{
    (void)state;
    fixture.journal->sequence = 20;
    model_will_receive(1, 3);
    model_will_receive(4, 3);
    model_run();
    assert_int_equal(kernel->fates[1].sequence, 21 | 2 * NFQUEUE_SEQUENCE_ONE_PACKET);
    assert_int_equal(kernel->fates[4].sequence, 22 | 2 * NFQUEUE_SEQUENCE_ONE_PACKET);
    model_die_with_burst(7, 0, BURST_RECEIVING);
    model_supervise(9);
    model_will_receive(8, 2);
    model_run();
    model_assert_left_in_order();
    model_assert_recovered(7, 7);
    assert_int_equal(kernel->fates[7].sequence, 23 | NFQUEUE_SEQUENCE_RESENT);
    assert_int_equal(kernel->fates[8].sequence, 23 | NFQUEUE_SEQUENCE_ONE_PACKET);
    assert_int_equal(kernel->fates[9].sequence, 23 | NFQUEUE_SEQUENCE_ONE_PACKET);
}

/* The kernel may have them already. */
static void test_verdicts_that_a_predecessor_was_sending_say_that_they_may_have_been_sent(void **state)
{
    (void)state;
    model_die_with_burst(1, 3, BURST_SENDING);
    for (unsigned i = 0; i < 3; i++) {
        burst_set_verdict(fixture.burst, i, NFQE_ACCEPT, 0, 0);
    }
    model_supervise(3);
    model_will_receive(4, 1);
    model_run();
    model_assert_left_in_order();
    for (uint32_t id = 1; id <= 3; id++) {
        assert_int_equal(kernel->fates[id].sequence & NFQUEUE_SEQUENCE_RESENT, NFQUEUE_SEQUENCE_RESENT);
    }
    assert_int_equal(kernel->fates[4].sequence & NFQUEUE_SEQUENCE_RESENT, 0);
}

/* Were it not cut, it would say of verdicts that they were sent before, or that they are no verdicts. */
static void test_number_of_a_burst_wraps_and_stays_in_its_bits(void **state)
{
    static const uint32_t last[] = {BURST_SEQUENCE_MASK, UINT32_MAX}; /* the second one is damage */
    uint32_t first = 1;

    (void)state;
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++, first += 3) {
        fixture.journal->sequence = last[i];
        model_will_receive(first, 3);
        model_run();
        assert_int_equal(kernel->fates[first].sequence, 2 * NFQUEUE_SEQUENCE_ONE_PACKET); /* number 0, three packets */
        assert_int_equal(fixture.journal->sequence, 0);
    }
}

static void test_where_nothing_was_lost_nothing_is_recovered(void **state)
{
    (void)state;
    for (unsigned idle = 0; idle < 2; idle++) {
        for (unsigned phase = BURST_RECEIVING; phase <= BURST_SENDING; phase++) {
            uint32_t first = next_id();

            model_die_with_burst(first, 5, (enum burst_phase)phase);
            model_supervise(idle != 0 ? first + 4 : first + 8);
            if (idle != 0) {
                model_will_fail(-EAGAIN);
            }
            model_will_receive(first + 5, 4);
            model_run();
            model_assert_left_in_order();
            model_assert_fates(first, first + 8, NFQE_ACCEPT);
            assert_int_equal(model_counters()->recovered_ids, 0);
        }
    }
}

/* ---- a message that was damaged -------------------------------------------------------------------------- */

/* The last place too: after it only the recovery of ids before the next burst, or of the idle queue, can know. */
static void test_damaged_message_of_a_recovered_burst_is_answered_and_no_batch_is_sent(void **state)
{
    (void)state;
    for (unsigned place = 0; place < 5; place++) {
        for (unsigned idle = 0; idle < 2; idle++) {
            uint32_t first = next_id();
            uint32_t damaged = first + place;

            model_die_with_burst(first, 5, idle != 0 ? BURST_RECEIVING : BURST_HANDLING);
            damage(place);
            if (idle != 0) {
                model_will_fail(-EAGAIN);
            }
            model_supervise(idle != 0 ? first + 4 : first + 8);
            model_will_receive(first + 5, 4);
            model_run();
            model_assert_left_in_order();
            model_assert_recovered(damaged, damaged);
            model_assert_fates(first, damaged - 1, NFQE_ACCEPT);
            model_assert_fates(damaged + 1, first + 8, NFQE_ACCEPT);
            for (uint32_t id = first; id < first + 5; id++) {
                assert_false(kernel->fates[id].by_batch);
            }
        }
    }
    assert_int_equal(kernel->batches, 10); /* of the bursts that were received in order */
    assert_int_equal(model_counters()->recovered_ids, 10); /* ids that were seen are not recovered_ids */
}

/*
 * The packets after the damaged message are one place earlier than when the dead process decided: a verdict that it gave
 * to another id there is not theirs.
 */
static void test_verdict_of_a_damaged_message_goes_to_no_other_packet(void **state)
{
    (void)state;
    for (unsigned phase = BURST_HANDLING; phase <= BURST_SENDING; phase++) {
        for (unsigned place = 0; place < 5; place++) {
            uint32_t first = next_id();
            uint32_t damaged = first + place;

            model_die_with_burst(first, 5, (enum burst_phase)phase);
            for (unsigned i = 0; i <= place; i++) {
                burst_set_verdict(fixture.burst, i, NFQE_DROP, 0, 0);
            }
            damage(place);
            model_supervise(first + 4);
            model_will_receive(first + 5, 1);
            model_run();
            model_assert_left_in_order();
            model_assert_fates(first, damaged - 1, NFQE_DROP);
            model_assert_recovered(damaged, damaged);
            model_assert_fates(damaged + 1, first + 5, NFQE_ACCEPT);
        }
    }
}

/* An id that the kernel has not given out is no reason to answer all before it, or not to recover those after it. */
static void test_damaged_id_of_a_recovered_burst_answers_no_later_packet(void **state)
{
    static const uint32_t ids[] = {1000, 3000000, 0x7fffffff, 0x80000000, UINT32_MAX, 0};
    uint32_t recovered = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        for (unsigned place = 0; place < 5; place++) {
            uint32_t first = next_id();
            uint32_t damaged = first + place;

            model_die_with_burst(first, 5, BURST_RECEIVING);
            model_put_packet(place, ids[i], false);
            model_supervise(first + 8);
            model_will_receive(first + 5, 4);
            model_run();
            kernel->steps = kernel->step = 0;
            model_assert_left_in_order();
            model_assert_fates(first, damaged - 1, NFQE_ACCEPT);
            model_assert_recovered(damaged, damaged);
            model_assert_fates(damaged + 1, first + 8, NFQE_ACCEPT);
            assert_int_equal(model_counters()->recovered_ids, ++recovered);
        }
    }
}

/* The message would be whole with the first byte of the next slot. */
static void test_message_whose_damaged_length_leaves_its_slot_is_no_packet(void **state)
{
    const uint32_t len = SLOT_SIZE + 1;

    (void)state;
    model_die_with_burst(1, 5, BURST_HANDLING);
    model_put_packet(2, 3, true);
    memcpy(queue_shm_slot(fixture.engine.queues[0].shm.slots, 2, SLOT_SIZE), &len, sizeof(len)); /* nlmsg_len */
    fixture.burst->messages[2].msg_len = len;
    fixture.burst->messages[2].msg_hdr.msg_flags = 0;
    model_supervise(5);
    model_run();
    model_assert_left_in_order();
    model_assert_fates(1, 2, NFQE_ACCEPT);
    model_assert_recovered(3, 3);
    model_assert_fates(4, 5, NFQE_ACCEPT);
    assert_int_equal(model_counters()->recovered_ids, 1);
    assert_int_equal(model_counters()->truncated, 0);
}

static void test_burst_of_damaged_messages_is_answered(void **state)
{
    (void)state;
    model_die_with_burst(1, 5, BURST_HANDLING);
    for (unsigned i = 0; i < 5; i++) {
        damage(i);
    }
    model_supervise(9);
    model_will_receive(6, 4);
    model_run();
    model_assert_left_in_order();
    model_assert_recovered(1, 5);
    model_assert_fates(6, 9, NFQE_ACCEPT);
    assert_int_equal(model_counters()->recovered_ids, 5);
}

/* ---- a death while it recovers ids --------------------------------------------------------------------- */

/* It is killed in its first, second or third send; verdicts for a fresh burst wait until the ids are recovered. */
static void test_process_that_dies_while_it_recovers_ids_leaves_them_to_its_successor(void **state)
{
    (void)state;
    for (unsigned sends = 0; sends < 3; sends++) {
        uint32_t first = next_id();
        uint32_t next = first + RECOVERED_IDS;

        model_die_with_burst(first, 0, BURST_RECEIVING);
        model_supervise(next);
        kernel->sends_until_death = kernel->sends + sends;
        model_will_receive(next, 1);
        model_run();
        assert_killed();
        assert_true(outstanding_has(committed(), model_id_base + first));
        assert_true(outstanding_has(committed(), model_id_base + next));
        assert_int_equal(kernel->fates[next].verdict, 0);
        assert_int_equal(kernel->fates[next - 1].verdict, 0);
        model_supervise(next);
        kernel->sends_until_death = FOR_EVER;
        model_run();
        model_assert_left_in_order();
        model_assert_recovered(first, next - 1);
        model_assert_fates(next, next, NFQE_ACCEPT);
        assert_int_equal(kernel->batches, 0);
    }
}

static void test_process_that_dies_while_it_recovers_ids_of_an_idle_queue_leaves_them_to_its_successor(void **state)
{
    (void)state;
    for (unsigned sends = 0; sends < 3; sends++) {
        uint32_t first = next_id();
        uint32_t last = first + RECOVERED_IDS - 1;

        model_die_with_burst(first, 0, BURST_RECEIVING);
        model_supervise(last);
        kernel->sends_until_death = kernel->sends + sends;
        model_will_fail(-EAGAIN);
        model_run();
        assert_killed();
        assert_true(outstanding_has(committed(), model_id_base + first));
        assert_true(outstanding_has(committed(), model_id_base + last));
        assert_int_equal(kernel->fates[last].verdict, 0);
        model_supervise(last);
        kernel->sends_until_death = FOR_EVER;
        model_will_fail(-EAGAIN);
        model_will_receive(last + 1, 1);
        model_run();
        model_assert_left_in_order();
        model_assert_recovered(first, last);
        model_assert_fates(last + 1, last + 1, NFQE_ACCEPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KERNEL(test_message_lost_behind_the_received_ones_is_answered_before_the_next_burst),
        WITH_KERNEL(test_message_lost_behind_the_received_ones_is_answered_when_the_queue_is_idle),
        WITH_KERNEL(test_not_more_ids_than_the_limit_are_recovered),
        WITH_KERNEL(test_message_lost_before_any_was_received_is_answered),
        WITH_KERNEL(test_ids_that_did_not_turn_up_before_the_burst_are_recovered),
        WITH_KERNEL(test_death_between_last_id_and_commit_answers_no_later_packet),
        WITH_KERNEL(test_verdicts_that_stand_are_kept),
        WITH_KERNEL(test_messages_have_the_number_of_their_burst_and_say_that_an_id_was_recovered),
        WITH_KERNEL(test_verdicts_that_a_predecessor_was_sending_say_that_they_may_have_been_sent),
        WITH_KERNEL(test_number_of_a_burst_wraps_and_stays_in_its_bits),
        WITH_KERNEL(test_where_nothing_was_lost_nothing_is_recovered),
        WITH_KERNEL(test_damaged_message_of_a_recovered_burst_is_answered_and_no_batch_is_sent),
        WITH_KERNEL(test_verdict_of_a_damaged_message_goes_to_no_other_packet),
        WITH_KERNEL(test_damaged_id_of_a_recovered_burst_answers_no_later_packet),
        WITH_KERNEL(test_message_whose_damaged_length_leaves_its_slot_is_no_packet),
        WITH_KERNEL(test_burst_of_damaged_messages_is_answered),
        WITH_KERNEL(test_process_that_dies_while_it_recovers_ids_leaves_them_to_its_successor),
        WITH_KERNEL(test_process_that_dies_while_it_recovers_ids_of_an_idle_queue_leaves_them_to_its_successor),
    };

    return model_run_tests("queue_lost_ids", tests, sizeof(tests) / sizeof(tests[0]));
}
