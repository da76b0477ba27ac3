/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main() of the ABI test programs: a tear-down after each test, and one at the end.
 *
 * cmocka takes the tear-down of a test from the table of tests, and the programs' tables have none. So the table is
 * copied, and the tear-down is added to the copy. Runs in the test program.
 */
#include "abi_main.h"

#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct engine_run *engine;

static int end_engine(void **state)
{
    (void)state;
    engine_kill(engine);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int abi_main(const struct CMUnitTest tests[], size_t count, struct engine_run *run)
{
    static struct CMUnitTest all[ABI_TESTS_MAX];
    int impossible = run != NULL ? engine_run_possible() : 0;

    if (impossible != 0) {
        return impossible;
    }
    if (count > ABI_TESTS_MAX) {
        fprintf(stderr, "%zu tests, at most %d are possible\n", count, ABI_TESTS_MAX);
        return 1;
    }
    memcpy(all, tests, count * sizeof(all[0]));
    engine = run;
    for (size_t i = 0; run != NULL && i < count; i++) {
        all[i].teardown_func = all[i].teardown_func != NULL ? all[i].teardown_func : end_engine;
    }
    return _cmocka_run_group_tests(program_invocation_short_name, all, count, NULL, remove_files);
}
