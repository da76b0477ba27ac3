/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi_main.h - the main() of every ABI test program.
 *
 * Always: the scratch directory is removed at the end. A program that runs the real engine is skipped, as engine_run.h
 * says, where that is impossible; and an engine that a test leaves running, also by failing, is ended before the next
 * test.
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
 * Runs the tests and returns what main() returns. run: the engine of the program's tests, ended after each test that
 * has no tear-down of its own; NULL for a program that starts none.
 */
int abi_main(const struct CMUnitTest tests[], size_t count, struct engine_run *run);

#endif
