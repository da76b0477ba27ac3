/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A flow table with arbitrary content: a worker does not crash, does not read outside of it and does not loop for ever;
 * where it cannot go on, it notes the damage. A repair always leaves a table that works.
 *
 * The table ends at a guard page. An alarm ends a test that hangs.
 */
#include "unit.h"

#include "flow_image.h"

#include <nfqe/plugin.h>

#include <string.h>
#include <unistd.h>

#define CAPACITY 5
#define NOW 1000 /* a tick */
#define TEST_SECONDS 50
#define ROUNDS 20000 /* of random damage */
#define ROUNDS_QUICK 4000

static struct flow_image image;
static struct flow_seed seed;

static int set_up(void **state)
{
    (void)state;
    alarm(TEST_SECONDS);
    return flow_seed_make(&seed);
}

/* Flows 0 to 3 and a free entry, or flows 0 to 4. */
static void begin(bool full)
{
    flow_image_init(&image, CAPACITY, &seed);
    for (uint32_t number = 0; number < CAPACITY; number++) {
        flow_image_add(&image, number, NOW + number, number % 2 == 0 ? NFQE_ACCEPT : NFQE_DROP);
    }
    if (!full) {
        assert_int_equal(flow_image_syn(&image, 2, NOW + 5), NFQE_CONTINUE);
        flow_table_accepted(&image.flows, &image.burst, 0);
    }
    assert_string_equal(flow_image_fault(&image), "");
}

static void assert_plausible(nfqe_verdict verdict)
{
    assert_true(verdict == NFQE_CONTINUE || verdict == NFQE_ACCEPT || verdict == NFQE_DROP ||
                (verdict & ~UINT32_C(0x3800)) == (NFQE_DROP | NFQE_REJECT));
    assert_true(!flow_table_damaged(&image.flows) || flow_table_need_repair(&image.flows));
}

/* All that a worker does: known flows, new connections, new flows, more than fit; expired flows. */
static void use(void)
{
    static const uint64_t ticks[] = {NOW + 5, NOW + 6, NOW + 6 + FLOW_IMAGE_IDLE_TICKS + 1};

    for (unsigned round = 0; round < sizeof(ticks) / sizeof(ticks[0]); round++) {
        for (uint32_t number = 0; number < 2 * CAPACITY; number++) {
            assert_plausible(flow_image_find(&image, number, ticks[round]));
            assert_plausible(flow_image_syn(&image, (number + 3) % CAPACITY, ticks[round]));
            flow_table_accepted(&image.flows, &image.burst, 0);
            flow_image_add(&image, number, ticks[round], number % 2 == 0 ? NFQE_DROP : NFQE_ACCEPT);
            assert_plausible(flow_image_find(&image, number, ticks[round]));
        }
    }
}

/* What the next worker does: it repairs the table if it must, and then everything works. */
static void repair_and_use(void)
{
    uint32_t count;

    image.header->changing = 1;
    count = flow_image_repair(&image, NOW + 6);
    assert_in_range(count, 0, CAPACITY);
    assert_false(flow_table_damaged(&image.flows));
    assert_string_equal(flow_image_fault(&image), "");
    for (uint32_t number = 100; number < 100 + CAPACITY; number++) {
        assert_true(flow_image_add(&image, number, NOW + 7, NFQE_DROP)); /* established flows stay */
        assert_int_equal(flow_image_find(&image, number, NOW + 7), NFQE_DROP);
    }
    assert_string_equal(flow_image_fault(&image), "");
    flow_image_done(&image);
}

static const uint32_t wild[] = {
    0, 1, 2, 3, CAPACITY, CAPACITY + 1, CAPACITY + 2, NOW, NOW + 5, INT32_MAX, 0x80000000, UINT32_MAX - 1, UINT32_MAX,
};

