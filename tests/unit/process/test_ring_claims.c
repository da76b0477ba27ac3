/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker that lies can do to the queue process: nothing. It answers no packet that it was not given, none twice,
 * and makes nothing wait or run in circles.
 */
#include "ring_fixture.h"
#include "unit.h"

#include "base/arith.h"

#include <errno.h>
#include <string.h>

static const struct nfqueue_conntrack no_conntrack;

/* A record as a worker should write it, for packet 0 of frame 0. */
static struct ring_verdict good_record(void)
{
    return (struct ring_verdict){
        .head = {RING_VERDICT, sizeof(struct ring_verdict), 0, 0}, .answer = 7, .plugin = PLUGINS_MAX - 1};
}

static void write_record(struct ring_fixture *fixture, const struct ring_verdict *record)
{
    char *stream = (char *)fixture->worker.ours + SHM_PAGE_SIZE;

    memcpy(stream + fixture->worker.written % RING_ANSWERS_SIZE, record, sizeof(*record));
    fixture->worker.written += sizeof(*record);
    atomic_store(&fixture->worker.ours->published, fixture->worker.written);
}

/* Nothing is believed, now and later, and what was in flight still is. */
static void assert_refused(struct ring_fixture *fixture)
{
    const struct ring_answered untouched = {{3, 4}, 5, 6, false, {7, 8}, {9, 10, 11}};
    struct ring_answered answered = untouched;
    uint64_t unanswered = ring_oldest(&fixture->queue) != NULL ? ring_oldest(&fixture->queue)->unanswered : 0;
    struct ring_worker_words *words = fixture->worker.ours;

    assert_false(ring_sleep(&fixture->queue));
    assert_int_equal(ring_take(&fixture->queue, &answered), -EBADMSG);
    assert_false(ring_sleep(&fixture->queue));
    words->guard_before = words->guard_after = RING_GUARD;
    fixture->worker.written = fixture->queue.taken;
    write_record(fixture, &(struct ring_verdict){.head = {RING_VERDICT, 16, (uint16_t)fixture->queue.retired, 0}});
    assert_int_equal(ring_take(&fixture->queue, &answered), -EBADMSG);
    assert_int_equal(ring_awake(&fixture->queue, false), -EBADMSG);
    assert_false(ring_sleep(&fixture->queue));
    assert_memory_equal(&answered, &untouched, sizeof(answered));
    assert_true(unanswered == (ring_oldest(&fixture->queue) != NULL ? ring_oldest(&fixture->queue)->unanswered : 0));
}

static void test_good_record_is_believed(void **state)
{
    struct ring_fixture *fixture = *state;
    struct ring_verdict record = good_record();
    struct ring_answered answered;

    ring_submit_test_frame(&fixture->queue, 0, 2);
    write_record(fixture, &record);
    assert_int_equal(ring_take(&fixture->queue, &answered), 1);
    assert_int_equal(answered.answer, 7);
    assert_int_equal(answered.plugin, PLUGINS_MAX - 1);
    record.head.packet = 1;
    record.plugin = PLUGINS_MAX;
    record.answer = UINT32_MAX;
    write_record(fixture, &record);
    assert_int_equal(ring_take(&fixture->queue, &answered), 1);
    assert_int_equal(answered.answer, UINT32_MAX);
    assert_int_equal(answered.plugin, PLUGINS_MAX);
    assert_true(answered.last);
}

static void test_record_that_is_wrong_in_any_field_is_refused(void **state)
{
    const struct ring_verdict good = good_record();
    struct ring_verdict wrong[16];
    unsigned count = 0;

    (void)state;
    for (unsigned kind = RING_CHANGE + 1; kind <= RING_BYTES + 1; kind++) {
        if (kind != RING_BYTES) {
            wrong[count] = good;
            wrong[count++].head.kind = (uint16_t)kind;
        }
    }
    wrong[count] = good;
    wrong[count++].head.kind = 0;
    wrong[count] = good;
    wrong[count++].head.size = 0;
    wrong[count] = good;
    wrong[count++].head.size = 32;
    wrong[count] = good;
    wrong[count++].head.frame = 1;
    wrong[count] = good;
    wrong[count++].head.frame = UINT16_MAX;
    wrong[count] = good;
    wrong[count++].head.packet = 2;
    wrong[count] = good;
    wrong[count++].plugin = PLUGINS_MAX + 1;
    assert_true(count <= ARRAY_SIZE(wrong));
    for (unsigned i = 0; i < count; i++) {
        struct ring_fixture fixture;

        ring_fixture_init(&fixture);
        ring_submit_test_frame(&fixture.queue, 0, 2);
        write_record(&fixture, &wrong[i]);
        assert_refused(&fixture);
        ring_fixture_done(&fixture);
    }
}

