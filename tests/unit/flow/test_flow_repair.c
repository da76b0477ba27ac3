/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The repair of a flow table whose worker died while it changed the table: it keeps all flows whose entries are
 * complete, in their order of use, and leaves a correct index.
 *
 * Two tests stop a process after each machine instruction, and repair a copy of the table as it is then.
 */
#include "unit.h"

#include "flow_image.h"

#include <nfqe/plugin.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 17
#define NOW 1000 /* a tick */

static struct flow_image image;

static int tear_down(void **state)
{
    (void)state;
    flow_image_done(&image);
    return 0;
}

/* Flows 0 to count - 1, one a tick from NOW on. */
static void begin(uint32_t capacity, uint32_t count)
{
    flow_image_init(&image, capacity, NULL);
    flow_image_add_many(&image, count, NOW);
}

/* Overwrites the index; the flows in the entries stay. */
static void ruin_index(uint64_t seed)
{
    uint64_t random = seed;

    for (uint32_t i = 0; i < image.bucket_count; i++) {
        image.buckets[i] = (uint32_t)unit_random(&random);
    }
    for (uint32_t i = 0; i < image.capacity; i++) {
        image.entries[i].next = unit_random_below(&random, image.capacity + 2);
        image.entries[i].older = unit_random_below(&random, image.capacity + 2);
        image.entries[i].newer = (uint32_t)unit_random(&random);
    }
    image.header->used = (uint32_t)unit_random(&random);
    for (unsigned i = 0; i < FLOW_LISTS; i++) {
        image.header->orders[i].newest = (uint32_t)unit_random(&random);
        image.header->orders[i].oldest = unit_random_below(&random, image.capacity + 2);
        image.header->orders[i].count = (uint32_t)unit_random(&random);
    }
    image.header->changing = 1;
}

static void assert_in_order(void)
{
    assert_false(flow_table_damaged(&image.flows));
    assert_false(flow_table_need_repair(&image.flows));
    assert_string_equal(flow_image_fault(&image), "");
}

/* ---- what is kept ---------------------------------------------------------------------------------------- */

/* The flows of each list, the newest first, as numbers in a row. */
static void read_lists(uint32_t numbers[FLOW_LISTS][CAPACITY + 1])
{
    memset(numbers, 0, FLOW_LISTS * sizeof(numbers[0]));
    for (unsigned list = FLOW_FRESH; list < FLOW_LISTS; list++) {
        uint32_t *next = numbers[list];

        for (uint32_t link = image.header->orders[list].newest; link != 0; link = image.entries[link - 1].older) {
            *next++ = 1 + flow_image_number(&image.entries[link - 1]);
        }
    }
}

/* Some of the accepted ones are established. */
static void test_whole_flows_are_kept_with_verdict_age_and_order(void **state)
{
    (void)state;
    for (uint32_t count = 0; count <= CAPACITY; count++) {
        uint32_t before[FLOW_LISTS][CAPACITY + 1];
        uint32_t after[FLOW_LISTS][CAPACITY + 1];

        begin(CAPACITY, 0);
        for (uint32_t number = 0; number < count; number++) {
            flow_image_add(&image, number, NOW + number, flow_image_verdict(number));
            if (number % 3 == 1) {
                flow_image_find(&image, number, NOW + number);
            }
        }
        read_lists(before);
        ruin_index(count + 1);
        flow_image_attach(&image, FLOW_IMAGE_IDLE_MS);
        assert_true(flow_table_need_repair(&image.flows));
        assert_int_equal(flow_image_repair(&image, NOW + 20), count);
        assert_in_order();
        read_lists(after);
        assert_memory_equal(before, after, sizeof(before));
        for (uint32_t number = 0; number < count; number++) {
            const struct flow_entry *entry = flow_image_entry(&image, number);

            assert_non_null(entry);
            assert_int_equal(entry->verdict, flow_image_verdict(number));
            assert_int_equal(entry->seen, NOW + number);
        }
        for (uint32_t number = 0; number < CAPACITY - count; number++) { /* free entries are free */
            flow_image_add(&image, 100 + number, NOW + 20, NFQE_ACCEPT);
        }
        assert_int_equal(image.header->totals.replaced, 0);
        flow_image_done(&image);
    }
}

