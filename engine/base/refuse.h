/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saying why something is refused.
 */
#ifndef ENGINE_BASE_REFUSE_H
#define ENGINE_BASE_REFUSE_H

#include <stddef.h>

/* Writes the reason, for a person, to error[size], cut to its size. Returns `code`: the caller's way out. */
int refuse(char *error, size_t size, int code, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
