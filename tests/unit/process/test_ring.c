/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring in normal use: packets arrive as they were, in order; each answer comes back once; a side that sleeps is woken.
 */
#include "ring_fixture.h"
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static const struct nfqueue_conntrack no_conntrack;

static bool is_readable(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    bool readable;

    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    readable = epoll_wait(epoll, &event, 1, 0) == 1;
    close(epoll);
    return readable;
}

/* ---- packets and answers ----------------------------------------------------------------------------------------- */

static void run_frames(struct ring_fixture *fixture, uint32_t frames)
{
    struct ring_answered none;
    uint64_t random = 7;
    uint32_t submitted_id = 0;
    uint32_t taken_id = 0;

    for (uint32_t i = 0; i < frames; i++) {
        uint32_t count = 1 + unit_random_below(&random, BURST_MAX);

        ring_submit_test_frame(&fixture->queue, submitted_id, count);
        submitted_id += count;
        ring_answer_test_frame(&fixture->worker);
        for (; taken_id != submitted_id; taken_id++) {
            ring_assert_answered(&fixture->queue, taken_id, taken_id + 1 == submitted_id);
        }
        assert_int_equal(ring_take(&fixture->queue, &none), 0);
        assert_false(ring_in_flight(&fixture->queue));
    }
}

static void test_packets_and_answers_arrive_as_they_were(void **state)
{
    run_frames(*state, 1000); /* the places of frames are used 250 times, the answers' bytes 8 times */
}

/* After 2^32 frames, and 2^32 bytes of answers. */
static void test_counts_that_wrap_lose_nothing(void **state)
{
    struct ring_fixture *fixture = *state;
    const uint32_t near_wrap = UINT32_MAX - 100;
    const uint32_t near_wrap_bytes = UINT32_MAX - 1023;

    fixture->queue.submitted = fixture->queue.retired = fixture->worker.handled = near_wrap;
    fixture->queue.ours->submitted = near_wrap;
    fixture->queue.published = fixture->queue.taken = near_wrap_bytes;
    fixture->worker.written = fixture->worker.begun = fixture->worker.complete = near_wrap_bytes;
    fixture->worker.ours->published = near_wrap_bytes;
    run_frames(fixture, 400);
    assert_true(fixture->queue.submitted < near_wrap && fixture->queue.taken < near_wrap_bytes);
}

static void test_frame_holds_as_many_of_the_largest_packets_as_a_burst(void **state)
{
    static uint8_t bytes[RING_SLOT_SIZE];
    struct ring_fixture *fixture = *state;
    const struct ring_flow flow = {.number = 3, .epoch = 4, .begins = 1, .accepted = 2};
    struct nfqe_packet packet = {
        .size = sizeof(packet), .data = bytes, .secctx = (const char *)bytes, .link_header = bytes};
    struct nfqueue_conntrack conntrack = {.bytes = bytes, .info = 4};
    const struct ring_frame *frame;

    ring_begin(&fixture->queue, RING_ONE_BY_ONE);
    packet.len = RING_SLOT_SIZE;
    packet.secctx_len = 1;
    assert_int_equal(ring_add(&fixture->queue, &packet, &no_conntrack, (struct ring_origin){0, 0}, &flow), -EMSGSIZE);
    packet.secctx_len = 0;
    packet.link_header_len = 1;
    assert_int_equal(ring_add(&fixture->queue, &packet, &no_conntrack, (struct ring_origin){0, 0}, &flow), -EMSGSIZE);
    packet.link_header_len = 0;
    conntrack.len = 1;
    assert_int_equal(ring_add(&fixture->queue, &packet, &conntrack, (struct ring_origin){0, 0}, &flow), -EMSGSIZE);
    packet.len = UINT32_MAX;
    assert_int_equal(ring_add(&fixture->queue, &packet, &no_conntrack, (struct ring_origin){0, 0}, &flow), -EMSGSIZE);
    for (uint32_t i = 0; i < BURST_MAX; i++) {
        memset(bytes, (int)i, sizeof(bytes));
        packet.len = RING_SLOT_SIZE - i % 30 - i % 15 - i % 7;
        packet.secctx_len = i % 30;
        packet.link_header_len = (uint16_t)(i % 15);
        conntrack.len = i % 7;
        assert_int_equal(ring_add(&fixture->queue, &packet, &conntrack, (struct ring_origin){0, (uint16_t)i}, &flow),
                         0);
    }
    assert_int_equal(ring_add(&fixture->queue, &packet, &no_conntrack, (struct ring_origin){0, 0}, &flow), -ENOSPC);
    assert_true(fixture->queue.used <= fixture->queue.frame_size);
    ring_submit(&fixture->queue);
    frame = ring_next_frame(&fixture->worker);
    assert_int_equal(frame->count, BURST_MAX);
    assert_int_equal(frame->flags, RING_ONE_BY_ONE);
    assert_true(ring_oldest(&fixture->queue)->one_by_one);
    for (uint32_t i = 0; i < BURST_MAX; i++) {
        struct ring_flow got;

        ring_frame_packet(frame, i, &packet, &got);
        assert_int_equal(packet.len, RING_SLOT_SIZE - i % 30 - i % 15 - i % 7);
        assert_int_equal(packet.data[0], i);
        assert_int_equal(packet.data[packet.len - 1], i);
        assert_int_equal((uintptr_t)packet.data % RING_DATA_ALIGN, 0);
        assert_true(packet.secctx_len == 0 || packet.secctx[packet.secctx_len - 1] == (char)i);
        assert_true(packet.link_header_len == 0 || packet.link_header[packet.link_header_len - 1] == i);
        assert_memory_equal(&got, &flow, sizeof(flow));
        assert_int_equal(frame->packets[i].conntrack.len, i % 7);
        assert_int_equal(frame->packets[i].conntrack.info, 4);
        assert_true(i % 7 == 0 || ((const uint8_t *)frame)[frame->packets[i].conntrack.bytes + i % 7 - 1] == i);
    }
}

