/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations of a packet: what they change, and that a wrong call is an error code that changes nothing.
 */
#include "unit.h"

#include "plugin/packet_set.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define ENGINE_MARK UINT32_C(0xf0000)
#define MARK UINT32_C(0x12345)

static const struct nfqe_packet_operations operations = {.size = sizeof(operations), .set_mark = packet_set_mark};
static struct packet_set set;

static int set_up(void **state)
{
    (void)state;
    memset(&set, 0x5a, sizeof(set));
    packet_set_begin(&set, &operations, ENGINE_MARK);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        set.packets[i] = (struct nfqe_packet){.size = sizeof(struct nfqe_packet), .mark = MARK};
        packet_set_fill(&set, i);
    }
    return 0;
}

static void test_marks_are_masked_and_add_up(void **state)
{
    struct nfqe_packet *packet = &set.packets[3];

    (void)state;
    set.open = UINT64_C(1) << 3;
    assert_int_equal(nfqe_set_mark(packet, 0x0f, 0xff), 0);
    assert_int_equal(packet->mark, 0x1230f);
    assert_int_equal(packet->present, NFQE_HAS_MARK);
    assert_int_equal(nfqe_set_mark(packet, 0x1000, 0x3001), 0);
    assert_int_equal(packet->mark, 0x1130e);
    assert_int_equal(set.changes[3].mark_mask, 0x30ff);
    assert_int_equal(set.changes[3].mark_bits, 0x100e);
    assert_int_equal(packet_changes_mark(&set.changes[3], MARK), packet->mark);
    assert_int_equal(nfqe_set_mark(packet, 0, 0), 0);
    assert_int_equal(set.changes[2].mark_mask | set.changes[4].mark_mask, 0);
    packet_set_fill(&set, 3);
    assert_int_equal(set.changes[3].mark_mask, 0);
}

static void test_last_packet_of_a_burst_can_be_changed(void **state)
{
    (void)state;
    set.open = UINT64_C(1) << (BURST_MAX - 1);
    assert_int_equal(nfqe_set_mark(&set.packets[BURST_MAX - 1], 1, 1), 0);
    assert_int_equal(set.changes[BURST_MAX - 1].mark_mask, 1);
}

static void *call_elsewhere(void *packet)
{
    return (void *)(intptr_t)nfqe_set_mark(packet, 1, 1);
}

/* What a plugin can make up. */
static struct nfqe_packet *at(uintptr_t offset)
{
    return (struct nfqe_packet *)((uintptr_t)set.packets + offset);
}

static void assert_refused(struct nfqe_packet *packet, uint32_t bits, uint32_t mask)
{
    const struct packet_set before = set;

    assert_int_equal(set.packets[0].operations->set_mark(packet, bits, mask), -EINVAL);
    assert_memory_equal(&set, &before, sizeof(set));
}

static void test_wrong_calls_change_nothing(void **state)
{
    struct nfqe_packet other = set.packets[5];
    struct packet_set before;
    pthread_t thread;
    void *result;

    (void)state;
    set.open = UINT64_C(1) << 5;
    assert_refused(&set.packets[5], 2, 1); /* outside of the mask */
    assert_refused(&set.packets[5], 0, ENGINE_MARK & -ENGINE_MARK);
    assert_refused(&set.packets[5], 0, UINT32_MAX);
    assert_refused(&set.packets[4], 1, 1); /* no plugin has it */
    assert_refused(&set.packets[6], 1, 1);
    assert_refused(&other, 1, 1);
    assert_refused(NULL, 1, 1);
    assert_refused(at(BURST_MAX * sizeof(other)), 1, 1);
    assert_refused(at(-sizeof(other)), 1, 1);
    assert_refused(at(5 * sizeof(other) + 8), 1, 1);
    set.open = 0; /* it has returned */
    assert_refused(&set.packets[5], 1, 1);
    set.open = UINT64_MAX;
    before = set;
    assert_int_equal(pthread_create(&thread, NULL, call_elsewhere, &set.packets[5]), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, -EINVAL);
    assert_memory_equal(&set, &before, sizeof(set));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_marks_are_masked_and_add_up, set_up),
        cmocka_unit_test_setup(test_last_packet_of_a_burst_can_be_changed, set_up),
        cmocka_unit_test_setup(test_wrong_calls_change_nothing, set_up),
    };

    return cmocka_run_group_tests_name("packet_set", tests, NULL, NULL);
}
