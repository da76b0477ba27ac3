/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table as a worker uses it: how many flows fit, which one is replaced, and how a verdict changes.
 *
 * test_flow_end.c has the end of flows, test_flow_key.c which packets belong to a flow, test_flow_repair.c and
 * test_flow_damage.c what follows a worker's death or damage.
 */
#include "unit.h"

#include "flow_image.h"

#include <nfqe/plugin.h>

#include <string.h>

#define MIB (1024 * 1024)
#define NOW 1000 /* a tick */

static const uint32_t capacities[] = {1, 2, 3, 17, 1000};

static struct flow_image image;

static int tear_down(void **state)
{
    (void)state;
    flow_image_done(&image);
    return 0;
}

/* ---- room ------------------------------------------------------------------------------------------------ */

static void test_zero_memory_is_an_empty_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        flow_image_init(&image, capacities[i], NULL);
        assert_false(flow_table_need_repair(&image.flows));
        for (uint32_t number = 0; number < 100; number++) {
            assert_int_equal(flow_image_find(&image, number, NOW), NFQE_CONTINUE);
            assert_int_equal(flow_image_syn(&image, number, NOW), NFQE_CONTINUE);
        }
        flow_image_assert_in_order(&image);
        for (size_t byte = 0; byte < image.size; byte++) {
            assert_int_equal(((const uint8_t *)image.header)[byte], 0);
        }
        flow_image_done(&image);
    }
}

static void test_exactly_as_many_flows_fit_as_the_table_was_made_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        uint32_t capacity = capacities[i];

        flow_image_init(&image, capacity, NULL);
        for (uint32_t number = 0; number < capacity; number++) {
            flow_image_add(&image, number, NOW, number % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP);
        }
        assert_int_equal(image.header->totals.added, capacity);
        assert_int_equal(image.header->totals.replaced, 0);
        flow_image_assert_in_order(&image);
        for (uint32_t number = 0; number < capacity; number++) {
            assert_int_equal(flow_image_find(&image, number, NOW + 1), number % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP);
        }
        flow_image_add(&image, capacity, NOW + 1, NFQE_ACCEPT);
        assert_int_equal(image.header->totals.added, capacity + 1);
        assert_int_equal(image.header->totals.replaced, 1);
        flow_image_assert_in_order(&image);
        flow_image_done(&image);
    }
}

/* With a random seed, hash chains are short also for consecutive addresses and ports. */
static void test_table_of_many_flows_answers_each_of_them(void **state)
{
    const uint32_t capacity = 65536;

    (void)state;
    flow_image_init(&image, capacity, NULL);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < capacity; i++) {
            flow_image_add(&image, i + round * capacity, NOW + round, NFQE_ACCEPT);
        }
        flow_image_assert_in_order(&image);
        assert_int_equal(image.header->totals.replaced, round * capacity);
    }
    for (uint32_t i = 0; i < 2 * capacity; i++) {
        assert_int_equal(flow_image_find(&image, i, NOW + 2), i < capacity ? NFQE_CONTINUE : NFQE_ACCEPT);
    }
    flow_image_assert_in_order(&image);
}

static void test_longest_idle_flow_makes_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        uint32_t capacity = capacities[i] < 1000 ? capacities[i] : 50;

        flow_image_init(&image, capacity, NULL);
        flow_image_attach(&image, 60 * 60 * 1000);
        for (uint32_t number = 0; number < 3 * capacity; number++) { /* number + capacity replaces `number` */
            flow_image_add(&image, number, NOW + number, i % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP);
        }
        assert_int_equal(image.header->totals.added, 3 * capacity);
        assert_int_equal(image.header->totals.replaced, 2 * capacity);
        assert_int_equal(image.header->totals.expired, 0);
        for (uint32_t number = 0; number < 3 * capacity; number++) {
            assert_int_equal(flow_image_knows(&image, number), number >= 2 * capacity);
        }
        flow_image_assert_in_order(&image);
        flow_image_done(&image);
    }
}

