/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a flow ends: it was idle for too long, or a new connection with its addresses and ports replaces it.
 */
#include "unit.h"

#include "flow_image.h"

#include <nfqe/plugin.h>

#include <string.h>

#define NOW 1000 /* a tick */

static struct flow_image image;

static int tear_down(void **state)
{
    (void)state;
    flow_image_done(&image);
    return 0;
}

/* ---- idle time ---------------------------------------------------------------------------------------------- */

static void test_flow_is_forgotten_when_it_was_idle_for_longer_than_the_time_out(void **state)
{
    /* the last ones: the tick has 32 bits and wraps */
    static const uint64_t begins[] = {0, NOW, UINT32_MAX, UINT32_MAX - FLOW_IMAGE_IDLE_TICKS, UINT32_MAX - 5};

    (void)state;
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        uint64_t begin = begins[i];

        flow_image_init(&image, 3, NULL);
        for (uint32_t number = 0; number < 3; number++) {
            flow_image_add(&image, number, begin, NFQE_ACCEPT);
        }
        assert_int_equal(flow_image_find(&image, 0, begin + FLOW_IMAGE_IDLE_TICKS), NFQE_ACCEPT);
        assert_int_equal(image.header->totals.expired, 0);
        assert_int_equal(flow_image_find(&image, 1, begin + FLOW_IMAGE_IDLE_TICKS + 1), NFQE_CONTINUE);
        assert_int_equal(flow_image_find(&image, 1, begin + FLOW_IMAGE_IDLE_TICKS + 1), NFQE_CONTINUE);
        assert_int_equal(image.header->totals.expired, 1);
        assert_int_equal(flow_image_syn(&image, 2, begin + 1000000), NFQE_CONTINUE);
        assert_int_equal(image.header->totals.expired, 2);
        assert_int_equal(flow_image_find(&image, 0, begin + 2 * FLOW_IMAGE_IDLE_TICKS + 1), NFQE_CONTINUE);
        assert_int_equal(image.header->totals.expired, 3);
        flow_image_assert_in_order(&image);
        flow_image_done(&image);
    }
}

static void test_flow_in_use_is_not_forgotten(void **state)
{
    uint64_t tick = UINT32_MAX - 3 * FLOW_IMAGE_IDLE_TICKS;

    (void)state;
    flow_image_init(&image, 2, NULL);
    flow_image_add(&image, 1, tick, NFQE_ACCEPT);
    for (unsigned i = 0; i < 10; i++) {
        tick += FLOW_IMAGE_IDLE_TICKS;
        assert_int_equal(i % 2 == 0 ? flow_image_find(&image, 1, tick) : flow_image_reset(&image, 1, tick),
                         NFQE_ACCEPT);
    }
    assert_int_equal(image.header->totals.expired, 0);
}

/* Or whoever goes on sending would keep it for ever. */
static void test_dropped_flow_is_forgotten_when_so_much_time_has_passed_whatever_came(void **state)
{
    (void)state;
    flow_image_init(&image, 2, NULL);
    for (unsigned round = 1; round < 4; round++) {
        uint64_t begin = NOW + round * 1000;

        flow_image_add(&image, 1, begin, NFQE_DROP);
        for (uint64_t tick = begin; tick <= begin + FLOW_IMAGE_IDLE_TICKS; tick++) {
            assert_int_equal(flow_image_find(&image, 1, tick), NFQE_DROP);
            assert_int_equal(flow_image_syn(&image, 1, tick), NFQE_DROP);
        }
        assert_int_equal(flow_image_find(&image, 1, begin + FLOW_IMAGE_IDLE_TICKS + 1), NFQE_CONTINUE);
        assert_int_equal(image.header->totals.expired, round);
    }
    flow_image_add(&image, 1, NOW, NFQE_DROP);
    flow_image_add(&image, 1, NOW + FLOW_IMAGE_IDLE_TICKS, NFQE_DROP); /* decided once more */
    assert_int_equal(flow_image_find(&image, 1, NOW + 2 * FLOW_IMAGE_IDLE_TICKS), NFQE_DROP);
    flow_image_assert_in_order(&image);
}

