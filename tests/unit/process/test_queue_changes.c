/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changed packets in the queue process: those of an honest worker go out, by whatever verdict; what a hostile one makes of
 * its memory afterwards, and says in its records, costs the packet that it is about, or the worker. The world of
 * loop_world.h looks at the bytes that the kernel gets.
 */
#include "loop_world.h"

#include <errno.h>
#include <string.h>

#define COUNT 6

static const struct queue_stats *stats(void)
{
    return &journal_totals(world.engine.queues[0].shm.journal)->stats;
}

static void begin(nfqe_verdict on_crash)
{
    world_changes = true;
    world_init(1, false, false);
    world.group.on_crash = on_crash;
    world.count = COUNT;
    world.queued = COUNT;
    for (uint32_t i = 1; i <= COUNT; i++) {
        world.packets[i] = (struct world_packet){.flow = 1, .answer = NFQE_ACCEPT, .changes = true};
    }
    world_start_queue();
    world_add_worker();
}

/* Until the worker has answered and nothing is taken. */
static void run(void)
{
    world_receive();
    assert_true(world_run_worker(0));
}

/* The answers of packet `number`, from 1 on: its bytes, and its verdict. */
static struct ring_bytes *bytes_of(uint32_t number)
{
    char *stream = (char *)world.workers[0].ring.ours + SHM_PAGE_SIZE;

    return (struct ring_bytes *)(void *)(stream + (size_t)(2 * number - 2) * RING_RECORD_STEP);
}

static uint8_t *made_of(uint32_t number)
{
    return (uint8_t *)world.workers[0].ring.ours + bytes_of(number)->offset;
}

static void finish(void)
{
    world_take(0);
    world_send();
    world_settle();
    world_assert_settled();
    world_done();
}

static void test_changed_packets_go_out_as_the_plugin_made_them(void **state)
{
    (void)state;
    begin(NFQE_DROP);
    world.packets[2].answer = NFQE_DROP;
    world.packets[3].changes = false;
    world.packets[4].fragment = true; /* which cannot have another length */
    run();
    world_take(0);
    world_send();
    assert_int_equal(stats()->changed, COUNT - 3);
    assert_int_equal(stats()->changes_refused, 1);
    assert_int_equal(stats()->invalid, 0);
    finish();
}

/* The copy is checked, whatever the worker has checked before. The packet is as it was received. */
static void test_bytes_that_a_kernel_would_drop_are_an_invalid_answer(void **state)
{
    static const struct {
        uint32_t offset;
        uint8_t value;
        const char *text;
    } cases[] = {{0, 0x65, "is not of the same IP version"},
                 {0, 0x46, "has other IPv4 options"},
                 {3, 1, "has another length in its IP header"},
                 {6, 0x20, "has other IPv4 fragment bits"}};

    (void)state;
    for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        nfqe_verdict on_crash = i % 2 != 0 ? NFQE_ACCEPT : NFQE_DROP;

        begin(on_crash);
        run();
        made_of(3)[cases[i / 2].offset] = cases[i / 2].value;
        world.packets[3].answer = NFQE_HELD; /* as if it were: no verdict that it may give */
        world_take(0);
        assert_non_null(strstr(world.log, "plugin judge 1.0: the changed packet "));
        assert_non_null(strstr(world.log, cases[i / 2].text));
        world_send();
        assert_int_equal(world.packets[3].verdict, on_crash);
        assert_int_equal(stats()->invalid, 1);
        assert_int_equal(stats()->changes_refused, 1);
        assert_int_equal(stats()->changed, COUNT - 1);
        finish();
    }
}

/* Or fewer than the packet has: its IP header says another length then. */
static void test_other_places_and_lengths_are_what_lies_there(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin(NFQE_ACCEPT);
        run();
        switch (i) {
        case 0:
            bytes_of(3)->len--;
            break;
        case 1:
            bytes_of(3)->offset = RING_CHANGES_OFFSET + (RING_CHANGES - 2) * RING_CHANGE_STRIDE; /* zeros */
            break;
        default:
            bytes_of(3)->len = COPY_RANGE_MAX;
        }
        world.packets[3].answer = NFQE_HELD;
        world_take(0);
        world_send();
        assert_int_equal(stats()->invalid, 1);
        finish();
    }
}

/* Nothing after it is taken, and its packets go to another worker. */
static void test_bytes_outside_of_its_memory_end_the_worker(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin(NFQE_DROP);
        run();
        bytes_of(3)->offset = i == 0 ? 0 : i == 1 ? (uint32_t)RING_CHANGING_FILE_SIZE - 10 : UINT32_MAX;
        assert_int_equal(queue_loop_take_answers(&world.loop, world.workers[0].theirs, world.now_ns), -EBADMSG);
        world_send();
        assert_int_equal(stats()->changed, 2);
        assert_int_equal(world.packets[3].verdict, 0);
        world_done();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_packets_go_out_as_the_plugin_made_them),
        cmocka_unit_test(test_bytes_that_a_kernel_would_drop_are_an_invalid_answer),
        cmocka_unit_test(test_other_places_and_lengths_are_what_lies_there),
        cmocka_unit_test(test_bytes_outside_of_its_memory_end_the_worker),
    };

    return world_run_tests("queue_changes", tests, sizeof(tests) / sizeof(tests[0]));
}
