/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table compared with a model, a list in the order of use. Random steps add, find, begin and forget flows, let
 * time pass, and let workers die. After each step both must have the same flows in the same order, and the same counts.
 */
#include "unit.h"

#include "flow_image.h"

#include <nfqe/plugin.h>

#include <string.h>

#define CAPACITY_MAX 12
#define NUMBERS 16 /* flows; a few more than fit */
#define CASES 3000
#define STEPS 120

struct known {
    uint32_t number;
    nfqe_verdict verdict;
    uint64_t seen;
};

static struct {
    struct known flows[CAPACITY_MAX]; /* the newest first */
    uint32_t count;
    struct flow_totals totals;
} model;

static struct flow_image image;
static uint64_t tick;

static void take_out(uint32_t place)
{
    model.count--;
    memmove(&model.flows[place], &model.flows[place + 1], (model.count - place) * sizeof(model.flows[0]));
}

static void put_first(struct known flow)
{
    memmove(&model.flows[1], &model.flows[0], model.count * sizeof(model.flows[0]));
    model.flows[0] = flow;
    model.count++;
}

static uint32_t place_of(uint32_t number)
{
    uint32_t place = 0;

    while (place < model.count && model.flows[place].number != number) {
        place++;
    }
    return place;
}

static bool is_expired(const struct known *flow)
{
    return tick - flow->seen > FLOW_IMAGE_IDLE_TICKS;
}

static nfqe_verdict model_find(uint32_t number, bool begins)
{
    uint32_t place = place_of(number);
    struct known flow;

    if (place == model.count) {
        return NFQE_CONTINUE;
    }
    flow = model.flows[place];
    if (is_expired(&flow)) {
        model.totals.expired++;
        take_out(place);
        return NFQE_CONTINUE;
    }
    if (begins && flow.verdict == NFQE_ACCEPT) {
        return NFQE_CONTINUE;
    }
    take_out(place);
    flow.seen = tick;
    put_first(flow);
    return flow.verdict;
}

static void model_add(uint32_t number, nfqe_verdict verdict)
{
    uint32_t place = place_of(number);

    if (place < model.count) {
        take_out(place);
    } else {
        model.totals.added++;
        if (model.count == image.capacity) {
            if (is_expired(&model.flows[model.count - 1])) {
                model.totals.expired++;
            } else {
                model.totals.replaced++;
            }
            take_out(model.count - 1);
        }
    }
    put_first((struct known){number, verdict, tick});
}

static void model_repair(void)
{
    for (uint32_t place = model.count; place-- > 0;) {
        if (is_expired(&model.flows[place])) {
            take_out(place);
        }
    }
}

/* A repair does not know the order of flows seen in the same tick: the model adopts the table's order. */
static void learn_order(void)
{
    uint32_t place = 0;

    for (uint32_t link = image.header->newest; link != 0 && place < model.count; link = image.entries[link - 1].older) {
        uint32_t from = place_of(flow_image_number(&image.entries[link - 1]));
        struct known flow;

        assert_in_range(from, place, model.count - 1);
        flow = model.flows[from];
        assert_int_equal(flow.seen, model.flows[place].seen);
        memmove(&model.flows[place + 1], &model.flows[place], (from - place) * sizeof(flow));
        model.flows[place++] = flow;
    }
}

static void assert_same(void)
{
    uint32_t link = image.header->newest;

    assert_string_equal(flow_image_fault(&image), "");
    for (uint32_t place = 0; place < model.count; place++) {
        const struct flow_entry *entry = &image.entries[link - 1];

        assert_in_range(link, 1, image.capacity);
        assert_int_equal(flow_image_number(entry), model.flows[place].number);
        assert_int_equal(entry->verdict, model.flows[place].verdict);
        assert_int_equal(entry->seen, (uint32_t)model.flows[place].seen);
        link = entry->older;
    }
    assert_true(link == 0 || image.entries[link - 1].verdict == NFQE_CONTINUE);
    assert_int_equal(image.header->totals.added, model.totals.added);
    assert_int_equal(image.header->totals.replaced, model.totals.replaced);
    assert_int_equal(image.header->totals.expired, model.totals.expired);
}

static void do_step(uint64_t *random)
{
    uint32_t number = unit_random_below(random, NUMBERS);
    nfqe_verdict verdict = unit_random_below(random, 3) == 0 ? NFQE_DROP : NFQE_ACCEPT;

    if (unit_random_below(random, 3) == 0) {
        tick += unit_random_below(random, 20) == 0 ? FLOW_IMAGE_IDLE_TICKS - 1 : unit_random_below(random, 4);
    }
    switch (unit_random_below(random, 16)) {
    case 0:
        if (flow_image_syn(&image, number, tick) == NFQE_CONTINUE) {
            flow_table_accepted(&image.flows, &image.burst, 0);
        }
        if (model_find(number, true) == NFQE_CONTINUE && place_of(number) < model.count) {
            take_out(place_of(number));
        }
        break;
    case 1:
        image.header->changing = 1; /* a worker has died */
        memset(image.buckets, (int)unit_random(random), image.bucket_count * sizeof(*image.buckets));
        model_repair();
        assert_int_equal(flow_image_repair(&image, tick), model.count);
        learn_order();
        break;
    case 2:
        flow_image_attach(&image, FLOW_IMAGE_IDLE_MS); /* the next one, in order */
        image.flows.now = (uint32_t)tick;
        break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        assert_true(flow_image_add(&image, number, tick, verdict));
        model_add(number, verdict);
        break;
    default:
        assert_int_equal(flow_image_find(&image, number, tick), model_find(number, false));
        break;
    }
}

static void test_table_holds_what_a_list_in_the_order_of_use_would(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= CASES; number++) {
        uint64_t random = number * UINT64_C(0x9e3779b97f4a7c15);

        memset(&model, 0, sizeof(model));
        tick = number % 2 == 0 ? UINT32_MAX - unit_random_below(&random, 200) : 1000;
        flow_image_init(&image, 1 + unit_random_below(&random, CAPACITY_MAX), NULL);
        for (unsigned step = 0; step < STEPS; step++) {
            do_step(&random);
            assert_same();
        }
        flow_image_done(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_holds_what_a_list_in_the_order_of_use_would),
    };

    return cmocka_run_group_tests_name("flow_model", tests, NULL, NULL);
}