/* Whichever flow is used again, one tick or many ticks later, the oldest of the others is replaced. */
static void test_flow_that_was_used_since_stays_and_the_next_oldest_makes_room(void **state)
{
    const uint32_t capacity = 5;

    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        for (uint32_t touched = 0; touched < capacity; touched++) {
            flow_image_init(&image, capacity, NULL);
            for (uint32_t number = 0; number < capacity; number++) {
                flow_image_add(&image, number, NOW + number, NFQE_ACCEPT);
            }
            if (how == 0) {
                assert_int_equal(flow_image_find(&image, touched, NOW + 5), NFQE_ACCEPT);
            } else if (how == 1) {
                flow_image_add(&image, touched, NOW + 5, NFQE_ACCEPT);
            } else if (how == 2) {
                assert_int_equal(flow_image_reset(&image, touched, NOW + 5), NFQE_ACCEPT);
            } else {
                assert_int_equal(flow_image_find(&image, 77, NOW + 5), NFQE_CONTINUE); /* uses no flow */
            }
            for (uint32_t more = 0; more + 1 < capacity; more++) {
                flow_image_add(&image, 100 + more, NOW + 7, NFQE_ACCEPT);
                for (uint32_t number = 0; number < capacity; number++) {
                    uint32_t after = number - (how < 3 && number > touched);

                    assert_int_equal(flow_image_knows(&image, number), (how < 3 && number == touched) || after > more);
                }
            }
            flow_image_add(&image, 200, NOW + 7, NFQE_ACCEPT);
            assert_int_equal(flow_image_knows(&image, touched), how == 0); /* it is established */
            assert_int_equal(image.header->totals.replaced, capacity);
            flow_image_assert_in_order(&image);
            flow_image_done(&image);
        }
    }
}

/* ---- lists ------------------------------------------------------------------------------------------------- */

#define SIZE 80   /* an eighth is 10 */
#define LASTED 16 /* ticks, which are 2 s */

static uint32_t count_of(enum flow_list list)
{
    return image.header->orders[list].count;
}

/* Flows from `first` on: accepted with no, one or two further packets, or dropped. */
static void add_to(enum flow_list list, uint32_t first, uint32_t count, uint64_t tick)
{
    for (uint32_t number = first; number < first + count; number++) {
        flow_image_add(&image, number, tick, list == FLOW_DROPPED ? NFQE_DROP : NFQE_ACCEPT);
        for (unsigned more = 0; more < (list == FLOW_ESTABLISHED ? 2 : list == FLOW_YOUNG); more++) {
            assert_int_equal(flow_image_find(&image, number, tick), NFQE_ACCEPT);
        }
    }
}

static void assert_known(uint32_t first, uint32_t count, bool known)
{
    for (uint32_t number = first; number < first + count; number++) {
        assert_int_equal(flow_image_knows(&image, number), known);
    }
}

static void test_flow_is_established_by_two_further_packets_that_are_no_resets(void **state)
{
    (void)state;
    flow_image_init(&image, SIZE, NULL);
    flow_image_add(&image, 1, NOW, NFQE_ACCEPT);
    assert_int_equal(count_of(FLOW_FRESH), 1);
    flow_image_add(&image, 1, NOW, NFQE_ACCEPT);
    flow_image_syn(&image, 1, NOW);
    flow_image_reset(&image, 1, NOW);
    assert_int_equal(count_of(FLOW_FRESH), 1);
    flow_image_find(&image, 1, NOW);
    assert_int_equal(count_of(FLOW_YOUNG), 1);
    flow_image_add(&image, 1, NOW, NFQE_ACCEPT);
    flow_image_syn(&image, 1, NOW);
    flow_image_reset(&image, 1, NOW + 50);
    assert_int_equal(count_of(FLOW_YOUNG), 1);
    flow_image_find(&image, 1, NOW + 50);
    assert_int_equal(count_of(FLOW_ESTABLISHED), 1);
    flow_image_reset(&image, 1, NOW + 50);
    flow_image_add(&image, 1, NOW + 50, NFQE_ACCEPT);
    assert_int_equal(count_of(FLOW_ESTABLISHED), 1);
    flow_image_add(&image, 1, NOW + 50, NFQE_DROP);
    assert_int_equal(count_of(FLOW_DROPPED), 1);
    flow_image_find(&image, 1, NOW + 50);
    assert_int_equal(count_of(FLOW_DROPPED), 1);
    flow_image_add(&image, 1, NOW + 50, NFQE_ACCEPT);
    assert_int_equal(count_of(FLOW_FRESH), 1);
    flow_image_assert_in_order(&image);
}

/* The list of the only flow, which is one of UDP, after a further packet. */
static enum flow_list list_after_udp(uint64_t tick)
{
    assert_int_equal(flow_image_find_udp(&image, 1, tick), NFQE_ACCEPT);
    assert_int_equal(count_of(FLOW_FRESH) + count_of(FLOW_YOUNG) + count_of(FLOW_ESTABLISHED), 1);
    return count_of(FLOW_FRESH) == 1 ? FLOW_FRESH : count_of(FLOW_YOUNG) == 1 ? FLOW_YOUNG : FLOW_ESTABLISHED;
}

