/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An error as data: what went wrong, where, and the exit status that it leads to.
 *
 * A function with a struct error parameter fills it if it fails, leaves it alone if it succeeds, and returns what
 * error_set() returns. The text says what is wrong and what to do. The layer that knows the source (a file, an option)
 * sets the source. error_format() makes the line that a person reads: "source:line: text". Owns no memory.
 * Process: any.
 */
#ifndef ENGINE_BASE_ERROR_H
#define ENGINE_BASE_ERROR_H

#include "base/exit_code.h"

#include <stdarg.h>
#include <stddef.h>

#define ERROR_TEXT_MAX 512
#define ERROR_SOURCE_MAX 1024
#define ERROR_LINE_MAX (ERROR_TEXT_MAX + ERROR_SOURCE_MAX + 16) /* for error_format() */

struct error {
    enum exit_code exit_code; /* EXIT_CODE_OK: no error */
    int code;                 /* negative errno */
    unsigned line;            /* in the source; 0: no line */
    char source[ERROR_SOURCE_MAX]; /* a file or an option; empty: none */
    char text[ERROR_TEXT_MAX];
};

/* Fills the error, without a source. A text that does not fit is cut. Returns `code`, a negative errno. */
int error_set(struct error *error, enum exit_code exit_code, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with the arguments as a va_list, for functions that take a format themselves. */
int error_set_list(struct error *error, enum exit_code exit_code, int code, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

/* Sets where the error is. If the source does not fit, "..." and its end are kept. line 0: no line. */
void error_set_source(struct error *error, const char *source, unsigned line);

/* Writes the error as one line for a person, without a newline, into text[ERROR_LINE_MAX]. Returns text. */
const char *error_format(const struct error *error, char *text);

#endif