static void test_expired_flow_that_makes_room_is_counted_as_expired(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        flow_image_init(&image, 2, NULL);
        flow_image_add(&image, 0, NOW, NFQE_ACCEPT);
        flow_image_add(&image, 1, NOW, NFQE_ACCEPT);
        flow_image_add(&image, 2, NOW + FLOW_IMAGE_IDLE_TICKS + late, NFQE_ACCEPT);
        assert_int_equal(image.header->totals.replaced, !late);
        assert_int_equal(image.header->totals.expired, late);
        flow_image_assert_in_order(&image);
        flow_image_done(&image);
    }
}

/* A SYN of the flow is accepted, for itself alone. */
static void end_flow(uint32_t number, uint64_t tick)
{
    assert_int_equal(flow_image_syn(&image, number, tick), NFQE_CONTINUE);
    flow_table_accepted(&image.flows, &image.burst, 0);
    assert_false(flow_image_knows(&image, number));
}

/* Freed entries are used before entries that were never used, and before a flow is replaced. */
static void test_forgotten_flow_leaves_its_room_to_the_next_one(void **state)
{
    (void)state;
    flow_image_init(&image, 4, NULL);
    flow_image_add_many(&image, 4, NOW);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t number = (i + 2) % 4;

        flow_image_add(&image, number, NOW + 4, NFQE_ACCEPT);
        end_flow(number, NOW + 4);
        assert_int_equal(image.header->used, 4);
        flow_image_add(&image, 100 + i, NOW + 5, NFQE_ACCEPT);
        flow_image_assert_in_order(&image);
    }
    assert_int_equal(image.header->totals.replaced, 0);
    flow_image_done(&image);
    flow_image_init(&image, 4, NULL);
    flow_image_add_many(&image, 3, NOW);
    end_flow(1, NOW + 3);
    flow_image_add(&image, 100, NOW + 3, NFQE_ACCEPT);
    assert_int_equal(image.header->used, 3);
    flow_image_assert_in_order(&image);
}

static void test_idle_time_is_rounded_up_and_at_most_a_day(void **state)
{
    const uint64_t day_ms = 24 * 60 * 60 * 1000;

    (void)state;
    flow_image_init(&image, 2, NULL);
    flow_image_attach(&image, day_ms);
    assert_int_equal(image.flows.idle_ticks, FLOW_IDLE_TICKS_MAX);
    flow_image_attach(&image, 10 * day_ms);
    assert_int_equal(image.flows.idle_ticks, FLOW_IDLE_TICKS_MAX);
    flow_image_add(&image, 1, NOW, NFQE_DROP);
    assert_int_equal(flow_image_find(&image, 1, NOW + FLOW_IDLE_TICKS_MAX), NFQE_DROP);
    assert_int_equal(flow_image_find(&image, 1, NOW + 2 * FLOW_IDLE_TICKS_MAX + 1), NFQE_CONTINUE);
    flow_image_attach(&image, 1000);
    assert_int_equal(image.flows.idle_ticks, 8);
    flow_image_attach(&image, 1001);
    assert_int_equal(image.flows.idle_ticks, 9);
}

/* An earlier worker, on another CPU, may have read a clock that is one tick ahead. */
static void test_flow_seen_in_the_next_tick_is_not_idle(void **state)
{
    (void)state;
    flow_image_init(&image, 2, NULL);
    flow_image_add(&image, 1, NOW + 1, NFQE_DROP);
    assert_int_equal(flow_image_find(&image, 1, NOW), NFQE_DROP);
    flow_image_add(&image, 2, (uint64_t)UINT32_MAX + 1, NFQE_DROP);
    assert_int_equal(flow_image_find(&image, 2, UINT32_MAX), NFQE_DROP);
    assert_int_equal(image.header->totals.expired, 0);
}

/* ---- new connections ------------------------------------------------------------------------------------------ */