/* A question and its answers are over sooner, however many they are. */
static void test_flow_without_a_handshake_is_established_by_a_packet_two_seconds_after_its_verdict(void **state)
{
    (void)state;
    for (uint64_t begin = NOW; begin < NOW + 256; begin += 17) {
        for (unsigned step = 1; step < LASTED; step++) { /* many packets, or a few */
            uint64_t tick = begin;

            flow_image_init(&image, SIZE, NULL);
            assert_true(flow_image_add_udp(&image, 1, begin, NFQE_ACCEPT));
            while (tick + step < begin + LASTED) {
                tick += step;
                assert_int_equal(list_after_udp(tick), FLOW_YOUNG);
                assert_true(flow_image_add_udp(&image, 1, tick, NFQE_ACCEPT)); /* the first verdict counts */
            }
            assert_int_equal(list_after_udp(begin + LASTED), FLOW_ESTABLISHED);
            assert_int_equal(list_after_udp(begin + LASTED), FLOW_ESTABLISHED);
            flow_image_assert_in_order(&image);
            flow_image_done(&image);
        }
        for (unsigned pause = LASTED; pause < FLOW_IMAGE_IDLE_TICKS; pause++) {
            flow_image_init(&image, SIZE, NULL);
            assert_true(flow_image_add_udp(&image, 1, begin, NFQE_ACCEPT));
            assert_int_equal(list_after_udp(begin + pause), FLOW_ESTABLISHED);
            flow_image_done(&image);
        }
    }
}

/* Since it was accepted: the time before does not count. */
static void test_flow_that_was_dropped_before_is_new(void **state)
{
    (void)state;
    flow_image_init(&image, SIZE, NULL);
    assert_true(flow_image_add_udp(&image, 1, NOW, NFQE_DROP));
    assert_true(flow_image_add_udp(&image, 1, NOW + LASTED, NFQE_ACCEPT));
    assert_int_equal(list_after_udp(NOW + LASTED + 1), FLOW_YOUNG);
    assert_int_equal(list_after_udp(NOW + 2 * LASTED), FLOW_ESTABLISHED);
    flow_image_assert_in_order(&image);
}

/* Ten times as many as the table holds. Established and dropped flows fill their shares. */
static void test_flows_of_one_or_two_packets_replace_no_flow_of_another_list_within_its_share(void **state)
{
    (void)state;
    flow_image_init(&image, SIZE, NULL);
    add_to(FLOW_ESTABLISHED, 0, 50, NOW);
    add_to(FLOW_DROPPED, 100, 10, NOW);
    add_to(FLOW_FRESH, 1000, 10 * SIZE, NOW + 1);
    assert_known(0, 50, true);
    assert_known(100, 10, true);
    add_to(FLOW_YOUNG, 4000, 10 * SIZE, NOW + 1);
    assert_known(0, 50, true);
    assert_known(100, 10, true);
    assert_known(4000 + 10 * SIZE - 10, 10, true);
    add_to(FLOW_FRESH, 6000, 10 * SIZE, NOW + 1);
    assert_known(4000 + 10 * SIZE - 10, 10, true);
    assert_known(6000 + 10 * SIZE - 10, 10, true);
    add_to(FLOW_DROPPED, 2000, 10 * SIZE, NOW + 2);
    assert_known(0, 50, true);
    assert_known(4000 + 10 * SIZE - 10, 10, true);
    assert_known(6000 + 10 * SIZE - 10, 10, true);
    assert_known(2000 + 10 * SIZE - 10, 10, true);
    add_to(FLOW_ESTABLISHED, 3000, 10 * SIZE, NOW + 3);
    assert_known(0, 50, false);
    assert_known(2000 + 10 * SIZE - 10, 10, true);
    assert_int_equal(count_of(FLOW_FRESH) + count_of(FLOW_YOUNG) + count_of(FLOW_ESTABLISHED) + count_of(FLOW_DROPPED),
                     SIZE);
    flow_image_assert_in_order(&image);
}

