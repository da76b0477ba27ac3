/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A generation: its plugins are found by references to it, and by no other, whatever a reference says.
 */
#include "unit.h"

#include "process/generation.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NUMBER 3
#define COUNT 2

static struct queue_group group;
static struct generation generation;

static int set_up(void **state)
{
    (void)state;
    memset(&generation, 0xff, sizeof(generation));
    generation_init(&generation, NUMBER, &group);
    generation.plugin_count = COUNT;
    for (unsigned i = 0; i < COUNT + 1; i++) { /* and one that is not of the generation */
        generation.plugins[i].memfd = memfd_create("copy", MFD_CLOEXEC);
        assert_true(generation.plugins[i].memfd >= 0);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    generation_done(&generation);
    close(generation.plugins[COUNT].memfd);
    return 0;
}

static void test_new_generation_has_number_and_group_and_nothing_else(void **state)
{
    static struct generation fresh;

    (void)state;
    memset(&fresh, 0xff, sizeof(fresh));
    generation_init(&fresh, 7, &group);
    assert_int_equal(fresh.number, 7);
    assert_ptr_equal(fresh.group, &group);
    assert_int_equal(fresh.plugin_count, 0);
    assert_int_equal(fresh.plan.plugin_count, 0);
    assert_null(generation_plugin(&fresh, generation_plugin_ref(&fresh, 0)));
    generation_done(&fresh);
}

static void test_plugin_is_found_by_its_reference(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        struct plugin_ref ref = generation_plugin_ref(&generation, i);

        assert_int_equal(ref.generation, NUMBER);
        assert_int_equal(ref.index, i);
        assert_ptr_equal(generation_plugin(&generation, ref), &generation.plugins[i]);
    }
}

static void test_other_references_find_nothing(void **state)
{
    (void)state;
    assert_null(generation_plugin(&generation, PLUGIN_REF_NONE));
    assert_null(generation_plugin(&generation, (struct plugin_ref){NUMBER - 1, 0}));
    assert_null(generation_plugin(&generation, (struct plugin_ref){NUMBER + 1, 0}));
    assert_null(generation_plugin(&generation, (struct plugin_ref){NUMBER, COUNT}));
    assert_null(generation_plugin(&generation, (struct plugin_ref){NUMBER, UINT32_MAX}));
}

static void test_references_are_equal_if_both_parts_are(void **state)
{
    (void)state;
    assert_true(plugin_ref_equal((struct plugin_ref){1, 2}, (struct plugin_ref){1, 2}));
    assert_false(plugin_ref_equal((struct plugin_ref){1, 2}, (struct plugin_ref){1, 3}));
    assert_false(plugin_ref_equal((struct plugin_ref){1, 2}, (struct plugin_ref){2, 2}));
    assert_true(plugin_ref_equal(PLUGIN_REF_NONE, (struct plugin_ref){0, 0}));
}

static void test_done_closes_every_copy_and_nothing_else(void **state)
{
    int copies[COUNT];

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        copies[i] = generation.plugins[i].memfd;
        assert_int_equal(fcntl(copies[i], F_GETFD), FD_CLOEXEC);
    }
    generation_done(&generation);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(fcntl(copies[i], F_GETFD), -1);
    }
    assert_int_equal(fcntl(generation.plugins[COUNT].memfd, F_GETFD), FD_CLOEXEC);
    assert_null(generation_plugin(&generation, generation_plugin_ref(&generation, 0)));
}

int main(void)
{
#define WITH_PLUGINS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PLUGINS(test_new_generation_has_number_and_group_and_nothing_else),
        WITH_PLUGINS(test_plugin_is_found_by_its_reference),
        WITH_PLUGINS(test_other_references_find_nothing),
        WITH_PLUGINS(test_references_are_equal_if_both_parts_are),
        WITH_PLUGINS(test_done_closes_every_copy_and_nothing_else),
    };

    return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
