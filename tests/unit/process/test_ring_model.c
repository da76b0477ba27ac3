/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring in every order of its steps (ring_model.h): no wake-up is lost, each answer is taken once, no frame changes
 * while the worker has it, and a worker that dies leaves exactly the packets that it has not answered, in order.
 *
 * The last tests weaken what the ring relies on, and the model must notice.
 */
#include "ring_fixture.h"
#include "ring_model.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const struct nfqueue_conntrack no_conntrack;

struct script {
    uint32_t frames; /* to be submitted */
    uint32_t packets; /* of each */
    uint32_t submitted; /* packets */
    uint32_t answered; /* packets, which are answered in order */
    uint32_t leaving; /* the worker was asked to leave */
    uint32_t worker_packets; /* that the worker has begun */
};

/* A ring as it is before the first frame, to begin each run with. */
static struct ring_fixture fixture;
static struct ring_fixture first;
static struct ring_queue_words first_queue_words;
static struct ring_worker_words first_worker_words;

static _Alignas(8) struct script script;
static uint32_t frames;
static uint32_t packets;
static bool early; /* the worker shows the last answer of a frame before it is done with the frame */

static void reset(void)
{
    fixture = first;
    memcpy(fixture.queue.ours, &first_queue_words, sizeof(first_queue_words));
    memcpy(fixture.worker.ours, &first_worker_words, sizeof(first_worker_words));
    script = (struct script){.frames = frames, .packets = packets};
}

/* ---- the queue process ------------------------------------------------------------------------------------------- */

static void submit_frames(void)
{
    const struct ring_flow flow = {.number = RING_NO_FLOW};

    while (script.frames > 0 && ring_has_room(&fixture.queue)) {
        ring_begin(&fixture.queue, 0);
        for (uint32_t i = 0; i < script.packets; i++) {
            const struct nfqe_packet packet = {.id = script.submitted};

            ring_add(&fixture.queue, &packet, &no_conntrack, (struct ring_origin){0, (uint16_t)script.submitted++},
                     &flow);
        }
        script.frames--;
        ring_submit(&fixture.queue);
        model_mark(1);
    }
}

static void take_answers(void)
{
    struct ring_answered answered;
    int code;

    while ((code = ring_take(&fixture.queue, &answered)) > 0) {
        model_check(answered.origin.entry == script.answered && answered.answer == script.answered,
                    "each answer is taken once, and is that of its packet");
        model_check(answered.last == ((script.answered + 1) % script.packets == 0), "the last answer of a frame is it");
        script.answered++;
        model_mark(2);
    }
    model_check(code == 0, "a worker that keeps the protocol is not taken for one that breaks it");
}

/* Of a dead worker. */
static void check_rest(void)
{
    const struct ring_flight *flight;
    uint32_t next = script.answered;

    model_check(script.answered * sizeof(struct ring_verdict) == fixture.worker.ours->published,
                "each answer that the worker published is taken");
    while ((flight = ring_oldest(&fixture.queue)) != NULL) {
        for (uint32_t i = 0; i < flight->count; i++) {
            if ((flight->unanswered & (UINT64_C(1) << i)) != 0) {
                model_check(flight->origins[i].entry == next, "packets without an answer are in flight, in order");
                next++;
            }
        }
        ring_retire_oldest(&fixture.queue);
    }
    model_check(next == script.submitted, "all packets without an answer are in flight");
}

static void queue_side(void)
{
    struct model_wake wake = {false, false};

    for (;;) {
        model_mark(3 + wake.dead);
        take_answers();
        if (wake.dead) {
            break;
        }
        submit_frames();
        if (script.leaving == 0 && script.frames == 0 && !ring_in_flight(&fixture.queue)) {
            script.leaving = 1;
            ring_request_leave(&fixture.queue);
        }
        wake = (struct model_wake){false, false};
        if (ring_sleep(&fixture.queue)) {
            wake = model_wait_queue();
        }
        model_check(ring_awake(&fixture.queue, wake.rung) == 0, "a worker that keeps the protocol rings seldom");
    }
    check_rest();
}

/* ---- the worker -------------------------------------------------------------------------------------------------- */

static void check_frame(const struct ring_frame *frame, uint32_t first_id)
{
    model_check(frame->number == fixture.worker.handled && frame->count == script.packets &&
                    frame->packets[0].packet.id == first_id,
                "a frame does not change while the worker has it");
}

