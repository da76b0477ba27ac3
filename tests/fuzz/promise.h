/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PROMISE(): a condition that must hold; if not, the program ends with a message that has the condition.
 *
 * Each program defines promise_broken(): a fuzzer aborts, so that libFuzzer keeps the input; the property test prints
 * how to repeat the case.
 */
#ifndef FUZZ_PROMISE_H
#define FUZZ_PROMISE_H

#define PROMISE(condition) ((condition) ? (void)0 : promise_broken(__FILE__, __LINE__, #condition))

void promise_broken(const char *file, int line, const char *promise) __attribute__((noreturn));

#endif
