/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of sections at the start of a queue's shared memory, as another process finds it: which tables are refused,
 * and which sections are found.
 */
#include "unit.h"

#include "base/shm.h"
#include "queue/queue_shm.h"

#include <errno.h>

#define CONTROL_VERSION 9

static int set_up(void **state)
{
    static const struct queue_shm_layout layout = {
        .control_version = CONTROL_VERSION, .control_size = 100, .slot_size = 1152, .flows_size = 4160};
    static struct queue_shm shm;

    *state = &shm;
    return queue_shm_new(65535, &layout, &shm);
}

static int tear_down(void **state)
{
    queue_shm_done(*state);
    return 0;
}

static void test_memory_of_another_program_or_version_is_refused(void **state)
{
    const struct queue_shm *shm = *state;
    struct queue_shm_header header = *shm->header;

    assert_int_equal(queue_shm_check(&header, sizeof(header) - 1), -EPROTO);
    header.magic ^= 1;
    assert_int_equal(queue_shm_check(&header, shm->size), -EPROTO);
    header = *shm->header;
    header.version++;
    assert_int_equal(queue_shm_check(&header, shm->size), -EPROTO);
    header = *shm->header;
    assert_null(queue_shm_find(&header, QUEUE_SHM_CONTROL, CONTROL_VERSION + 1));
    assert_null(queue_shm_find(&header, QUEUE_SHM_JOURNAL, JOURNAL_VERSION - 1));
    header.section_count = 1; /* what lies after the last section is no section */
    assert_non_null(queue_shm_find(&header, QUEUE_SHM_CONTROL, CONTROL_VERSION));
    assert_null(queue_shm_find(&header, QUEUE_SHM_JOURNAL, JOURNAL_VERSION));
}

static void test_table_whose_sections_do_not_fit_is_refused(void **state)
{
    const struct queue_shm *shm = *state;
    const struct {
        uint64_t offset;
        uint64_t size;
    } bad[] = {
        {0, SHM_PAGE_SIZE}, /* over the header */
        {SHM_PAGE_SIZE + 1, 1}, /* not aligned */
        {shm->size, 1}, /* after the end */
        {shm->size + SHM_PAGE_SIZE, 0}, /* the same, and empty */
        {shm->size - SHM_PAGE_SIZE, SHM_PAGE_SIZE + 1},
        {SHM_PAGE_SIZE, UINT64_MAX}, /* the sum wraps */
        {UINT64_MAX - SHM_PAGE_SIZE + 1, SHM_PAGE_SIZE},
        {shm->header->sections[1].offset, 1}, /* over another section */
    };
    struct queue_shm_header header;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        header = *shm->header;
        header.sections[0].offset = bad[i].offset;
        header.sections[0].size = bad[i].size;
        assert_int_equal(queue_shm_check(&header, shm->size), -EUCLEAN);
    }
    header = *shm->header;
    header.section_count = QUEUE_SHM_SECTIONS_MAX + 1;
    assert_int_equal(queue_shm_check(&header, shm->size), -EUCLEAN);
    header = *shm->header;
    assert_int_equal(queue_shm_check(&header, shm->size + SHM_PAGE_SIZE), -EUCLEAN);
}

/* A table with these sections of one page each; the memory is 9 pages long, the first one has the header. */
static struct queue_shm_header table_of(uint32_t count, const uint64_t *pages)
{
    struct queue_shm_header header = {.magic = QUEUE_SHM_MAGIC,
                                      .version = QUEUE_SHM_VERSION,
                                      .section_count = count,
                                      .size = UINT64_C(9) * SHM_PAGE_SIZE};

    for (uint32_t i = 0; i < count; i++) {
        header.sections[i] = (struct queue_shm_section){
            .kind = QUEUE_SHM_SLOTS, .version = 1, .offset = pages[i] * SHM_PAGE_SIZE, .size = SHM_PAGE_SIZE};
    }
    return header;
}

static void test_sections_may_touch_but_no_two_may_overlap(void **state)
{
    static const uint64_t orders[][QUEUE_SHM_SECTIONS_MAX] = {
        {1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1}, {3, 8, 1, 6, 2, 7, 5, 4}};

    (void)state;
    for (size_t order = 0; order < sizeof(orders) / sizeof(orders[0]); order++) {
        struct queue_shm_header header = table_of(QUEUE_SHM_SECTIONS_MAX, orders[order]);

        assert_int_equal(queue_shm_check(&header, header.size), 0);
        for (unsigned i = 0; i < QUEUE_SHM_SECTIONS_MAX; i++) {
            header.sections[i].size++; /* beyond the end, or over the first byte of the next one */
            assert_int_equal(queue_shm_check(&header, header.size), -EUCLEAN);
            header.sections[i].size--;
        }
        for (unsigned i = 0; i < QUEUE_SHM_SECTIONS_MAX; i++) {
            for (unsigned other = 0; other < QUEUE_SHM_SECTIONS_MAX; other++) {
                uint64_t offset = header.sections[i].offset;

                header.sections[i].offset = header.sections[other].offset;
                assert_int_equal(queue_shm_check(&header, header.size), i == other ? 0 : -EUCLEAN);
                header.sections[i].offset = offset;
            }
        }
    }
}

/* What lies after the table could be taken for one section more. */
static void test_table_with_more_sections_than_it_has_places_for_is_refused(void **state)
{
    static const uint64_t order[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct {
        struct queue_shm_header header;
        struct queue_shm_section more;
    } memory = {
        .header = table_of(QUEUE_SHM_SECTIONS_MAX, order),
        .more = {.kind = QUEUE_SHM_SLOTS, .version = 1, .offset = UINT64_C(9) * SHM_PAGE_SIZE, .size = SHM_PAGE_SIZE}};

    (void)state;
    memory.header.size = UINT64_C(10) * SHM_PAGE_SIZE;
    assert_int_equal(queue_shm_check(&memory.header, memory.header.size), 0);
    memory.header.section_count++;
    assert_int_equal(queue_shm_check(&memory.header, memory.header.size), -EUCLEAN);
}

static void test_smallest_memory_has_a_header_and_empty_sections(void **state)
{
    static const uint64_t end[] = {9, 9};
    struct queue_shm_header header = table_of(2, end);

    (void)state;
    header.sections[0].size = header.sections[1].size = 0;
    assert_int_equal(queue_shm_check(&header, header.size), 0);
    header = table_of(0, NULL);
    header.size = sizeof(header);
    assert_int_equal(queue_shm_check(&header, sizeof(header)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_of_another_program_or_version_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_table_whose_sections_do_not_fit_is_refused, set_up, tear_down),
        cmocka_unit_test(test_sections_may_touch_but_no_two_may_overlap),
        cmocka_unit_test(test_table_with_more_sections_than_it_has_places_for_is_refused),
        cmocka_unit_test(test_smallest_memory_has_a_header_and_empty_sections),
    };

    return cmocka_run_group_tests_name("queue_shm_table", tests, NULL, NULL);
}
