/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a place in memory can be touched: tried by a process of its own.
 */
#ifndef UNIT_FAULTS_H
#define UNIT_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a process that reads the byte, or writes it, dies of SIGSEGV. Written is 1. */
bool faults(volatile uint8_t *byte, bool write_it);

#endif