static void test_any_word_of_the_table_may_be_anything(void **state)
{
    (void)state;
    for (unsigned full = 0; full < 2; full++) {
        for (size_t word = 0; word < flow_memory_size(CAPACITY) / sizeof(uint32_t); word++) {
            for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
                begin(full != 0);
                ((uint32_t *)(void *)image.header)[word] = wild[i];
                use();
                repair_and_use();
            }
        }
    }
}

static void test_many_words_of_the_table_may_be_anything(void **state)
{
    uint64_t random = 88172645463325252;
    const uint32_t words = (uint32_t)(flow_memory_size(CAPACITY) / sizeof(uint32_t));
    const unsigned rounds = unit_cases(ROUNDS, ROUNDS_QUICK);

    (void)state;
    for (unsigned round = 0; round < rounds; round++) {
        uint32_t damages = 1 + unit_random_below(&random, round % 10 == 0 ? words : 8);

        begin(round % 2 == 0);
        while (damages-- > 0) {
            uint32_t word = unit_random_below(&random, words);

            ((uint32_t *)(void *)image.header)[word] =
                unit_random_below(&random, 2) != 0 ? wild[unit_random_below(&random, sizeof(wild) / sizeof(wild[0]))]
                                                   : (uint32_t)unit_random(&random);
        }
        use();
        repair_and_use();
    }
}

/* ---- what is noticed --------------------------------------------------------------------------------------- */

static void assert_damaged_and_left_alone(void)
{
    assert_true(flow_table_damaged(&image.flows));
    assert_true(flow_table_need_repair(&image.flows));
    for (uint32_t number = 0; number < 2 * CAPACITY; number++) {
        assert_int_equal(flow_image_find(&image, number, NOW + 6), NFQE_CONTINUE);
        assert_false(flow_image_add(&image, number, NOW + 6, NFQE_ACCEPT));
    }
    assert_true(flow_table_need_repair(&image.flows));
}

static void test_link_out_of_the_table_is_damage(void **state)
{
    static const uint32_t links[] = {CAPACITY + 1, CAPACITY + 2, 0x80000000, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        begin(true);
        for (uint32_t bucket = 0; bucket < image.bucket_count; bucket++) {
            image.buckets[bucket] = links[i];
        }
        assert_int_equal(flow_image_find(&image, 0, NOW + 5), NFQE_CONTINUE);
        assert_damaged_and_left_alone();
        repair_and_use();
        begin(true);
        image.header->orders[FLOW_FRESH].oldest = links[i];
        flow_image_add(&image, 77, NOW + 5, NFQE_ACCEPT);
        assert_damaged_and_left_alone();
        repair_and_use();
        begin(true);
        image.header->orders[FLOW_FRESH].newest = links[i];
        flow_image_add(&image, 77, NOW + 5, NFQE_ACCEPT);
        assert_damaged_and_left_alone();
        repair_and_use();
    }
}

static void test_flow_with_a_verdict_that_is_none_is_damage(void **state)
{
    static const uint16_t verdicts[] = {
        NFQE_CONTINUE,      NFQE_DROP + 1, NFQE_ACCEPT | NFQE_FLOW, NFQE_DROP | NFQE_FLOW, NFQE_DROP | 0x800,
        NFQE_DROP | 0x2a00, UINT16_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        begin(true);
        image.entries[1].verdict = verdicts[i];
        assert_int_equal(flow_image_find(&image, 1, NOW + 5), NFQE_CONTINUE);
        assert_damaged_and_left_alone();
        repair_and_use();
    }
}

static void test_list_that_is_none_is_damage(void **state)
{
    (void)state;
    for (unsigned list = FLOW_LISTS; list <= UINT8_MAX; list++) {
        begin(true);
        image.entries[2].list = (uint8_t)list;
        flow_image_find(&image, 2, NOW + 5);
        assert_damaged_and_left_alone();
        repair_and_use();
    }
}

static void test_oldest_flow_that_is_in_no_chain_is_damage(void **state)
{
    (void)state;
    begin(true);
    memset(image.buckets, 0, image.bucket_count * sizeof(*image.buckets));
    flow_image_add(&image, 77, NOW + 5, NFQE_ACCEPT);
    assert_damaged_and_left_alone();
    repair_and_use();
}