static void test_worker_sees_no_address_of_the_queue_process(void **state)
{
    struct ring_fixture *fixture = *state;
    const struct ring_frame *frame;

    ring_submit_test_frame(&fixture->queue, 96, 1);
    frame = ring_next_frame(&fixture->worker);
    assert_null(frame->packets[0].packet.data);
    assert_null(frame->packets[0].packet.secctx);
    assert_null(frame->packets[0].packet.link_header);
}

static void test_empty_frame_is_given_up(void **state)
{
    struct ring_fixture *fixture = *state;

    ring_begin(&fixture->queue, 0);
    assert_true(ring_is_filling(&fixture->queue));
    ring_submit(&fixture->queue);
    assert_false(ring_is_filling(&fixture->queue));
    assert_false(ring_in_flight(&fixture->queue));
    assert_null(ring_next_frame(&fixture->worker));
    run_frames(fixture, 5);
}

/* ---- room ------------------------------------------------------------------------------------------------------- */

static void test_there_is_room_while_the_oldest_frame_leaves_some(void **state)
{
    struct ring_fixture *fixture = *state;

    for (uint32_t i = 0; i < RING_FRAMES; i++) {
        assert_true(ring_has_room(&fixture->queue));
        ring_submit_test_frame(&fixture->queue, 2 * i, 2);
        assert_false(ring_is_filling(&fixture->queue));
    }
    assert_false(ring_has_room(&fixture->queue));
    ring_answer_test_frame(&fixture->worker);
    ring_assert_answered(&fixture->queue, 0, false);
    assert_false(ring_has_room(&fixture->queue));
    ring_assert_answered(&fixture->queue, 1, true);
    assert_true(ring_has_room(&fixture->queue));
    assert_int_equal(ring_oldest(&fixture->queue)->number, 1);
    assert_int_equal(ring_oldest(&fixture->queue)->origins[0].entry, 2);
}

static void put_answer(struct ring_fixture *fixture, uint32_t frame_number, uint32_t index, uint32_t answer)
{
    const struct ring_frame frame = {.number = frame_number};

    ring_put(&fixture->worker, &frame, index, answer, 0);
    atomic_store(&fixture->worker.ours->published, fixture->worker.written);
}

static void test_frames_of_a_dead_worker_are_retired_from_the_oldest_on(void **state)
{
    struct ring_fixture *fixture = *state;

    for (uint32_t i = 0; i < 3; i++) {
        ring_submit_test_frame(&fixture->queue, 2 * i, 2);
    }
    put_answer(fixture, 0, 0, 0);
    ring_assert_answered(&fixture->queue, 0, false);
    assert_int_equal(ring_oldest(&fixture->queue)->number, 0);
    assert_int_equal(ring_oldest(&fixture->queue)->unanswered, 2);
    ring_retire_oldest(&fixture->queue);
    assert_int_equal(ring_oldest(&fixture->queue)->number, 1);
    assert_int_equal(ring_oldest(&fixture->queue)->unanswered, 3);
    ring_retire_oldest(&fixture->queue);
    assert_int_equal(ring_oldest(&fixture->queue)->number, 2);
    assert_int_equal(ring_oldest(&fixture->queue)->unanswered, 3);
    ring_retire_oldest(&fixture->queue);
    assert_null(ring_oldest(&fixture->queue));
    ring_begin(&fixture->queue, 0);
    assert_int_equal(ring_add(&fixture->queue, ring_test_packet(9), &no_conntrack, (struct ring_origin){0, 9},
                              &(struct ring_flow){.number = RING_NO_FLOW}),
                     0);
    ring_retire_oldest(&fixture->queue); /* there is none: the frame that is being filled stays */
    ring_submit(&fixture->queue);
    assert_int_equal(ring_oldest(&fixture->queue)->unanswered, 1);
}

