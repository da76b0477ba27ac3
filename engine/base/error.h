/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An error as data: what went wrong, where, and what the program exits with because of it.
 *
 * A function that takes a struct error fills it exactly when it fails, and returns error_set()'s return value. What a
 * person reads is made by error_format(): "source:line: text". The layer that knows the source (a file, an option)
 * sets it; the text says what is wrong and what to do. Owns no memory. Process: any.
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
    enum exit_code exit_code; /* EXIT_CODE_OK: there is no error */
    int code;                 /* negative errno */
    unsigned line;            /* of the source; 0: no line */
    char source[ERROR_SOURCE_MAX]; /* file or option; empty: none */
    char text[ERROR_TEXT_MAX];
};

/* Fills the error, without a source. A text that is too long is cut. Returns `code`, a negative errno. */
int error_set(struct error *error, enum exit_code exit_code, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with the arguments in a list, for functions that take a format themselves. */
int error_set_list(struct error *error, enum exit_code exit_code, int code, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

/* Says where the error is. Of a source that is too long, the end is kept, after "...". line: 0: no line. */
void error_set_source(struct error *error, const char *source, unsigned line);

/* The error as one line for a person, without a newline, in text[ERROR_LINE_MAX]. Returns text. */
const char *error_format(const struct error *error, char *text);

#endif