/* What a list has beyond its share is the first to go. */
static void test_share_that_a_list_does_not_need_is_for_the_others(void **state)
{
    static const enum flow_list lists[] = {FLOW_FRESH, FLOW_YOUNG, FLOW_ESTABLISHED, FLOW_DROPPED};

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        enum flow_list first = lists[i / 4];
        enum flow_list second = lists[i % 4];
        uint32_t share = second == FLOW_ESTABLISHED ? 50 : 10;

        flow_image_init(&image, SIZE, NULL);
        add_to(first, 0, SIZE, NOW);
        assert_int_equal(count_of(first), SIZE);
        if (first != second) {
            add_to(second, 1000, share, NOW + 1);
            assert_known(1000, share, true);
            assert_known(0, share, false);
            assert_known(share, SIZE - share, true);
        }
        flow_image_assert_in_order(&image);
        flow_image_done(&image);
    }
}

/* Of whichever list, also one that is below its share. */
static void test_expired_flow_is_replaced_first(void **state)
{
    static const enum flow_list lists[] = {FLOW_FRESH, FLOW_YOUNG, FLOW_ESTABLISHED, FLOW_DROPPED};

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        flow_image_init(&image, SIZE, NULL);
        add_to(lists[i / 4], 0, 1, NOW);
        add_to(lists[i % 4], 1, SIZE - 1, NOW + 1);
        add_to(FLOW_FRESH, 1000, 1, NOW + FLOW_IMAGE_IDLE_TICKS + 1);
        assert_false(flow_image_knows(&image, 0));
        assert_known(1, SIZE - 1, true);
        assert_int_equal(image.header->totals.expired, 1);
        assert_int_equal(image.header->totals.replaced, 0);
        flow_image_assert_in_order(&image);
        flow_image_done(&image);
    }
}

/* In a large table the order of use is as exact as `order_ticks`. */
static void test_large_table_keeps_a_flow_that_was_used_some_seconds_after_the_others(void **state)
{
    const uint32_t capacity = FLOW_EXACT_MAX + 1;
    uint64_t late;

    (void)state;
    flow_image_init(&image, capacity, NULL);
    flow_image_attach(&image, 300 * 1000);
    assert_in_range(image.flows.order_ticks, 1, 300 * 8 / 16); /* a small part of the idle time-out */
    for (uint32_t i = 0; i < capacity; i++) {
        flow_image_add(&image, i, NOW, NFQE_ACCEPT);
    }
    late = NOW + image.flows.order_ticks;
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(flow_image_find(&image, i, late), NFQE_ACCEPT);
    }
    for (uint32_t i = 0; i < capacity - 10; i++) {
        flow_image_add(&image, capacity + i, late, NFQE_ACCEPT);
    }
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(flow_image_find(&image, i, late), i < 10 ? NFQE_ACCEPT : NFQE_CONTINUE);
    }
    flow_image_assert_in_order(&image);
    flow_image_attach(&image, 1000);
    assert_int_equal(image.flows.order_ticks, 0);
    image.capacity = FLOW_EXACT_MAX; /* it takes less memory than there is */
    flow_image_attach(&image, 300 * 1000);
    assert_int_equal(image.flows.order_ticks, 0);
}

static void test_adding_a_known_flow_takes_no_room(void **state)
{
    (void)state;
    flow_image_init(&image, 3, NULL);
    flow_image_add_many(&image, 3, NOW);
    for (unsigned i = 0; i < 10; i++) {
        flow_image_add(&image, i % 3, NOW + 10 + i, NFQE_ACCEPT);
    }
    assert_int_equal(image.header->totals.added, 3);
    assert_int_equal(image.header->totals.replaced, 0);
    assert_int_equal(image.header->used, 3);
    flow_image_assert_in_order(&image);
}

/* ---- verdicts ---------------------------------------------------------------------------------------------- */

static void test_second_verdict_replaces_the_first_one(void **state)
{
    (void)state;
    flow_image_init(&image, 3, NULL);
    flow_image_add_many(&image, 3, NOW);
    for (uint64_t tick = NOW + 2; tick < NOW + 5; tick++) { /* the first one in the tick of the flow's own */
        flow_image_add(&image, 2, tick, NFQE_DROP);
        assert_int_equal(flow_image_find(&image, 2, tick), NFQE_DROP);
        flow_image_add(&image, 2, tick, NFQE_ACCEPT);
        assert_int_equal(flow_image_find(&image, 2, tick), NFQE_ACCEPT);
        assert_int_equal(flow_image_find(&image, 1, tick), NFQE_ACCEPT);
        assert_int_equal(flow_image_find(&image, 0, tick), NFQE_DROP);
    }
    flow_image_assert_in_order(&image);
}

