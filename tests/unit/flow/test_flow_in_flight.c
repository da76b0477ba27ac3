/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which flows have packets in flight, and under which number: alone, as many as fit, and compared with a model in random
 * histories.
 *
 * Flows are made of a number in their key. The hash is the test's to choose, so they collide as often as it wants.
 */
#include "resident.h"
#include "unit.h"

#include "base/shm.h"
#include "flow/flow_in_flight.h"

#include <string.h>

#define STEPS 200000
#define FLOWS 400 /* of the model; more than fit */

static struct flow_in_flight flows;

static struct flow_lookup flow_of(uint32_t flow, uint32_t hash)
{
    struct flow_lookup lookup = {.hash = hash, .has_flow = true};

    memcpy(lookup.key.address[1], &flow, sizeof(flow));
    return lookup;
}

static int set_up(void **state)
{
    (void)state;
    memset(&flows, 0x5a, sizeof(flows));
    flow_in_flight_init(&flows);
    return 0;
}

static void test_flow_is_in_flight_from_its_first_packet_until_its_last_is_released(void **state)
{
    struct flow_lookup one = flow_of(1, 77);
    struct flow_lookup other = flow_of(2, 77);

    (void)state;
    for (unsigned packets = 1; packets <= FLOWS_IN_FLIGHT_MAX; packets++) {
        uint32_t number = FLOW_IN_FLIGHT_NONE;
        uint32_t epoch = 0;

        assert_int_equal(flow_in_flight_find(&flows, &one), FLOW_IN_FLIGHT_NONE);
        for (unsigned i = 0; i < packets; i++) {
            uint32_t acquired = flow_in_flight_acquire(&flows, &one);

            if (i == 0) {
                number = acquired;
                epoch = flow_in_flight_epoch(&flows, number);
            }
            assert_in_range(number, 0, FLOWS_IN_FLIGHT_MAX - 1);
            assert_int_equal(acquired, number);
        }
        for (unsigned i = 0; i < packets; i++) {
            assert_int_equal(flow_in_flight_find(&flows, &one), number);
            assert_int_equal(flow_in_flight_find(&flows, &other), FLOW_IN_FLIGHT_NONE);
            assert_int_equal(flow_in_flight_epoch(&flows, number), epoch);
            flow_in_flight_release(&flows, number);
        }
        assert_int_equal(flow_in_flight_find(&flows, &one), FLOW_IN_FLIGHT_NONE);
    }
}

static void test_packets_without_flow_are_never_in_flight(void **state)
{
    struct flow_lookup none = flow_of(1, 77);

    (void)state;
    flow_in_flight_acquire(&flows, &none);
    none.has_flow = false;
    assert_int_equal(flow_in_flight_find(&flows, &none), FLOW_IN_FLIGHT_NONE);
    assert_int_equal(flow_in_flight_acquire(&flows, &none), FLOW_IN_FLIGHT_NONE);
    assert_int_equal(flow_in_flight_epoch(&flows, FLOW_IN_FLIGHT_NONE), 0);
    flow_in_flight_release(&flows, FLOW_IN_FLIGHT_NONE);
    none.has_flow = true;
    assert_int_not_equal(flow_in_flight_find(&flows, &none), FLOW_IN_FLIGHT_NONE);
}

/* Each has a number of its own, also if all hashes are the same. */
static void test_as_many_flows_fit_as_packets_can_be_in_flight(void **state)
{
    (void)state;
    for (uint32_t stride = 0; stride < 3; stride++) {
        bool taken[FLOWS_IN_FLIGHT_MAX] = {false};
        struct flow_lookup last = flow_of(FLOWS_IN_FLIGHT_MAX, FLOWS_IN_FLIGHT_MAX * stride);

        for (uint32_t i = 0; i < FLOWS_IN_FLIGHT_MAX; i++) {
            struct flow_lookup lookup = flow_of(i, i * stride);
            uint32_t number = flow_in_flight_acquire(&flows, &lookup);

            assert_in_range(number, 0, FLOWS_IN_FLIGHT_MAX - 1);
            assert_false(taken[number]);
            taken[number] = true;
        }
        assert_int_equal(flow_in_flight_acquire(&flows, &last), FLOW_IN_FLIGHT_NONE);
        for (uint32_t i = 0; i < FLOWS_IN_FLIGHT_MAX; i++) {
            struct flow_lookup lookup = flow_of(i, i * stride);

            assert_int_not_equal(flow_in_flight_acquire(&flows, &lookup), FLOW_IN_FLIGHT_NONE); /* one more of it */
            flow_in_flight_release(&flows, flow_in_flight_find(&flows, &lookup));
            flow_in_flight_release(&flows, flow_in_flight_find(&flows, &lookup));
            assert_int_equal(flow_in_flight_find(&flows, &lookup), FLOW_IN_FLIGHT_NONE);
        }
        assert_int_not_equal(flow_in_flight_acquire(&flows, &last), FLOW_IN_FLIGHT_NONE);
        flow_in_flight_release(&flows, flow_in_flight_find(&flows, &last));
    }
}