/* A burst of packets of flow 1: 's' SYN, 'r' SYN of the other end, 'd' data, 'a' data of the other end. */
static void begin_burst(const char *kinds)
{
    static struct flow_packet packets[BURST_MAX];
    static struct nfqe_packet burst[BURST_MAX];

    for (unsigned i = 0; i < strlen(kinds); i++) {
        flow_packet_make(&packets[i], 1, kinds[i] == 'a' || kinds[i] == 'r',
                         kinds[i] == 's' || kinds[i] == 'r' ? NFQE_TCP_SYN : NFQE_TCP_ACK);
        burst[i] = packets[i].packet;
    }
    flow_table_begin_burst(&image.flows, &image.burst, burst, (unsigned)strlen(kinds), NOW * FLOW_TICK_NS);
}

static void test_packet_that_begins_a_connection_asks_the_chain_unless_its_flow_is_dropped(void **state)
{
    (void)state;
    for (nfqe_verdict verdict = NFQE_ACCEPT; verdict <= NFQE_DROP; verdict++) {
        flow_image_init(&image, 3, NULL);
        flow_image_add(&image, 1, NOW, verdict);
        assert_int_equal(flow_image_syn(&image, 1, NOW), verdict == NFQE_DROP ? NFQE_DROP : NFQE_CONTINUE);
        assert_int_equal(flow_image_find(&image, 1, NOW), verdict); /* the SYN is undecided */
        begin_burst("r");
        assert_int_equal(flow_table_find(&image.flows, &image.burst, 0),
                         verdict == NFQE_DROP ? NFQE_DROP : NFQE_CONTINUE);
        flow_image_assert_in_order(&image);
        flow_image_done(&image);
    }
}

static void test_accepted_syn_ends_an_accepted_flow_and_no_dropped_one(void **state)
{
    (void)state;
    for (nfqe_verdict verdict = NFQE_ACCEPT; verdict <= NFQE_DROP; verdict++) {
        flow_image_init(&image, 3, NULL);
        flow_image_add(&image, 0, NOW, NFQE_ACCEPT);
        flow_image_add(&image, 1, NOW, verdict);
        begin_burst("dsd");
        flow_table_accepted(&image.flows, &image.burst, 0); /* it does not begin a connection */
        assert_int_equal(flow_table_find(&image.flows, &image.burst, 0), verdict);
        flow_table_accepted(&image.flows, &image.burst, 1);
        assert_int_equal(flow_table_find(&image.flows, &image.burst, 2),
                         verdict == NFQE_DROP ? NFQE_DROP : NFQE_CONTINUE);
        assert_int_equal(flow_image_find(&image, 0, NOW), NFQE_ACCEPT);
        assert_int_equal(image.header->totals.expired + image.header->totals.replaced, 0);
        flow_image_assert_in_order(&image);
        flow_image_done(&image);
    }
}

/* Packets after a SYN in its burst belong to the new connection, which is undecided. */
static void test_packets_after_a_syn_in_its_burst_ask_the_chain_too(void **state)
{
    (void)state;
    flow_image_init(&image, 3, NULL);
    flow_image_add(&image, 1, NOW, NFQE_ACCEPT);
    begin_burst("dsdasd");
    assert_int_equal(flow_table_find(&image.flows, &image.burst, 0), NFQE_ACCEPT);
    for (unsigned i = 1; i < 5; i++) {
        assert_int_equal(flow_table_find(&image.flows, &image.burst, i), NFQE_CONTINUE);
    }
    assert_true(flow_table_add(&image.flows, &image.burst, 2, NFQE_ACCEPT));
    assert_int_equal(flow_table_find(&image.flows, &image.burst, 5), NFQE_ACCEPT);
    assert_int_equal(flow_image_find(&image, 1, NOW), NFQE_ACCEPT); /* in the next burst the SYN has no effect */
    assert_int_equal(image.header->totals.added, 1);
    flow_image_assert_in_order(&image);
}

