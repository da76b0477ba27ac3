/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop's timers: their order, how long a turn waits for them, that a callback may stop and move any, and how
 * often the clock is read.
 */
#include "loop_fixture.h"

#include "base/arith.h"
#include "base/clock.h"

#include <limits.h>

#define FOREVER (UINT64_C(1) << 62)

static void test_timers_expire_in_the_order_of_their_times_and_never_early(void **state)
{
    static const int delays_ms[] = {7, 3, 5, 3, 1, 9, 3};
    static const unsigned order[] = {4, 1, 3, 6, 2, 0, 5};
    struct loop_item items[ARRAY_SIZE(delays_ms)];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
        loop_item_init(&items[i], -1);
        loop_item_start(&items[i], delays_ms[i]);
    }
    loop_turn_until_calls(ARRAY_SIZE(items));
    for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
        assert_ptr_equal(loop_fixture.calls[i], &items[order[i]]);
    }
}

static void test_timers_that_are_due_together_are_called_in_one_turn_in_order(void **state)
{
    struct loop_item items[4];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
        loop_item_init(&items[i], -1);
        loop_item_start(&items[i], -(int)i);
    }
    loop_turn();
    assert_int_equal(loop_fixture.call_count, ARRAY_SIZE(items));
    for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
        assert_ptr_equal(loop_fixture.calls[i], &items[ARRAY_SIZE(items) - 1 - i]);
    }
}

static void test_wait_lasts_until_the_earliest_timer_rounded_up(void **state)
{
    struct loop_item early;
    struct loop_item late;

    (void)state;
    loop_item_init(&early, -1);
    loop_item_init(&late, -1);
    event_loop_start_timer(&loop_fixture.loop, &late.timer, event_loop_now(&loop_fixture.loop) + FOREVER);
    event_loop_start_timer(&loop_fixture.loop, &early.timer, event_loop_now(&loop_fixture.loop) + NS_PER_MS);
    loop_turn();
    assert_int_equal(loop_fixture.timeout_ms, 1);
    assert_int_equal(loop_fixture.call_count, 1);
    event_loop_start_timer(&loop_fixture.loop, &early.timer, event_loop_now(&loop_fixture.loop) + NS_PER_MS + 1);
    loop_turn();
    assert_int_equal(loop_fixture.timeout_ms, 2);
    event_loop_start_timer(&loop_fixture.loop, &early.timer, event_loop_now(&loop_fixture.loop) + 1);
    loop_turn();
    assert_int_equal(loop_fixture.timeout_ms, 1);
    event_loop_start_timer(&loop_fixture.loop, &early.timer, event_loop_now(&loop_fixture.loop));
    loop_turn();
    assert_int_equal(loop_fixture.timeout_ms, 0);
    assert_int_equal(loop_fixture.call_count, 4);
    loop_item_watch(&early);
    loop_turn();
    assert_int_equal(loop_fixture.timeout_ms, INT_MAX);
    event_loop_stop_timer(&loop_fixture.loop, &late.timer);
    loop_turn();
    assert_int_equal(loop_fixture.timeout_ms, -1);
    loop_item_release(&early);
}

static void test_timer_that_was_stopped_or_moved_does_not_expire_at_its_old_time(void **state)
{
    struct loop_item stopped;
    struct loop_item moved;
    struct loop_item last;

    (void)state;
    loop_item_init(&stopped, -1);
    loop_item_init(&moved, -1);
    loop_item_init(&last, -1);
    loop_item_start(&stopped, 1);
    loop_item_start(&moved, 1);
    loop_item_start(&last, 2);
    loop_item_start(&moved, 4);
    event_loop_stop_timer(&loop_fixture.loop, &stopped.timer);
    event_loop_stop_timer(&loop_fixture.loop, &stopped.timer);
    loop_turn_until_calls(2);
    assert_ptr_equal(loop_fixture.calls[0], &last);
    assert_ptr_equal(loop_fixture.calls[1], &moved);
    loop_item_start(&stopped, 1);
    loop_turn_until_calls(3);
    assert_ptr_equal(loop_fixture.calls[2], &stopped);
}

static void test_timer_that_was_overtaken_can_be_stopped_alone(void **state)
{
    struct loop_item late;
    struct loop_item early;

    (void)state;
    loop_item_init(&late, -1);
    loop_item_init(&early, -1);
    loop_item_start(&late, 2);
    loop_item_start(&early, 1);
    event_loop_stop_timer(&loop_fixture.loop, &late.timer);
    loop_turn_until_calls(1);
    assert_ptr_equal(loop_fixture.calls[0], &early);
    assert_null(loop_fixture.loop.timers);
}

static void stop_other(struct loop_item *item)
{
    event_loop_stop_timer(&loop_fixture.loop, &item->other->timer);
}

static void move_other(struct loop_item *item)
{
    loop_item_start(item->other, 1);
}

static void start_again(struct loop_item *item)
{
    loop_item_start(item, -1);
}

