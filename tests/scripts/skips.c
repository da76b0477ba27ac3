/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cmocka program that skips, for the test of scripts/summarize_tests.py: `skips part` passes one test and skips two,
 * one of them without a reason; `skips all` skips its only one; `skips failed` skips one and fails one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_that_passes(void **state)
{
    (void)state;
}

static void test_with_a_reason(void **state)
{
    (void)state;
    print_message("skipped: the moon is not full\n");
    skip();
}

static void test_without_a_reason(void **state)
{
    (void)state;
    skip();
}

static void test_that_fails(void **state)
{
    (void)state;
    fail();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest part[] = {
        cmocka_unit_test(test_that_passes),
        cmocka_unit_test(test_with_a_reason),
        cmocka_unit_test(test_without_a_reason),
    };
    const struct CMUnitTest all[] = {cmocka_unit_test(test_with_a_reason)};
    const struct CMUnitTest failed[] = {cmocka_unit_test(test_with_a_reason), cmocka_unit_test(test_that_fails)};

    if (argc == 2 && strcmp(argv[1], "part") == 0) {
        return cmocka_run_group_tests(part, NULL, NULL);
    }
    if (argc == 2 && strcmp(argv[1], "all") == 0) {
        return cmocka_run_group_tests(all, NULL, NULL);
    }
    if (argc == 2 && strcmp(argv[1], "failed") == 0) {
        return cmocka_run_group_tests(failed, NULL, NULL);
    }
    return 2;
}