static void test_entries_that_are_not_whole_are_freed(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 6; how++) {
        begin(3, 3);
        switch (how) {
        case 0:
            image.entries[1].verdict = NFQE_CONTINUE;
            break;
        case 1:
            image.entries[1].verdict = NFQE_DROP + 1;
            break;
        case 2:
            image.entries[1].verdict = UINT16_MAX;
            break;
        case 3:
            image.entries[1].hash ^= 0x80000000;
            break;
        case 4:
            image.entries[1].key.port[1] ^= 1;
            break;
        default:
            image.entries[1].seen = NOW - FLOW_IMAGE_IDLE_TICKS; /* too old */
            break;
        }
        ruin_index(7);
        assert_int_equal(flow_image_repair(&image, NOW + 3), 2);
        assert_in_order();
        assert_int_equal(flow_image_find(&image, 0, NOW + 3), flow_image_verdict(0));
        assert_int_equal(flow_image_find(&image, 1, NOW + 3), NFQE_CONTINUE);
        assert_int_equal(flow_image_find(&image, 2, NOW + 3), flow_image_verdict(2));
        flow_image_add(&image, 3, NOW + 3, NFQE_ACCEPT);
        assert_int_equal(image.header->totals.replaced, 0);
        flow_image_done(&image);
    }
}

static void test_flow_as_old_as_the_time_out_is_kept_and_an_older_one_is_not(void **state)
{
    static const uint64_t begins[] = {NOW, UINT32_MAX - 5, UINT32_MAX - FLOW_IMAGE_IDLE_TICKS};

    (void)state;
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        flow_image_init(&image, 4, NULL);
        flow_image_add(&image, 0, begins[i], NFQE_DROP);
        flow_image_add(&image, 1, begins[i] + 1, NFQE_DROP);
        flow_image_add(&image, 2, begins[i] + FLOW_IMAGE_IDLE_TICKS + 2, NFQE_DROP); /* with a clock that is ahead */
        ruin_index(3);
        assert_int_equal(flow_image_repair(&image, begins[i] + FLOW_IMAGE_IDLE_TICKS + 1), 2);
        assert_null(flow_image_entry(&image, 0));
        assert_non_null(flow_image_entry(&image, 1));
        assert_non_null(flow_image_entry(&image, 2));
        flow_image_done(&image);
    }
}

/* A day is the longest. */
static void test_flow_may_be_as_old_as_the_longest_time_out(void **state)
{
    _Atomic uint32_t progress = 0;

    (void)state;
    begin(4, 2);
    flow_image_attach(&image, FLOW_IDLE_TICKS_MAX * UINT64_C(125));
    ruin_index(4);
    assert_int_equal(flow_table_repair(&image.flows, (NOW + 1 + FLOW_IDLE_TICKS_MAX) * FLOW_TICK_NS, &progress), 1);
    assert_null(flow_image_entry(&image, 0));
    assert_non_null(flow_image_entry(&image, 1));
}

/* A plugin that writes to the table can make a second entry of a flow. */
static void test_flow_that_stands_twice_is_kept_once_with_its_later_verdict(void **state)
{
    (void)state;
    begin(4, 2);
    image.entries[2] = image.entries[1];
    image.entries[2].seen++;
    image.entries[2].verdict = NFQE_DROP;
    image.entries[3] = image.entries[0];
    ruin_index(5);
    assert_int_equal(flow_image_repair(&image, NOW + 3), 2);
    assert_in_order();
    assert_int_equal(flow_image_find(&image, 1, NOW + 3), NFQE_DROP);
    flow_image_add(&image, 2, NOW + 3, NFQE_ACCEPT);
    flow_image_add(&image, 3, NOW + 3, NFQE_ACCEPT);
    assert_int_equal(image.header->totals.replaced, 0);
    assert_in_order();
}

static void test_repair_of_what_is_in_order_changes_nothing(void **state)
{
    (void)state;
    begin(CAPACITY, CAPACITY - 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(flow_image_repair(&image, NOW + 20), CAPACITY - 2);
        assert_in_order();
        for (uint32_t number = 0; number < CAPACITY - 2; number++) {
            assert_int_equal(flow_image_entry(&image, number)->verdict, flow_image_verdict(number));
        }
    }
    assert_int_equal(image.header->totals.added, CAPACITY - 2);
    assert_int_equal(image.header->totals.replaced + image.header->totals.expired, 0);
}

