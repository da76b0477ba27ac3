/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi_main.h - the main() of every ABI test program.
 *
 * Always: the scratch directory is removed at the end. A program that runs the real engine is skipped where that is
 * impossible (engine_run.h). An engine that still runs after a test, also a failed one, is ended before the next test.
 */
#ifndef TESTS_ABI_ABI_MAIN_H
#define TESTS_ABI_ABI_MAIN_H

#include "engine_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ABI_TESTS_MAX 256

/*
 * Runs the tests. Returns the exit status for main(). run: the engine of the tests, which is ended after each test
 * without a tear-down; NULL for a program that starts no engine.
 */
int abi_main(const struct CMUnitTest tests[], size_t count, struct engine_run *run);

#endif
