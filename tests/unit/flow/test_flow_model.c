/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table compared with a model: a list of flows for each kind, in the order of use. Random steps add, find, begin
 * and forget flows, let time pass, and let processes die. After each step both must have the same flows in the same order,
 * and the same counts.
 */
#include "unit.h"

#include "flow_image.h"

#include <nfqe/plugin.h>

#include <string.h>

#define CAPACITY_MAX 12
#define NUMBERS 16 /* flows; a few more than fit */
#define CASES 3000
#define STEPS 120
#define LASTED 16 /* ticks */

struct known {
    uint32_t number;
    nfqe_verdict verdict;
    uint64_t seen;
    uint64_t since; /* it was accepted */
};

static struct {
    struct list {
        struct known flows[CAPACITY_MAX]; /* the newest first */
        uint32_t count;
    } lists[FLOW_LISTS];
    struct flow_totals totals;
} model;

static struct flow_image image;
static uint64_t tick;

static struct known take_out(struct list *list, uint32_t place)
{
    struct known flow = list->flows[place];

    list->count--;
    memmove(&list->flows[place], &list->flows[place + 1], (list->count - place) * sizeof(list->flows[0]));
    return flow;
}

static void put_first(struct list *list, struct known flow)
{
    memmove(&list->flows[1], &list->flows[0], list->count * sizeof(list->flows[0]));
    list->flows[0] = flow;
    list->count++;
}

/* The list with the flow, and its place there. NULL: there is no such flow. */
static struct list *find_list(uint32_t number, uint32_t *place)
{
    for (unsigned i = 0; i < FLOW_LISTS; i++) {
        for (*place = 0; *place < model.lists[i].count; (*place)++) {
            if (model.lists[i].flows[*place].number == number) {
                return &model.lists[i];
            }
        }
    }
    return NULL;
}

static bool is_expired(const struct known *flow)
{
    return tick - flow->seen > FLOW_IMAGE_IDLE_TICKS;
}

/* Where a further packet takes a flow of TCP. lasted: since its verdict, for 2 s. */
static struct list *list_after(struct list *list, bool lasted)
{
    return list == &model.lists[FLOW_FRESH] && !lasted ? &model.lists[FLOW_YOUNG] : &model.lists[FLOW_ESTABLISHED];
}

static nfqe_verdict model_find(uint32_t number, bool begins, bool resets)
{
    uint32_t place;
    struct list *list = find_list(number, &place);
    struct known flow;

    if (list == NULL) {
        return NFQE_CONTINUE;
    }
    flow = list->flows[place];
    if (is_expired(&flow)) {
        model.totals.expired++;
        take_out(list, place);
        return NFQE_CONTINUE;
    }
    if (flow.verdict == NFQE_DROP) {
        return NFQE_DROP;
    }
    if (begins) {
        return NFQE_CONTINUE;
    }
    take_out(list, place);
    flow.seen = tick;
    put_first(resets ? list : list_after(list, tick - flow.since >= LASTED), flow);
    return NFQE_ACCEPT;
}

/* What is of the table, of `capacity` flows, in eighths. */
static int share(unsigned list, uint32_t capacity)
{
    int eighth = (int)capacity / 8;

    return list == FLOW_ESTABLISHED ? (int)capacity - 3 * eighth : eighth;
}

static uint32_t count_all(void)
{
    return model.lists[FLOW_FRESH].count + model.lists[FLOW_YOUNG].count + model.lists[FLOW_ESTABLISHED].count +
           model.lists[FLOW_DROPPED].count;
}

/* For a new flow in the list `adding`. */
static void make_room(unsigned adding)
{
    static const unsigned lists[] = {FLOW_FRESH, FLOW_YOUNG, FLOW_ESTABLISHED, FLOW_DROPPED};
    struct list *crowded = NULL;
    int most = 0;

    for (unsigned i = 0; i < 4; i++) {
        struct list *list = &model.lists[lists[i]];
        int above = (int)list->count + (lists[i] == adding) - share(lists[i], image.capacity);

        if (list->count > 0 && is_expired(&list->flows[list->count - 1])) {
            model.totals.expired++;
            take_out(list, list->count - 1);
            return;
        }
        if (list->count > 0 && (crowded == NULL || above > most)) {
            crowded = list;
            most = above;
        }
    }
    model.totals.replaced++;
    take_out(crowded, crowded->count - 1);
}