static struct ring_change good_change(void)
{
    return (struct ring_change){.head = {RING_CHANGE, sizeof(struct ring_change), 0, 0},
                                .changes = {.mark_bits = 5, .mark_mask = 0xf}};
}

static void write_change(struct ring_fixture *fixture, const struct ring_change *change)
{
    struct ring_verdict record;

    memcpy(&record, change, sizeof(record));
    write_record(fixture, &record);
}

static void test_changes_are_those_of_the_verdict_after_them(void **state)
{
    struct ring_fixture *fixture = *state;
    struct ring_change change = good_change();
    struct ring_verdict record = good_record();
    struct ring_answered answered;

    ring_submit_test_frame(&fixture->queue, 0, 3);
    write_change(fixture, &change);
    write_record(fixture, &record);
    record.head.packet = 1;
    write_record(fixture, &record);
    change.head.packet = record.head.packet = 2;
    change.changes = (struct packet_changes){UINT32_MAX, 1}; /* whatever it is, it is passed on */
    write_change(fixture, &change);
    write_record(fixture, &record);
    assert_int_equal(ring_take(&fixture->queue, &answered), 1);
    assert_int_equal(answered.changes.mark_bits, 5);
    assert_int_equal(answered.changes.mark_mask, 0xf);
    assert_int_equal(ring_take(&fixture->queue, &answered), 1);
    assert_int_equal(answered.changes.mark_bits, 0);
    assert_int_equal(answered.changes.mark_mask, 0);
    assert_int_equal(ring_take(&fixture->queue, &answered), 1);
    assert_true(answered.changes.mark_bits == UINT32_MAX && answered.changes.mark_mask == 1);
    assert_true(answered.last);
}

static void test_changes_without_a_verdict_of_the_same_packet_are_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct ring_change change = good_change();
        struct ring_verdict record = good_record();
        struct ring_fixture fixture;

        ring_fixture_init(&fixture);
        ring_submit_test_frame(&fixture.queue, 0, 2);
        change.head.packet = i == 1;
        change.head.frame = i == 2;
        change.head.size = i == 3 ? 32 : sizeof(change);
        record.head.packet = i == 4;
        write_change(&fixture, &change);
        if (i == 5) {
            write_change(&fixture, &change);
        }
        if (i > 0) { /* 0: it is published without one */
            write_record(&fixture, &record);
        }
        assert_refused(&fixture);
        ring_fixture_done(&fixture);
    }
}

/* In a mask of 64 bits, packet 64 is packet 0 on some processors. */
static void test_packet_after_the_last_of_a_full_frame_is_not_answered(void **state)
{
    struct ring_fixture *fixture = *state;
    struct ring_verdict record = good_record();

    ring_submit_test_frame(&fixture->queue, 0, BURST_MAX);
    record.head.packet = BURST_MAX;
    write_record(fixture, &record);
    assert_refused(fixture);
}

static void test_packet_is_not_answered_twice(void **state)
{
    struct ring_fixture *fixture = *state;
    const struct ring_verdict record = good_record();
    struct ring_answered answered;

    ring_submit_test_frame(&fixture->queue, 0, 2);
    write_record(fixture, &record);
    write_record(fixture, &record);
    assert_int_equal(ring_take(&fixture->queue, &answered), 1);
    assert_refused(fixture);
}

/* It could change the order of a flow, and keep the place of a frame for ever. */
static void test_packet_is_not_answered_before_those_in_front_of_it(void **state)
{
    (void)state;
    for (unsigned frame = 0; frame < 2; frame++) {
        struct ring_verdict record = good_record();
        struct ring_fixture fixture;

        ring_fixture_init(&fixture);
        ring_submit_test_frame(&fixture.queue, 0, 2);
        ring_submit_test_frame(&fixture.queue, 2, 1);
        record.head.frame = (uint16_t)frame;
        record.head.packet = frame == 0;
        write_record(&fixture, &record);
        assert_refused(&fixture);
        ring_fixture_done(&fixture);
    }
}

