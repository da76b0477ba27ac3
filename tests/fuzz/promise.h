/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PROMISE(): what must hold, or the program ends with a message that names it.
 *
 * A fuzzer and the property test end differently: the one aborts, so that libFuzzer keeps the input, the other
 * says how to repeat the case. So each program brings its own promise_broken().
 */
#ifndef FUZZ_PROMISE_H
#define FUZZ_PROMISE_H

#define PROMISE(condition) ((condition) ? (void)0 : promise_broken(__FILE__, __LINE__, #condition))

void promise_broken(const char *file, int line, const char *promise) __attribute__((noreturn));

#endif