static void test_packets_of_a_burst_have_each_their_own_flow(void **state)
{
    struct flow_packet packets[BURST_MAX];
    struct nfqe_packet burst[BURST_MAX];

    (void)state;
    flow_image_init(&image, BURST_MAX, NULL);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        flow_packet_make(&packets[i], i / 2, i % 2 != 0, NFQE_TCP_ACK);
        burst[i] = packets[i].packet;
    }
    flow_table_begin_burst(&image.flows, &image.burst, burst, BURST_MAX, 0);
    for (unsigned i = 0; i < BURST_MAX; i += 2) {
        assert_int_equal(flow_table_find(&image.flows, &image.burst, i), NFQE_CONTINUE);
        assert_true(flow_table_add(&image.flows, &image.burst, i, i % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT));
        assert_int_equal(flow_table_find(&image.flows, &image.burst, i + 1), i % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT);
    }
    assert_int_equal(image.header->totals.added, BURST_MAX / 2);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        for (unsigned j = 0; j < BURST_MAX; j++) {
            assert_int_equal(flow_burst_same(&image.burst, i, j), i / 2 == j / 2);
        }
    }
    flow_image_assert_in_order(&image);
}

/* ---- sizes and the key of the hash ------------------------------------------------------------------------------ */

static void test_table_takes_little_memory_and_two_buckets_a_flow(void **state)
{
    (void)state;
    assert_true(flow_memory_size(1000000) <= 128 * MIB);
    assert_true(flow_memory_size(1048576) <= 128 * MIB);
    assert_true(flow_memory_size(65536) <= 8 * MIB);
    for (uint32_t flows = 1; flows < 70000; flows++) {
        size_t entries = 128 + flows * sizeof(struct flow_entry);
        size_t size = flow_memory_size(flows);

        assert_int_equal(size % 64, 0);
        assert_in_range(size, entries + flows * 2 * sizeof(uint32_t), entries + 16 * 4 + flows * 4 * sizeof(uint32_t));
    }
}

static void test_seeds_differ_in_every_word_and_decide_the_hash(void **state)
{
    static struct flow_image other;
    uint32_t words[FLOW_KEY_WORDS + 1] = {[FLOW_KEY_WORDS] = 1};

    (void)state;
    flow_image_init(&image, 2, NULL);
    flow_image_init(&other, 2, NULL);
    for (unsigned i = 0; i <= FLOW_KEY_WORDS; i++) {
        assert_true(image.seed.words[i] != other.seed.words[i]);
    }
    flow_image_add(&image, 1, NOW, NFQE_ACCEPT);
    memcpy(words, &image.entries[0].key, sizeof(image.entries[0].key));
    for (unsigned i = 0; i <= FLOW_KEY_WORDS; i++) {
        bool used = words[i] != 0; /* the last word of the seed is not multiplied with a word of the key */

        flow_image_done(&other);
        flow_image_init(&other, 2, &image.seed);
        other.flows.seed.words[i] ^= UINT64_C(0x0123456700000000);
        flow_image_add(&other, 1, NOW, NFQE_ACCEPT);
        assert_int_equal(other.entries[0].hash != image.entries[0].hash, used);
    }
    flow_image_done(&other);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_memory_is_an_empty_table),
        cmocka_unit_test(test_exactly_as_many_flows_fit_as_the_table_was_made_for),
        TEST(test_table_of_many_flows_answers_each_of_them),
        cmocka_unit_test(test_longest_idle_flow_makes_room),
        cmocka_unit_test(test_flow_that_was_used_since_stays_and_the_next_oldest_makes_room),
        TEST(test_flow_is_established_by_two_further_packets_that_are_no_resets),
        cmocka_unit_test(test_flow_without_a_handshake_is_established_by_a_packet_two_seconds_after_its_verdict),
        TEST(test_flow_that_was_dropped_before_is_new),
        TEST(test_flows_of_one_or_two_packets_replace_no_flow_of_another_list_within_its_share),
        cmocka_unit_test(test_share_that_a_list_does_not_need_is_for_the_others),
        cmocka_unit_test(test_expired_flow_is_replaced_first),
        TEST(test_large_table_keeps_a_flow_that_was_used_some_seconds_after_the_others),
        TEST(test_adding_a_known_flow_takes_no_room),
        TEST(test_second_verdict_replaces_the_first_one),
        TEST(test_packets_of_a_burst_have_each_their_own_flow),
        cmocka_unit_test(test_table_takes_little_memory_and_two_buckets_a_flow),
        TEST(test_seeds_differ_in_every_word_and_decide_the_hash),
    };

    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