static void test_full_table_without_an_oldest_flow_is_damage(void **state)
{
    (void)state;
    begin(true);
    memset(image.header->orders, 0, sizeof(image.header->orders));
    flow_image_add(&image, 77, NOW + 5, NFQE_ACCEPT);
    assert_damaged_and_left_alone();
    repair_and_use();
}

static void test_repair_ends_damage(void **state)
{
    _Atomic uint32_t progress = 0;

    (void)state;
    begin(true);
    image.entries[1].verdict = UINT16_MAX;
    assert_int_equal(flow_image_find(&image, 1, NOW + 5), NFQE_CONTINUE);
    assert_damaged_and_left_alone();
    assert_int_equal(flow_table_repair(&image.flows, (NOW + 5) * FLOW_TICK_NS, &progress), CAPACITY - 1);
    assert_false(flow_table_damaged(&image.flows));
    assert_false(flow_table_need_repair(&image.flows));
    assert_int_equal(flow_image_find(&image, 2, NOW + 5), NFQE_ACCEPT);
    repair_and_use();
}

/* The chain is a cycle. */
static void test_chain_that_leads_back_to_itself_takes_no_more_flows(void **state)
{
    (void)state;
    begin(true);
    for (uint32_t bucket = 0; bucket < image.bucket_count; bucket++) {
        image.buckets[bucket] = 1;
    }
    image.entries[0].next = 1;
    assert_int_equal(flow_image_find(&image, 0, NOW + 5), NFQE_ACCEPT);
    assert_int_equal(flow_image_find(&image, 3, NOW + 5), NFQE_CONTINUE);
    assert_false(flow_image_add(&image, 77, NOW + 5, NFQE_ACCEPT));
    assert_int_equal(image.header->totals.added, CAPACITY);
    repair_and_use();
}

/* ---- chains that are full ------------------------------------------------------------------------------------ */

/* With this seed all flows are in one chain, which has a limit. To reach it is no damage. */
static void test_flow_that_finds_its_chain_full_is_not_taken(void **state)
{
    static const struct flow_seed same_hash;
    const uint32_t chain_max = 64;

    (void)state;
    flow_image_init(&image, 100, &same_hash);
    for (uint32_t number = 0; number < 100; number++) {
        assert_int_equal(flow_image_add(&image, number, NOW, NFQE_DROP), number < chain_max);
    }
    for (uint32_t number = 0; number < 100; number++) {
        assert_int_equal(flow_image_find(&image, number, NOW), number < chain_max ? NFQE_DROP : NFQE_CONTINUE);
    }
    assert_false(flow_table_damaged(&image.flows));
    assert_string_equal(flow_image_fault(&image), "");
    assert_int_equal(image.header->totals.added, chain_max);
    assert_int_equal(flow_image_repair(&image, NOW + 1), chain_max);
    assert_string_equal(flow_image_fault(&image), "");
    flow_image_done(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_word_of_the_table_may_be_anything),
        cmocka_unit_test(test_many_words_of_the_table_may_be_anything),
        cmocka_unit_test(test_link_out_of_the_table_is_damage),
        cmocka_unit_test(test_flow_with_a_verdict_that_is_none_is_damage),
        cmocka_unit_test(test_list_that_is_none_is_damage),
        cmocka_unit_test(test_oldest_flow_that_is_in_no_chain_is_damage),
        cmocka_unit_test(test_full_table_without_an_oldest_flow_is_damage),
        cmocka_unit_test(test_repair_ends_damage),
        cmocka_unit_test(test_chain_that_leads_back_to_itself_takes_no_more_flows),
        cmocka_unit_test(test_flow_that_finds_its_chain_full_is_not_taken),
    };

    return cmocka_run_group_tests_name("flow_damage", tests, set_up, NULL);
}