static void test_large_table_is_repaired_and_shows_signs_of_life(void **state)
{
    const uint32_t capacity = 65536;
    _Atomic uint32_t progress = UINT32_MAX - 2; /* it wraps */

    (void)state;
    flow_image_init(&image, capacity, NULL);
    for (uint32_t number = 0; number < capacity; number++) {
        flow_image_add(&image, number, NOW + number / 1000, flow_image_verdict(number));
    }
    ruin_index(11);
    flow_image_attach(&image, 60 * 1000);
    assert_int_equal(flow_table_repair(&image.flows, (NOW + 66) * FLOW_TICK_NS, &progress), capacity);
    assert_in_order();
    /* buckets, entries, and entries again: one count for 4096 steps */
    assert_in_range(progress + 3, (131072 + 2 * 65536) / 4096, UINT32_MAX);
    for (uint32_t number = 0; number < capacity; number++) {
        assert_int_equal(flow_image_find(&image, number, NOW + 66), flow_image_verdict(number));
    }
}

/* ---- deaths at any moment ---------------------------------------------------------------------------------- */

#define SMALL 5
#define NUMBERS 10
#define STEPS_MAX 60

enum kind { ADD_ACCEPT, ADD_DROP, FIND, NEW_CONNECTION, REPAIR };

struct step {
    enum kind kind;
    uint32_t number;
    uint64_t tick;
};

/* Shared with the process that is stopped. Steps below `done` have ended; steps from `begun` on have not begun. */
static struct shared {
    volatile uint32_t begun;
    volatile uint32_t done;
    _Alignas(64) uint8_t table[4096];
} *shared;

static struct step steps[STEPS_MAX];
static nfqe_verdict known[STEPS_MAX + 1][NUMBERS]; /* before each step, at its tick */

static void do_step(const struct step *step)
{
    switch (step->kind) {
    case ADD_ACCEPT:
    case ADD_DROP:
        flow_image_add(&image, step->number, step->tick, step->kind == ADD_DROP ? NFQE_DROP : NFQE_ACCEPT);
        break;
    case FIND:
        flow_image_find(&image, step->number, step->tick);
        break;
    case NEW_CONNECTION:
        if (flow_image_syn(&image, step->number, step->tick) == NFQE_CONTINUE) {
            flow_table_accepted(&image.flows, &image.burst, 0);
        }
        break;
    case REPAIR:
        flow_image_repair(&image, step->tick);
        break;
    }
}

static void note_known(nfqe_verdict flows[NUMBERS], uint64_t tick)
{
    for (uint32_t number = 0; number < NUMBERS; number++) {
        const struct flow_entry *entry = flow_image_entry(&image, number);

        flows[number] = entry != NULL && tick - entry->seen <= FLOW_IMAGE_IDLE_TICKS ? entry->verdict : NFQE_CONTINUE;
    }
}

/* Runs once without a death, to record what must be there before each step. */
static void rehearse(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        note_known(known[i], steps[i].tick);
        do_step(&steps[i]);
        assert_string_equal(flow_image_fault(&image), "");
    }
    note_known(known[count], steps[count].tick);
}

/*
 * The next worker repairs what the process has left so far. A flow that the current step does not change is
 * unchanged; one that it changes is as before the step, as after it, or forgotten.
 */
static void replay_verdict(void)
{
    uint32_t done = shared->done;
    uint32_t begun = shared->begun;
    nfqe_verdict now[NUMBERS];

    memcpy(image.header, shared->table, image.size);
    flow_image_attach(&image, FLOW_IMAGE_IDLE_MS);
    image.flows.now = (uint32_t)steps[done].tick;
    if (flow_table_need_repair(&image.flows)) {
        flow_image_repair(&image, steps[done].tick);
    } else {
        image.flows.order_ticks = UINT32_MAX / 2; /* a flow that was used may not have been moved yet */
    }
    assert_in_order();
    note_known(now, steps[done].tick);
    for (unsigned i = 0; i < NUMBERS; i++) {
        bool changes = known[done][i] != known[begun][i];

        assert_true(now[i] == known[done][i] || (changes && (now[i] == known[begun][i] || now[i] == NFQE_CONTINUE)));
    }
}

static void run_stopped(unsigned first, unsigned count)
{
    image.header = (struct flow_memory_header *)(void *)shared->table;
    flow_image_attach(&image, FLOW_IMAGE_IDLE_MS);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) {
        _exit(77);
    }
    raise(SIGSTOP);
    for (unsigned i = first; i < count; i++) {
        shared->begun = i + 1;
        do_step(&steps[i]);
        shared->done = i + 1;
    }
    _exit(0);
}