static void test_number_has_another_epoch_for_each_flow_and_never_0(void **state)
{
    struct flow_lookup lookup = flow_of(1, 1);
    uint32_t number = flow_in_flight_acquire(&flows, &lookup);
    uint32_t last = flow_in_flight_epoch(&flows, number);

    (void)state;
    assert_int_not_equal(last, 0);
    for (unsigned i = 0; i < 10; i++) {
        flow_in_flight_release(&flows, number);
        if (i == 5) {
            last = flows.entries[number].epoch = UINT32_MAX;
        }
        assert_int_equal(flow_in_flight_acquire(&flows, &lookup), number);
        assert_int_not_equal(flow_in_flight_epoch(&flows, number), last);
        last = flow_in_flight_epoch(&flows, number);
        assert_int_not_equal(last, 0);
    }
}

/* A queue whose plugins give no verdicts for flows has room for them, too. */
static void test_flows_that_were_never_in_flight_take_no_memory(void **state)
{
    struct flow_in_flight *fresh = resident_new(sizeof(*fresh));
    struct flow_lookup lookup = flow_of(1, 77);

    (void)state;
    flow_in_flight_init(fresh);
    assert_int_equal(flow_in_flight_find(fresh, &lookup), FLOW_IN_FLIGHT_NONE);
    assert_true(resident_bytes(fresh, sizeof(*fresh)) <= 2 * SHM_PAGE_SIZE);
    for (uint32_t i = 0; i < 1000; i++) { /* one after the other */
        lookup = flow_of(i, i);
        flow_in_flight_release(fresh, flow_in_flight_acquire(fresh, &lookup));
    }
    assert_true(resident_bytes(fresh, sizeof(*fresh)) <= 3 * SHM_PAGE_SIZE);
    resident_free(fresh, sizeof(*fresh));
}

/* ---- a model ------------------------------------------------------------------------------------------------ */

static struct {
    unsigned packets[FLOWS];
    uint32_t numbers[FLOWS];
    uint32_t epochs[FLOWS];
    unsigned in_flight; /* packets of all flows */
} model;

static void acquire(uint32_t flow, const struct flow_lookup *lookup)
{
    uint32_t number = flow_in_flight_acquire(&flows, lookup);

    assert_in_range(number, 0, FLOWS_IN_FLIGHT_MAX - 1);
    if (model.packets[flow]++ == 0) {
        model.numbers[flow] = number;
        model.epochs[flow] = flow_in_flight_epoch(&flows, number);
        for (uint32_t i = 0; i < FLOWS; i++) {
            assert_true(i == flow || model.packets[i] == 0 || model.numbers[i] != number);
        }
    }
    model.in_flight++;
}

static void test_flows_are_counted_as_by_a_model(void **state)
{
    uint64_t random = 141421356237309;
    unsigned full = 0;

    (void)state;
    memset(&model, 0, sizeof(model));
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t flow = unit_random_below(&random, FLOWS);
        struct flow_lookup lookup = flow_of(flow, flow % 7 * 0x10001u + flow % 3);
        bool fill = step / 2000 % 2 == 0;

        if (model.in_flight < FLOWS_IN_FLIGHT_MAX && unit_random_below(&random, 4) < (fill ? 3 : 1)) {
            acquire(flow, &lookup);
            full += model.in_flight == FLOWS_IN_FLIGHT_MAX;
        } else if (model.packets[flow] > 0) {
            flow_in_flight_release(&flows, model.numbers[flow]);
            model.packets[flow]--;
            model.in_flight--;
        }
        assert_int_equal(flow_in_flight_find(&flows, &lookup),
                         model.packets[flow] > 0 ? model.numbers[flow] : FLOW_IN_FLIGHT_NONE);
        assert_true(model.packets[flow] == 0 ||
                    flow_in_flight_epoch(&flows, model.numbers[flow]) == model.epochs[flow]);
    }
    assert_true(full > 100);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_flow_is_in_flight_from_its_first_packet_until_its_last_is_released),
        TEST(test_packets_without_flow_are_never_in_flight),
        TEST(test_as_many_flows_fit_as_packets_can_be_in_flight),
        TEST(test_number_has_another_epoch_for_each_flow_and_never_0),
        TEST(test_flows_that_were_never_in_flight_take_no_memory),
        TEST(test_flows_are_counted_as_by_a_model),
    };

    return cmocka_run_group_tests_name("flow_in_flight", tests, NULL, NULL);
}