static void test_packet_with_a_plugin_is_the_first_without_an_answer_or_none(void **state)
{
    struct ring_fixture *fixture = *state;
    const struct ring_verdict record = good_record();
    struct ring_answered answered;

    ring_say_position(&fixture->worker, 3, 0);
    assert_false(ring_packet_with_plugin(&fixture->queue)); /* nothing is in flight */
    ring_submit_test_frame(&fixture->queue, 0, 3);
    assert_true(ring_packet_with_plugin(&fixture->queue));
    ring_say_position(&fixture->worker, 3, 1);
    assert_false(ring_packet_with_plugin(&fixture->queue));
    ring_say_position(&fixture->worker, PLUGINS_MAX, 0);
    assert_false(ring_packet_with_plugin(&fixture->queue));
    ring_say_position(&fixture->worker, UINT32_MAX, UINT32_MAX);
    assert_false(ring_packet_with_plugin(&fixture->queue));
    ring_say_position(&fixture->worker, 3, 0);
    write_record(fixture, &record);
    assert_int_equal(ring_take(&fixture->queue, &answered), 1);
    assert_false(ring_packet_with_plugin(&fixture->queue)); /* it has its answer */
    ring_say_position(&fixture->worker, 0, 1);
    assert_true(ring_packet_with_plugin(&fixture->queue));
}

static void test_packet_of_a_retired_frame_is_not_answered(void **state)
{
    struct ring_fixture *fixture = *state;
    const struct ring_verdict record = good_record();

    for (uint32_t i = 0; i < 3; i++) {
        ring_submit_test_frame(&fixture->queue, i, 1);
    }
    ring_answer_test_frame(&fixture->worker);
    ring_assert_answered(&fixture->queue, 0, true);
    write_record(fixture, &record);
    assert_refused(fixture);
}

static void test_packet_of_a_frame_that_is_not_submitted_is_not_answered(void **state)
{
    struct ring_fixture *fixture = *state;
    const struct ring_verdict record = good_record();

    ring_begin(&fixture->queue, 0);
    ring_add(&fixture->queue, ring_test_packet(1), &no_conntrack, (struct ring_origin){0, 1}, &(struct ring_flow){0});
    write_record(fixture, &record);
    assert_refused(fixture);
}

static void test_answer_without_a_packet_in_flight_is_refused(void **state)
{
    struct ring_fixture *fixture = *state;
    const struct ring_verdict record = good_record();

    write_record(fixture, &record);
    assert_refused(fixture);
}

static void test_count_that_cannot_be_is_refused(void **state)
{
    static const uint32_t counts[] = {1, 8, 15, 17, RING_ANSWERS_SIZE + 16, UINT32_C(0x80000000), UINT32_MAX - 15};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        const struct ring_verdict record = good_record();
        struct ring_fixture fixture;

        ring_fixture_init(&fixture);
        ring_submit_test_frame(&fixture.queue, 0, 2);
        write_record(&fixture, &record);
        atomic_store(&fixture.worker.ours->published, counts[i]);
        assert_refused(&fixture);
        ring_fixture_done(&fixture);
    }
}

static void test_damaged_guard_is_found_before_a_verdict_is_believed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * sizeof(uint64_t); i++) {
        struct ring_fixture fixture;
        const struct ring_verdict record = good_record();
        unsigned char *page;

        ring_fixture_init(&fixture);
        page = (unsigned char *)fixture.worker.ours;
        ring_submit_test_frame(&fixture.queue, 0, 2);
        write_record(&fixture, &record);
        page[i < 8 ? i : SHM_PAGE_SIZE - 16 + i] ^= 1; /* the first and the last bytes of the page */
        assert_refused(&fixture);
        ring_fixture_done(&fixture);
    }
}