/* Returns how many different tables there were. */
static unsigned stop_after_each_instruction(unsigned first, unsigned count)
{
    static uint8_t last[sizeof(shared->table)];
    unsigned tables = 0;
    int status;
    pid_t child;

    shared->begun = shared->done = first;
    memcpy(shared->table, image.header, image.size);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        run_stopped(first, count);
    }
    for (;;) {
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            break;
        }
        if (memcmp(last, shared->table, image.size) != 0) {
            memcpy(last, shared->table, image.size);
            replay_verdict();
            tables++;
        }
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    }
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: this process may not trace another one: ptrace() is refused\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(shared->done, count);
    return tables;
}

static int shared_set_up(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    flow_image_init(&image, SMALL, NULL);
    return 0;
}

static int shared_tear_down(void **state)
{
    flow_image_done(&image);
    (void)state;
    return munmap(shared, sizeof(*shared));
}

static void test_worker_killed_at_any_instruction_loses_at_most_the_flow_it_was_changing(void **state)
{
    static const struct step every_kind[] = {
        {ADD_ACCEPT, 0, NOW},           {ADD_DROP, 1, NOW},         {ADD_ACCEPT, 2, NOW + 1},
        {ADD_ACCEPT, 3, NOW + 1},       {FIND, 0, NOW + 2},         {ADD_DROP, 4, NOW + 2},
        {ADD_ACCEPT, 5, NOW + 3},       {FIND, 2, NOW + 4},         {NEW_CONNECTION, 2, NOW + 4},
        {NEW_CONNECTION, 4, NOW + 5},   {ADD_ACCEPT, 6, NOW + 5},   {ADD_ACCEPT, 4, NOW + 6},
        {ADD_DROP, 6, NOW + 6},         {ADD_DROP, 0, NOW + 40},    {FIND, 5, NOW + 99},
        {FIND, 4, NOW + 100},           {ADD_DROP, 7, NOW + 100},   {ADD_ACCEPT, 8, NOW + 101},
        {NEW_CONNECTION, 8, NOW + 102}, {ADD_ACCEPT, 9, NOW + 103}, {ADD_ACCEPT, 1, NOW + 104},
        {ADD_DROP, 2, NOW + 105},
    };
    const unsigned count = sizeof(every_kind) / sizeof(every_kind[0]);

    (void)state;
    memcpy(steps, every_kind, sizeof(every_kind));
    steps[count] = steps[count - 1]; /* its tick, at the end */
    rehearse(count);
    assert_true(image.header->totals.replaced > 0 && image.header->totals.expired > 0);
    memset(image.header, 0, image.size);
    assert_true(stop_after_each_instruction(0, count) > 10 * count);
}

static void test_successor_killed_at_any_instruction_of_its_repair_loses_no_flow(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        steps[i] = (struct step){.kind = i % 2 == 0 ? ADD_ACCEPT : ADD_DROP, .number = i, .tick = NOW + i / 2};
    }
    steps[6] = (struct step){.kind = NEW_CONNECTION, .number = 4, .tick = NOW + 3};
    steps[7] = steps[8] = steps[9] = (struct step){.kind = REPAIR, .tick = NOW + 3};
    rehearse(7);
    memcpy(known[8], known[7], sizeof(known[7]));
    memcpy(known[9], known[7], sizeof(known[7]));
    ruin_index(13);
    image.header->changing = 1;
    assert_true(stop_after_each_instruction(7, 8) > 30);
    memcpy(image.header, shared->table, image.size);
    image.flows.now = (uint32_t)steps[7].tick;
    assert_in_order();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, tear_down)
#define WITH_SHARED(test) cmocka_unit_test_setup_teardown(test, shared_set_up, shared_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_flows_are_kept_with_verdict_age_and_order),
        cmocka_unit_test(test_entries_that_are_not_whole_are_freed),
        cmocka_unit_test(test_flow_as_old_as_the_time_out_is_kept_and_an_older_one_is_not),
        TEST(test_flow_may_be_as_old_as_the_longest_time_out),
        TEST(test_flow_that_stands_twice_is_kept_once_with_its_later_verdict),
        TEST(test_repair_of_what_is_in_order_changes_nothing),
        TEST(test_large_table_is_repaired_and_shows_signs_of_life),
        WITH_SHARED(test_worker_killed_at_any_instruction_loses_at_most_the_flow_it_was_changing),
        WITH_SHARED(test_successor_killed_at_any_instruction_of_its_repair_loses_no_flow),
    };

    return cmocka_run_group_tests_name("flow_repair", tests, NULL, NULL);
}
