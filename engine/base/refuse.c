/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See refuse.h.
 */
#include "base/refuse.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(char *error, size_t size, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, size, format, arguments);
    va_end(arguments);
    return code;
}
