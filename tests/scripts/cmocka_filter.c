/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linked into every cmocka program, before main(): where the environment has NFQE_TEST_FILTER, only the test functions
 * whose names match that pattern (* and ?) run. scripts/check NAME -k PART sets it; nothing else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void choose_tests(void)
{
    const char *pattern = getenv("NFQE_TEST_FILTER");

    if (pattern != NULL) {
        cmocka_set_test_filter(pattern);
    }
}
