/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the compiler includes before ring_submit.c, ring_answer.c and the test of the model: each access to a shared word
 * and each system call of a ring becomes a step of ring_model.h. The sources are those of the engine.
 */
#ifndef UNIT_RING_MODEL_SHIM_H
#define UNIT_RING_MODEL_SHIM_H

#include "base/eventfd.h"
#include "base/futex.h"

#include <stdatomic.h>
#include <stdint.h>

uint32_t model_load(const _Atomic uint32_t *word);
void model_store(_Atomic uint32_t *word, uint32_t value, memory_order order);
void model_signal(int fd);
int model_futex_wait(const _Atomic uint32_t *word, uint32_t value);
void model_futex_wake(const _Atomic uint32_t *word);

#undef atomic_load_explicit
#undef atomic_store_explicit
#define atomic_load_explicit(word, order) model_load(word)
#define atomic_store_explicit(word, value, order) model_store(word, value, order)
#define eventfd_signal model_signal
#define futex_wait model_futex_wait
#define futex_wake model_futex_wake

#endif
