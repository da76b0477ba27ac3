/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Titles by setproctitle() of libbsd, which moves arguments and environment and knows how much room there is.
 *
 * If the title is shorter than the name that the program was started by, libbsd puts a dot where that name ended, for
 * kernels that would not notice the title otherwise. Today's kernels need no dot, and ps would show it after the title,
 * with blanks in between. So it is removed.
 */
#include "base/process_title.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "nfq-engine: "

/* Where the title is written, and the length of the name that was there before. */
static char *place;
static size_t name_len;

void process_title_init(int argc, char *argv[])
{
    place = argv[0];
    name_len = strlen(argv[0]);
    setproctitle_init(argc, argv, environ);
}

void process_title_set(const char *format, ...)
{
    char title[sizeof(PREFIX) + PROCESS_TITLE_MAX] = PREFIX;
    va_list arguments;

    if (place == NULL) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(title + strlen(PREFIX), PROCESS_TITLE_MAX, format, arguments);
    va_end(arguments);
    setproctitle("-%s", title); /* "-": without the name that the C library has for the program */
    if (strlen(title) < name_len) {
        place[name_len] = '\0';
    }
}