static void handle_frame(const struct ring_frame *frame)
{
    uint32_t first_id = script.worker_packets;

    for (uint32_t i = 0; i < script.packets; i++) {
        model_check(frame->packets[i].packet.id == script.worker_packets, "packets arrive in order");
        ring_put(&fixture.worker, frame, i, script.worker_packets, 0);
        script.worker_packets++;
        if (early) {
            atomic_store_explicit(&fixture.worker.ours->published, fixture.worker.written, memory_order_release);
        } else {
            ring_publish(&fixture.worker);
        }
        ring_say_position(&fixture.worker, 0, i); /* as if the next plugin ran: the queue process may go on here */
        check_frame(frame, first_id);
    }
    ring_frame_handled(&fixture.worker);
}

static void worker_side(void)
{
    const struct ring_frame *frame;

    for (;;) {
        model_mark(5);
        while ((frame = ring_next_frame(&fixture.worker)) != NULL) {
            handle_frame(frame);
            model_mark(5);
        }
        if (ring_requested(&fixture.worker) == RING_LEAVE) {
            return;
        }
        if (ring_answer_sleep(&fixture.worker)) {
            model_check(ring_answer_wait(&fixture.worker) == 0, "a wait does not fail");
            ring_answer_awake(&fixture.worker);
        }
    }
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    ring_fixture_init(&fixture);
    first = fixture;
    memcpy(&first_queue_words, fixture.queue.ours, sizeof(first_queue_words));
    memcpy(&first_worker_words, fixture.worker.ours, sizeof(first_worker_words));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture = first;
    ring_fixture_done(&fixture);
    return 0;
}

static struct model make_model(uint32_t frame_count, uint32_t packet_count)
{
    frames = frame_count;
    packets = packet_count;
    early = false;
    return (struct model){
        .reset = reset,
        .scripts = {queue_side, worker_side},
        .memories = {{&fixture.queue, sizeof(fixture.queue)},
                     {&fixture.worker, sizeof(fixture.worker)},
                     {&script, sizeof(script)},
                     {&fixture.queue.ours->submitted, sizeof(*fixture.queue.ours) - RING_CACHE_LINE},
                     {&fixture.worker.ours->published, 4 * (size_t)RING_CACHE_LINE}},
    };
}

static void assert_holds(const struct model *model)
{
    struct model_result result = model_explore(model);

    printf("%u frames of %u packets: %llu states, %llu runs\n", frames, packets, (unsigned long long)result.states,
           (unsigned long long)result.runs);
    if (result.violation != NULL) {
        model_print_run();
        fail_msg("not kept: %s", result.violation);
    }
}

static void assert_notices(const struct model *model, const char *promise)
{
    struct model_result result = model_explore(model);

    assert_non_null(result.violation);
    assert_string_equal(result.violation, promise);
}

static void test_nothing_is_lost_in_any_order(void **state)
{
    struct model model = make_model(unit_cases(3, 2), 2);

    (void)state;
    assert_holds(&model);
}

static void test_nothing_is_lost_when_places_are_used_again(void **state)
{
    struct model model = make_model(RING_FRAMES + unit_cases(2, 1), 1);

    (void)state;
    assert_holds(&model);
}

static void test_nothing_is_lost_wherever_the_worker_dies(void **state)
{
    struct model model = make_model(unit_cases(3, 2), 2);

    (void)state;
    model.deaths = true;
    assert_holds(&model);
    model = make_model(RING_FRAMES + 1, 1);
    model.deaths = true;
    assert_holds(&model);
}

static void test_weaker_stores_of_the_queue_process_are_noticed(void **state)
{
    struct model model = make_model(2, 1);

    (void)state;
    model.weak[MODEL_QUEUE] = true;
    assert_notices(&model, "no side waits for something that has happened");
}

static void test_weaker_stores_of_the_worker_are_noticed(void **state)
{
    struct model model = make_model(2, 1);

    (void)state;
    model.weak[MODEL_WORKER] = true;
    assert_notices(&model, "no side waits for something that has happened");
}

static void test_answer_that_is_shown_too_early_is_noticed(void **state)
{
    struct model model = make_model(RING_FRAMES + 1, 1);

    (void)state;
    early = true;
    assert_notices(&model, "a frame does not change while the worker has it");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_lost_in_any_order),
        TEST(test_nothing_is_lost_when_places_are_used_again),
        TEST(test_nothing_is_lost_wherever_the_worker_dies),
        TEST(test_weaker_stores_of_the_queue_process_are_noticed),
        TEST(test_weaker_stores_of_the_worker_are_noticed),
        TEST(test_answer_that_is_shown_too_early_is_noticed),
    };

    return cmocka_run_group_tests_name("ring_model", tests, NULL, NULL);
}