/* ---- in the middle of a frame -------------------------------------------------------------------------------------- */

static void test_answers_are_seen_before_their_frame_is_complete_except_the_last(void **state)
{
    struct ring_fixture *fixture = *state;
    const struct ring_frame *frame;
    struct ring_answered none;

    ring_submit_test_frame(&fixture->queue, 0, 2);
    frame = ring_next_frame(&fixture->worker);
    ring_put(&fixture->worker, frame, 0, 0, 0);
    assert_int_equal(ring_take(&fixture->queue, &none), 0);
    ring_publish(&fixture->worker);
    ring_assert_answered(&fixture->queue, 0, false);
    ring_put_changes(&fixture->worker, frame, 1, &(struct packet_changes){1, 3});
    ring_put(&fixture->worker, frame, 1, 1, 0);
    ring_publish(&fixture->worker); /* seen, it would allow the frame's place to be filled again */
    assert_int_equal(ring_take(&fixture->queue, &none), 0);
    ring_frame_handled(&fixture->worker);
    ring_assert_answered(&fixture->queue, 1, true);
    assert_null(ring_next_frame(&fixture->worker));
}

/* ---- sleeping ------------------------------------------------------------------------------------------------------- */

/* Whether the worker's wait ends at once, or has ended. */
static bool is_woken(const struct ring_fixture *fixture)
{
    return atomic_load(&fixture->worker.theirs->rings) != fixture->worker.rings;
}

static void test_worker_that_sleeps_is_woken_by_a_frame(void **state)
{
    struct ring_fixture *fixture = *state;

    ring_submit_test_frame(&fixture->queue, 0, 1);
    assert_false(is_woken(fixture)); /* it was awake */
    assert_false(ring_answer_sleep(&fixture->worker));
    ring_answer_test_frame(&fixture->worker);
    assert_true(ring_answer_sleep(&fixture->worker));
    assert_false(is_woken(fixture));
    ring_submit_test_frame(&fixture->queue, 1, 1);
    assert_true(is_woken(fixture));
    assert_int_equal(ring_answer_wait(&fixture->worker), 0);
    ring_answer_awake(&fixture->worker);
    ring_submit_test_frame(&fixture->queue, 2, 1);
    assert_false(ring_answer_sleep(&fixture->worker));
}

static void test_sleep_is_ended_once(void **state)
{
    struct ring_fixture *fixture = *state;

    for (uint32_t i = 0; i < 3; i++) {
        assert_true(ring_answer_sleep(&fixture->worker));
        ring_submit_test_frame(&fixture->queue, 2 * i, 1);
        ring_submit_test_frame(&fixture->queue, 2 * i + 1, 1); /* it has not run yet */
        assert_int_equal(fixture->queue.rings, i + 1);
        assert_int_equal(ring_answer_wait(&fixture->worker), 0);
        ring_answer_awake(&fixture->worker);
        ring_answer_test_frame(&fixture->worker);
        ring_answer_test_frame(&fixture->worker);
        ring_assert_answered(&fixture->queue, 2 * i, true);
        ring_assert_answered(&fixture->queue, 2 * i + 1, true);
    }
}

/* Woken while it decided not to wait, it must be woken again in its next sleep. */
static void test_sleep_that_was_given_up_uses_up_no_wake_up(void **state)
{
    struct ring_fixture *fixture = *state;

    fixture->worker.rings = 0;
    atomic_store(&fixture->worker.ours->asleep, ring_asleep(0));
    ring_submit_test_frame(&fixture->queue, 0, 1);
    assert_false(ring_answer_sleep(&fixture->worker));
    ring_answer_test_frame(&fixture->worker);
    ring_assert_answered(&fixture->queue, 0, true);
    assert_true(ring_answer_sleep(&fixture->worker));
    ring_submit_test_frame(&fixture->queue, 1, 1);
    assert_true(is_woken(fixture));
}

static void test_queue_process_that_sleeps_is_woken_at_the_end_of_a_frame(void **state)
{
    struct ring_fixture *fixture = *state;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fixture->queue.answered, &event), 0);
    for (uint32_t i = 0; i < 10; i++) { /* nothing is ever read from it, and each signal wakes */
        ring_submit_test_frame(&fixture->queue, i, 1);
        assert_true(ring_sleep(&fixture->queue));
        assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
        ring_answer_test_frame(&fixture->worker);
        assert_int_equal(epoll_wait(epoll, &event, 1, 0), 1);
        assert_int_equal(ring_awake(&fixture->queue, true), 0);
        ring_assert_answered(&fixture->queue, i, true);
        ring_submit_test_frame(&fixture->queue, i, 1);
        ring_answer_test_frame(&fixture->worker);
        assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0); /* it was awake */
        assert_false(ring_sleep(&fixture->queue));
        ring_assert_answered(&fixture->queue, i, true);
    }
    close(epoll);
}

