/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsing the command line into struct options.
 */
#ifndef ENGINE_CONFIG_COMMAND_LINE_H
#define ENGINE_CONFIG_COMMAND_LINE_H

#include "config/options.h"

/*
 * Parses the command line. Returns 0 or a negative errno with the error filled: it names the argument, says what is
 * expected, and has EXIT_CODE_USAGE or EXIT_CODE_CONFIGURATION. Call options_done() also after a failure.
 */
int command_line_parse(struct options *options, int argc, char *const argv[], struct error *error);

#endif
