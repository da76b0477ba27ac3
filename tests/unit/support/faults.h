/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a byte in memory can be accessed; a child process tries it.
 */
#ifndef UNIT_FAULTS_H
#define UNIT_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a process dies of SIGSEGV if it reads the byte, or, with write_it, writes 1 there. */
bool faults(volatile uint8_t *byte, bool write_it);

#endif