static void test_side_that_does_not_sleep_after_all_is_not_rung(void **state)
{
    struct ring_fixture *fixture = *state;

    ring_submit_test_frame(&fixture->queue, 0, 1);
    ring_answer_test_frame(&fixture->worker);
    assert_false(ring_sleep(&fixture->queue));
    assert_int_equal(fixture->queue.ours->asleep, 0);
    ring_assert_answered(&fixture->queue, 0, true);
    ring_submit_test_frame(&fixture->queue, 1, 1);
    assert_false(ring_answer_sleep(&fixture->worker));
    assert_int_equal(fixture->worker.ours->asleep, 0);
}

static void test_request_to_leave_wakes_and_keeps_awake(void **state)
{
    struct ring_fixture *fixture = *state;

    assert_int_equal(ring_requested(&fixture->worker), RING_RUN);
    assert_true(ring_answer_sleep(&fixture->worker));
    ring_request_leave(&fixture->queue);
    assert_true(is_woken(fixture));
    assert_int_equal(ring_answer_wait(&fixture->worker), 0);
    ring_answer_awake(&fixture->worker);
    assert_int_equal(ring_requested(&fixture->worker), RING_LEAVE);
    assert_false(ring_answer_sleep(&fixture->worker));
}

static void test_any_word_of_the_worker_makes_nothing_wait(void **state)
{
    struct ring_fixture *fixture = *state;

    for (uint32_t i = 0; i < 5000; i++) {
        atomic_store(&fixture->worker.ours->asleep, ring_asleep(i % 2 == 0 ? fixture->queue.rings : i));
        ring_submit_test_frame(&fixture->queue, i, 1);
        ring_answer_test_frame(&fixture->worker);
        ring_assert_answered(&fixture->queue, i, true);
    }
    assert_true(is_woken(fixture));
}

static void test_worker_says_how_far_it_is_and_why_it_fails(void **state)
{
    struct ring_fixture *fixture = *state;
    char text[RING_TEXT_SIZE];
    char longer[2 * RING_TEXT_SIZE];

    assert_int_equal(ring_state(&fixture->queue), RING_OPENING);
    assert_int_equal(ring_plugin(&fixture->queue), PLUGINS_MAX);
    ring_say_position(&fixture->worker, 5, 0);
    assert_int_equal(ring_plugin(&fixture->queue), 5);
    assert_false(is_readable(fixture->queue.answered));
    ring_say_text(&fixture->worker, "no such device");
    ring_say_state(&fixture->worker, RING_FAILED);
    assert_true(is_readable(fixture->queue.answered));
    assert_int_equal(ring_state(&fixture->queue), RING_FAILED);
    ring_copy_text(&fixture->queue, text, sizeof(text));
    assert_string_equal(text, "no such device");
    ring_copy_text(&fixture->queue, text, 3);
    assert_string_equal(text, "no");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    ring_say_text(&fixture->worker, longer);
    ring_copy_text(&fixture->queue, longer, sizeof(longer));
    assert_int_equal(strlen(longer), RING_TEXT_SIZE - 1);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, ring_set_up, ring_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_packets_and_answers_arrive_as_they_were),
        TEST(test_counts_that_wrap_lose_nothing),
        TEST(test_frame_holds_as_many_of_the_largest_packets_as_a_burst),
        TEST(test_worker_sees_no_address_of_the_queue_process),
        TEST(test_empty_frame_is_given_up),
        TEST(test_there_is_room_while_the_oldest_frame_leaves_some),
        TEST(test_frames_of_a_dead_worker_are_retired_from_the_oldest_on),
        TEST(test_answers_are_seen_before_their_frame_is_complete_except_the_last),
        TEST(test_worker_that_sleeps_is_woken_by_a_frame),
        TEST(test_sleep_is_ended_once),
        TEST(test_sleep_that_was_given_up_uses_up_no_wake_up),
        TEST(test_queue_process_that_sleeps_is_woken_at_the_end_of_a_frame),
        TEST(test_side_that_does_not_sleep_after_all_is_not_rung),
        TEST(test_request_to_leave_wakes_and_keeps_awake),
        TEST(test_any_word_of_the_worker_makes_nothing_wait),
        TEST(test_worker_says_how_far_it_is_and_why_it_fails),
    };

    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