static void model_add(uint32_t number, nfqe_verdict verdict)
{
    uint32_t place;
    struct list *list = find_list(number, &place);
    unsigned to = verdict == NFQE_DROP ? FLOW_DROPPED : FLOW_FRESH;
    uint64_t since = tick;

    if (list != NULL) {
        struct known flow = take_out(list, place);

        if (verdict == NFQE_ACCEPT && list != &model.lists[FLOW_DROPPED]) {
            to = (unsigned)(list - model.lists);
            since = flow.since;
        }
    } else {
        model.totals.added++;
        if (count_all() == image.capacity) {
            make_room(to);
        }
    }
    put_first(&model.lists[to], (struct known){number, verdict, tick, since});
}

static void model_repair(void)
{
    for (unsigned i = 0; i < FLOW_LISTS; i++) {
        for (uint32_t place = model.lists[i].count; place-- > 0;) {
            if (is_expired(&model.lists[i].flows[place])) {
                take_out(&model.lists[i], place);
            }
        }
    }
}

/* Moves a flow of the list to an earlier place. */
static void put_at(struct list *list, uint32_t from, uint32_t place)
{
    struct known flow = list->flows[from];

    memmove(&list->flows[place + 1], &list->flows[place], (from - place) * sizeof(flow));
    list->flows[place] = flow;
}

/* A repair does not know the order of flows seen in the same tick: the model adopts the table's order. */
static void learn_order(struct list *list, uint32_t newest)
{
    uint32_t place = 0;

    for (uint32_t link = newest; link != 0 && place < list->count; link = image.entries[link - 1].older) {
        uint32_t number = flow_image_number(&image.entries[link - 1]);
        uint32_t from = place;

        while (from < list->count && list->flows[from].number != number) {
            from++;
        }
        assert_in_range(from, place, list->count - 1);
        assert_int_equal(list->flows[from].seen, list->flows[place].seen);
        put_at(list, from, place++);
    }
}

static void assert_same_list(unsigned number)
{
    const struct list *list = &model.lists[number];
    uint32_t link = image.header->orders[number].newest;

    assert_int_equal(image.header->orders[number].count,
                     number == FLOW_FREE ? image.header->used - count_all() : list->count);
    for (uint32_t place = 0; place < list->count; place++) {
        const struct flow_entry *entry = &image.entries[link - 1];

        assert_in_range(link, 1, image.capacity);
        assert_int_equal(flow_image_number(entry), list->flows[place].number);
        assert_int_equal(entry->verdict, list->flows[place].verdict);
        assert_int_equal(entry->seen, (uint32_t)list->flows[place].seen);
        link = entry->older;
    }
}

static void assert_same(void)
{
    assert_string_equal(flow_image_fault(&image), "");
    for (unsigned i = 0; i < FLOW_LISTS; i++) {
        assert_same_list(i);
    }
    assert_int_equal(image.header->totals.added, model.totals.added);
    assert_int_equal(image.header->totals.replaced, model.totals.replaced);
    assert_int_equal(image.header->totals.expired, model.totals.expired);
}

static void do_step(uint64_t *random)
{
    uint32_t number = unit_random_below(random, NUMBERS);
    nfqe_verdict verdict = unit_random_below(random, 3) == 0 ? NFQE_DROP : NFQE_ACCEPT;
    struct list *list;
    uint32_t place;

    if (unit_random_below(random, 3) == 0) {
        tick += unit_random_below(random, 20) == 0 ? FLOW_IMAGE_IDLE_TICKS - 1 : unit_random_below(random, 4);
    }
    switch (unit_random_below(random, 16)) {
    case 0:
        if (flow_image_syn(&image, number, tick) == NFQE_CONTINUE) {
            flow_table_accepted(&image.flows, &image.burst, 0);
        }
        if (model_find(number, true, false) == NFQE_CONTINUE && (list = find_list(number, &place)) != NULL) {
            take_out(list, place);
        }
        break;
    case 1:
        image.header->changing = 1; /* a worker has died */
        memset(image.buckets, (int)unit_random(random), image.bucket_count * sizeof(*image.buckets));
        model_repair();
        assert_int_equal(flow_image_repair(&image, tick), count_all());
        for (unsigned i = FLOW_FRESH; i < FLOW_LISTS; i++) {
            learn_order(&model.lists[i], image.header->orders[i].newest);
        }
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
    case 8:
    case 9:
        assert_int_equal(flow_image_reset(&image, number, tick), model_find(number, false, true));
        break;
    default:
        assert_int_equal(flow_image_find(&image, number, tick), model_find(number, false, false));
        break;
    }
}

static void test_table_holds_what_lists_in_the_order_of_use_would(void **state)
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
        cmocka_unit_test(test_table_holds_what_lists_in_the_order_of_use_would),
    };

    return cmocka_run_group_tests_name("flow_model", tests, NULL, NULL);
}