static void test_burst_of_nothing_but_new_connections_asks_the_chain_for_each(void **state)
{
    char kinds[BURST_MAX + 1] = "";

    (void)state;
    memset(kinds, 's', BURST_MAX);
    flow_image_init(&image, 3, NULL);
    flow_image_add(&image, 1, NOW, NFQE_ACCEPT);
    begin_burst(kinds);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        assert_int_equal(flow_table_find(&image.flows, &image.burst, i), NFQE_CONTINUE);
    }
    assert_int_equal(image.burst.begun_count, 1); /* of one flow */
    flow_image_assert_in_order(&image);
}

static void test_only_a_flow_that_is_accepted_and_not_expired_is_called_accepted(void **state)
{
    static const struct nfqe_packet no_flow = {.len = 0};
    const struct flow_lookup *lookup = &image.burst.lookups[0];

    (void)state;
    flow_image_init(&image, 3, NULL);
    flow_image_add(&image, 1, NOW, NFQE_ACCEPT);
    flow_image_add(&image, 2, NOW, NFQE_DROP);
    flow_image_syn(&image, 1, NOW); /* the plugins decide it */
    assert_true(flow_table_is_accepted(&image.flows, lookup));
    flow_image_find(&image, 2, NOW);
    assert_false(flow_table_is_accepted(&image.flows, lookup));
    flow_image_find(&image, 3, NOW);
    assert_false(flow_table_is_accepted(&image.flows, lookup));
    flow_table_begin_burst(&image.flows, &image.burst, &no_flow, 1, NOW * FLOW_TICK_NS);
    assert_false(flow_table_is_accepted(&image.flows, lookup));
    begin_burst("d");
    image.flows.now = NOW + FLOW_IMAGE_IDLE_TICKS + 1;
    assert_false(flow_table_is_accepted(&image.flows, lookup));
    flow_image_assert_in_order(&image);
}

static void test_table_without_memory_finds_the_same_keys(void **state)
{
    struct flow_table keys_only = {0};
    struct flow_packet packets[BURST_MAX];
    struct nfqe_packet burst[BURST_MAX];
    struct flow_burst found;

    (void)state;
    flow_image_init(&image, 3, NULL);
    keys_only.seed = image.seed;
    for (unsigned i = 0; i < BURST_MAX; i++) {
        flow_packet_make(&packets[i], i / 2, i % 2 != 0, NFQE_TCP_ACK);
        burst[i] = packets[i].packet;
    }
    flow_table_begin_burst(&image.flows, &image.burst, burst, BURST_MAX, NOW * FLOW_TICK_NS);
    flow_table_begin_burst(&keys_only, &found, burst, BURST_MAX, NOW * FLOW_TICK_NS);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        assert_true(flow_lookup_same(&found.lookups[i], &image.burst.lookups[i]));
        assert_int_equal(found.lookups[i].hash, image.burst.lookups[i].hash);
        assert_true(i == 0 || flow_burst_same(&found, i - 1, i) == (i % 2 != 0));
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flow_is_forgotten_when_it_was_idle_for_longer_than_the_time_out),
        TEST(test_flow_in_use_is_not_forgotten),
        TEST(test_dropped_flow_is_forgotten_when_so_much_time_has_passed_whatever_came),
        cmocka_unit_test(test_expired_flow_that_makes_room_is_counted_as_expired),
        TEST(test_forgotten_flow_leaves_its_room_to_the_next_one),
        TEST(test_idle_time_is_rounded_up_and_at_most_a_day),
        TEST(test_flow_seen_in_the_next_tick_is_not_idle),
        cmocka_unit_test(test_packet_that_begins_a_connection_asks_the_chain_unless_its_flow_is_dropped),
        cmocka_unit_test(test_accepted_syn_ends_an_accepted_flow_and_no_dropped_one),
        TEST(test_packets_after_a_syn_in_its_burst_ask_the_chain_too),
        TEST(test_burst_of_nothing_but_new_connections_asks_the_chain_for_each),
        TEST(test_only_a_flow_that_is_accepted_and_not_expired_is_called_accepted),
        TEST(test_table_without_memory_finds_the_same_keys),
    };

    return cmocka_run_group_tests_name("flow_end", tests, NULL, NULL);
}