/* One turn with three timers that have expired; the first one's callback does `then` to the second. */
static void expire_three(struct loop_item items[3], void (*then)(struct loop_item *item))
{
    for (unsigned i = 0; i < 3; i++) {
        loop_item_init(&items[i], -1);
        items[i].other = &items[1];
        loop_item_start(&items[i], -3 + (int)i);
    }
    items[0].then = then;
    loop_turn();
}

static void test_callback_may_stop_a_timer_that_has_expired_too(void **state)
{
    struct loop_item items[3];

    (void)state;
    expire_three(items, stop_other);
    assert_int_equal(loop_fixture.call_count, 2);
    assert_ptr_equal(loop_fixture.calls[0], &items[0]);
    assert_ptr_equal(loop_fixture.calls[1], &items[2]);
}

static void test_callback_may_move_a_timer_that_has_expired_too(void **state)
{
    struct loop_item items[3];

    (void)state;
    expire_three(items, move_other);
    assert_int_equal(loop_fixture.call_count, 2);
    loop_turn_until_calls(3);
    assert_ptr_equal(loop_fixture.calls[2], &items[1]);
}

static void test_timer_that_starts_itself_again_is_called_once_a_turn(void **state)
{
    struct loop_item item;

    (void)state;
    loop_item_init(&item, -1);
    item.then = start_again;
    loop_item_start(&item, -1);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 1);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 2);
}

static void test_descriptors_come_before_timers(void **state)
{
    struct loop_item timer;
    struct loop_item ready;

    (void)state;
    loop_item_init(&timer, -1);
    loop_item_start(&timer, -1);
    loop_item_watch(&ready);
    loop_turn();
    assert_int_equal(loop_fixture.call_count, 2);
    assert_ptr_equal(loop_fixture.calls[0], &ready);
    assert_ptr_equal(loop_fixture.calls[1], &timer);
    loop_item_release(&ready);
}

static void test_turn_of_timers_alone_reads_the_clock_again_and_leaves_descriptors(void **state)
{
    struct loop_item timer;
    struct loop_item ready;
    uint64_t before_ns;

    (void)state;
    loop_item_init(&timer, -1);
    loop_item_watch(&ready);
    before_ns = event_loop_now(&loop_fixture.loop);
    loop_fixture.clock_readings = 0;
    event_loop_turn_timers(&loop_fixture.loop);
    assert_int_equal(loop_fixture.clock_readings, 0);
    assert_true(event_loop_now(&loop_fixture.loop) > before_ns);
    loop_item_start(&timer, -1);
    event_loop_turn_timers(&loop_fixture.loop);
    assert_int_equal(loop_fixture.call_count, 1);
    assert_ptr_equal(loop_fixture.calls[0], &timer);
    loop_turn();
    assert_ptr_equal(loop_fixture.calls[1], &ready);
    loop_item_release(&ready);
}

static uint64_t seen_ns;

static void ask_clock(struct loop_item *item)
{
    (void)item;
    seen_ns = event_loop_now(&loop_fixture.loop);
}

static void test_clock_is_read_once_a_turn_and_only_if_it_is_needed(void **state)
{
    struct loop_item items[2];
    uint64_t before;

    (void)state;
    loop_item_watch(&items[0]);
    loop_turn();
    assert_int_equal(loop_fixture.clock_readings, 0);
    loop_item_watch(&items[1]);
    items[0].then = items[1].then = ask_clock;
    loop_turn();
    assert_int_equal(loop_fixture.clock_readings, 1);
    before = seen_ns;
    loop_item_start(&items[0], 1000);
    assert_int_equal(loop_fixture.clock_readings, 1);
    loop_turn();
    assert_int_equal(loop_fixture.clock_readings, 2);
    assert_true(seen_ns > before);
    event_loop_stop_timer(&loop_fixture.loop, &items[0].timer);
    loop_item_release(&items[0]);
    loop_item_release(&items[1]);
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, loop_fixture_set_up, loop_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_timers_expire_in_the_order_of_their_times_and_never_early),
        WITH_LOOP(test_timers_that_are_due_together_are_called_in_one_turn_in_order),
        WITH_LOOP(test_wait_lasts_until_the_earliest_timer_rounded_up),
        WITH_LOOP(test_timer_that_was_stopped_or_moved_does_not_expire_at_its_old_time),
        WITH_LOOP(test_timer_that_was_overtaken_can_be_stopped_alone),
        WITH_LOOP(test_callback_may_stop_a_timer_that_has_expired_too),
        WITH_LOOP(test_callback_may_move_a_timer_that_has_expired_too),
        WITH_LOOP(test_timer_that_starts_itself_again_is_called_once_a_turn),
        WITH_LOOP(test_descriptors_come_before_timers),
        WITH_LOOP(test_turn_of_timers_alone_reads_the_clock_again_and_leaves_descriptors),
        WITH_LOOP(test_clock_is_read_once_a_turn_and_only_if_it_is_needed),
    };

    return cmocka_run_group_tests_name("event_loop_timers", tests, NULL, NULL);
}
