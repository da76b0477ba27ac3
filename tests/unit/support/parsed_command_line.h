/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A parsed command line, for the tests of options.
 *
 * Each parse also checks that the return value and the error agree.
 */
#ifndef UNIT_PARSED_COMMAND_LINE_H
#define UNIT_PARSED_COMMAND_LINE_H

#include "config/command_line.h"

#define PARSED_ARGUMENTS_MAX 600
#define ENOUGH "--plugin=./x.so", "--queue=1" /* the least that is accepted */

/* Of the last parse. Owned by the caller if it was accepted: options_done(). */
extern struct options parsed_options;
extern struct error parsed_error; /* all zero if it was accepted */

/* Parses these arguments, without the program's name. Returns the exit code of the error. */
enum exit_code parsed_command_line(unsigned count, const char *const *arguments);

#define PARSE(...)                                                                                                     \
    parsed_command_line(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), (const char *const[]){__VA_ARGS__})

#endif