/* The word says "answers" when it is looked at before sleeping, and "none" when they are to be taken. */
static void test_count_that_changes_all_the_time_makes_no_circles(void **state)
{
    struct ring_fixture *fixture = *state;
    const struct ring_verdict record = good_record();
    struct ring_answered answered;
    unsigned turns = 0;

    ring_submit_test_frame(&fixture->queue, 0, 2);
    write_record(fixture, &record);
    while (!ring_sleep(&fixture->queue)) {
        atomic_store(&fixture->worker.ours->published, 0);
        turns++;
        assert_int_not_equal(ring_take(&fixture->queue, &answered), 0);
        if (ring_take(&fixture->queue, &answered) < 0) {
            break;
        }
        atomic_store(&fixture->worker.ours->published, 32);
    }
    assert_int_equal(turns, 1);
    assert_false(ring_sleep(&fixture->queue));
}

static void test_worker_that_rings_without_completing_frames_is_found(void **state)
{
    struct ring_fixture *fixture = *state;
    struct ring_answered answered;
    unsigned bells = 0;

    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(ring_awake(&fixture->queue, false), 0); /* woken by something else */
    }
    for (uint32_t i = 0; i < 1000; i++) {
        ring_submit_test_frame(&fixture->queue, i, 1);
        ring_answer_test_frame(&fixture->worker);
        assert_int_equal(ring_awake(&fixture->queue, true), 0);
        ring_assert_answered(&fixture->queue, i, true);
    }
    ring_submit_test_frame(&fixture->queue, 0, BURST_MAX);
    while (ring_awake(&fixture->queue, true) == 0) {
        if (bells < BURST_MAX - 1) { /* one answer for each */
            struct ring_verdict record = good_record();

            record.head.frame = (uint16_t)1000;
            record.head.packet = (uint16_t)bells;
            write_record(fixture, &record);
            assert_int_equal(ring_take(&fixture->queue, &answered), 1);
        }
        bells++;
    }
    assert_int_equal(bells, RING_BELLS_MAX);
    assert_int_equal(ring_take(&fixture->queue, &answered), -EBADMSG);
    assert_false(ring_sleep(&fixture->queue));
}

static void test_what_it_says_of_itself_is_checked(void **state)
{
    struct ring_fixture *fixture = *state;
    char text[RING_TEXT_SIZE + 1];

    atomic_store(&fixture->worker.ours->plugin, PLUGINS_MAX + 1);
    assert_int_equal(ring_plugin(&fixture->queue), PLUGINS_MAX);
    atomic_store(&fixture->worker.ours->plugin, UINT32_MAX);
    assert_int_equal(ring_plugin(&fixture->queue), PLUGINS_MAX);
    memcpy(fixture->worker.ours->text, "\x1b[2Jlog\nline\x7f\xff", 15);
    ring_copy_text(&fixture->queue, text, sizeof(text));
    assert_string_equal(text, "?[2Jlog?line??");
    memset(fixture->worker.ours->text, 'x', RING_TEXT_SIZE); /* no NUL */
    ring_copy_text(&fixture->queue, text, sizeof(text));
    assert_int_equal(strlen(text), RING_TEXT_SIZE - 1);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, ring_set_up, ring_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_good_record_is_believed),
        cmocka_unit_test(test_record_that_is_wrong_in_any_field_is_refused),
        TEST(test_changes_are_those_of_the_verdict_after_them),
        cmocka_unit_test(test_changes_without_a_verdict_of_the_same_packet_are_refused),
        TEST(test_packet_after_the_last_of_a_full_frame_is_not_answered),
        TEST(test_packet_is_not_answered_twice),
        TEST(test_packet_is_not_answered_before_those_in_front_of_it),
        TEST(test_packet_with_a_plugin_is_the_first_without_an_answer_or_none),
        TEST(test_packet_of_a_retired_frame_is_not_answered),
        TEST(test_packet_of_a_frame_that_is_not_submitted_is_not_answered),
        TEST(test_answer_without_a_packet_in_flight_is_refused),
        cmocka_unit_test(test_count_that_cannot_be_is_refused),
        cmocka_unit_test(test_damaged_guard_is_found_before_a_verdict_is_believed),
        TEST(test_count_that_changes_all_the_time_makes_no_circles),
        TEST(test_worker_that_rings_without_completing_frames_is_found),
        TEST(test_what_it_says_of_itself_is_checked),
    };

    return cmocka_run_group_tests_name("ring_claims", tests, NULL, NULL);
}
