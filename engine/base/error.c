/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fills a struct error and formats it as one line.
 *
 * Text and source are copied into the struct, which has no pointers. So an error can outlive what it was made from,
 * be kept, or be sent to another process. What does not fit is cut; nothing here allocates or fails. Runs in every
 * process.
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

int error_set_list(struct error *error, enum exit_code exit_code, int code, const char *format, va_list arguments)
{
    error->exit_code = exit_code;
    error->code = code;
    error->line = 0;
    error->source[0] = '\0';
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    return code;
}

int error_set(struct error *error, enum exit_code exit_code, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    error_set_list(error, exit_code, code, format, arguments);
    va_end(arguments);
    return code;
}

void error_set_source(struct error *error, const char *source, unsigned line)
{
    size_t len = strlen(source);

    if (len < sizeof(error->source)) {
        memcpy(error->source, source, len + 1);
    } else {
        snprintf(error->source, sizeof(error->source), "...%s", source + len - (sizeof(error->source) - 4));
    }
    error->line = line;
}

const char *error_format(const struct error *error, char *text)
{
    if (error->source[0] == '\0') {
        snprintf(text, ERROR_LINE_MAX, "%s", error->text);
    } else if (error->line == 0) {
        snprintf(text, ERROR_LINE_MAX, "%s: %s", error->source, error->text);
    } else {
        snprintf(text, ERROR_LINE_MAX, "%s:%u: %s", error->source, error->line, error->text);
    }
    return text;
}
